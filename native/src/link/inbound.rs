//! The reading half of an active link: bytes to events, what is answered at once, and when to stop reading.

use std::sync::Arc;

use super::events::{Event, Events};
use super::handle::{Link, Posted};
use super::unfinished::Held;
use crate::dist::Format;
use crate::dist::identity::Identity;
use crate::dist::packet::Packet;
use crate::dist::receiver::Receiver;
use crate::dist::reflex::{Reaction, Reflexes};
use crate::dist::sender::NODE_LEVEL;
use crate::limits::Limits;

/// What one link reads after the handshake.
#[derive(Debug)]
pub struct Inbound {
    link: Arc<Link>,
    events: Arc<Events>,
    receiver: Receiver,
    packets: Vec<Packet>,
    reflexes: Reflexes,
    max_queued_bytes: usize,
    max_unsent_bytes: usize,
    paused: bool,
    held: Held,
}

impl Inbound {
    /// Start after the handshake.
    pub fn new(link: Arc<Link>, events: Arc<Events>, identity: Arc<Identity>, limits: &Limits, held: Held) -> Self {
        Self {
            link,
            events,
            receiver: Receiver::new(Format::of(identity.flags), identity.budget.clone(), limits),
            packets: Vec::new(),
            reflexes: Reflexes::new(identity),
            max_queued_bytes: limits.max_queued_bytes,
            max_unsent_bytes: limits.max_unsent_bytes,
            paused: false,
            held,
        }
    }

    /// Take in bytes. An error is the reason of the link's end; packets before it are queued nevertheless.
    pub fn receive(&mut self, data: &[u8]) -> Result<(), String> {
        let end = self.receiver.receive(data, &mut self.packets);
        self.held.set(self.receiver.held_bytes());
        self.react();
        self.link.queue(self.packets.iter().map(Packet::size).sum());
        self.events.push(self.link.id, self.packets.drain(..).map(Event::Packet));
        // Fragments alone never pause: only more of them can finish a message.
        let queued = self.link.queued();
        if queued > 0 && queued + self.receiver.unfinished_bytes() > self.max_queued_bytes {
            self.paused = self.link.pause(self.max_queued_bytes);
        }
        end.map_err(|error| error.to_string())
    }

    /// Take out what the interpreter need not see.
    fn react(&mut self) {
        self.packets.retain(|packet| match self.reflexes.react(packet) {
            Reaction::None => true,
            Reaction::Done => false,
            Reaction::Answer(answer) => {
                // A peer that asks without reading the answers gets them from the interpreter, as it drains.
                let posted = self.link.send(NODE_LEVEL, answer, Some(self.max_unsent_bytes));
                if posted == Posted::Overloaded {
                    return true;
                }
                self.events.count_answer();
                false
            }
        });
    }

    /// Whether enough waits for the interpreter.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Half of what waited is drained.
    pub fn resume(&mut self) {
        self.paused = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::events::Backlog;
    use crate::link::unfinished::Unfinished;
    use crate::term::atom::Name;

    fn inbound(max_queued_bytes: usize) -> (Inbound, Arc<Link>, Arc<Events>) {
        let limits = Limits { max_queued_bytes, ..Limits::default() };
        let (link, events) = (Arc::new(Link::new(1)), Arc::new(Events::new().unwrap()));
        let [node, peer] = ["here@test", "there@test"].map(Name::intern);
        let identity = Arc::new(Identity::new(node, 7, peer, u64::MAX, &limits));
        let held = Unfinished::new(usize::MAX).held_by(&link, None);
        (Inbound::new(link.clone(), events.clone(), identity, &limits, held), link, events)
    }

    const PACKET: &[u8] = b"\0\0\0\x04\x83\x44\0t";

    #[test]
    fn packets_before_an_error_are_queued() {
        let (mut inbound, _, events) = inbound(1000);

        let end = inbound.receive(&[PACKET, b"\0\0\0\x01\x70"].concat());

        let mut backlog = Backlog::default();
        backlog.refill(&events);
        assert!(matches!(backlog.take_next(), Some((1, Event::Packet(_)))));
        assert_eq!(end.unwrap_err(), "malformed packet: pass-through where a header is negotiated");
    }

    #[test]
    fn reading_pauses_when_too_much_waits() {
        let (mut inbound, link, _) = inbound(1000);
        while !inbound.is_paused() {
            assert!(link.queued() <= 1000);
            inbound.receive(PACKET).unwrap();
        }

        assert!(link.queued() > 1000);
    }

    #[test]
    fn unfinished_fragments_alone_do_not_pause() {
        let (mut inbound, _, _) = inbound(10);
        let mut fragment = vec![0, 0, 0, 119, 131, 69, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0];
        fragment.resize(123, 7);

        inbound.receive(&fragment).unwrap();
        assert!(!inbound.is_paused());

        inbound.receive(PACKET).unwrap();
        assert!(inbound.is_paused());
    }
}
