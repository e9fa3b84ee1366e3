//! What a node answers without its interpreter, so that its peers never wait for a blocked one.
//!
//! | signal | answer |
//! |---|---|
//! | `MONITOR_P` of `global_name_server` | `MONITOR_P_EXIT` with `noproc`: this node takes no part in `global` |
//! | `MONITOR_P` of `net_kernel` | none: it lives as long as the link |
//! | `DEMONITOR_P` of either | none |
//! | the call `{is_auth, Node}` of `net_kernel` | `yes`, from pid 0 of this node |
//!
//! Only the forms that BEAM writes are known here. Everything else, malformed bytes included, is for the interpreter.
//!
//! Source: `lib/kernel/src/global.erl`, `net_adm:ping/1`, `gen:call/4`, `gen:reply/2`.

use std::ops::Range;
use std::sync::Arc;

use super::flags::{ALIAS, ALTACT_SIG, EXIT_PAYLOAD, SEND_SENDER};
use super::identity::Identity;
use super::packet::Packet;
use super::sender::Encoded;
use crate::etf::read::{Atoms, Reader, pid, reference};
use crate::etf::tag;
use crate::term::atom::{Budget, Name};

/// Bytes of the longest packet that is looked at: tags of calls are short.
const MAX_SIZE: usize = 16 * 1024;

const REG_SEND: u8 = 6;
const MONITOR_P: u8 = 19;
const DEMONITOR_P: u8 = 20;

const NET_KERNEL: &str = "net_kernel";
const GLOBAL_NAME_SERVER: &str = "global_name_server";

/// What comes of a packet.
#[derive(Debug)]
pub enum Reaction {
    /// It is for the interpreter.
    None,
    /// Nothing more is to be done.
    Done,
    /// This is to be sent.
    Answer(Encoded),
}

/// The reflexes of one link.
#[derive(Debug)]
pub struct Reflexes {
    identity: Arc<Identity>,
}

impl Reflexes {
    /// Reflexes of an active link.
    pub fn new(identity: Arc<Identity>) -> Self {
        Self { identity }
    }

    /// Look at a packet, whose header was applied already.
    pub fn react(&self, packet: &Packet) -> Reaction {
        let terms = packet.terms().get(usize::from(packet.versioned)..).unwrap_or_default();
        let [tag::SMALL_TUPLE, 4, tag::SMALL_INTEGER, op @ (REG_SEND | MONITOR_P | DEMONITOR_P), ..] = *terms else {
            return Reaction::None;
        };
        if packet.terms().len() > MAX_SIZE {
            return Reaction::None;
        }
        let start = usize::from(packet.versioned) + 4;
        let mut request = Request::new(packet.terms(), start, &packet.atoms, &self.identity.budget);
        let reaction = match op {
            REG_SEND => self.message(&mut request, packet),
            _ => self.monitor(&mut request, op),
        };
        reaction.filter(|_| request.control_end <= packet.control_bound()).unwrap_or(Reaction::None)
    }

    /// `{19 | 20, Watcher, Name, Ref}`
    fn monitor(&self, request: &mut Request<'_>, op: u8) -> Option<Reaction> {
        let watcher = request.pid_of(&self.identity.peer)?;
        let (at, name) = request.atom()?;
        let reference = request.reference_of(None)?;
        request.control_end = reference.end;
        match (op, name.text()) {
            (MONITOR_P, GLOBAL_NAME_SERVER) => {
                let with_payload = self.identity.flags & EXIT_PAYLOAD != 0;
                let mut answer = Answer::new(if with_payload { [4, 28] } else { [5, 21] });
                for part in [at, watcher, reference] {
                    answer.echo(request, part);
                }
                Some(if with_payload { answer.with_payload(|out| out.atom("noproc")) } else { answer.ending("noproc") })
            }
            (_, GLOBAL_NAME_SERVER | NET_KERNEL) => Some(Reaction::Done),
            _ => None,
        }
    }

    /// `{6, From, '', net_kernel}` with `{'$gen_call', {Pid, Tag}, {is_auth, Node}}`
    fn message(&self, request: &mut Request<'_>, packet: &Packet) -> Option<Reaction> {
        request.pid_of(&self.identity.peer)?;
        request.atom()?;
        request.atom_of(NET_KERNEL)?;
        request.control_end = request.reader.position();
        if packet.versioned {
            request.bytes([tag::VERSION])?;
        }
        request.bytes([tag::SMALL_TUPLE, 3])?;
        request.atom_of("$gen_call")?;
        request.bytes([tag::SMALL_TUPLE, 2])?;
        let caller = request.pid_of(&self.identity.peer)?;
        let (call_tag, alias) = request.tag(&self.identity.peer)?;
        request.bytes([tag::SMALL_TUPLE, 2])?;
        request.atom_of("is_auth")?;
        request.atom()?;
        let mut answer = self.to_caller(request, caller, alias)?;
        Some(answer.with_payload(|answer| {
            answer.out.extend([tag::SMALL_TUPLE, 2]);
            answer.echo(request, call_tag);
            answer.atom("yes");
        }))
    }

    /// The control tuple of an answer, as `gen:reply/2` addresses it.
    fn to_caller(&self, request: &Request<'_>, caller: Range<usize>, alias: Option<Range<usize>>) -> Option<Answer> {
        let flags = self.identity.flags;
        let mut answer = Answer::new(match alias {
            Some(_) if flags & ALTACT_SIG != 0 => [4, 37],
            Some(_) if flags & ALIAS != 0 => [3, 33],
            Some(_) => return None,
            None if flags & SEND_SENDER != 0 => [3, 22],
            None => [3, 2],
        });
        match answer.op {
            37 => answer.out.extend([tag::SMALL_INTEGER, 4]),
            2 => answer.atom(""),
            _ => {}
        }
        if answer.op != 2 {
            answer.own_pid(&self.identity);
        }
        answer.echo(request, alias.unwrap_or(caller));
        Some(answer)
    }
}

/// A control message being read. Every reader answers `None` where something else stands.
struct Request<'a> {
    data: &'a [u8],
    reader: Reader<'a>,
    atoms: Atoms<'a>,
    cached: &'a [Name],
    /// Where `ATOM_CACHE_REF`s stand, in order.
    references: Vec<usize>,
    control_end: usize,
}

impl<'a> Request<'a> {
    fn new(data: &'a [u8], start: usize, cached: &'a [Name], budget: &'a Budget) -> Self {
        let mut reader = Reader::new(data);
        let skipped = reader.take(start);
        debug_assert!(skipped.is_ok(), "the caller has seen these bytes");
        Self { data, reader, atoms: Atoms::new(cached, budget), cached, references: Vec::new(), control_end: 0 }
    }

    fn bytes<const N: usize>(&mut self, expected: [u8; N]) -> Option<()> {
        (self.reader.bytes().ok()? == expected).then_some(())
    }

    /// An atom comes at this position.
    fn note_atom(&mut self, at: usize) {
        if self.data.get(at) == Some(&tag::ATOM_CACHE_REF) {
            self.references.push(at);
        }
    }

    fn atom(&mut self) -> Option<(Range<usize>, Name)> {
        let start = self.reader.position();
        self.note_atom(start);
        let name = self.atoms.expect(&mut self.reader).ok()?.clone();
        Some((start..self.reader.position(), name))
    }

    fn atom_of(&mut self, text: &str) -> Option<()> {
        (self.atom()?.1.text() == text).then_some(())
    }

    /// A pid of this node.
    fn pid_of(&mut self, node: &Name) -> Option<Range<usize>> {
        let start = self.reader.position();
        self.bytes([tag::NEW_PID])?;
        self.note_atom(start + 1);
        let parts = pid(&mut self.reader, &mut self.atoms, tag::NEW_PID).ok()?;
        (parts.node == *node).then(|| start..self.reader.position())
    }

    /// A reference, of this node if one is given.
    fn reference_of(&mut self, node: Option<&Name>) -> Option<Range<usize>> {
        let start = self.reader.position();
        self.bytes([tag::NEWER_REFERENCE])?;
        self.note_atom(start + 3);
        let parts = reference(&mut self.reader, &mut self.atoms, tag::NEWER_REFERENCE).ok()?;
        node.is_none_or(|node| parts.node == *node).then(|| start..self.reader.position())
    }

    /// The tag of a call, and the alias in it: `Ref`, `{Ref, Node}`, `[alias | Ref]` or `[[alias | Ref] | Ref]`.
    fn tag(&mut self, peer: &Name) -> Option<(Range<usize>, Option<Range<usize>>)> {
        let start = self.reader.position();
        let mut alias = None;
        match self.reader.peek()? {
            tag::LIST => {
                self.bytes(ONE_ELEMENT)?;
                if self.reader.peek() == Some(tag::LIST) {
                    self.bytes(ONE_ELEMENT)?;
                    alias = Some(self.alias(peer)?);
                    self.reference_of(None)?;
                } else {
                    alias = Some(self.alias(peer)?);
                }
            }
            tag::SMALL_TUPLE => {
                self.bytes([tag::SMALL_TUPLE, 2])?;
                self.reference_of(None)?;
                self.atom()?;
            }
            _ => {
                self.reference_of(None)?;
            }
        }
        Some((start..self.reader.position(), alias))
    }

    /// What follows the start of a list in `[alias | Ref]`.
    fn alias(&mut self, peer: &Name) -> Option<Range<usize>> {
        self.atom_of("alias")?;
        self.reference_of(Some(peer))
    }
}

/// A list of one element; its tail follows.
const ONE_ELEMENT: [u8; 5] = [tag::LIST, 0, 0, 0, 1];

/// An answer being written, with all atoms in clear.
struct Answer {
    op: u8,
    out: Vec<u8>,
}

impl Answer {
    fn new([arity, op]: [u8; 2]) -> Self {
        Self { op, out: vec![tag::SMALL_TUPLE, arity, tag::SMALL_INTEGER, op] }
    }

    fn atom(&mut self, text: &str) {
        if let Ok(length) = u8::try_from(text.len()) {
            self.out.extend([tag::SMALL_ATOM_UTF8, length]);
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "at most 255 characters of 4 bytes")]
            let length = text.len() as u16;
            self.out.push(tag::ATOM_UTF8);
            self.out.extend(length.to_be_bytes());
        }
        self.out.extend_from_slice(text.as_bytes());
    }

    fn own_pid(&mut self, identity: &Identity) {
        self.out.push(tag::NEW_PID);
        self.atom(identity.node.text());
        self.out.extend([0; 8]);
        self.out.extend(identity.creation.to_be_bytes());
    }

    /// Part of the request byte for byte, but for references to its header, which mean nothing in ours.
    fn echo(&mut self, request: &Request<'_>, part: Range<usize>) {
        let mut start = part.start;
        for at in request.references.iter().copied().filter(|at| part.contains(at)) {
            self.out.extend_from_slice(request.data.get(start..at).unwrap_or_default());
            let index = request.data.get(at + 1).copied().map_or(usize::MAX, usize::from);
            if let Some(name) = request.cached.get(index) {
                self.atom(name.text());
            }
            start = at + 2;
        }
        self.out.extend_from_slice(request.data.get(start..part.end).unwrap_or_default());
    }

    /// The answer with this atom as the last element of the control tuple.
    fn ending(mut self, text: &str) -> Reaction {
        self.atom(text);
        let control_length = self.out.len();
        Reaction::Answer(Encoded::plain(self.out, control_length))
    }

    fn with_payload(&mut self, write: impl FnOnce(&mut Self)) -> Reaction {
        let control_length = self.out.len();
        write(self);
        Reaction::Answer(Encoded::plain(std::mem::take(&mut self.out), control_length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    const FULL: u64 = EXIT_PAYLOAD | SEND_SENDER | ALIAS;
    const HERE: &[u8] = b"\x77\x04h@ms";
    const WATCHER: &[u8] = b"\x58\x52\0\0\0\0\x09\0\0\0\x01\0\0\0\x08";
    const WATCHER_IN_CLEAR: &[u8] = b"\x58\x77\x04p@ms\0\0\0\x09\0\0\0\x01\0\0\0\x08";
    const REF: &[u8] = b"\x5a\0\x01\x52\0\0\0\0\x08\0\0\0\x05";
    const REF_IN_CLEAR: &[u8] = b"\x5a\0\x01\x77\x04p@ms\0\0\0\x08\0\0\0\x05";

    fn react(flags: u64, packet: &Packet) -> Reaction {
        let [node, peer] = ["h@ms", "p@ms"].map(Name::intern);
        Reflexes::new(Arc::new(Identity::new(node, 7, peer, flags, &Limits::default()))).react(packet)
    }

    fn packet(parts: &[&[u8]]) -> Packet {
        let atoms = ["p@ms", "global_name_server", "net_kernel", "alias", "other"].map(Name::intern);
        Packet::new(atoms.to_vec(), false, parts.concat(), 0)
    }

    fn answer(flags: u64, parts: &[&[u8]]) -> Option<(Vec<u8>, usize)> {
        match react(flags, &packet(parts)) {
            Reaction::Answer(answer) => Some((answer.data, answer.control_length)),
            _ => None,
        }
    }

    fn is_auth<'a>(tag: &'a [&'a [u8]]) -> Vec<&'a [u8]> {
        let call: [&[u8]; 4] = [b"\x68\x04\x61\x06", WATCHER, b"\x77\0\x52\x02", b"\x68\x03\x77\x09$gen_call\x68\x02"];
        let end: [&[u8]; 2] = [b"\x68\x02\x77\x07is_auth", HERE];
        [&call[..], &[WATCHER], tag, &end].concat()
    }

    #[test]
    fn nobody_is_global_name_server() {
        let monitor = [b"\x68\x04\x61\x13", WATCHER, b"\x52\x01", REF];
        let name: &[u8] = b"\x77\x12global_name_server";

        let control = [b"\x68\x04\x61\x1c", name, WATCHER_IN_CLEAR, REF_IN_CLEAR].concat();
        let expected = [&control[..], b"\x77\x06noproc"].concat();
        assert_eq!(answer(FULL, &monitor), Some((expected, control.len())));

        let old = [b"\x68\x05\x61\x15", name, WATCHER_IN_CLEAR, REF_IN_CLEAR, b"\x77\x06noproc"].concat();
        assert_eq!(answer(0, &monitor), Some((old.clone(), old.len())));
    }

    #[test]
    fn net_kernel_is_monitored_for_ever() {
        for (op, name, done) in [(19, 2, true), (20, 2, true), (20, 1, true), (19, 4, false), (20, 4, false)] {
            let reaction = react(FULL, &packet(&[&[104, 4, 97, op], WATCHER, &[82, name], REF]));

            assert_eq!(matches!(reaction, Reaction::Done), done, "{op} {name}");
            assert_eq!(matches!(reaction, Reaction::None), !done, "{op} {name}");
        }
    }

    #[test]
    fn is_auth_is_answered_to_whom_its_tag_says() {
        let from = [b"\x58", HERE, &[0; 8], &[0, 0, 0, 7]].concat();
        let alias: [&[u8]; 2] = [b"\x6c\0\0\0\x01\x52\x03", REF];
        let nested: [&[u8]; 3] = [b"\x6c\0\0\0\x01\x6c\0\0\0\x01\x52\x03", REF, REF];
        let middleman: [&[u8]; 3] = [b"\x68\x02", REF, b"\x52\0"];
        let clear = [
            [b"\x6c\0\0\0\x01\x77\x05alias", REF_IN_CLEAR].concat(),
            [b"\x6c\0\0\0\x01\x6c\0\0\0\x01\x77\x05alias", REF_IN_CLEAR, REF_IN_CLEAR].concat(),
            [b"\x68\x02", REF_IN_CLEAR, b"\x77\x04p@ms"].concat(),
            REF_IN_CLEAR.to_vec(),
        ];
        let to_alias = [b"\x68\x03\x61\x21", &from[..], REF_IN_CLEAR].concat();
        let to_alias_anew = [b"\x68\x04\x61\x25\x61\x04", &from[..], REF_IN_CLEAR].concat();
        let to_pid = [b"\x68\x03\x61\x16", &from[..], WATCHER_IN_CLEAR].concat();
        let to_pid_of_old = [b"\x68\x03\x61\x02\x77\0", WATCHER_IN_CLEAR].concat();
        for (flags, tag, control, echo) in [
            (FULL, &alias[..], &to_alias, &clear[0]),
            (FULL | ALTACT_SIG, &alias, &to_alias_anew, &clear[0]),
            (FULL, &nested, &to_alias, &clear[1]),
            (FULL, &middleman, &to_pid, &clear[2]),
            (FULL, &[REF], &to_pid, &clear[3]),
            (0, &[REF], &to_pid_of_old, &clear[3]),
        ] {
            let expected = [&control[..], b"\x68\x02", echo, b"\x77\x03yes"].concat();

            assert_eq!(answer(flags, &is_auth(tag)), Some((expected, control.len())));
        }
    }

    #[test]
    fn other_messages_are_for_the_interpreter() {
        let mut other_call = is_auth(&[REF]);
        other_call[6] = b"\x68\x02\x77\x07is_odd?";
        let mut other_name = is_auth(&[REF]);
        other_name[2] = b"\x77\0\x52\x04";
        let mut other_caller = is_auth(&[REF]);
        other_caller[4] = b"\x58\x52\x04\0\0\0\x09\0\0\0\x01\0\0\0\x08";

        for parts in [other_call, other_name, other_caller, is_auth(&[b"\x61\x01"])] {
            assert!(matches!(react(FULL, &packet(&parts)), Reaction::None), "{parts:?}");
        }
    }

    #[test]
    fn a_control_tuple_that_is_split_is_for_the_interpreter() {
        let monitor = [b"\x68\x04\x61\x13", WATCHER, b"\x52\x01", REF].concat();
        let length = monitor.len();
        let split = |bound| Packet::bounded(packet(&[]).atoms, monitor.clone(), bound);

        assert!(matches!(react(FULL, &split(length)), Reaction::Answer(_)));
        assert!(matches!(react(FULL, &split(length - 1)), Reaction::None));
    }

    #[test]
    fn a_request_cut_anywhere_is_for_the_interpreter() {
        let alias: [&[u8]; 2] = [b"\x6c\0\0\0\x01\x52\x03", REF];
        for whole in [is_auth(&alias).concat(), [b"\x68\x04\x61\x13", WATCHER, b"\x52\x01", REF].concat()] {
            for cut in 0..whole.len() {
                assert!(matches!(react(FULL, &packet(&[&whole[..cut]])), Reaction::None), "cut at {cut}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_looked_at(bytes: Vec<u8>, at: proptest::sample::Index, versioned: bool) {
            let alias: [&[u8]; 2] = [b"\x6c\0\0\0\x01\x52\x03", REF];
            for mut data in [is_auth(&alias).concat(), [b"\x68\x04\x61\x13", WATCHER, b"\x52\x01", REF].concat()] {
                let at = at.index(data.len());
                data.splice(at..(at + bytes.len()).min(data.len()), bytes.iter().copied());
                let start = usize::from(versioned);
                react(FULL, &Packet::new(packet(&[]).atoms, versioned, [&[131][..start], &data].concat(), 0));
            }
        }
    }
}
