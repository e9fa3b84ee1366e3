//! The Local half: references from the moment they are made until their DOWN is delivered.
//!
//! | stage | in the lists of | leaves by |
//! |---|---|---|
//! | placed, live | its target, its cohort, its subscriber | certificate, end of the epoch, demonitor |
//! | placed, fired | the same: what fires is marked at once and moved bit by bit | `settle`, demonitor |
//! | queued | the order of firing, the queue of its subscriber, its subscriber | `take`, demonitor |
//!
//! Every call is O(1) per item it is given or answers; what would be O(references) is put into `batches` and carried
//! out by `settle`. This file makes, finds and removes; `firing` fires; `sweep` has the instructions.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::counts::{Counts, Sizes};
use super::covers::Covers;
use super::identity::{Identity, Key};
use super::index::Sharded;
use super::list::List;
use super::rows::{Batch, Cohort, Fate, Monitor, ORDER, OWN, PLACE, SIDE, Stage, Subscriber, Target, Words};
use super::shared::Shared;
use super::slab::{NONE, Slab};
use crate::term::atom::Name;

/// A dead subscriber with at most this many references is removed within the call.
const FEW: u32 = 1000;

/// What `add` and `remove` tell beside their answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct News {
    /// The subscriber needs a reciprocal monitor.
    pub subscriber: bool,
    /// A node has instructions to send that had none: see `take_woken`.
    pub woken: bool,
    /// A subscriber has no reference left: see `retire`.
    pub idle: bool,
}

/// What `remove` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// No such reference.
    Unknown,
    /// It was live.
    Live,
    /// It had fired; its DOWN will not be delivered.
    Fired,
}

/// All rows of the Local half. `R` is the type of reasons.
#[derive(Debug)]
pub struct Monitors<R> {
    pub(super) rows: Slab<Monitor>,
    pub(super) targets: Slab<Target>,
    pub(super) cohorts: Slab<Cohort>,
    pub(super) subscribers: Slab<Subscriber>,
    /// Lists of targets.
    pub(super) lists: Slab<List>,
    pub(super) by_words: Sharded<Words>,
    pub(super) by_key: Sharded<Key>,
    by_number: Sharded<u64>,
    pub(super) by_node: FxHashMap<Name, u32>,
    /// Queued references in the order of firing.
    pub(super) arrivals: List,
    /// Subscribers with queued references, the next to be served first.
    pub(super) ring: List,
    /// Subscribers without references.
    idle: List,
    pub(super) batches: VecDeque<Batch>,
    pub(super) reasons: Shared<R>,
    /// Targets that are watched by an ERTS monitor.
    pub(super) covers: Covers,
    /// How many ERTS monitors wait to be taken back.
    pub(super) spare: usize,
    woken: Vec<Name>,
    pub(super) live: usize,
    pub(super) counts: Counts,
    /// Dead subscribers whose references are being removed.
    pub(super) gone: usize,
    generation: u32,
}

impl<R> Default for Monitors<R> {
    fn default() -> Self {
        Self {
            rows: Slab::default(),
            targets: Slab::default(),
            cohorts: Slab::default(),
            subscribers: Slab::default(),
            lists: Slab::default(),
            by_words: Sharded::default(),
            by_key: Sharded::default(),
            by_number: Sharded::default(),
            by_node: FxHashMap::default(),
            arrivals: List::default(),
            ring: List::default(),
            idle: List::default(),
            batches: VecDeque::new(),
            reasons: Shared::default(),
            covers: Covers::default(),
            spare: 0,
            woken: Vec::new(),
            live: 0,
            counts: Counts::default(),
            gone: 0,
            generation: 1,
        }
    }
}

impl<R> Monitors<R> {
    /// Make a live reference. The words must be new.
    pub fn add(&mut self, words: Words, node: &Name, identity: Identity, subscriber: u64) -> News {
        self.counts.monitors += 1;
        let given_up = self.forget_gone(node, &identity);
        let cohort = self.cohort(node);
        let target = self.target(cohort, identity);
        let (subscriber, unwatched) = self.subscriber(subscriber);
        let id = self.rows.insert(Monitor::new(words, target, subscriber));
        self.by_words.insert(id, &self.rows);
        self.cohorts[cohort].order.push::<ORDER, _>(&mut self.rows, id);
        self.subscribers[subscriber].own.push::<OWN, _>(&mut self.rows, id);
        let row = &mut self.targets[target];
        row.placed.push::<SIDE, _>(&mut self.rows, id);
        row.holders += 1;
        self.cohorts[cohort].live += 1;
        self.live += 1;
        let woken = self.targets[target].placed.len() == 1 && self.first_reference(target);
        News { subscriber: unwatched, woken: woken || given_up, idle: false }
    }

    /// Consume a reference, whatever its stage.
    pub fn remove(&mut self, words: &Words) -> (Removed, News) {
        self.counts.demonitors += 1;
        let Some(id) = self.by_words.get(words, &self.rows) else { return (Removed::Unknown, News::default()) };
        let removed = match self.rows[id].stage {
            Stage::Placed if self.is_live(self.rows[id].target) => Removed::Live,
            _ => Removed::Fired,
        };
        (removed, self.discard(id))
    }

    /// The subscriber of a reference, from `add` until its DOWN is taken.
    pub fn subscriber_of(&self, words: &Words) -> Option<u64> {
        let id = self.by_words.get(words, &self.rows)?;
        Some(self.subscribers[self.rows[id].subscriber].number)
    }

    /// Whether a process has a row of its own: it has, or just had, references.
    pub fn is_subscriber(&self, number: u64) -> bool {
        self.by_number.get(&number, &self.subscribers).is_some()
    }

    /// The live references between a target and a subscriber, in the order they were made.
    pub fn between(&self, node: &Name, identity: &Identity, subscriber: u64) -> Vec<Words> {
        let target = self.find_target(node, identity).filter(|id| self.is_live(*id));
        let (Some(target), Some(subscriber)) = (target, self.by_number.get(&subscriber, &self.subscribers)) else {
            return Vec::new();
        };
        let (beside, own) = (&self.targets[target].placed, &self.subscribers[subscriber].own);
        let both = |id: &u32| self.rows[*id].target == target && self.rows[*id].subscriber == subscriber;
        if beside.len() <= own.len() {
            beside.iter::<SIDE, _>(&self.rows).filter(both).map(|id| self.rows[id].words).collect()
        } else {
            own.iter::<OWN, _>(&self.rows).filter(both).map(|id| self.rows[id].words).collect()
        }
    }

    /// Nodes that have instructions to send and had none when this was last called.
    pub fn take_woken(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.woken)
    }

    /// Values to free now that the table is at rest.
    pub fn take_released(&mut self) -> Vec<R> {
        self.reasons.take_released()
    }

    /// How many live references a node has.
    pub fn live_of(&self, node: &Name) -> usize {
        self.by_node.get(node).map_or(0, |id| self.cohorts[*id].live)
    }

    /// How many targets of a node need an instruction.
    pub fn pending_of(&self, node: &Name) -> usize {
        self.by_node.get(node).map_or(0, |id| self.cohorts[*id].pending(&self.lists))
    }

    /// Nodes with live references or instructions to send.
    pub fn nodes(&self) -> Vec<Name> {
        self.by_node.keys().cloned().collect()
    }

    /// How many references have fired and were not delivered yet.
    pub fn fired(&self) -> usize {
        self.rows.len() - self.live
    }

    /// Counts of rows.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            references: self.rows.len(),
            live: self.live,
            fired: self.fired(),
            targets: self.targets.len(),
            subscribers: self.subscribers.len(),
            nodes: self.by_node.len(),
            pending: self.by_node.values().map(|id| self.cohorts[*id].pending(&self.lists)).sum(),
            reasons: self.reasons.len(),
            batches: self.batches.len(),
            erts_monitors: self.covers.len() + self.spare,
        }
    }

    /// What has happened since the table was made.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    // ---- subscribers -----------------------------------------------------------------------------

    fn subscriber(&mut self, number: u64) -> (u32, bool) {
        if let Some(id) = self.by_number.get(&number, &self.subscribers) {
            if self.subscribers[id].own.is_empty() {
                self.idle.unlink::<PLACE, _>(&mut self.subscribers, id);
            }
            return (id, self.subscribers[id].watched != self.generation);
        }
        let id = self.subscribers.insert(Subscriber::new(number));
        self.by_number.insert(id, &self.subscribers);
        (id, true)
    }

    /// Note the reciprocal monitor of a subscriber.
    pub fn watch(&mut self, subscriber: u64, words: Words) {
        if let Some(id) = self.by_number.get(&subscriber, &self.subscribers) {
            let generation = self.generation;
            let row = &mut self.subscribers[id];
            (row.watch, row.watched) = (words, generation);
        }
    }

    /// Forget every reciprocal monitor: their owner ended.
    pub fn unwatch_all(&mut self) {
        self.generation += 1;
    }

    /// Subscribers without a reciprocal monitor, from a place on; and the place to go on from, none at the end.
    pub fn unwatched(&self, start: usize, limit: usize) -> (Vec<u64>, Option<usize>) {
        let end = self.subscribers.bound().min(start.saturating_add(limit));
        let rows = (start..end).filter_map(|id| u32::try_from(id).ok()).filter_map(|id| self.subscribers.get(id));
        let wanted = |row: &&Subscriber| row.watched != self.generation && !row.gone && !row.own.is_empty();
        let found = rows.filter(wanted).map(|row| row.number).collect();
        (found, (end < self.subscribers.bound()).then_some(end))
    }

    /// Remove subscribers without references; answers their reciprocal monitors.
    pub fn retire(&mut self, limit: usize) -> Vec<Option<Words>> {
        let mut watches = Vec::new();
        while watches.len() < limit && !self.idle.is_empty() {
            let id = self.idle.first();
            self.idle.unlink::<PLACE, _>(&mut self.subscribers, id);
            let row = self.subscribers.remove(id);
            self.by_number.remove(&row.number, id, &self.subscribers);
            watches.push((row.watched == self.generation).then_some(row.watch));
        }
        watches
    }

    /// A subscriber died: as a demonitor of each of its references, and nothing more is delivered to it.
    pub fn drop_subscriber(&mut self, number: u64) -> News {
        let mut news = News::default();
        let Some(id) = self.by_number.get(&number, &self.subscribers) else { return news };
        self.by_number.remove(&number, id, &self.subscribers);
        self.leave_place(id);
        self.subscribers[id].gone = true;
        self.gone += 1;
        if self.subscribers[id].own.len() > FEW {
            self.batches.push_front(Batch::Gone(id));
            return news;
        }
        while self.remove_one_of_gone(id, &mut news) {}
        news
    }

    /// Remove one reference of a dead subscriber, or the subscriber after the last one.
    pub(super) fn remove_one_of_gone(&mut self, id: u32, news: &mut News) -> bool {
        let first = self.subscribers[id].own.first();
        if first == NONE {
            self.subscribers.remove(id);
            self.gone -= 1;
            return false;
        }
        news.woken |= self.discard(first).woken;
        true
    }

    fn leave_place(&mut self, id: u32) {
        let row = &self.subscribers[id];
        let (is_idle, is_queued) = (row.own.is_empty(), !row.queue.is_empty());
        if is_idle {
            self.idle.unlink::<PLACE, _>(&mut self.subscribers, id);
        } else if is_queued {
            self.ring.unlink::<PLACE, _>(&mut self.subscribers, id);
        }
    }

    // ---- targets and cohorts ---------------------------------------------------------------------

    fn cohort(&mut self, node: &Name) -> u32 {
        if let Some(id) = self.by_node.get(node) {
            return *id;
        }
        let mut list = || self.lists.insert(List::default());
        let (work, settled) = (VecDeque::from([list()]), [list(), list()]);
        let id = self.cohorts.insert(Cohort { node: Some(node.clone()), work, settled, ..Cohort::default() });
        self.by_node.insert(node.clone(), id);
        id
    }

    fn target(&mut self, cohort: u32, identity: Identity) -> u32 {
        let key = identity.key(cohort);
        if let Some(id) = self.by_key.get(&key, &self.targets) {
            return id;
        }
        let id = self.targets.insert(Target::new(identity, cohort));
        self.by_key.insert(id, &self.targets);
        self.cohorts[cohort].holders += 1;
        id
    }

    pub(super) fn find_target(&self, node: &Name, identity: &Identity) -> Option<u32> {
        let cohort = self.by_node.get(node)?;
        self.by_key.get(&identity.key(*cohort), &self.targets)
    }

    /// Whether references at stage `Placed` of this target have not fired yet.
    pub(super) fn is_live(&self, target: u32) -> bool {
        let row = &self.targets[target];
        row.fate == Fate::Open && !self.cohorts[row.cohort].lost
    }

    /// A target got its first reference. Answers whether its node had nothing to send before.
    fn first_reference(&mut self, target: u32) -> bool {
        let row = &mut self.targets[target];
        let epoch = self.cohorts[row.cohort].epoch;
        row.renew = row.identity.is_named() && row.held == epoch;
        self.place(target)
    }

    /// Remove a reference and all that stood only for it.
    pub(super) fn discard(&mut self, id: u32) -> News {
        let (target, subscriber) = (self.rows[id].target, self.rows[id].subscriber);
        let mut news = News::default();
        match self.rows[id].stage {
            Stage::Placed => {
                if self.is_live(target) {
                    self.count_dead(target, 1);
                }
                self.unplace(id);
                news.woken = self.release(target);
            }
            Stage::Queued => {
                self.unqueue(id);
                self.release(target);
            }
        }
        news.idle = self.disown(subscriber, id);
        self.by_words.remove(&self.rows[id].words, id, &self.rows);
        self.rows.remove(id);
        news
    }

    /// `count` live references of a target are live no more.
    pub(super) fn count_dead(&mut self, target: u32, count: u32) {
        let cohort = self.targets[target].cohort;
        self.cohorts[cohort].live -= count as usize;
        self.live -= count as usize;
    }

    pub(super) fn wake(&mut self, cohort: u32) {
        let node = self.cohorts[cohort].node.clone();
        self.woken.extend(node.filter(|node| !self.woken.contains(node)));
    }

    pub(super) fn unplace(&mut self, id: u32) {
        let target = &mut self.targets[self.rows[id].target];
        target.placed.unlink::<SIDE, _>(&mut self.rows, id);
        self.cohorts[target.cohort].order.unlink::<ORDER, _>(&mut self.rows, id);
    }

    pub(super) fn unqueue(&mut self, id: u32) {
        let subscriber = self.rows[id].subscriber;
        self.arrivals.unlink::<ORDER, _>(&mut self.rows, id);
        let row = &mut self.subscribers[subscriber];
        row.queue.unlink::<SIDE, _>(&mut self.rows, id);
        if row.queue.is_empty() && !row.gone {
            self.ring.unlink::<PLACE, _>(&mut self.subscribers, subscriber);
        }
    }

    fn disown(&mut self, subscriber: u32, id: u32) -> bool {
        let row = &mut self.subscribers[subscriber];
        row.own.unlink::<OWN, _>(&mut self.rows, id);
        let is_idle = row.own.is_empty() && !row.gone;
        if is_idle {
            self.idle.push::<PLACE, _>(&mut self.subscribers, subscriber);
        }
        is_idle
    }

    /// One holder of a target less. Answers whether its node has instructions to send now and had none.
    pub(super) fn release(&mut self, target: u32) -> bool {
        let row = &mut self.targets[target];
        row.holders -= 1;
        if row.holders > 0 {
            return false;
        }
        if self.is_live(target) {
            let has_spare = self.spare(target);
            return self.place(target) || has_spare;
        }
        self.free_target(target);
        false
    }

    pub(super) fn free_target(&mut self, target: u32) {
        self.unlist(target);
        self.unindex(target);
        self.covers.remove(target);
        let row = self.targets.remove(target);
        if let Fate::Certified(reason) = row.fate {
            self.reasons.release(reason);
        }
        self.release_cohort(row.cohort);
    }

    pub(super) fn unindex(&mut self, target: u32) {
        let row = &mut self.targets[target];
        if std::mem::take(&mut row.indexed) {
            let key = row.identity.key(row.cohort);
            self.by_key.remove(&key, target, &self.targets);
        }
    }

    pub(super) fn release_cohort(&mut self, cohort: u32) {
        self.cohorts[cohort].holders -= 1;
        if self.cohorts[cohort].holders > 0 {
            return;
        }
        let row = self.cohorts.remove(cohort);
        for list in row.work.into_iter().chain(row.settled) {
            self.lists.remove(list);
        }
        if let (false, Some(node)) = (row.lost, row.node) {
            self.by_node.remove(&node);
        }
    }

    // ---- lists of targets ------------------------------------------------------------------------

    pub(super) fn unlist(&mut self, target: u32) {
        let list = std::mem::replace(&mut self.targets[target].list, NONE);
        if list != NONE {
            self.lists[list].unlink::<PLACE, _>(&mut self.targets, target);
        }
    }

    /// Put a target into the list where it belongs, or free it if it belongs nowhere.
    /// Answers whether its node has instructions to send now and had none.
    pub(super) fn place(&mut self, target: u32) -> bool {
        let needs = self.needs(target).is_some();
        let row = &self.targets[target];
        if !needs && row.holders == 0 {
            self.free_target(target);
            return false;
        }
        let cohort_id = row.cohort;
        let cohort = &self.cohorts[cohort_id];
        if needs && cohort.is_work(row.list) {
            return false;
        }
        let settled = cohort.settled[usize::from(row.identity.is_named())];
        let list = if needs { cohort.work.back().copied().unwrap_or(settled) } else { settled };
        let woken = needs && cohort.pending(&self.lists) == 0;
        if woken {
            self.wake(cohort_id);
        }
        self.unlist(target);
        self.lists[list].push::<PLACE, _>(&mut self.targets, target);
        self.targets[target].list = list;
        woken
    }
}
