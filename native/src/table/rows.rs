//! The rows of the Local half and their links.

use std::collections::VecDeque;

use super::identity::{Identity, Key};
use super::index::Keyed;
use super::list::{Link, Linked, List};
use super::slab::{NONE, Slab};
use crate::term::atom::Name;

/// The words of a reference of this node; they name a monitor.
pub type Words = [u32; 5];

/// By order: of a cohort while live, of firing afterwards.
pub const ORDER: usize = 0;
/// Beside each other: of one target while live, in the queue of one subscriber afterwards.
pub const SIDE: usize = 1;
/// All of one subscriber.
pub const OWN: usize = 2;
/// Targets in one of the lists of their cohort; subscribers in the ring or among the idle.
pub const PLACE: usize = 3;

/// How far a monitor has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// In the lists of its target and its cohort. It may have fired already: see `Monitors::is_live`.
    #[default]
    Placed,
    /// Fired, in the queue of its subscriber.
    Queued,
}

/// One reference.
#[derive(Debug, Default)]
pub struct Monitor {
    pub words: Words,
    pub target: u32,
    pub subscriber: u32,
    order: Link,
    side: Link,
    own: Link,
    pub stage: Stage,
}

impl Monitor {
    pub fn new(words: Words, target: u32, subscriber: u32) -> Self {
        Self { words, target, subscriber, ..Self::default() }
    }
}

/// Why the references of a target fired, or that they did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// Nothing has fired (unless the whole cohort has).
    #[default]
    Open,
    /// Fired without a certificate.
    Nodedown,
    /// Fired by a certificate with this reason.
    Certified(u32),
}

/// One monitored process or name of one cohort.
#[derive(Debug)]
pub struct Target {
    pub identity: Identity,
    pub cohort: u32,
    /// Its references at stage `Placed`.
    pub placed: List,
    /// Its references at any stage, and one more while a batch waits for it.
    pub holders: u32,
    pub fate: Fate,
    /// The epoch whose Proxy holds it, or whose Connector covers it; 0 for none.
    pub held: u32,
    /// The list of its cohort that it is in, or `NONE`.
    pub list: u32,
    place: Link,
    /// A held name lost its last reference and got a new one: the Proxy must forget the old process first.
    pub renew: bool,
    /// Found by its key.
    pub indexed: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self::new(Identity::default(), NONE)
    }
}

impl Target {
    pub fn new(identity: Identity, cohort: u32) -> Self {
        Self {
            identity,
            cohort,
            placed: List::default(),
            holders: 0,
            fate: Fate::Open,
            held: 0,
            list: NONE,
            place: Link::default(),
            renew: false,
            indexed: true,
        }
    }
}

/// The references of one node that share an outcome: they are live together, and fire together when the epoch ends.
#[derive(Debug)]
pub struct Cohort {
    pub node: Option<Name>,
    /// References at stage `Placed`, in the order they were made.
    pub order: List,
    /// How many references are live.
    pub live: usize,
    /// How many targets name this cohort, one more while a batch waits for it, and one while monitors are spare.
    pub holders: u32,
    /// Counts Connectors that took over from one that crashed; what an earlier one sent is not held.
    pub epoch: u32,
    pub lost: bool,
    /// Lists of targets that need an instruction, in the order of sending; the last one grows.
    pub work: VecDeque<u32>,
    /// List of processes, then of names, that are held and need none.
    pub settled: [u32; 2],
    /// How many targets are watched by an ERTS monitor instead of a Proxy.
    pub covered: usize,
    /// ERTS monitors that nobody needs any more; while there are some, the cohort has one holder more.
    pub spare: VecDeque<Words>,
}

impl Default for Cohort {
    fn default() -> Self {
        Self {
            node: None,
            order: List::default(),
            live: 0,
            holders: 0,
            epoch: 1,
            lost: false,
            work: VecDeque::new(),
            settled: [NONE; 2],
            covered: 0,
            spare: VecDeque::new(),
        }
    }
}

impl Cohort {
    /// Whether targets in this list need an instruction.
    pub fn is_work(&self, list: u32) -> bool {
        list != NONE && !self.settled.contains(&list)
    }

    /// How many targets need an instruction.
    pub fn pending(&self, lists: &Slab<List>) -> usize {
        self.work.iter().map(|list| lists[*list].len() as usize).sum()
    }
}

/// A process of this node that monitors.
#[derive(Debug, Default)]
pub struct Subscriber {
    pub number: u64,
    /// The reciprocal monitor, valid in the generation below.
    pub watch: Words,
    pub watched: u32,
    /// All its references.
    pub own: List,
    /// Fired ones, in the order of firing.
    pub queue: List,
    place: Link,
    /// Dead: its references are being removed.
    pub gone: bool,
}

impl Subscriber {
    pub fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }
}

macro_rules! linked {
    ($row:ty, $which:expr, $field:ident) => {
        impl Linked<$which> for $row {
            fn link(&self) -> Link {
                self.$field
            }

            fn link_mut(&mut self) -> &mut Link {
                &mut self.$field
            }
        }
    };
}

linked!(Monitor, { ORDER }, order);
linked!(Monitor, { SIDE }, side);
linked!(Monitor, { OWN }, own);
linked!(Target, { PLACE }, place);
linked!(Subscriber, { PLACE }, place);

impl Keyed<Words> for Monitor {
    fn key(&self) -> Words {
        self.words
    }
}

impl Keyed<Key> for Target {
    fn key(&self) -> Key {
        self.identity.key(self.cohort)
    }
}

impl Keyed<u64> for Subscriber {
    fn key(&self) -> u64 {
        self.number
    }
}

/// Work that was decided at once and is carried out bit by bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// Queue the references of a certified target.
    Target(u32),
    /// Queue the references of a lost cohort.
    Cohort(u32),
    /// Remove the references of a dead subscriber.
    Gone(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_small() {
        assert_eq!(std::mem::size_of::<Monitor>(), 56);
        assert!(std::mem::size_of::<Target>() <= 72);
        assert!(std::mem::size_of::<Subscriber>() <= 72);
    }
}
