//! Firing: decided at once, carried out bit by bit, delivered at the rate of demand.

use super::identity::Identity;
use super::monitors::{Monitors, News};
use super::rows::{Batch, Fate, ORDER, PLACE, SIDE, Stage, Words};
use super::slab::NONE;
use crate::term::atom::Name;
use crate::term::pid::PidParts;

/// References that `take` moves at most before it delivers: two or three milliseconds.
const SLICE: usize = 10_000;

/// What a DOWN says of its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A process.
    Process(PidParts),
    /// A name and its node.
    Named(Name, Name),
}

/// A DOWN to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatch<R> {
    /// Number of the subscriber.
    pub subscriber: u64,
    /// The reference.
    pub words: Words,
    /// The target.
    pub object: Object,
    /// The reason; none for `nodedown`.
    pub reason: Option<R>,
}

impl<R> Monitors<R> {
    /// A death certificate came: every live reference of the target fires. Answers how many.
    pub fn certify(&mut self, node: &Name, identity: &Identity, reason: R) -> usize {
        let Some(target) = self.find_target(node, identity) else {
            self.reasons.put_aside(reason);
            return 0;
        };
        let count = self.targets[target].placed.len();
        if count == 0 {
            self.free_target(target);
            self.reasons.put_aside(reason);
            return 0;
        }
        let reason = self.reasons.keep(reason, 0);
        self.condemn(target, Fate::Certified(reason));
        count as usize
    }

    /// The epoch of a node ended, or it can't be reached: every live reference of it fires. Answers how many.
    pub fn lose(&mut self, node: &Name) -> usize {
        let Some(cohort) = self.by_node.remove(node) else { return 0 };
        let row = &mut self.cohorts[cohort];
        (row.lost, row.holders) = (true, row.holders + 1);
        self.forget_spare(cohort);
        let row = &mut self.cohorts[cohort];
        let count = std::mem::take(&mut row.live);
        self.live -= count;
        self.counts.fired += count as u64;
        self.batches.push_back(Batch::Cohort(cohort));
        count
    }

    /// Carry out at most `limit` steps of what was decided. Answers whether more is left, and what became known.
    pub fn settle(&mut self, limit: usize) -> (bool, News) {
        let mut news = News::default();
        for _ in 0..limit {
            let Some(batch) = self.batches.front().copied() else { return (false, news) };
            let more = match batch {
                Batch::Target(target) => self.settle_target(target),
                Batch::Cohort(cohort) => self.settle_cohort(cohort),
                Batch::Gone(subscriber) => self.remove_one_of_gone(subscriber, &mut news),
            };
            if !more {
                self.batches.pop_front();
            }
        }
        (!self.batches.is_empty(), news)
    }

    fn settle_target(&mut self, target: u32) -> bool {
        let first = self.targets[target].placed.first();
        if first == NONE {
            self.release(target);
            return false;
        }
        self.queue(first);
        true
    }

    fn settle_cohort(&mut self, cohort: u32) -> bool {
        let first = self.cohorts[cohort].order.first();
        if first != NONE {
            let target = self.rows[first].target;
            self.targets[target].fate = Fate::Nodedown;
            self.queue(first);
            return true;
        }
        // What is left in the lists are targets whose references are queued or gone.
        let row = &self.cohorts[cohort];
        let left = row.work.iter().chain(&row.settled).map(|list| self.lists[*list].first()).find(|id| *id != NONE);
        let Some(target) = left else {
            self.release_cohort(cohort);
            return false;
        };
        self.unlist(target);
        if self.targets[target].holders == 0 {
            self.free_target(target);
        }
        true
    }

    /// Move a fired reference into the queue of its subscriber.
    fn queue(&mut self, id: u32) {
        let subscriber = self.rows[id].subscriber;
        if self.subscribers[subscriber].gone {
            self.discard(id);
            return;
        }
        self.unplace(id);
        self.rows[id].stage = Stage::Queued;
        self.arrivals.push::<ORDER, _>(&mut self.rows, id);
        let row = &mut self.subscribers[subscriber];
        row.queue.push::<SIDE, _>(&mut self.rows, id);
        if row.queue.len() == 1 {
            self.ring.push::<PLACE, _>(&mut self.subscribers, subscriber);
        }
    }

    /// Take at most `limit` dispatches: round robin over subscribers, or in the order of firing.
    ///
    /// The references are consumed: the caller delivers in the same step. `copy` copies a reason.
    pub fn take(&mut self, limit: usize, fair: bool, copy: impl Fn(&R) -> R) -> Vec<Dispatch<R>> {
        self.settle(limit.max(SLICE));
        let mut taken = Vec::with_capacity(limit.min(self.fired()));
        while taken.len() < limit {
            let id = if fair { self.next_in_ring() } else { self.arrivals.first() };
            if id == NONE {
                break;
            }
            taken.extend(self.deliver(id, &copy));
        }
        taken
    }

    /// The next reference by turns; its subscriber goes to the end of the ring.
    fn next_in_ring(&mut self) -> u32 {
        let subscriber = self.ring.first();
        if subscriber == NONE {
            return NONE;
        }
        self.ring.unlink::<PLACE, _>(&mut self.subscribers, subscriber);
        self.ring.push::<PLACE, _>(&mut self.subscribers, subscriber);
        self.subscribers[subscriber].queue.first()
    }

    fn deliver(&mut self, id: u32, copy: impl Fn(&R) -> R) -> Option<Dispatch<R>> {
        let row = &self.rows[id];
        let (words, target) = (row.words, row.target);
        let subscriber = self.subscribers[row.subscriber].number;
        let (object, reason) = (self.object(target), self.reason(target).map(copy));
        self.discard(id);
        Some(Dispatch { subscriber, words, object: object?, reason })
    }

    pub(super) fn object(&self, target: u32) -> Option<Object> {
        let row = &self.targets[target];
        let node = self.cohorts[row.cohort].node.as_ref()?;
        match &row.identity {
            Identity::Named(name) => Some(Object::Named(name.clone(), node.clone())),
            process @ Identity::Process { .. } => process.pid(node).map(Object::Process),
        }
    }

    fn reason(&self, target: u32) -> Option<&R> {
        match self.targets[target].fate {
            Fate::Certified(id) => self.reasons.get(id),
            Fate::Open | Fate::Nodedown => None,
        }
    }
}
