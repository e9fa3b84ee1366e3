//! Bytes of a peer to packets whose terms are not decoded yet.

use std::borrow::Cow;

use super::assembler::Assembler;
use super::atom_cache::AtomCache;
use super::bytes::Cursor;
use super::header::read_atoms;
use super::packet::{Framer, Packet};
use super::{Format, PacketError};
use crate::limits::Limits;
use crate::term::atom::Budget;

const PASS_THROUGH: u8 = 112;
const VERSION: u8 = 131;
const COMPLETE: u8 = 68;
const FIRST_FRAGMENT: u8 = 69;
const NEXT_FRAGMENT: u8 = 70;

/// The receiving half of a link: framing, headers in the order of the wire, fragments.
#[derive(Debug)]
pub struct Receiver {
    framer: Framer,
    parser: Parser,
    max_packet_size: usize,
}

#[derive(Debug)]
struct Parser {
    format: Format,
    cache: AtomCache,
    assembler: Assembler,
    budget: Budget,
}

impl Receiver {
    /// A receiver at the first byte after the handshake.
    pub fn new(format: Format, budget: Budget, limits: &Limits) -> Self {
        let assembler = Assembler::new(limits.max_fragment_sequences, limits.max_packet_size);
        let parser = Parser { format, cache: AtomCache::default(), assembler, budget };
        Self { framer: Framer::new(limits.max_packet_size), parser, max_packet_size: limits.max_packet_size }
    }

    /// Take in bytes and append the packets that they complete, also those before an error. An error is final.
    pub fn receive(&mut self, data: &[u8], packets: &mut Vec<Packet>) -> Result<(), PacketError> {
        let parser = &mut self.parser;
        self.framer.receive(data, |body| {
            packets.extend(parser.parse(body)?);
            Ok(())
        })?;
        match self.held_bytes() {
            held if held > self.max_packet_size => {
                Err(PacketError::limit("max_packet_size", held, self.max_packet_size))
            }
            _ => Ok(()),
        }
    }

    /// The same, and of the packet that is read by half.
    pub fn held_bytes(&self) -> usize {
        self.parser.assembler.bytes() + self.framer.bytes()
    }

    /// Bytes of messages whose last fragment has not come.
    pub fn unfinished_bytes(&self) -> usize {
        self.parser.assembler.bytes()
    }
}

impl Parser {
    fn parse(&mut self, body: Cow<'_, [u8]>) -> Result<Option<Packet>, PacketError> {
        let mut cursor = Cursor::new(&body);
        match (cursor.u8(), self.format) {
            (None, _) => Ok(None), // a tick
            (Some(PASS_THROUGH), Format::PassThrough) => Ok(Some(Packet::new(Vec::new(), true, body.into_owned(), 1))),
            (Some(VERSION), Format::Header { fragments }) => match cursor.u8() {
                Some(COMPLETE) => self.complete(cursor.position(), body).map(Some),
                Some(FIRST_FRAGMENT) if fragments => self.first_fragment(cursor),
                Some(NEXT_FRAGMENT) if fragments => self.next_fragment(cursor),
                _ => Err(PacketError::Malformed("unknown distribution header")),
            },
            (Some(PASS_THROUGH), _) => Err(PacketError::Malformed("pass-through where a header is negotiated")),
            (Some(VERSION), _) => Err(PacketError::Malformed("header where pass-through is negotiated")),
            _ => Err(PacketError::Malformed("first byte is neither 112 nor 131")),
        }
    }

    fn complete(&mut self, start: usize, body: Cow<'_, [u8]>) -> Result<Packet, PacketError> {
        let mut cursor = Cursor::new(body.get(start..).unwrap_or_default());
        let atoms = read_atoms(&mut cursor, &mut self.cache, &self.budget)?;
        let start = start + cursor.position();
        Ok(match body {
            Cow::Owned(data) => Packet::new(atoms, false, data, start),
            Cow::Borrowed(_) => Packet::new(atoms, false, cursor.rest().to_vec(), 0),
        })
    }

    fn first_fragment(&mut self, mut cursor: Cursor<'_>) -> Result<Option<Packet>, PacketError> {
        let (sequence_id, fragment_id) = fragment_ids(&mut cursor)?;
        let atoms = read_atoms(&mut cursor, &mut self.cache, &self.budget)?;
        self.assembler.start(sequence_id, fragment_id, atoms, cursor.rest())
    }

    fn next_fragment(&mut self, mut cursor: Cursor<'_>) -> Result<Option<Packet>, PacketError> {
        let (sequence_id, fragment_id) = fragment_ids(&mut cursor)?;
        self.assembler.proceed(sequence_id, fragment_id, cursor.rest())
    }
}

fn fragment_ids(cursor: &mut Cursor<'_>) -> Result<(u64, u64), PacketError> {
    cursor.u64().zip(cursor.u64()).ok_or(PacketError::Malformed("fragment header ends too early"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::atom::Name;

    const HEADER: Format = Format::Header { fragments: true };

    type Seen = (Vec<(Vec<Name>, Vec<u8>)>, Result<(), PacketError>);

    fn receive(format: Format, chunks: &[&[u8]]) -> Seen {
        let (mut receiver, mut packets) = (Receiver::new(format, Budget::ENDLESS, &Limits::default()), Vec::new());
        let end = chunks.iter().try_for_each(|chunk| receiver.receive(chunk, &mut packets));
        (packets.into_iter().map(|packet| (packet.atoms.clone(), packet.terms().to_vec())).collect(), end)
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        frame
    }

    fn fragment(tag: u8, ids: (u64, u64), rest: &[u8]) -> Vec<u8> {
        let mut body = vec![VERSION, tag];
        body.extend(ids.0.to_be_bytes());
        body.extend(ids.1.to_be_bytes());
        body.extend_from_slice(rest);
        frame(&body)
    }

    /// A new atom in slot 5, a tick, a first fragment that refers to it, a whole packet that overwrites the
    /// slot, the last fragment, and a packet that refers to the slot again.
    fn stream() -> Vec<u8> {
        [
            frame(b"\x83\x44\x01\x08\x05\x01aone"),
            frame(b""),
            fragment(FIRST_FRAGMENT, (9, 2), b"\x01\x00\x05two"),
            frame(b"\x83\x44\x01\x08\x05\x01bthree"),
            fragment(NEXT_FRAGMENT, (9, 1), b"more"),
            frame(b"\x83\x44\x01\x00\x05four"),
        ]
        .concat()
    }

    #[test]
    fn headers_apply_in_the_order_of_the_wire() {
        let (packets, end) = receive(HEADER, &[&stream()]);

        let (a, b) = (Name::intern("a"), Name::intern("b"));
        let expected = [(&a, "one"), (&b, "three"), (&a, "twomore"), (&b, "four")];
        assert_eq!(packets, expected.map(|(atom, terms)| (vec![atom.clone()], terms.into())));
        assert_eq!(end, Ok(()));
    }

    #[test]
    fn packets_are_equal_at_every_cut() {
        let stream = stream();
        let whole = receive(HEADER, &[&stream]);
        for cut in 0..=stream.len() {
            assert_eq!(receive(HEADER, &[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
        }
        assert_eq!(receive(HEADER, &stream.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn pass_through_has_no_header() {
        let (packets, end) = receive(Format::PassThrough, &[&frame(b"\x70\x83terms")]);

        assert_eq!(packets, [(vec![], b"\x83terms".to_vec())]);
        assert_eq!(end, Ok(()));
    }

    #[test]
    fn mixed_formats_are_errors() {
        assert!(receive(Format::PassThrough, &[&frame(b"\x83\x44\x00")]).1.is_err());
        assert!(receive(HEADER, &[&frame(b"\x70\x83")]).1.is_err());
        assert!(receive(HEADER, &[&frame(b"\x83\x43\x00")]).1.is_err());
        assert!(receive(HEADER, &[&frame(b"\x68")]).1.is_err());
    }

    #[test]
    fn fragments_need_their_flag() {
        let first = fragment(FIRST_FRAGMENT, (9, 1), b"\x00two");

        assert!(receive(Format::Header { fragments: false }, &[&first]).1.is_err());
        assert!(receive(HEADER, &[&first]).1.is_ok());
    }

    #[test]
    fn a_fragment_header_cut_anywhere_is_an_error() {
        let first = fragment(FIRST_FRAGMENT, (9, 2), b"\x01\x08\x05\x01a");
        for cut in 1..first.len() - 4 {
            assert!(receive(HEADER, &[&frame(&first[4..4 + cut])]).1.is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn packets_before_an_error_are_kept() {
        let stream = [frame(b"\x83\x44\x00one"), frame(b"\x70")].concat();

        let (packets, end) = receive(HEADER, &[&stream]);

        assert_eq!(packets.len(), 1);
        assert!(end.is_err());
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_are_packets_or_an_error(bytes: Vec<u8>, fragments: bool) {
            let mut stream = stream();
            stream.extend(frame(&bytes));
            let _ = receive(Format::Header { fragments }, &[&bytes]);
            let _ = receive(HEADER, &[&stream, &bytes]);
            let _ = receive(Format::PassThrough, &[&bytes]);
        }
    }
}
