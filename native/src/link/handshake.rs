//! Frames before a link is active: `Len:16, Body`, on TLS `Len:32, Body`, handed out one at a time.

/// Bytes of the longest body of a handshake frame.
const MAX_BODY: usize = u16::MAX as usize;

/// How a frame says its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// In two bytes.
    Two = 2,
    /// In four bytes.
    Four = 4,
}

impl Prefix {
    /// Length of the first frame's body, if that much is there, and what follows its length.
    fn split(self, data: &[u8]) -> Option<(usize, &[u8])> {
        let (prefix, rest) = data.split_at_checked(self as usize)?;
        let length = prefix.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        Some((length, rest))
    }
}

/// What was read before the link is active; the rest is kept for the packet reader.
#[derive(Debug)]
pub struct Frames {
    prefix: Prefix,
    buffer: Vec<u8>,
    wanted: usize,
}

impl Frames {
    /// Nothing was read yet.
    pub fn new(prefix: Prefix) -> Self {
        Self { prefix, buffer: Vec::new(), wanted: 0 }
    }

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
        self.buffer.len() >= self.prefix as usize + MAX_BODY
    }

    /// Whether a whole frame is there.
    pub fn has_frame(&self) -> bool {
        self.length().is_some()
    }

    /// Length of the first frame's body, if all of it is there.
    fn length(&self) -> Option<usize> {
        let (length, body) = self.prefix.split(&self.buffer)?;
        (body.len() >= length).then_some(length)
    }

    /// Length of the frame that is asked for, if it is longer than any may be. What follows the last frame is packets.
    pub fn too_long(&self) -> Option<usize> {
        let (length, _) = self.prefix.split(&self.buffer).filter(|_| self.wanted > 0)?;
        (length > MAX_BODY).then_some(length)
    }

    /// The next frame, if it is there and asked for.
    pub fn take_frame(&mut self) -> Option<Vec<u8>> {
        let length = self.length().filter(|_| self.wanted > 0)?;
        self.wanted -= 1;
        self.buffer.drain(..self.prefix as usize);
        let rest = self.buffer.split_off(length);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// What was read beyond the frames handed out.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }
}

/// Append a frame with its length in front; whoever calls has checked that the length fits.
pub fn write_frame(prefix: Prefix, frame: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(length.get(length.len() - prefix as usize..).unwrap_or_default());
    out.extend_from_slice(frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: usize = 2 + MAX_BODY;

    #[test]
    fn a_frame_is_handed_out_only_when_asked_for() {
        let mut frames = Frames::new(Prefix::Two);
        frames.receive(b"\0\x02ab\0\x01c");
        assert_eq!(frames.take_frame(), None);

        frames.ask();

        assert_eq!(frames.take_frame(), Some(b"ab".to_vec()));
        assert_eq!(frames.take_frame(), None);
        assert_eq!(frames.take_rest(), b"\0\x01c");
    }

    #[test]
    fn a_frame_may_come_byte_by_byte() {
        let mut frames = Frames::new(Prefix::Two);
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
        write_frame(Prefix::Two, &vec![7; 65535], &mut stream);
        let mut frames = Frames::new(Prefix::Two);
        frames.ask();
        frames.receive(&stream[..LONGEST - 1]);
        assert!(!frames.is_full());

        frames.receive(&stream[LONGEST - 1..]);

        assert!(frames.is_full());
        assert_eq!(frames.take_frame().map(|frame| frame.len()), Some(65535));
    }

    #[test]
    fn an_empty_frame_is_a_frame() {
        let mut frames = Frames::new(Prefix::Two);
        frames.ask();
        frames.receive(b"\0\0");

        assert_eq!(frames.take_frame(), Some(vec![]));
    }

    #[test]
    fn a_length_of_four_bytes_is_written_and_read() {
        let mut stream = Vec::new();
        write_frame(Prefix::Four, b"ab", &mut stream);
        assert_eq!(stream, b"\0\0\0\x02ab");
        let mut frames = Frames::new(Prefix::Four);
        frames.ask();
        for byte in &stream[..5] {
            frames.receive(&[*byte]);
            assert_eq!(frames.take_frame(), None);
        }

        frames.receive(&stream[5..]);

        assert_eq!(frames.take_frame(), Some(b"ab".to_vec()));
    }

    #[test]
    fn a_frame_that_is_asked_for_may_be_too_long_but_not_a_packet() {
        let mut frames = Frames::new(Prefix::Four);
        frames.receive(b"\0\0\xff\xff");
        frames.ask();
        assert_eq!(frames.too_long(), None);

        let mut frames = Frames::new(Prefix::Four);
        frames.receive(b"\0\x01\0\0");
        assert_eq!(frames.too_long(), None);
        frames.ask();

        assert_eq!(frames.too_long(), Some(65536));
    }
}
