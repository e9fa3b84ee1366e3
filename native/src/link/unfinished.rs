//! What all links of a node hold of messages whose end has not come.
//!
//! One link may hold much, since a message may be long; all together may not hold that much each. Past the bound the
//! link ends that holds most, of the address that holds most: many names at one address are one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::handle::{Link, Request};
use super::unproven::host_of;

/// All of one node.
#[derive(Debug)]
pub struct Unfinished {
    maximum: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: FxHashMap<u64, Row>,
    total: usize,
}

#[derive(Debug)]
struct Row {
    link: Arc<Link>,
    host: Option<IpAddr>,
    bytes: usize,
}

/// What one link holds; nothing when this is dropped.
#[derive(Debug)]
pub struct Held {
    all: Arc<Unfinished>,
    id: u64,
    bytes: usize,
}

impl Held {
    /// The link holds so many bytes now.
    pub fn set(&mut self, bytes: usize) {
        if self.bytes != bytes {
            self.bytes = bytes;
            self.all.state().set(self.id, bytes, self.all.maximum);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.state().remove(self.id);
    }
}

impl Unfinished {
    /// So many bytes, none of them held.
    pub fn new(maximum: usize) -> Arc<Self> {
        Arc::new(Self { maximum, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A link to this address begins to read.
    pub fn held_by(self: &Arc<Self>, link: &Arc<Link>, address: Option<IpAddr>) -> Held {
        let row = Row { link: link.clone(), host: address.map(host_of), bytes: 0 };
        self.state().rows.insert(link.id, row);
        Held { all: self.clone(), id: link.id, bytes: 0 }
    }
}

impl State {
    fn set(&mut self, id: u64, bytes: usize, maximum: usize) {
        // None that has been told to end.
        let Some(row) = self.rows.get_mut(&id) else { return };
        self.total = self.total - row.bytes + bytes;
        row.bytes = bytes;
        while self.total > maximum {
            let total = self.total;
            let Some(row) = self.largest().and_then(|id| self.remove(id)) else { return };
            row.link.request(Request::Close(format!(
                "max_unfinished_bytes: links hold {total} bytes of unfinished messages of {maximum}, this one {}",
                row.bytes
            )));
        }
    }

    fn remove(&mut self, id: u64) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        self.total -= row.bytes;
        Some(row)
    }

    /// The link that holds most, of the host that holds most.
    fn largest(&self) -> Option<u64> {
        let mut hosts: HashMap<Option<IpAddr>, (usize, usize, u64)> = HashMap::new();
        for (id, row) in &self.rows {
            let (total, most, link) = hosts.entry(row.host).or_default();
            *total += row.bytes;
            if row.bytes >= *most {
                (*most, *link) = (row.bytes, *id);
            }
        }
        hosts.into_values().max().map(|(_, _, link)| link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn held(all: &Arc<Unfinished>, id: u64, host: &str, bytes: usize) -> (Held, Arc<Link>) {
        let link = Arc::new(Link::new(id));
        let mut held = all.held_by(&link, Some(host.parse().unwrap()));
        held.set(bytes);
        (held, link)
    }

    fn is_told_to_end(link: &Link) -> bool {
        match link.poll_news(&mut Context::from_waker(Waker::noop()), || None) {
            Poll::Ready(news) => matches!(news.requests.as_slice(), [Request::Close(_)]),
            Poll::Pending => false,
        }
    }

    #[test]
    fn past_the_bound_the_link_ends_that_holds_most() {
        let all = Unfinished::new(100);
        let (_small, one) = held(&all, 1, "10.0.0.1", 30);
        let (mut large, two) = held(&all, 2, "10.0.0.2", 60);
        assert!(!is_told_to_end(&one) && !is_told_to_end(&two));

        let (_third, three) = held(&all, 3, "10.0.0.3", 11);

        assert_eq!([&one, &two, &three].map(|link| is_told_to_end(link)), [false, true, false]);
        large.set(1000);
        assert_eq!(all.state().total, 41, "who has been told to end counts no more");
    }

    #[test]
    fn many_names_at_one_address_are_one() {
        let all = Unfinished::new(100);
        let (_honest, one) = held(&all, 1, "10.0.0.1", 40);
        let many: Vec<_> = (2..9).map(|id| held(&all, id, "10.0.0.2", 10)).collect();

        assert!(!is_told_to_end(&one));
        assert_eq!(many.iter().filter(|(_, link)| is_told_to_end(link)).count(), 1);
    }

    #[test]
    fn what_is_finished_or_gone_is_given_back() {
        let all = Unfinished::new(100);
        let (mut one, _link) = held(&all, 1, "10.0.0.1", 70);
        let (two, _other) = held(&all, 2, "10.0.0.2", 20);
        one.set(5);
        drop(two);

        assert_eq!(all.state().total, 5);
    }
}
