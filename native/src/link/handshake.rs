//! Frames before a link is active: `Len:16, Body`, handed out one at a time.

/// Bytes of the longest handshake frame with its length.
pub const MAX_FRAME: usize = 2 + u16::MAX as usize;

/// What was read before the link is active; the rest is kept for the packet reader.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    wanted: usize,
}

impl Frames {
    /// Take in bytes.
    pub fn receive(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// One more frame is asked for.
    pub fn ask(&mut self) {
        self.wanted += 1;
    }

    /// Whether no more bytes are needed before somebody asks: then the socket is left alone.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= MAX_FRAME
    }

    /// Whether a whole frame is there.
    pub fn has_frame(&self) -> bool {
        self.length().is_some()
    }

    /// Length of the first frame's body, if all of it is there.
    fn length(&self) -> Option<usize> {
        let (prefix, body) = self.buffer.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*prefix));
        (body.len() >= length).then_some(length)
    }

    /// The next frame, if it is there and asked for.
    pub fn take_frame(&mut self) -> Option<Vec<u8>> {
        let length = self.length().filter(|_| self.wanted > 0)?;
        self.wanted -= 1;
        self.buffer.drain(..2);
        let rest = self.buffer.split_off(length);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// What was read beyond the frames handed out.
    pub fn into_rest(self) -> Vec<u8> {
        self.buffer
    }
}

/// Append a frame with its length in front; whoever calls has checked that the length fits.
pub fn write_frame(frame: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(frame.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_handed_out_only_when_asked_for() {
        let mut frames = Frames::default();
        frames.receive(b"\0\x02ab\0\x01c");
        assert_eq!(frames.take_frame(), None);

        frames.ask();

        assert_eq!(frames.take_frame(), Some(b"ab".to_vec()));
        assert_eq!(frames.take_frame(), None);
        assert_eq!(frames.into_rest(), b"\0\x01c");
    }

    #[test]
    fn a_frame_may_come_byte_by_byte() {
        let mut frames = Frames::default();
        frames.ask();
        for byte in b"\0\x02a" {
            frames.receive(&[*byte]);
            assert_eq!(frames.take_frame(), None);
        }

        frames.receive(b"b");

        assert_eq!(frames.take_frame(), Some(b"ab".to_vec()));
    }

    #[test]
    fn the_longest_frame_fits() {
        let mut stream = Vec::new();
        write_frame(&vec![7; 65535], &mut stream);
        let mut frames = Frames::default();
        frames.ask();
        frames.receive(&stream[..MAX_FRAME - 1]);
        assert!(!frames.is_full());

        frames.receive(&stream[MAX_FRAME - 1..]);

        assert!(frames.is_full());
        assert_eq!(frames.take_frame().map(|frame| frame.len()), Some(65535));
    }

    #[test]
    fn an_empty_frame_is_a_frame() {
        let mut frames = Frames::default();
        frames.ask();
        frames.receive(b"\0\0");

        assert_eq!(frames.take_frame(), Some(vec![]));
    }
}
