//! Inbound connections whose peers have not proved yet that they know the cookie, and what has happened to them.
//!
//! Anybody can open them, so they are bounded, and one that dials must not keep the others out: when all places are
//! taken, the oldest of the address that holds most of them makes way, unless it is too young to have done its part.
//!
//! A place is taken until the loop's thread has heard of the end: what waits for it is bounded by the places. While
//! many wait, one that ends before the loop's thread has come to it is counted only, and costs it nothing.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::events::{Event, Events};
use super::handle::{Link, Request};

/// How long nobody has to make way.
const GRACE: Duration = Duration::from_secs(2);

/// Connections whose events the loop's thread takes at a time: what they cost it is little beside one turn of it.
const AT_A_TIME: usize = 16;

/// Why a connection ended that had to make way.
const REASON: &str = "it took too long, and others waited";

/// All of one node.
#[derive(Debug)]
pub struct Unproven {
    places: usize,
    events: Arc<Events>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    // By the number of the link, which is the order of their ages.
    rows: BTreeMap<u64, Row>,
    // Rows that have been told to make way: their places are taken by others.
    leaving: usize,
    // Rows of which something waits, and the one that was looked at last.
    waiting: usize,
    last: u64,
    // Those that have got nothing: one's address, and how many.
    refused: Option<(SocketAddr, u64)>,
}

#[derive(Debug)]
struct Row {
    address: SocketAddr,
    since: Instant,
    link: Arc<Link>,
    waiting: Vec<Event>,
    // The loop's thread knows of it.
    is_known: bool,
    is_leaving: bool,
    has_ended: bool,
}

impl State {
    fn refuse(&mut self, address: SocketAddr) {
        self.refused.get_or_insert((address, 0)).1 += 1;
    }

    fn remove(&mut self, id: u64) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        self.leaving -= usize::from(row.is_leaving);
        self.waiting -= usize::from(!row.waiting.is_empty());
        Some(row)
    }

    /// Let the oldest of the busiest host go, if it has had its time.
    fn make_way(&mut self, now: Instant) -> Option<()> {
        let id = oldest_of_the_busiest(&self.rows)?;
        let row = self.rows.get_mut(&id)?;
        if now.duration_since(row.since) < GRACE {
            return None;
        }
        row.link.request(Request::Close(REASON.to_owned()));
        if row.is_known {
            row.is_leaving = true;
            self.leaving += 1;
        } else {
            let row = self.remove(id)?;
            self.refuse(row.address);
        }
        Some(())
    }

    fn tell(&mut self, id: u64, event: Event) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        row.has_ended |= matches!(event, Event::Down(_));
        if row.has_ended && !row.is_known && self.waiting > AT_A_TIME {
            if let Some(row) = self.remove(id) {
                self.refuse(row.address);
            }
            return;
        }
        self.waiting += usize::from(row.waiting.is_empty());
        row.waiting.push(event);
    }

    /// The next row of which something waits.
    fn next(&self) -> Option<u64> {
        let after = self.rows.range((Bound::Excluded(self.last), Bound::Unbounded));
        after.chain(self.rows.iter()).find(|(_, row)| !row.waiting.is_empty()).map(|(id, _)| *id)
    }
}

/// The place of one connection, given back when its peer has proved itself, or when its end has been heard of.
#[derive(Debug)]
pub struct Place {
    unproven: Arc<Unproven>,
    id: u64,
}

impl Place {
    /// Something has happened to the connection.
    pub fn tell(&self, event: Event) {
        self.unproven.state().tell(self.id, event);
        self.unproven.events.wake();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.unproven.state();
        if state.rows.get(&self.id).is_some_and(|row| !row.has_ended)
            && let Some(row) = state.remove(self.id)
        {
            self.unproven.events.push(self.id, row.waiting);
        }
    }
}

impl Unproven {
    /// So many places, none of them taken. The loop's thread is woken by way of `events`.
    pub fn new(places: usize, events: Arc<Events>) -> Arc<Self> {
        Arc::new(Self { places, events, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Find a place for a new connection, if there is one or somebody makes way; else it is counted as turned away.
    pub fn admit(self: &Arc<Self>, link: &Arc<Link>, address: SocketAddr, now: Instant) -> Option<Place> {
        let mut state = self.state();
        let is_full = state.rows.len() - state.leaving >= self.places;
        let place = if is_full && state.make_way(now).is_none() {
            state.refuse(address);
            None
        } else {
            let (is_known, is_leaving, has_ended) = (false, false, false);
            let link = link.clone();
            let id = link.id;
            let row = Row { address, since: now, link, waiting: Vec::new(), is_known, is_leaving, has_ended };
            state.rows.insert(id, row);
            Some(Place { unproven: self.clone(), id })
        };
        let is_news = state.refused.is_some();
        drop(state);
        if is_news {
            self.events.wake();
        }
        place
    }

    /// What has happened to a few connections, each of which has its turn; and whether there is more.
    pub fn take(&self) -> (Vec<(u64, Event)>, bool) {
        let mut state = self.state();
        let refused = state.refused.take().map(|(address, count)| (0, Event::TurnedAway(address, count)));
        let mut taken = Vec::from_iter(refused);
        for _ in 0..AT_A_TIME.min(state.waiting) {
            let Some(id) = state.next() else { break };
            state.last = id;
            state.waiting -= 1;
            let Some(row) = state.rows.get_mut(&id) else { break };
            row.is_known = true;
            taken.extend(std::mem::take(&mut row.waiting).into_iter().map(|event| (id, event)));
            if row.has_ended {
                state.remove(id);
            }
        }
        (taken, state.waiting > 0)
    }
}

/// The oldest connection of the host that has most of them.
fn oldest_of_the_busiest(rows: &BTreeMap<u64, Row>) -> Option<u64> {
    let mut hosts: HashMap<IpAddr, (usize, u64)> = HashMap::new();
    for (id, row) in rows.iter().filter(|(_, row)| !row.is_leaving) {
        hosts.entry(host_of(row.address.ip())).or_insert((0, *id)).0 += 1;
    }
    hosts.into_values().max_by_key(|(count, oldest)| (*count, u64::MAX - oldest)).map(|(_, oldest)| oldest)
}

/// What counts as one address: a host has all of a network of 64 bits in IPv6.
pub fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(long) => IpAddr::V6((u128::from(long) >> 64 << 64).into()),
        short @ IpAddr::V4(_) => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unproven(places: usize) -> Arc<Unproven> {
        Unproven::new(places, Arc::new(Events::new().unwrap()))
    }

    /// Connections one after the other, at times in seconds.
    struct Door {
        unproven: Arc<Unproven>,
        start: Instant,
        last: u64,
    }

    impl Door {
        fn new(places: usize) -> Self {
            Self { unproven: unproven(places), start: Instant::now(), last: 0 }
        }

        fn open(&mut self, address: &str, seconds: f64) -> Option<Place> {
            self.last += 1;
            let now = self.start + Duration::from_secs_f64(seconds);
            let address = SocketAddr::new(address.parse().unwrap(), 7);
            let link = Arc::new(Link::new(self.last));
            let place = self.unproven.admit(&link, address, now)?;
            place.tell(Event::Accepted(link, address));
            Some(place)
        }

        fn inside(&self) -> Vec<u64> {
            self.unproven.state().rows.keys().copied().collect()
        }
    }

    #[test]
    fn a_place_is_given_back() {
        let mut door = Door::new(1);
        let first = door.open("10.0.0.1", 0.0);
        assert!(door.open("10.0.0.2", 0.0).is_none());
        drop(first);

        assert!(door.open("10.0.0.2", 0.0).is_some());
    }

    #[test]
    fn the_oldest_of_the_address_with_most_makes_way() {
        let mut door = Door::new(4);
        let _places = ["10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3"].map(|host| door.open(host, 0.0));

        let newcomer = door.open("10.0.0.4", 3.0);

        assert!(newcomer.is_some());
        assert_eq!(door.inside(), [1, 3, 4, 5]);
    }

    #[test]
    fn nobody_makes_way_who_is_younger_than_two_seconds() {
        let mut door = Door::new(2);
        let _places = [0.0, 0.1].map(|time| door.open("10.0.0.1", time));

        assert!(door.open("10.0.0.2", 1.9).is_none());
        let _newcomer = door.open("10.0.0.2", 2.0);
        assert_eq!(door.inside(), [2, 4]);
    }

    #[test]
    fn one_who_made_way_gives_nothing_back_twice() {
        let mut door = Door::new(1);
        let first = door.open("10.0.0.1", 0.0);
        let second = door.open("10.0.0.2", 3.0);
        drop(first);

        assert_eq!(door.inside(), [2]);
        drop(second);
        assert!(door.inside().is_empty());
    }

    #[test]
    fn all_of_a_network_of_64_bits_is_one_host() {
        let mut door = Door::new(3);
        let _places = ["10.0.0.1", "2001:db8::1", "2001:db8::2"].map(|host| door.open(host, 0.0));

        let _newcomer = door.open("::ffff:10.0.0.1", 3.0);

        assert_eq!(door.inside(), [1, 3, 4]);
    }

    #[test]
    fn who_makes_way_is_told_to_close() {
        let unproven = unproven(1);
        let (old, start) = (Arc::new(Link::new(1)), Instant::now());
        let _place = unproven.admit(&old, "10.0.0.1:7".parse().unwrap(), start);

        let _next = unproven.admit(&Arc::new(Link::new(2)), "10.0.0.2:7".parse().unwrap(), start + GRACE);

        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(news) = old.poll_news(&mut context, || None) else { panic!("nothing was asked") };
        assert!(matches!(news.requests.as_slice(), [Request::Close(reason)] if reason == REASON));
    }

    fn ended() -> Event {
        Event::Down("closed".into())
    }

    /// Kinds of events by link, `a` for accepted, `t` for turned away, `d` for down.
    fn taken(unproven: &Unproven) -> Vec<(u64, char)> {
        let kind = |event: &Event| match event {
            Event::Accepted(..) => 'a',
            Event::TurnedAway(..) => 't',
            Event::Down(_) => 'd',
            _ => '?',
        };
        unproven.take().0.iter().map(|(link, event)| (*link, kind(event))).collect()
    }

    #[test]
    fn a_place_is_taken_until_the_end_has_been_heard_of() {
        let mut door = Door::new(1);
        let first = door.open("10.0.0.1", 0.0).unwrap();
        assert_eq!(taken(&door.unproven), [(1, 'a')]);
        first.tell(ended());
        drop(first);

        assert!(door.open("10.0.0.2", 0.0).is_none());
        assert_eq!(taken(&door.unproven), [(0, 't'), (1, 'd')]);
        assert!(door.open("10.0.0.2", 0.0).is_some());
    }

    #[test]
    fn what_has_not_been_taken_of_one_that_is_proven_is_an_event_of_its_link() {
        let mut door = Door::new(1);
        drop(door.open("10.0.0.1", 0.0));

        let mut backlog = crate::link::events::Backlog::default();
        backlog.refill(&door.unproven.events);

        assert!(matches!(backlog.take_next(), Some((1, Event::Accepted(..)))));
        assert_eq!(taken(&door.unproven), []);
    }

    #[test]
    fn while_many_wait_those_that_end_unheard_are_counted_only() {
        let mut door = Door::new(1000);
        let _waiting: Vec<_> = (0..AT_A_TIME).map(|_| door.open("10.0.0.1", 0.0)).collect();
        for _ in 0..50_000 {
            door.open("10.0.0.2", 0.0).unwrap().tell(ended());
        }
        assert_eq!(door.inside().len(), AT_A_TIME);

        let (events, more) = door.unproven.take();
        assert!(matches!(events[0], (0, Event::TurnedAway(_, 50_000))));
        assert_eq!((events.len(), more), (1 + AT_A_TIME, false));
    }

    #[test]
    fn all_that_wait_have_their_turn() {
        let mut door = Door::new(1000);
        let places: Vec<_> = (0..40).map(|_| door.open("10.0.0.1", 0.0).unwrap()).collect();
        assert_eq!(taken(&door.unproven).len(), AT_A_TIME);
        places.iter().take(5).for_each(|place| place.tell(Event::Frame(vec![])));

        let turns: Vec<u64> = (0..3).flat_map(|_| taken(&door.unproven)).map(|(link, _)| link).collect();

        assert_eq!(turns, (17..=40).chain(1..=5).collect::<Vec<_>>());
        assert!(!door.unproven.take().1);
    }

    #[test]
    fn one_that_made_way_is_heard_of_but_takes_no_place() {
        let mut door = Door::new(1);
        let first = door.open("10.0.0.1", 0.0).unwrap();
        taken(&door.unproven);
        let second = door.open("10.0.0.2", 3.0);
        assert!(second.is_some());
        first.tell(ended());
        drop(first);

        assert_eq!(taken(&door.unproven), [(2, 'a'), (1, 'd')]);
        assert!(door.open("10.0.0.3", 3.0).is_none());
    }
}
