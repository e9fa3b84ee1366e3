//! Large messages on their way into Python: what takes long is done in slices, while others overtake.
//!
//! The payload of a packet of 1 MiB and more is decoded a little in each drain, its large binaries apart, which stay
//! unfilled; then these are copied likewise. The message is an event when all is there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use rustc_hash::FxHashMap;

use super::deliver::{Flat, Opened, decoding};
use super::events::{Backlog, Event};
use crate::dist::identity::Identity;
use crate::dist::order::Gate;
use crate::dist::packet::Packet;
use crate::etf::{Hole, Progress};
use crate::limits::Limits;

/// A packet from this size on is decoded in slices.
pub const LARGE_PACKET: usize = 1024 * 1024;

/// Bytes copied between two looks at the clock: well below a millisecond.
const SLICE: usize = 256 * 1024;

/// How long one message is decoded before it is the next one's turn.
const SLICE_TIME: Duration = Duration::from_micros(500);

/// So many messages take turns; others are not begun, since what is decoded of a message takes memory.
const AT_ONCE: usize = 4;

/// So many events at most are looked at in one go for one that may overtake.
const LOOKS: usize = 1000;

/// What has become of a message: the event, or why the link has to end.
pub type Outcome = Result<Flat, String>;

/// One message that is not complete.
pub struct Filling {
    stage: Stage,
    packet: Packet,
    identity: Arc<Identity>,
    gate: Gate,
    held: VecDeque<Event>,
}

/// What is to be done with a message.
enum Stage {
    /// All but the payload is decoded, and of that a part.
    Decoding(Opened, Progress),
    /// All is decoded; the holes are filled from the last one's end, so that the packet shrinks meanwhile.
    Copying(Flat, Vec<Hole>),
    /// Nothing.
    Done(Outcome),
}

impl Filling {
    /// A message of which all but the payload is decoded.
    pub fn new(py: Python<'_>, opened: Opened, packet: Packet, identity: Arc<Identity>, limits: &Limits) -> Self {
        let mut gate = Gate::default();
        gate.hold(&packet);
        let stage = match Progress::new(opened.payload(&packet).len(), limits, true) {
            Ok(progress) => Stage::Decoding(opened, progress),
            Err(error) => Stage::Done(opened.close(py, Err(error))),
        };
        Self { stage, packet, identity, gate, held: VecDeque::new() }
    }

    /// Give back what may overtake the message, and keep what may not.
    fn admit(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Packet(packet) if packet.size() >= LARGE_PACKET || !self.gate.admits(&packet) => {
                self.gate.hold(&packet);
                self.held.push_back(Event::Packet(packet));
                None
            }
            Event::Down(_) => {
                self.hold(event);
                None
            }
            other => Some(other),
        }
    }

    /// Keep this, and everything after it.
    fn hold(&mut self, event: Event) {
        self.gate.shut();
        self.held.push_back(event);
    }

    /// Do one slice.
    fn step(mut self, py: Python<'_>, limits: &Limits) -> Self {
        self.stage = match self.stage {
            Stage::Decoding(opened, progress) => decode(py, opened, progress, &self.packet, &self.identity, limits),
            Stage::Copying(flat, holes) => copy(py, flat, holes, &mut self.packet),
            done @ Stage::Done(_) => done,
        };
        self
    }
}

/// Decode one slice.
fn decode(
    py: Python<'_>,
    opened: Opened,
    progress: Progress,
    packet: &Packet,
    identity: &Identity,
    limits: &Limits,
) -> Stage {
    let (data, how) = (opened.payload(packet), decoding(packet, identity, limits));
    let (payload, progress) = match progress.advance(py, data, &how, Instant::now() + SLICE_TIME) {
        Ok((Some(payload), progress)) => (payload, progress),
        Ok((None, progress)) => return Stage::Decoding(opened, progress),
        Err(error) => return Stage::Done(opened.close(py, Err(error))),
    };
    let start = packet.terms().len() - data.len();
    let holes = progress.into_holes().into_iter().map(|hole| Hole { at: hole.at + start, ..hole }).collect();
    match opened.close(py, Ok(payload)) {
        Ok(flat) => Stage::Copying(flat, holes),
        Err(reason) => Stage::Done(Err(reason)),
    }
}

/// Copy one slice.
fn copy(py: Python<'_>, flat: Flat, mut holes: Vec<Hole>, packet: &mut Packet) -> Stage {
    let Some(hole) = holes.last_mut() else { return Stage::Done(Ok(flat)) };
    let start = hole.left.saturating_sub(SLICE);
    let range = hole.at + start..hole.at + hole.left;
    hole.bytes.fill(py, start, packet.terms().get(range).unwrap_or_default());
    hole.left = start;
    if start == 0 {
        holes.pop();
    } else {
        let end = hole.at + start;
        packet.cut(end);
    }
    if holes.is_empty() { Stage::Done(Ok(flat)) } else { Stage::Copying(flat, holes) }
}

/// What the loop's thread has taken but not handed out: events, and at most one incomplete message per link.
#[derive(Default)]
pub struct Desk {
    /// Events that wait for their turn.
    pub backlog: Backlog,
    fillings: FxHashMap<u64, Filling>,
    /// Whose turn it is; those at the front are begun.
    turns: VecDeque<u64>,
}

impl Desk {
    /// The next event that may be handed out.
    pub fn take_next(&mut self) -> Option<(u64, Event)> {
        for _ in 0..LOOKS {
            if self.backlog.is_at_end() && !self.fillings.is_empty() {
                return None;
            }
            let (link, event) = self.backlog.take_next()?;
            let Some(filling) = self.fillings.get_mut(&link) else { return Some((link, event)) };
            if let Some(event) = filling.admit(event) {
                return Some((link, event));
            }
        }
        None
    }

    /// Drop what waits of a link, complete or not.
    pub fn forget(&mut self, link: u64) {
        self.backlog.forget(link);
        self.fillings.remove(&link);
        self.turns.retain(|other| *other != link);
    }

    /// A message is not complete yet.
    pub fn begin(&mut self, link: u64, filling: Filling) {
        self.fillings.insert(link, filling);
        self.turns.push_back(link);
    }

    /// A packet that ends its link, unless an earlier one is incomplete: then it has to be looked at again.
    pub fn postpone(&mut self, link: u64, packet: Packet) -> Option<Packet> {
        match self.fillings.get_mut(&link) {
            Some(filling) => {
                filling.hold(Event::Packet(packet));
                None
            }
            None => Some(packet),
        }
    }

    /// Go on with the messages until the deadline, for one slice at least; answers what has become of those that are
    /// done.
    pub fn fill(&mut self, py: Python<'_>, limits: &Limits, deadline: Instant) -> Vec<(u64, Outcome)> {
        let mut done = Vec::new();
        while let Some(link) = self.turns.pop_front() {
            let Some(filling) = self.fillings.remove(&link) else { continue };
            match filling.step(py, limits) {
                Filling { stage: Stage::Done(outcome), held, .. } => {
                    self.backlog.put_back(link, held);
                    done.push((link, outcome));
                }
                filling => {
                    self.fillings.insert(link, filling);
                    self.turns.insert(self.turns.len().min(AT_ONCE - 1), link);
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        done
    }

    /// Whether nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.fillings.is_empty()
    }
}
