//! When a tick is due, and when the peer is gone. Checked every quarter of the ticktime.
//!
//! Source: OTP, `net_kernel`, `net_ticktime` and `net_tickintensity`.

/// Checks in one ticktime, as BEAM's default intensity.
pub const INTENSITY: u32 = 4;

/// What one link has heard and said since the last check.
#[derive(Debug, Default)]
pub struct Liveness {
    heard: bool,
    said: bool,
    silent_checks: u32,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to do.
    Fine,
    /// We were silent: send a tick.
    Tick,
    /// The peer was silent for the whole ticktime.
    Gone,
}

impl Liveness {
    /// Some bytes of the peer were read.
    pub fn heard(&mut self) {
        self.heard = true;
    }

    /// Some bytes were written, or wait to be.
    pub fn said(&mut self) {
        self.said = true;
    }

    /// One check. While `paused` by ourselves we don't read, so silence is no fault of the peer.
    pub fn check(&mut self, paused: bool) -> Verdict {
        let (heard, said) = (std::mem::take(&mut self.heard), std::mem::take(&mut self.said));
        self.silent_checks = if heard || paused { 0 } else { self.silent_checks + 1 };
        if self.silent_checks >= INTENSITY {
            Verdict::Gone
        } else if said {
            Verdict::Fine
        } else {
            Verdict::Tick
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Fine, Gone, Tick};

    #[test]
    fn four_silent_checks_in_a_row_are_the_end() {
        let mut liveness = Liveness::default();

        assert_eq!([(); 4].map(|()| liveness.check(false)), [Tick, Tick, Tick, Gone]);
    }

    #[test]
    fn any_byte_starts_the_count_anew() {
        let mut liveness = Liveness::default();
        for _ in 0..10 {
            assert_eq!([(); 3].map(|()| liveness.check(false)), [Tick, Tick, Tick]);
            liveness.heard();
            assert_eq!(liveness.check(false), Tick);
        }
    }

    #[test]
    fn a_pause_of_ours_is_no_silence_of_the_peer() {
        let mut liveness = Liveness::default();
        for _ in 0..10 {
            assert_eq!(liveness.check(true), Tick);
        }

        assert_eq!([(); 4].map(|()| liveness.check(false)), [Tick, Tick, Tick, Gone]);
    }

    #[test]
    fn no_tick_is_due_after_something_was_said() {
        let mut liveness = Liveness::default();
        liveness.heard();
        liveness.said();

        assert_eq!(liveness.check(false), Fine);
        assert_eq!(liveness.check(false), Tick);
    }
}
