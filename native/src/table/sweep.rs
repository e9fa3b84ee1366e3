//! What a sweep sends: the difference between what is live and what the Proxy holds.
//!
//! | live | held | instructions |
//! |---|---|---|
//! | yes | no | subscribe |
//! | no | yes | unsubscribe |
//! | yes | yes, by a name that was given up in between | unsubscribe, subscribe |
//! | else | | none |

use super::identity::Identity;
use super::list::List;
use super::monitors::Monitors;
use super::rows::{Batch, Fate, PLACE, SIDE};
use super::slab::NONE;
use crate::term::atom::Name;

/// What to tell the Proxy about a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    /// Certify its death to us.
    Subscribe,
    /// Don't any more.
    Unsubscribe,
}

impl<R> Monitors<R> {
    /// The first instruction that a target of a live cohort needs.
    pub(super) fn needs(&self, target: u32) -> Option<Instruction> {
        let row = &self.targets[target];
        let held = row.held == self.cohorts[row.cohort].epoch;
        match (row.placed.is_empty(), held) {
            (false, false) => Some(Instruction::Subscribe),
            (true, true) => Some(Instruction::Unsubscribe),
            (false, true) if row.renew => Some(Instruction::Unsubscribe),
            _ => None,
        }
    }

    /// At most `limit` instructions for the targets of a node, in order. Nothing counts as sent before `handed`.
    pub fn instructions(&mut self, node: &Name, limit: usize) -> Vec<(Instruction, u32)> {
        let Some(cohort) = self.by_node.get(node).copied() else { return Vec::new() };
        self.drop_needless(cohort, limit);
        // `drop_needless` may have freed the last target, and the cohort with it.
        let Some(cohort) = self.by_node.get(node) else { return Vec::new() };
        let mut found = Vec::new();
        for list in &self.cohorts[*cohort].work {
            let mut target = self.lists[*list].first();
            while target != NONE && found.len() < limit {
                let needed = self.needs(target);
                found.extend(needed.map(|instruction| (instruction, target)));
                let is_renewal = needed == Some(Instruction::Unsubscribe) && !self.targets[target].placed.is_empty();
                if is_renewal && found.len() < limit {
                    found.push((Instruction::Subscribe, target));
                }
                target = List::next::<PLACE, _>(&self.targets, target);
            }
        }
        found
    }

    /// The link took the first `count` of the instructions just answered.
    pub fn handed(&mut self, node: &Name, count: usize) {
        let Some(cohort) = self.by_node.get(node).copied() else { return };
        let mut count = count;
        while count > 0 && self.by_node.get(node) == Some(&cohort) {
            let target = self.first_work(cohort);
            if target == NONE {
                return;
            }
            count -= usize::from(self.hand(target));
        }
    }

    /// Note that the first instruction of a target is sent; false if it needs none.
    fn hand(&mut self, target: u32) -> bool {
        let needed = self.obey(target);
        self.counts.subscribes += u64::from(needed == Some(Instruction::Subscribe));
        self.counts.unsubscribes += u64::from(needed == Some(Instruction::Unsubscribe));
        needed.is_some()
    }

    /// Carry out the first instruction of a target, which is answered, whoever watches the target from now on.
    pub(super) fn obey(&mut self, target: u32) -> Option<Instruction> {
        let needed = self.needs(target);
        self.covers.remove(target); // of a Connector that crashed
        let row = &mut self.targets[target];
        row.renew = false;
        row.held = match needed {
            Some(Instruction::Subscribe) => self.cohorts[row.cohort].epoch,
            _ => 0,
        };
        self.place(target);
        needed
    }

    /// The target to send about next, or `NONE`.
    pub(super) fn first_work(&mut self, cohort: u32) -> u32 {
        loop {
            let work = &mut self.cohorts[cohort].work;
            let Some(list) = work.front().copied() else { return NONE };
            if !self.lists[list].is_empty() || work.len() == 1 {
                return self.lists[list].first();
            }
            work.pop_front();
            self.lists.remove(list);
        }
    }

    /// Take targets that need nothing from the front; they are there only after `take_over`.
    fn drop_needless(&mut self, cohort: u32, limit: usize) {
        for _ in 0..limit.saturating_add(1000) {
            let target = self.first_work(cohort);
            if target == NONE || self.needs(target).is_some() {
                return;
            }
            let is_last = self.cohorts[cohort].holders == 1 && self.targets[target].holders == 0;
            self.place(target);
            if is_last {
                return;
            }
        }
    }

    /// A Connector crashed and its successor has a pid that the Proxy knows nothing of: nothing is held any more.
    ///
    /// References to names whose subscribe was sent fire `nodedown`, since the name may belong to another process
    /// by now; everything else is subscribed anew. Takes time for the names only. Answers how many fired.
    pub fn take_over(&mut self, node: &Name) -> usize {
        let Some(cohort) = self.by_node.get(node).copied() else { return 0 };
        let live = self.live;
        let row = &mut self.cohorts[cohort];
        row.epoch += 1;
        row.covered = 0;
        let names = row.settled[1];
        let mut target = self.lists[names].first();
        while target != NONE {
            self.condemn(target, Fate::Nodedown);
            target = self.lists[names].first();
        }
        let fresh = self.lists.insert(List::default());
        let row = &mut self.cohorts[cohort];
        let processes = std::mem::replace(&mut row.settled[0], fresh);
        row.work.push_front(processes);
        self.wake(cohort);
        self.forget_spare(cohort);
        live - self.live
    }

    /// All live references of a target fire. The moving is left to `settle`.
    pub(super) fn condemn(&mut self, target: u32, fate: Fate) {
        let count = self.targets[target].placed.len();
        self.counts.fired += u64::from(count);
        self.count_dead(target, count);
        self.spare(target);
        self.unlist(target);
        self.unindex(target);
        let row = &mut self.targets[target];
        row.fate = fate;
        row.holders += 1;
        self.batches.push_back(Batch::Target(target));
    }

    /// Remove what dead subscribers still have on a name, so that it counts as given up before it is asked for anew.
    /// Answers whether its node has instructions to send now and had none.
    pub(super) fn forget_gone(&mut self, node: &Name, identity: &Identity) -> bool {
        if self.gone == 0 || !identity.is_named() {
            return false;
        }
        let Some(target) = self.find_target(node, identity) else { return false };
        let of_gone = |id: &u32| self.subscribers[self.rows[*id].subscriber].gone;
        let ids: Vec<u32> = self.targets[target].placed.iter::<SIDE, _>(&self.rows).filter(of_gone).collect();
        let mut woken = false;
        for id in ids {
            woken |= self.discard(id).woken;
        }
        woken
    }
}
