//! ERTS monitors where a node has no Proxy: a target is *covered* while one stands for it.
//!
//! A covered target counts as held, so that it needs no instruction, and new references join it. The monitors belong
//! to the Connector: `take_over` forgets them, for they ended with it, and so does `lose`, which comes when the link or
//! the Connector has ended. What is covered no longer for another cause is spare until `uncover` names it.

use super::monitors::Monitors;
use super::rows::{Fate, Words};
use super::slab::NONE;
use super::sweep::Instruction;
use crate::term::atom::Name;

impl<R> Monitors<R> {
    /// ERTS monitors stand for the targets of the first instructions just answered, all of them subscribes.
    /// Answers for how many: there are no more targets than that.
    pub fn cover(&mut self, node: &Name, monitors: &[Words]) -> usize {
        for (count, words) in monitors.iter().enumerate() {
            let Some(target) = self.next_to_cover(node) else { return count };
            self.obey(target);
            self.covers.insert(target, *words);
            let cohort = self.targets[target].cohort;
            self.cohorts[cohort].covered += 1;
        }
        monitors.len()
    }

    fn next_to_cover(&mut self, node: &Name) -> Option<u32> {
        loop {
            let cohort = *self.by_node.get(node)?;
            let target = self.first_work(cohort);
            if target == NONE {
                return None;
            }
            match self.needs(target) {
                Some(Instruction::Subscribe) => return Some(target),
                Some(Instruction::Unsubscribe) => return None,
                None => self.place(target),
            };
        }
    }

    /// An ERTS monitor fired: every live reference of its target does. Answers how many; none for a monitor that
    /// covers nothing.
    pub fn erts_down(&mut self, words: &Words, reason: R) -> usize {
        let Some(target) = self.covers.target_of(words).filter(|target| self.is_covered(*target)) else {
            self.reasons.put_aside(reason);
            return 0;
        };
        self.covers.remove(target);
        let cohort = self.targets[target].cohort;
        self.cohorts[cohort].covered -= 1;
        let count = self.targets[target].placed.len();
        let reason = self.reasons.keep(reason, 0);
        self.condemn(target, Fate::Certified(reason));
        count as usize
    }

    /// Whether the monitor that is noted for a target stands, as far as is known.
    fn is_covered(&self, target: u32) -> bool {
        self.is_live(target) && self.targets[target].held == self.cohorts[self.targets[target].cohort].epoch
    }

    /// A target needs its ERTS monitor no more, if it has one. Answers whether its node had none to take back.
    pub(super) fn spare(&mut self, target: u32) -> bool {
        let stands = self.is_covered(target);
        let Some(words) = self.covers.remove(target).filter(|_| stands) else { return false };
        self.targets[target].held = 0;
        let id = self.targets[target].cohort;
        let cohort = &mut self.cohorts[id];
        cohort.covered -= 1;
        cohort.spare.push_back(words);
        self.spare += 1;
        if cohort.spare.len() > 1 {
            return false;
        }
        cohort.holders += 1;
        self.wake(id);
        true
    }

    /// At most `limit` ERTS monitors that nobody needs any more; the caller takes them back.
    pub fn uncover(&mut self, node: &Name, limit: usize) -> Vec<Words> {
        let Some(id) = self.by_node.get(node).copied() else { return Vec::new() };
        let spare = &mut self.cohorts[id].spare;
        let found: Vec<Words> = spare.drain(..limit.min(spare.len())).collect();
        self.spare -= found.len();
        if self.cohorts[id].spare.is_empty() && !found.is_empty() {
            self.release_cohort(id);
        }
        found
    }

    /// Forget the spare monitors of a node: their owner has ended, or will at once.
    pub(super) fn forget_spare(&mut self, cohort: u32) {
        let spare = std::mem::take(&mut self.cohorts[cohort].spare);
        self.spare -= spare.len();
        if !spare.is_empty() {
            self.release_cohort(cohort);
        }
    }

    /// Every live reference fires `nodedown` whose target is neither covered nor held, target by target; pending
    /// instructions are dropped. Looks at `limit` targets at most. Answers how many fired.
    pub fn lose_uncovered(&mut self, node: &Name, limit: usize) -> usize {
        let live = self.live;
        for _ in 0..limit {
            let Some(cohort) = self.by_node.get(node).copied() else { break };
            let target = self.first_work(cohort);
            if target == NONE {
                break;
            }
            if self.targets[target].placed.is_empty() {
                self.free_target(target);
            } else {
                self.condemn(target, Fate::Nodedown);
            }
        }
        live - self.live
    }

    /// How many targets of a node are covered.
    pub fn covered_of(&self, node: &Name) -> usize {
        self.by_node.get(node).map_or(0, |id| self.cohorts[*id].covered)
    }

    /// How many ERTS monitors of a node wait to be taken back.
    pub fn spare_of(&self, node: &Name) -> usize {
        self.by_node.get(node).map_or(0, |id| self.cohorts[*id].spare.len())
    }
}
