//! Which packets may overtake one that takes long: those of other senders.
//!
//! Erlang keeps the order of signals between two processes only. Who sent a packet is read without an interpreter.

use super::bytes::Cursor;
use super::control::{Shape, read_head};
use super::packet::Packet;
use crate::etf::read::{Atoms, Reader, pid};
use crate::etf::{skip_term, tag};
use crate::term::atom::Budget;
use crate::term::keyed::KeyedSet;
use crate::term::pid::PidParts;

/// The process that sent a packet; `None` where that can't be told, or is none, or its node is no atom that is alive.
pub fn sender(packet: &Packet) -> Option<PidParts> {
    let terms = packet.terms().get(usize::from(packet.versioned)..packet.control_bound())?;
    let mut cursor = Cursor::new(terms);
    let head = read_head(&mut cursor).ok()?;
    let mut rest = cursor.rest();
    for _ in 1..sender_element(head.op, head.shape)? {
        rest = rest.get(skip_term(rest, &packet.atoms).ok()?..)?;
    }
    let mut reader = Reader::new(rest);
    match reader.tag() {
        Ok(tag @ (tag::NEW_PID | tag::PID)) => {
            pid(&mut reader, &mut Atoms::new(&packet.atoms, &Budget::NOTHING), tag).ok()
        }
        _ => None,
    }
}

/// The element of a control tuple that holds the sender.
fn sender_element(op: u8, shape: Shape) -> Option<usize> {
    match (shape, op) {
        (Shape::Message { from, .. }, _) => from,
        (_, 29 | 30 | 35 | 36 | 37) => Some(2), // SPAWN_REQUEST ReqId From, UNLINK_ID(_ACK) Id From, exit/3
        (_, 7 | 31 | 32) => None,               // GROUP_LEADER and SPAWN_REPLY don't tell
        _ => Some(1),
    }
}

/// Lets packets pass that come from others than those that wait.
#[derive(Debug, Default)]
pub struct Gate {
    waiting: KeyedSet<PidParts>,
    shut: bool,
}

impl Gate {
    /// This packet waits, and with it all that its sender sends after it.
    pub fn hold(&mut self, packet: &Packet) {
        match sender(packet) {
            Some(sender) => drop(self.waiting.insert(sender)),
            None => self.shut = true,
        }
    }

    /// Nothing passes any more.
    pub fn shut(&mut self) {
        self.shut = true;
    }

    /// Whether a packet passes.
    pub fn admits(&self, packet: &Packet) -> bool {
        !self.shut && sender(packet).is_some_and(|sender| !self.waiting.contains(&sender))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::atom::Name;

    fn pid_of(id: u8) -> Vec<u8> {
        [&b"\x58\x52\0\0\0\0"[..], &[id], &[0, 0, 0, 1, 0, 0, 0, 8]].concat()
    }

    fn packet(parts: &[&[u8]]) -> Packet {
        Packet::new(vec![Name::intern("p@ms")], false, parts.concat(), 0)
    }

    fn id_of(parts: &[&[u8]]) -> Option<u32> {
        sender(&packet(parts)).map(|sender| sender.id)
    }

    #[test]
    fn the_sender_of_each_kind_is_found() {
        let (from, to) = (pid_of(5), pid_of(6));

        assert_eq!(id_of(&[b"\x68\x03\x61\x16", &from, &to]), Some(5), "SEND_SENDER");
        assert_eq!(id_of(&[b"\x68\x04\x61\x06", &from, b"\x77\0\x52\0"]), Some(5), "REG_SEND");
        assert_eq!(id_of(&[b"\x68\x04\x61\x25\x61\0", &from, &to]), Some(5), "ALTACT_SIG_SEND");
        assert_eq!(id_of(&[b"\x68\x04\x61\x25\x61\x10", &from, &to]), Some(5), "exit/3");
        assert_eq!(id_of(&[b"\x68\x04\x61\x23\x61\x01", &from, &to]), Some(5), "UNLINK_ID");
        assert_eq!(id_of(&[b"\x68\x04\x61\x1c", &from, &to, &to]), Some(5), "PAYLOAD_MONITOR_P_EXIT of a pid");
        assert_eq!(id_of(&[b"\x68\x04\x61\x1c\x52\0", &to, &to]), None, "PAYLOAD_MONITOR_P_EXIT of a name");
        assert_eq!(id_of(&[b"\x68\x03\x61\x02\x77\0", &to]), None, "SEND");
        assert_eq!(id_of(&[b"\x68\x03\x61\x07", &from, &to]), None, "GROUP_LEADER");
        assert_eq!(id_of(&[b"\x68\x03\x61\x16"]), None, "cut");
    }

    #[test]
    fn only_other_senders_pass_a_gate() {
        let (one, other) = (pid_of(5), pid_of(6));
        let message = |from: &[u8]| packet(&[b"\x68\x03\x61\x16", from, &other]);
        let mut gate = Gate::default();
        gate.hold(&message(&one));

        assert!(!gate.admits(&message(&one)));
        assert!(gate.admits(&message(&other)));
        assert!(!gate.admits(&packet(&[b"\x68\x03\x61\x02\x77\0", &other])), "who knows");

        gate.hold(&packet(&[b"\x68\x03\x61\x02\x77\0", &other]));
        assert!(!gate.admits(&message(&other)), "it may be the one of the message that waits");
    }
}
