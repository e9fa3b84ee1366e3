//! Inbound connections whose peers have not proved yet that they know the cookie.
//!
//! Anybody can open them, so they are bounded, and one that dials must not keep the others out: when all places are
//! taken, the oldest of the address that holds most of them makes way, unless it is too young to have done its part.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::handle::{Link, Request};

/// How long nobody has to make way.
const GRACE: Duration = Duration::from_secs(2);

/// Why a connection ended that had to make way.
const REASON: &str = "it took too long, and others waited";

/// All of one node.
#[derive(Debug)]
pub struct Unproven {
    places: usize,
    // By the number of the link, which is the order of their ages.
    rows: Mutex<BTreeMap<u64, Row>>,
}

#[derive(Debug)]
struct Row {
    host: IpAddr,
    since: Instant,
    link: Arc<Link>,
}

/// The place of one connection, given back when its peer has proved itself, or is gone.
#[derive(Debug)]
pub struct Place {
    unproven: Arc<Unproven>,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.unproven.rows().remove(&self.id);
    }
}

impl Unproven {
    /// So many places, none of them taken.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places, rows: Mutex::new(BTreeMap::new()) })
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<u64, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Find a place for a new connection, if there is one or somebody makes way.
    pub fn admit(self: &Arc<Self>, link: &Arc<Link>, address: IpAddr, now: Instant) -> Option<Place> {
        let mut rows = self.rows();
        if rows.len() >= self.places {
            let oldest = oldest_of_the_busiest(&rows)?;
            if now.duration_since(rows.get(&oldest)?.since) < GRACE {
                return None;
            }
            rows.remove(&oldest)?.link.request(Request::Close(REASON.to_owned()));
        }
        rows.insert(link.id, Row { host: host_of(address), since: now, link: link.clone() });
        drop(rows);
        Some(Place { unproven: self.clone(), id: link.id })
    }
}

/// The oldest connection of the host that has most of them.
fn oldest_of_the_busiest(rows: &BTreeMap<u64, Row>) -> Option<u64> {
    let mut hosts: HashMap<IpAddr, (usize, u64)> = HashMap::new();
    for (id, row) in rows {
        hosts.entry(row.host).or_insert((0, *id)).0 += 1;
    }
    hosts.into_values().max_by_key(|(count, oldest)| (*count, u64::MAX - oldest)).map(|(_, oldest)| oldest)
}

/// What counts as one address: a host has all of a network of 64 bits in IPv6.
fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(long) => IpAddr::V6((u128::from(long) >> 64 << 64).into()),
        short @ IpAddr::V4(_) => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections one after the other, at times in seconds.
    struct Door {
        unproven: Arc<Unproven>,
        start: Instant,
        last: u64,
    }

    impl Door {
        fn new(places: usize) -> Self {
            Self { unproven: Unproven::new(places), start: Instant::now(), last: 0 }
        }

        fn open(&mut self, address: &str, seconds: f64) -> Option<Place> {
            self.last += 1;
            let now = self.start + Duration::from_secs_f64(seconds);
            self.unproven.admit(&Arc::new(Link::new(self.last)), address.parse().unwrap(), now)
        }

        fn inside(&self) -> Vec<u64> {
            self.unproven.rows().keys().copied().collect()
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
        let unproven = Unproven::new(1);
        let (old, start) = (Arc::new(Link::new(1)), Instant::now());
        let _place = unproven.admit(&old, "10.0.0.1".parse().unwrap(), start);

        let _next = unproven.admit(&Arc::new(Link::new(2)), "10.0.0.2".parse().unwrap(), start + GRACE);

        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(news) = old.poll_news(&mut context, || None) else { panic!("nothing was asked") };
        assert!(matches!(news.requests.as_slice(), [Request::Close(reason)] if reason == REASON));
    }
}
