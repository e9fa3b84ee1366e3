//! What has happened to the links of one node: one queue, one wake-up for many events.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::fork::Guarded;
use super::handle::Link;
use super::system::EventFd;
use crate::dist::packet::Packet;

/// Something that has happened to a link.
#[derive(Debug)]
pub enum Event {
    /// An inbound connection is there, in handshake mode.
    Accepted(Arc<Link>, SocketAddr),
    /// So many inbound connections were closed, for there was no place for them; the first one's address.
    TurnedAway(SocketAddr, u64),
    /// No connection can be accepted, and why; told once until one can.
    Deaf(String),
    /// An outbound connection is there, in handshake mode.
    Connected,
    /// A handshake frame that was asked for.
    Frame(Vec<u8>),
    /// A control message.
    Packet(Packet),
    /// The link is below its low mark again.
    Writable,
    /// Something that was lent to a message is no longer needed.
    Returned,
    /// The link is gone; the last event of it.
    Down(String),
    /// The thread has ended; the last event of all.
    Ended(String),
}

/// The queue, written by the I/O thread and emptied by the loop's.
#[derive(Debug)]
pub struct Events {
    state: Mutex<State>,
    answered: AtomicU64,
}

#[derive(Debug)]
struct State {
    queue: Vec<(u64, Event)>,
    signalled: bool,
    // None once the node has stopped.
    wake: Option<Arc<Guarded<EventFd>>>,
}

impl Events {
    /// An empty queue.
    pub fn new() -> io::Result<Self> {
        let wake = Some(Arc::new(Guarded::open(EventFd::new)?));
        let state = Mutex::new(State { queue: Vec::new(), signalled: false, wake });
        Ok(Self { state, answered: AtomicU64::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The descriptor that is readable while events wait, if it is not closed.
    pub fn fileno(&self) -> Option<RawFd> {
        self.lock().wake.as_ref().map(|wake| wake.as_raw_fd())
    }

    /// Append events of one link.
    pub fn push(&self, link: u64, events: impl IntoIterator<Item = Event>) {
        let mut state = self.lock();
        state.queue.extend(events.into_iter().map(|event| (link, event)));
        if !state.queue.is_empty() {
            Self::signal(state);
        }
    }

    /// Something has happened that is kept elsewhere.
    pub fn wake(&self) {
        Self::signal(self.lock());
    }

    fn signal(mut state: MutexGuard<'_, State>) {
        if !std::mem::replace(&mut state.signalled, true) {
            let wake = state.wake.clone();
            drop(state); // whoever wakes up wants the lock at once
            if let Some(wake) = wake {
                wake.signal();
            }
        }
    }

    /// A signal was answered by reflex: it becomes no event.
    pub fn count_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// How many signals were answered by reflex.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Take all events.
    fn take(&self) -> Vec<(u64, Event)> {
        let mut state = self.lock();
        // Nothing is there: it was taken between the push and its signal.
        if std::mem::take(&mut state.signalled) || state.queue.is_empty() {
            if let Some(wake) = &state.wake {
                wake.clear();
            }
        }
        std::mem::take(&mut state.queue)
    }

    /// Close the descriptor. Events can still be pushed and taken.
    pub fn close(&self) {
        let wake = self.lock().wake.take();
        drop(wake);
    }
}

/// Whose turn it is when it is that of all connections in their handshake. No link has this number.
const UNPROVEN: u64 = u64::MAX;

/// The consumer's side: events taken but not handed out, round robin over links, in order within each.
///
/// All connections of strangers have one turn together: whoever opens many of them does not come before a link.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: FxHashMap<u64, VecDeque<Event>>,
    unproven: VecDeque<(u64, Event)>,
    // Strangers have more to say than was taken.
    more: bool,
    turns: VecDeque<u64>,
    ended: Option<String>,
}

impl Backlog {
    /// Take over what has happened to strangers, and whether that is not all.
    pub fn refill_unproven(&mut self, (events, more): (Vec<(u64, Event)>, bool)) {
        if self.unproven.is_empty() && !events.is_empty() {
            self.turns.push_back(UNPROVEN);
        }
        self.unproven.extend(events);
        self.more = more;
    }

    /// Take over what has happened since.
    pub fn refill(&mut self, events: &Events) {
        for (link, event) in events.take() {
            if let Event::Ended(reason) = event {
                self.ended = Some(reason);
                continue;
            }
            let queue = self.waiting.entry(link).or_default();
            if queue.is_empty() {
                self.turns.push_back(link);
            }
            queue.push_back(event);
        }
    }

    /// The next event; `Ended` after all others.
    pub fn take_next(&mut self) -> Option<(u64, Event)> {
        while let Some(link) = self.turns.pop_front() {
            if link == UNPROVEN {
                let event = self.unproven.pop_front();
                if !self.unproven.is_empty() {
                    self.turns.push_back(UNPROVEN);
                }
                return event;
            }
            let Some(queue) = self.waiting.get_mut(&link) else { continue };
            let event = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&link);
            } else {
                self.turns.push_back(link);
            }
            if let Some(event) = event {
                return Some((link, event));
            }
        }
        self.ended.take_if(|_| !self.more).map(|reason| (0, Event::Ended(reason)))
    }

    /// Events that were taken wait again, before all others of their link.
    pub fn put_back(&mut self, link: u64, events: VecDeque<Event>) {
        if events.is_empty() {
            return;
        }
        let queue = self.waiting.entry(link).or_default();
        if queue.is_empty() {
            self.turns.push_back(link);
        }
        for event in events.into_iter().rev() {
            queue.push_front(event);
        }
    }

    /// Whether `Ended` is next.
    pub fn is_at_end(&self) -> bool {
        self.turns.is_empty() && !self.more && self.ended.is_some()
    }

    /// Drop what waits of a link.
    pub fn forget(&mut self, link: u64) {
        self.waiting.remove(&link);
        self.turns.retain(|other| *other != link);
    }

    /// Whether nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty() && !self.more && self.ended.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(byte: u8) -> Event {
        Event::Frame(vec![byte])
    }

    fn drained(backlog: &mut Backlog) -> Vec<(u64, u8)> {
        std::iter::from_fn(|| backlog.take_next())
            .map(|(link, event)| match event {
                Event::Frame(bytes) => (link, bytes[0]),
                _ => (link, 255),
            })
            .collect()
    }

    #[test]
    fn links_take_turns_and_each_keeps_its_order() {
        let (events, mut backlog) = (Events::new().unwrap(), Backlog::default());
        events.push(1, [frame(0), frame(1), frame(2)]);
        events.push(2, [frame(3)]);
        backlog.refill(&events);
        events.push(2, [frame(4)]);
        backlog.refill(&events);

        assert_eq!(drained(&mut backlog), [(1, 0), (2, 3), (1, 1), (2, 4), (1, 2)]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn what_is_put_back_is_next_of_its_link() {
        let (events, mut backlog) = (Events::new().unwrap(), Backlog::default());
        events.push(1, [frame(0), frame(1), frame(2)]);
        backlog.refill(&events);
        let taken = [backlog.take_next(), backlog.take_next()].into_iter().flatten().map(|(_, event)| event).collect();

        backlog.put_back(1, taken);
        backlog.put_back(2, VecDeque::from([frame(3)]));

        assert_eq!(drained(&mut backlog), [(1, 0), (2, 3), (1, 1), (1, 2)]);
    }

    #[test]
    fn the_end_comes_after_everything_else() {
        let (events, mut backlog) = (Events::new().unwrap(), Backlog::default());
        events.push(1, [frame(0)]);
        events.push(0, [Event::Ended("stopped".into())]);
        backlog.refill(&events);

        assert_eq!(drained(&mut backlog), [(1, 0), (0, 255)]);
    }

    #[test]
    fn strangers_have_one_turn_together() {
        let (events, mut backlog) = (Events::new().unwrap(), Backlog::default());
        events.push(1, [frame(0), frame(1), frame(2)]);
        events.push(0, [Event::Ended("stopped".into())]);
        events.push(0, [Event::Deaf("why".into())]);
        backlog.refill_unproven((vec![(7, frame(10)), (8, frame(11)), (9, frame(12))], true));
        backlog.refill(&events);

        assert_eq!(drained(&mut backlog), [(7, 10), (1, 0), (0, 255), (8, 11), (1, 1), (9, 12), (1, 2)]);
        assert!(!backlog.is_empty() && !backlog.is_at_end(), "the end waits for the rest");
        backlog.refill_unproven((vec![(9, frame(13))], false));
        assert_eq!(drained(&mut backlog), [(9, 13), (0, 255)]);
    }

    #[test]
    fn a_forgotten_link_has_no_turn() {
        let (events, mut backlog) = (Events::new().unwrap(), Backlog::default());
        events.push(1, [frame(0)]);
        events.push(2, [frame(1)]);
        backlog.refill(&events);

        backlog.forget(1);

        assert_eq!(drained(&mut backlog), [(2, 1)]);
    }

    #[test]
    fn many_events_are_one_wake_up() {
        let events = Events::new().unwrap();
        events.push(1, [frame(0)]);
        events.push(1, [frame(1)]);
        assert!(events.lock().signalled);

        let mut backlog = Backlog::default();
        backlog.refill(&events);

        assert!(!events.lock().signalled);
        assert_eq!(drained(&mut backlog), [(1, 0), (1, 1)]);
    }

    #[test]
    fn a_signal_that_comes_after_its_events_were_taken_is_cleared_by_the_next_look() {
        let (events, mut backlog) = (Events::new().unwrap(), Backlog::default());
        events.push(1, [frame(0)]);
        backlog.refill(&events);
        events.lock().wake.as_ref().unwrap().signal();

        backlog.refill(&events);

        let information = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", events.fileno().unwrap())).unwrap();
        let count = information.lines().find_map(|line| line.strip_prefix("eventfd-count:")).unwrap();
        assert_eq!(count.trim(), "0");
    }

    #[test]
    fn events_outlive_the_descriptor() {
        let (events, mut backlog) = (Events::new().unwrap(), Backlog::default());
        events.close();
        events.push(1, [frame(0)]);
        backlog.refill(&events);

        assert_eq!(events.fileno(), None);
        assert_eq!(drained(&mut backlog), [(1, 0)]);
    }
}
