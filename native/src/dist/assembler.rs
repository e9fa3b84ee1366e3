//! Messages that arrive in fragments, put together again.
//!
//! Fragment ids count down to 1. Sequences may interleave; each id is unique among the unfinished ones.
//!
//! Source: OTP, "Distribution Header for fragmented messages".

use std::collections::BTreeMap;

use super::PacketError;
use super::packet::Packet;
use crate::term::atom::Name;

/// The unfinished messages of one link, bounded in number and in bytes.
#[derive(Debug)]
pub struct Assembler {
    sequences: BTreeMap<u64, Partial>,
    bytes: usize,
    max_sequences: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Partial {
    atoms: Vec<Name>,
    data: Vec<u8>,
    first: usize,
    next: u64,
}

impl Partial {
    fn finish(self) -> Packet {
        Packet::bounded(self.atoms, self.data, self.first)
    }
}

impl Assembler {
    /// `max_bytes` bounds what all unfinished messages hold together.
    pub fn new(max_sequences: usize, max_bytes: usize) -> Self {
        Self { sequences: BTreeMap::new(), bytes: 0, max_sequences, max_bytes }
    }

    /// Bytes of unfinished messages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A first fragment; answers the message if it is the only one.
    pub fn start(
        &mut self,
        sequence_id: u64,
        fragment_id: u64,
        atoms: Vec<Name>,
        data: &[u8],
    ) -> Result<Option<Packet>, PacketError> {
        let Some(next) = fragment_id.checked_sub(1) else {
            return Err(PacketError::Malformed("fragment id 0"));
        };
        if sequence_id == 0 {
            return Err(PacketError::Malformed("sequence id 0"));
        }
        if self.sequences.contains_key(&sequence_id) {
            return Err(PacketError::Malformed("a fragment sequence starts while one of its id is unfinished"));
        }
        let partial = Partial { atoms, data: data.to_vec(), first: data.len(), next };
        if next == 0 {
            return Ok(Some(partial.finish()));
        }
        self.keep(sequence_id, partial).map(|()| None)
    }

    fn keep(&mut self, sequence_id: u64, partial: Partial) -> Result<(), PacketError> {
        self.grow(partial.data.len())?;
        self.sequences.insert(sequence_id, partial);
        if self.sequences.len() > self.max_sequences {
            return Err(PacketError::limit("max_fragment_sequences", self.sequences.len(), self.max_sequences));
        }
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), PacketError> {
        self.bytes += bytes;
        if self.bytes > self.max_bytes {
            return Err(PacketError::limit("max_packet_size", self.bytes, self.max_bytes));
        }
        Ok(())
    }

    /// A later fragment; answers the message if it is the last one.
    pub fn proceed(&mut self, sequence_id: u64, fragment_id: u64, data: &[u8]) -> Result<Option<Packet>, PacketError> {
        self.grow(data.len())?;
        let Some(partial) = self.sequences.get_mut(&sequence_id) else {
            return Err(PacketError::Malformed("a fragment continues a sequence that was not started"));
        };
        if fragment_id != partial.next {
            return Err(PacketError::Malformed("a fragment id is skipped or repeated"));
        }
        partial.data.extend_from_slice(data);
        partial.next -= 1;
        if partial.next > 0 {
            return Ok(None);
        }
        let finished = self.sequences.remove(&sequence_id);
        self.bytes -= finished.as_ref().map_or(0, |partial| partial.data.len());
        Ok(finished.map(Partial::finish))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembler() -> Assembler {
        Assembler::new(2, 10)
    }

    fn terms(packet: Result<Option<Packet>, PacketError>) -> Option<Vec<u8>> {
        packet.unwrap().map(|packet| packet.terms().to_vec())
    }

    #[test]
    fn fragments_of_two_sequences_may_interleave() {
        let mut assembler = assembler();

        assert_eq!(terms(assembler.start(7, 3, vec![], b"ab")), None);
        assert_eq!(terms(assembler.start(8, 2, vec![], b"xy")), None);
        assert_eq!(terms(assembler.proceed(7, 2, b"c")), None);
        assert_eq!(terms(assembler.proceed(8, 1, b"z")), Some(b"xyz".to_vec()));
        assert_eq!(terms(assembler.proceed(7, 1, b"")), Some(b"abc".to_vec()));
        assert_eq!(assembler.bytes(), 0);
    }

    #[test]
    fn a_single_fragment_is_a_message() {
        assert_eq!(terms(assembler().start(7, 1, vec![], b"ab")), Some(b"ab".to_vec()));
    }

    #[test]
    fn a_message_keeps_the_atoms_and_the_bound_of_its_first_fragment() {
        let mut assembler = assembler();
        assembler.start(7, 2, vec![Name::intern("kept")], b"ab").unwrap();

        let packet = assembler.proceed(7, 1, b"cd").unwrap().unwrap();

        assert_eq!(packet.atoms, [Name::intern("kept")]);
        assert_eq!(packet.control_bound(), 2);
    }

    #[test]
    fn a_finished_sequence_id_may_be_used_again() {
        let mut assembler = assembler();
        assembler.start(7, 2, vec![], b"").unwrap();
        assembler.proceed(7, 1, b"").unwrap();

        assert!(assembler.start(7, 2, vec![], b"").is_ok());
    }

    #[test]
    fn each_broken_rule_is_an_error() {
        assert!(assembler().start(0, 2, vec![], b"").is_err(), "sequence id 0");
        assert!(assembler().start(7, 0, vec![], b"").is_err(), "fragment id 0");
        assert!(assembler().proceed(7, 1, b"").is_err(), "not started");
        let mut started = assembler();
        started.start(7, 3, vec![], b"").unwrap();
        assert!(started.start(7, 3, vec![], b"").is_err(), "started twice");
        assert!(started.proceed(7, 1, b"").is_err(), "skipped");
        assert!(started.proceed(7, 3, b"").is_err(), "repeated");
    }

    #[test]
    fn the_number_of_sequences_is_bounded() {
        let mut assembler = assembler();
        assembler.start(1, 2, vec![], b"").unwrap();
        assembler.start(2, 2, vec![], b"").unwrap();

        let error = assembler.start(3, 2, vec![], b"").unwrap_err();

        assert_eq!(error, PacketError::limit("max_fragment_sequences", 3, 2));
    }

    #[test]
    fn the_bytes_of_all_sequences_are_bounded() {
        let mut assembler = assembler();
        assembler.start(1, 2, vec![], &[0; 5]).unwrap();
        assembler.start(2, 3, vec![], &[0; 4]).unwrap();
        assert!(assembler.proceed(2, 2, &[0]).is_ok());

        assert_eq!(assembler.proceed(1, 1, &[0]), Err(PacketError::limit("max_packet_size", 11, 10)));
    }
}
