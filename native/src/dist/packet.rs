//! Packets: `Len:32, Body`, where an empty body is a tick.

use std::borrow::Cow;

use super::PacketError;
use crate::term::atom::Name;

/// A complete control message as it waits for its terms to be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What `ATOM_CACHE_REF k` stands for.
    pub atoms: Vec<Name>,
    /// Whether each term has a version byte in front (the pass-through format).
    pub versioned: bool,
    data: Vec<u8>,
    start: usize,
    control_bound: usize,
}

impl Packet {
    /// A packet whose terms start at `start` of `data`, which is shared with what came before them.
    pub fn new(atoms: Vec<Name>, versioned: bool, data: Vec<u8>, start: usize) -> Self {
        let control_bound = data.len().saturating_sub(start);
        Self { atoms, versioned, data, start, control_bound }
    }

    /// The same, where the control tuple has to end within the first `control_bound` bytes.
    pub fn bounded(atoms: Vec<Name>, data: Vec<u8>, control_bound: usize) -> Self {
        Self { atoms, versioned: false, data, start: 0, control_bound }
    }

    /// The terms: control, then the payload if there is one.
    pub fn terms(&self) -> &[u8] {
        self.data.get(self.start..).unwrap_or_default()
    }

    /// Let go of the memory of everything from position `end` of `terms` on.
    pub fn cut(&mut self, end: usize) {
        self.data.truncate(self.start + end);
        self.data.shrink_to_fit();
    }

    /// How many bytes of `terms` may belong to the control tuple.
    pub fn control_bound(&self) -> usize {
        self.control_bound
    }

    /// Bytes that the packet occupies while it waits.
    pub fn size(&self) -> usize {
        self.data.len() + self.atoms.len() * size_of::<Name>() + size_of::<Self>()
    }
}

/// Cuts a stream of bytes into packet bodies. A declared length never allocates.
#[derive(Debug)]
pub struct Framer {
    prefix: Vec<u8>,
    expected: Option<usize>,
    body: Vec<u8>,
    max_packet_size: usize,
}

impl Framer {
    /// A framer at the start of a stream.
    pub fn new(max_packet_size: usize) -> Self {
        Self { prefix: Vec::with_capacity(4), expected: None, body: Vec::new(), max_packet_size }
    }

    /// Bytes of the body that is there by half.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Take in bytes; `each` gets every body that they complete, in order. An error is final.
    pub fn receive(
        &mut self,
        mut data: &[u8],
        mut each: impl FnMut(Cow<'_, [u8]>) -> Result<(), PacketError>,
    ) -> Result<(), PacketError> {
        while !data.is_empty() {
            data = match self.expected {
                None => self.receive_length(data)?,
                Some(length) => self.receive_body(length, data, &mut each)?,
            };
            if self.expected == Some(0) {
                self.expected = None;
                each(Cow::Borrowed(&[]))?;
            }
        }
        Ok(())
    }

    fn receive_length<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], PacketError> {
        let (taken, rest) = data.split_at(data.len().min(4 - self.prefix.len()));
        self.prefix.extend_from_slice(taken);
        if let Ok(prefix) = <[u8; 4]>::try_from(self.prefix.as_slice()) {
            self.prefix.clear();
            self.expected = Some(self.checked(u32::from_be_bytes(prefix) as usize)?);
        }
        Ok(rest)
    }

    fn checked(&self, length: usize) -> Result<usize, PacketError> {
        if length > self.max_packet_size {
            return Err(PacketError::limit("max_packet_size", length, self.max_packet_size));
        }
        Ok(length)
    }

    fn receive_body<'a>(
        &mut self,
        length: usize,
        data: &'a [u8],
        each: &mut impl FnMut(Cow<'_, [u8]>) -> Result<(), PacketError>,
    ) -> Result<&'a [u8], PacketError> {
        let (taken, rest) = data.split_at(data.len().min(length - self.body.len()));
        if taken.len() == length {
            self.expected = None;
            each(Cow::Borrowed(taken))?;
            return Ok(rest);
        }
        self.body.extend_from_slice(taken);
        if self.body.len() == length {
            self.expected = None;
            each(Cow::Owned(std::mem::take(&mut self.body)))?;
        }
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(chunks: &[&[u8]], maximum: usize) -> (Vec<Vec<u8>>, Result<(), PacketError>) {
        let (mut framer, mut bodies) = (Framer::new(maximum), Vec::new());
        for chunk in chunks {
            let fed = framer.receive(chunk, |body| {
                bodies.push(body.into_owned());
                Ok(())
            });
            if fed.is_err() {
                return (bodies, fed);
            }
        }
        (bodies, Ok(()))
    }

    const STREAM: &[u8] = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01d";

    #[test]
    fn bodies_are_equal_at_every_cut() {
        let whole = bodies(&[STREAM], 3);
        assert_eq!(whole, (vec![b"abc".to_vec(), vec![], b"d".to_vec()], Ok(())));
        for cut in 0..=STREAM.len() {
            assert_eq!(bodies(&[&STREAM[..cut], &STREAM[cut..]], 3), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(bodies(&bytes, 3), whole);
    }

    #[test]
    fn a_length_over_the_limit_is_an_error_at_once() {
        let (found, end) = bodies(&[b"\0\0\0\x01a\0\0\0\x04"], 3);

        assert_eq!(found, [b"a"]);
        assert_eq!(end, Err(PacketError::Limit { limit: "max_packet_size", value: 4, maximum: 3 }));
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        let mut framer = Framer::new(usize::MAX);

        framer.receive(&[0xff, 0xff, 0xff, 0xff, 1], |_| Ok(())).unwrap();

        assert!(framer.body.capacity() < 1024);
    }
}
