//! Encoded control messages to packets: one FIFO per order key, round robin between keys, large ones in fragments.

use std::collections::VecDeque;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::Format;
use super::header::write_atoms;
use super::loan::Loan;
use super::slots::Slots;
use crate::term::atom::Name;

/// Bytes of data in one fragment, as BEAM's; what is longer goes in several.
pub const FRAGMENT_SIZE: usize = 64 * 1024;

/// The order key of what no process sends.
pub const NODE_LEVEL: u64 = 0;

/// What a waiting message takes beside its bytes, as measured with small ones: its parts, its place in a queue that
/// grows, and what the allocator adds.
pub const OVERHEAD: usize = 224;

/// A control message without its header, which the sender writes when its turn comes.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    /// What `ATOM_CACHE_REF k` in `data` stands for: at most 255, and none unless both sides have the atom cache.
    pub atoms: Vec<Name>,
    /// Control, then the payload if there is one; no version bytes.
    pub data: Vec<u8>,
    /// Parts of the payload that are not in `data`, each with where in `data` it belongs; in order.
    pub lent: Vec<(usize, Loan)>,
    /// How many bytes of `data` are the control tuple.
    pub control_length: usize,
}

impl Encoded {
    /// A message with all its bytes in one place and its atoms in clear.
    pub fn plain(data: Vec<u8>, control_length: usize) -> Self {
        Self { data, control_length, ..Self::default() }
    }

    /// Bytes of the message, those lent included.
    pub fn length(&self) -> usize {
        self.data.len() + self.lent.iter().map(|(_, loan)| loan.bytes().len()).sum::<usize>()
    }

    /// What the message counts for while it waits.
    pub fn cost(&self) -> usize {
        self.length() + OVERHEAD
    }

    /// Whether there is more than a control tuple.
    pub fn has_payload(&self) -> bool {
        self.length() > self.control_length
    }

    /// Append the bytes of this range.
    fn write(&self, range: Range<usize>, out: &mut Vec<u8>) {
        let (mut at, mut from) = (0, 0);
        let mut part = |bytes: &[u8]| {
            let end = at + bytes.len();
            let (first, last) = (range.start.clamp(at, end), range.end.clamp(at, end));
            out.extend_from_slice(bytes.get(first - at..last - at).unwrap_or_default());
            at = end;
        };
        for (position, loan) in &self.lent {
            part(self.data.get(from..*position).unwrap_or_default());
            part(loan.bytes());
            from = *position;
        }
        part(self.data.get(from..).unwrap_or_default());
    }

    fn first_fragment(&self) -> usize {
        FRAGMENT_SIZE.max(self.control_length) // a control tuple is never split
    }

    fn fragments(&self) -> u64 {
        1 + self.length().saturating_sub(self.first_fragment()).div_ceil(FRAGMENT_SIZE) as u64
    }
}

/// A message of which a part may be sent already.
#[derive(Debug)]
struct Outgoing {
    encoded: Encoded,
    sequence_id: u64,
    sent: usize,
}

/// The sending half of a link.
#[derive(Debug)]
pub struct Sender {
    format: Format,
    last_sequence_id: u64,
    slots: Slots,
    queues: FxHashMap<u64, VecDeque<Outgoing>>,
    turns: VecDeque<u64>,
    // Whether a message with lent parts was finished.
    returned: bool,
}

impl Sender {
    /// A sender at the first byte after the handshake.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            last_sequence_id: 0,
            slots: Slots::default(),
            queues: FxHashMap::default(),
            turns: VecDeque::new(),
            returned: false,
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Whether, since the last call, a loan has come to its end.
    pub fn take_returned(&mut self) -> bool {
        std::mem::take(&mut self.returned)
    }

    /// Let a message wait behind those of the same order key.
    pub fn push(&mut self, order_key: u64, encoded: Encoded) {
        let queue = self.queues.entry(order_key).or_default();
        if queue.is_empty() {
            self.turns.push_back(order_key);
        }
        queue.push_back(Outgoing { encoded, sequence_id: 0, sent: 0 });
    }

    /// Append packets to `out` until it holds `limit` bytes or nothing waits; answers what of the cost they were.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> usize {
        let mut cost = 0;
        while out.len() < limit {
            let Some(order_key) = self.turns.pop_front() else { break };
            cost += self.take_turn(order_key, out);
        }
        cost
    }

    /// One packet of this key, which then goes to the end of the line.
    fn take_turn(&mut self, order_key: u64, out: &mut Vec<u8>) -> usize {
        let Some(queue) = self.queues.get_mut(&order_key) else { return 0 };
        let Some(outgoing) = queue.front_mut() else { return 0 };
        let before = outgoing.sent;
        write_packet(outgoing, self.format, &mut self.last_sequence_id, &mut self.slots, out);
        let mut cost = outgoing.sent - before;
        if outgoing.sent == outgoing.encoded.length() {
            cost += OVERHEAD;
            self.returned |= !outgoing.encoded.lent.is_empty();
            queue.pop_front();
        }
        if queue.is_empty() {
            self.queues.remove(&order_key);
        } else {
            self.turns.push_back(order_key);
        }
        cost
    }
}

/// Write the next packet of a message. Slots are assigned here, so that headers follow the order of the wire.
fn write_packet(
    outgoing: &mut Outgoing,
    format: Format,
    last_sequence_id: &mut u64,
    slots: &mut Slots,
    out: &mut Vec<u8>,
) {
    let encoded = &outgoing.encoded;
    match format {
        Format::PassThrough => write_pass_through(encoded, out),
        Format::Header { fragments: true } if encoded.has_payload() && encoded.length() > FRAGMENT_SIZE => {
            return write_fragment(outgoing, last_sequence_id, slots, out);
        }
        Format::Header { .. } => frame(out, |out| {
            out.extend_from_slice(&[131, 68]);
            write_atoms(&encoded.atoms, slots, out);
            encoded.write(0..usize::MAX, out);
        }),
    }
    outgoing.sent = encoded.length();
}

fn write_pass_through(encoded: &Encoded, out: &mut Vec<u8>) {
    frame(out, |out| {
        out.extend_from_slice(&[112, 131]);
        encoded.write(0..encoded.control_length, out);
        if encoded.has_payload() {
            out.push(131);
            encoded.write(encoded.control_length..usize::MAX, out);
        }
    });
}

fn write_fragment(outgoing: &mut Outgoing, last_sequence_id: &mut u64, slots: &mut Slots, out: &mut Vec<u8>) {
    let encoded = &outgoing.encoded;
    let first = outgoing.sent == 0;
    if first {
        *last_sequence_id += 1;
        outgoing.sequence_id = *last_sequence_id;
    }
    let left = encoded.length() - outgoing.sent;
    let size = left.min(if first { encoded.first_fragment() } else { FRAGMENT_SIZE });
    let fragment_id = if first { encoded.fragments() } else { left.div_ceil(FRAGMENT_SIZE) as u64 };
    frame(out, |out| {
        out.extend_from_slice(&[131, if first { 69 } else { 70 }]);
        out.extend_from_slice(&outgoing.sequence_id.to_be_bytes());
        out.extend_from_slice(&fragment_id.to_be_bytes());
        if first {
            write_atoms(&encoded.atoms, slots, out);
        }
        encoded.write(outgoing.sent..outgoing.sent + size, out);
    });
    outgoing.sent += size;
}

/// Write a body with its length in front. Whoever encodes has checked that it fits 32 bits.
fn frame(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use crate::term::atom::Budget;
    use std::sync::Arc;

    use super::*;
    use crate::dist::receiver::Receiver;
    use crate::limits::Limits;

    const HEADER: Format = Format::Header { fragments: true };

    fn message(control: &[u8], payload: &[u8]) -> Encoded {
        Encoded::plain([control, payload].concat(), control.len())
    }

    fn written(format: Format, messages: &[(u64, Encoded)]) -> Vec<u8> {
        let (mut sender, mut out) = (Sender::new(format), Vec::new());
        for (order_key, encoded) in messages {
            sender.push(*order_key, encoded.clone());
        }
        let cost = sender.fill(&mut out, usize::MAX);
        assert_eq!(cost, messages.iter().map(|(_, encoded)| encoded.cost()).sum::<usize>());
        assert!(sender.is_empty());
        out
    }

    fn bodies(mut stream: &[u8]) -> Vec<&[u8]> {
        let mut bodies = Vec::new();
        while let Some((length, rest)) = stream.split_first_chunk::<4>() {
            let (body, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            bodies.push(body);
            stream = rest;
        }
        bodies
    }

    fn received(format: Format, stream: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        Receiver::new(format, Budget::ENDLESS, &Limits::default()).receive(stream, &mut packets).unwrap();
        packets.iter().map(|packet| packet.terms().to_vec()).collect()
    }

    #[test]
    fn a_small_message_has_an_empty_header() {
        assert_eq!(written(HEADER, &[(1, message(b"ctl", b"msg"))]), b"\0\0\0\x09\x83\x44\0ctlmsg");
    }

    #[test]
    fn pass_through_puts_a_version_byte_before_each_term() {
        assert_eq!(written(Format::PassThrough, &[(1, message(b"ctl", b"msg"))]), b"\0\0\0\x09\x70\x83ctl\x83msg");
        assert_eq!(written(Format::PassThrough, &[(1, message(b"ctl", b""))]), b"\0\0\0\x05\x70\x83ctl");
    }

    #[test]
    fn a_message_of_64_kib_is_whole_and_one_byte_more_is_two_fragments() {
        let at = message(b"ctl", &vec![7; FRAGMENT_SIZE - 3]);
        assert_eq!(bodies(&written(HEADER, &[(1, at)])).len(), 1);

        let past = message(b"ctl", &vec![7; FRAGMENT_SIZE - 2]);
        let stream = written(HEADER, &[(1, past)]);
        let bodies = bodies(&stream);

        let ids = |sequence_id: u64, fragment_id: u64| [sequence_id.to_be_bytes(), fragment_id.to_be_bytes()].concat();
        assert_eq!(bodies[0][..19], [&[131, 69][..], &ids(1, 2), &[0]].concat());
        assert_eq!(bodies[0].len(), 19 + FRAGMENT_SIZE);
        assert_eq!(bodies[1], [&[131, 70][..], &ids(1, 1), &[7]].concat());
        assert_eq!(bodies.len(), 2);
    }

    #[test]
    fn a_signal_without_payload_is_never_fragmented() {
        let large = message(&vec![7; 3 * FRAGMENT_SIZE], b"");

        assert_eq!(bodies(&written(HEADER, &[(1, large)])).len(), 1);
    }

    #[test]
    fn a_control_tuple_is_never_split() {
        let large = message(&vec![7; FRAGMENT_SIZE + 9], b"payload");

        let stream = written(HEADER, &[(1, large.clone())]);

        assert_eq!(bodies(&stream)[0].len(), 19 + FRAGMENT_SIZE + 9);
        assert_eq!(received(HEADER, &stream), [large.data]);
    }

    #[test]
    fn nothing_is_fragmented_without_the_flag() {
        let large = message(b"ctl", &vec![7; 3 * FRAGMENT_SIZE]);
        for format in [Format::PassThrough, Format::Header { fragments: false }] {
            assert_eq!(bodies(&written(format, &[(1, large.clone())])).len(), 1);
        }
    }

    #[test]
    fn a_small_message_overtakes_a_large_one_of_another_key_only() {
        let large = message(b"ctl", &vec![7; 5 * FRAGMENT_SIZE]);
        let stream = written(HEADER, &[(1, large.clone()), (1, message(b"same", b"")), (2, message(b"other", b""))]);

        let packets = received(HEADER, &stream);

        assert_eq!(packets, [b"other".to_vec(), large.data, b"same".to_vec()]);
        assert_eq!(bodies(&stream)[1], b"\x83\x44\0other");
    }

    #[test]
    fn unfinished_sequences_have_different_ids() {
        let large = message(b"ctl", &vec![7; 2 * FRAGMENT_SIZE]);

        let stream = written(HEADER, &[(1, large.clone()), (2, large.clone())]);

        assert_eq!(received(HEADER, &stream), [large.data.clone(), large.data]);
    }

    #[test]
    fn headers_follow_the_order_of_the_wire() {
        let atom = Name::intern("of_the_wire");
        let with_atom =
            |control: &[u8], payload: &[u8]| Encoded { atoms: vec![atom.clone()], ..message(control, payload) };
        let large = with_atom(b"large", &vec![7; 2 * FRAGMENT_SIZE]);
        let stream =
            written(HEADER, &[(1, large.clone()), (1, with_atom(b"same", b"")), (2, with_atom(b"other", b""))]);

        let text = |body: &&[u8]| body.windows(11).any(|window| window == b"of_the_wire");
        assert_eq!(bodies(&stream).iter().map(text).collect::<Vec<_>>(), [true, false, false, false, false]);
        let mut packets = Vec::new();
        Receiver::new(HEADER, Budget::ENDLESS, &Limits::default()).receive(&stream, &mut packets).unwrap();
        assert!(packets.len() == 3 && packets.iter().all(|packet| packet.atoms == [atom.clone()]));
    }

    #[test]
    fn lent_parts_are_written_where_they_belong() {
        let part = |byte: u8, size: usize| Loan::new(Arc::new(vec![byte; size]));
        let lent = vec![(4, part(1, 70_000)), (4, part(2, 9)), (6, part(3, 140_000))];
        let encoded = Encoded { lent, ..message(b"ctl", b"abcd") };
        let mut whole = b"ctla".to_vec();
        whole.extend([vec![1; 70_000], vec![2; 9], b"bc".to_vec(), vec![3; 140_000], b"d".to_vec()].concat());

        for format in [HEADER, Format::Header { fragments: false }] {
            assert_eq!(received(format, &written(format, &[(1, encoded.clone())])), [&*whole]);
        }
        let versioned = [b"\x83ctl\x83", &whole[3..]].concat();
        assert_eq!(received(Format::PassThrough, &written(Format::PassThrough, &[(1, encoded)])), [versioned]);
    }

    #[test]
    fn the_end_of_a_loan_is_told_once() {
        let (mut sender, mut out) = (Sender::new(HEADER), Vec::new());
        let loan = Loan::new(Arc::new(vec![0; 100_000]));
        sender.push(1, Encoded { lent: vec![(3, loan.clone())], ..message(b"ctl", b"") });

        sender.fill(&mut out, 1);
        assert!(!sender.take_returned() && !loan.is_returned());
        sender.fill(&mut out, usize::MAX);

        assert!(loan.is_returned() && sender.take_returned());
        assert!(!sender.take_returned());
    }

    #[test]
    fn a_fill_stops_at_its_limit() {
        let (mut sender, mut out) = (Sender::new(HEADER), Vec::new());
        for _ in 0..3 {
            sender.push(1, message(b"ctl", b""));
        }

        assert_eq!(sender.fill(&mut out, 1), 3 + OVERHEAD);

        assert_eq!(bodies(&out).len(), 1);
        assert!(!sender.is_empty());
    }
}
