//! Large messages on their way into Python: what takes long is copied in slices, while others overtake.
//!
//! A message of 1 MiB and more is decoded at once but for its large binaries, which stay unfilled. Each drain copies
//! some slices; the message is an event when all are there.

use std::collections::VecDeque;
use std::time::Instant;

use pyo3::prelude::*;
use rustc_hash::FxHashMap;

use super::deliver::Flat;
use super::events::{Backlog, Event};
use crate::dist::order::Gate;
use crate::dist::packet::Packet;
use crate::etf::Hole;

/// A packet from this size on is copied in slices.
pub const LARGE_PACKET: usize = 1024 * 1024;

/// Bytes copied between two looks at the clock: well below a millisecond.
const SLICE: usize = 256 * 1024;

/// One message that is not complete.
pub struct Filling {
    flat: Flat,
    packet: Packet,
    // Filled from the last one's end, so that the packet shrinks meanwhile.
    holes: Vec<Hole>,
    gate: Gate,
    held: VecDeque<Event>,
}

impl Filling {
    /// A message and where its packet fills it.
    pub fn new(flat: Flat, packet: Packet, holes: Vec<Hole>) -> Self {
        let mut gate = Gate::default();
        gate.hold(&packet);
        Self { flat, packet, holes, gate, held: VecDeque::new() }
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

    /// Copy one slice; answers whether all is there.
    fn copy(&mut self, py: Python<'_>) -> bool {
        let Some(hole) = self.holes.last_mut() else { return true };
        let start = hole.left.saturating_sub(SLICE);
        let range = hole.at + start..hole.at + hole.left;
        hole.bytes.fill(py, start, self.packet.terms().get(range).unwrap_or_default());
        hole.left = start;
        if start == 0 {
            self.holes.pop();
        } else {
            let end = hole.at + start;
            self.packet.cut(end);
        }
        self.holes.is_empty()
    }

    /// The complete message, and what has waited for it.
    fn finish(self) -> (Flat, VecDeque<Event>) {
        (self.flat, self.held)
    }
}

/// What the loop's thread has taken but not handed out: events, and at most one incomplete message per link.
#[derive(Default)]
pub struct Desk {
    /// Events that wait for their turn.
    pub backlog: Backlog,
    fillings: FxHashMap<u64, Filling>,
}

impl Desk {
    /// The next event that may be handed out.
    pub fn take_next(&mut self) -> Option<(u64, Event)> {
        loop {
            if self.backlog.is_at_end() && !self.fillings.is_empty() {
                return None;
            }
            let (link, event) = self.backlog.take_next()?;
            let Some(filling) = self.fillings.get_mut(&link) else { return Some((link, event)) };
            if let Some(event) = filling.admit(event) {
                return Some((link, event));
            }
        }
    }

    /// Drop what waits of a link, complete or not.
    pub fn forget(&mut self, link: u64) {
        self.backlog.forget(link);
        self.fillings.remove(&link);
    }

    /// A message is not complete yet.
    pub fn begin(&mut self, link: u64, filling: Filling) {
        self.fillings.insert(link, filling);
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

    /// Copy until the deadline, one slice at least; answers what is complete now.
    pub fn fill(&mut self, py: Python<'_>, deadline: Instant) -> Vec<(u64, Flat)> {
        let mut complete = Vec::new();
        while !self.fillings.is_empty() {
            let links: Vec<u64> =
                self.fillings.iter_mut().filter_map(|(link, one)| one.copy(py).then_some(*link)).collect();
            for link in links {
                if let Some(filling) = self.fillings.remove(&link) {
                    let (flat, held) = filling.finish();
                    self.backlog.put_back(link, held);
                    complete.push((link, flat));
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        complete
    }

    /// Whether nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.fillings.is_empty()
    }
}
