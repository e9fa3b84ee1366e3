//! The Local half against a model that scans lists.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Counts, Dispatch, Identity, Instruction, Monitors, Object, Removed, Words};
use crate::term::atom::Name;

/// Node, then target: below `NAMED` a process, else a name.
type Place = (u8, u8);
const NAMED: u8 = 3;

#[derive(Debug, Clone)]
enum Step {
    Add(Place, u8),
    Remove(usize),
    Certify(Place),
    Lose(u8),
    Sweep(u8, usize, usize),
    TakeOver(u8),
    Drop(u8),
    Settle(usize),
    Take(usize, bool),
    Retire,
    Cover(u8, usize),
    ErtsDown(usize),
    Uncover(u8, usize),
    LoseUncovered(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = || (0..2u8, 0..6u8);
    let step = prop_oneof![
        8 => (place(), 0..4u8).prop_map(|(place, subscriber)| Step::Add(place, subscriber)),
        4 => (0..64usize).prop_map(Step::Remove),
        3 => place().prop_map(Step::Certify),
        1 => (0..2u8).prop_map(Step::Lose),
        3 => (0..2u8, 0..5usize, 0..5usize).prop_map(|(node, limit, handed)| Step::Sweep(node, limit, handed)),
        1 => (0..2u8).prop_map(Step::TakeOver),
        1 => (0..4u8).prop_map(Step::Drop),
        2 => (0..5usize).prop_map(Step::Settle),
        2 => (0..6usize, any::<bool>()).prop_map(|(limit, fair)| Step::Take(limit, fair)),
        1 => Just(Step::Retire),
        3 => (0..2u8, 0..5usize).prop_map(|(node, limit)| Step::Cover(node, limit)),
        2 => (0..20usize).prop_map(Step::ErtsDown),
        2 => (0..2u8, 0..3usize).prop_map(|(node, limit)| Step::Uncover(node, limit)),
        1 => (0..2u8).prop_map(Step::LoseUncovered),
    ];
    prop::collection::vec(step, 0..80)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    Fired(Option<u32>),
    Done,
}

#[derive(Debug)]
struct Row {
    place: Place,
    subscriber: u64,
    state: State,
}

#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    fired: Vec<usize>,
    held: BTreeSet<Place>,
    renew: BTreeSet<Place>,
    certificates: u32,
    counts: Counts,
    /// Targets with an ERTS monitor.
    covered: BTreeMap<Place, usize>,
    /// ERTS monitors to be taken back, by node.
    spare: [Vec<usize>; 2],
    monitors: usize,
}

impl Model {
    fn live(&self, wanted: impl Fn(&Row) -> bool) -> Vec<usize> {
        (0..self.rows.len()).filter(|i| self.rows[*i].state == State::Live && wanted(&self.rows[*i])).collect()
    }

    fn live_at(&self, place: Place) -> Vec<usize> {
        self.live(|row| row.place == place)
    }

    fn add(&mut self, place: Place, subscriber: u64) {
        if self.live_at(place).is_empty() && place.1 >= NAMED && self.held.contains(&place) {
            self.renew.insert(place);
        }
        self.rows.push(Row { place, subscriber, state: State::Live });
        self.counts.monitors += 1;
    }

    fn consume(&mut self, i: usize) {
        let place = self.rows[i].place;
        self.rows[i].state = State::Done;
        self.fired.retain(|fired| *fired != i);
        if self.live_at(place).is_empty() {
            self.renew.remove(&place);
            self.uncover(place);
        }
    }

    fn uncover(&mut self, place: Place) {
        if let Some(monitor) = self.covered.remove(&place) {
            self.held.remove(&place);
            self.spare[usize::from(place.0)].push(monitor);
        }
    }

    /// The Connector of a node ended, and its monitors with it.
    fn end_monitors(&mut self, number: u8) {
        self.covered.retain(|place, _| place.0 != number);
        self.spare[usize::from(number)].clear();
    }

    fn fire(&mut self, ids: Vec<usize>, reason: Option<u32>) {
        self.counts.fired += ids.len() as u64;
        for i in ids {
            self.rows[i].state = State::Fired(reason);
            self.fired.push(i);
        }
    }

    fn forget(&mut self, gone: impl Fn(&Place) -> bool) {
        self.held.retain(|place| !gone(place));
        self.renew.retain(|place| !gone(place));
    }

    fn needed(&self, node: u8) -> Vec<(Instruction, Place)> {
        let live: BTreeSet<Place> = self.live(|row| row.place.0 == node).iter().map(|i| self.rows[*i].place).collect();
        let mut needed = Vec::new();
        for place in live.union(&self.held).filter(|place| place.0 == node) {
            let (live, held) = (live.contains(place), self.held.contains(place));
            let renew = self.renew.contains(place);
            if held && (!live || renew) {
                needed.push((Instruction::Unsubscribe, *place));
            }
            if live && (!held || renew) {
                needed.push((Instruction::Subscribe, *place));
            }
        }
        needed
    }

    fn hand(&mut self, instruction: Instruction, place: Place) {
        match instruction {
            Instruction::Subscribe => self.held.insert(place),
            Instruction::Unsubscribe => self.renew.remove(&place) | self.held.remove(&place),
        };
        match instruction {
            Instruction::Subscribe => self.counts.subscribes += 1,
            Instruction::Unsubscribe => self.counts.unsubscribes += 1,
        }
    }
}

struct Pair {
    table: Monitors<u32>,
    model: Model,
}

fn words(i: usize) -> Words {
    [0, 0, 0, u32::try_from(i).unwrap(), 0]
}

fn erts(monitor: usize) -> Words {
    [1, 0, 0, u32::try_from(monitor).unwrap(), 0]
}

fn node(number: u8) -> Name {
    Name::intern(&format!("node{number}@model"))
}

fn identity(target: u8) -> Identity {
    if target < NAMED {
        return Identity::Process { number: u64::from(target), creation: 1 };
    }
    Identity::Named(Name::intern(&format!("name{target}")))
}

fn place_of(object: &Object) -> Place {
    let (node, target) = match object {
        Object::Process(pid) => (pid.node.clone(), u8::try_from(pid.id).unwrap()),
        Object::Named(name, node) => (node.clone(), name.text().as_bytes()[4] - b'0'),
    };
    (node.text().as_bytes()[4] - b'0', target)
}

impl Pair {
    fn run(&mut self, step: Step) {
        match step {
            Step::Add(place, subscriber) => self.add(place, subscriber),
            Step::Remove(i) => self.remove(i),
            Step::Certify(place) => self.certify(place),
            Step::Lose(number) => self.lose(number),
            Step::Sweep(number, limit, handed) => self.sweep(number, limit, handed),
            Step::TakeOver(number) => self.take_over(number),
            Step::Drop(subscriber) => self.drop_subscriber(u64::from(subscriber)),
            Step::Settle(limit) => drop(self.table.settle(limit)),
            Step::Take(limit, fair) => self.take(limit, fair),
            Step::Retire => drop(self.table.retire(2)),
            Step::Cover(number, limit) => self.cover(number, limit),
            Step::ErtsDown(monitor) => self.erts_down(monitor),
            Step::Uncover(number, limit) => self.uncover(number, limit),
            Step::LoseUncovered(number) => self.lose_uncovered(number),
        }
        self.table.take_woken();
    }

    fn add(&mut self, place: Place, subscriber: u8) {
        let next = self.model.rows.len();
        let before = self.table.pending_of(&node(place.0));
        let news = self.table.add(words(next), &node(place.0), identity(place.1), u64::from(subscriber));
        self.model.add(place, u64::from(subscriber));
        let after = self.table.pending_of(&node(place.0));
        assert_eq!(news.woken, before == 0 && after > 0);
    }

    fn remove(&mut self, i: usize) {
        let (removed, _) = self.table.remove(&words(i));
        self.model.counts.demonitors += 1;
        let state = self.model.rows.get(i).map_or(State::Done, |row| row.state);
        let expected = match state {
            State::Live => Removed::Live,
            State::Fired(_) => Removed::Fired,
            State::Done => Removed::Unknown,
        };
        assert_eq!(removed, expected);
        if state != State::Done {
            self.model.consume(i);
        }
    }

    fn certify(&mut self, place: Place) {
        self.model.certificates += 1;
        let reason = self.model.certificates;
        let ids = self.model.live_at(place);
        assert_eq!(self.table.certify(&node(place.0), &identity(place.1), reason), ids.len());
        self.model.fire(ids, Some(reason));
        self.model.uncover(place);
        self.model.forget(|one| *one == place);
    }

    fn lose(&mut self, number: u8) {
        let ids = self.model.live(|row| row.place.0 == number);
        assert_eq!(self.table.lose(&node(number)), ids.len());
        self.model.fire(ids, None);
        self.model.forget(|place| place.0 == number);
        self.model.end_monitors(number);
    }

    fn sweep(&mut self, number: u8, limit: usize, handed: usize) {
        let found = self.table.instructions(&node(number), limit);
        let places: Vec<(Instruction, Place)> = found
            .iter()
            .map(|(instruction, target)| (*instruction, place_of(&self.table.object(*target).unwrap())))
            .collect();
        let needed = self.model.needed(number);
        assert_eq!(places.len(), limit.min(needed.len()));
        assert!(places.iter().all(|one| needed.contains(one)));
        let handed = handed.min(places.len());
        self.table.handed(&node(number), handed);
        for (instruction, place) in &places[..handed] {
            self.model.hand(*instruction, *place);
        }
    }

    fn take_over(&mut self, number: u8) {
        let sent = |row: &Row, model: &Model| {
            row.place.1 >= NAMED && model.held.contains(&row.place) && !model.renew.contains(&row.place)
        };
        let ids = self.model.live(|row| row.place.0 == number && sent(row, &self.model));
        assert_eq!(self.table.take_over(&node(number)), ids.len());
        self.model.fire(ids, None);
        self.model.forget(|place| place.0 == number);
        self.model.end_monitors(number);
    }

    fn cover(&mut self, number: u8, limit: usize) {
        let found = self.table.instructions(&node(number), limit);
        let subscribes = found.iter().take_while(|(instruction, _)| *instruction == Instruction::Subscribe);
        let places: Vec<Place> = subscribes.map(|(_, target)| place_of(&self.table.object(*target).unwrap())).collect();
        let first = self.model.monitors;
        self.model.monitors += places.len();
        let monitors: Vec<Words> = (first..self.model.monitors).map(erts).collect();
        assert_eq!(self.table.cover(&node(number), &monitors), places.len());
        for (monitor, place) in places.into_iter().enumerate() {
            self.model.held.insert(place);
            self.model.covered.insert(place, first + monitor);
        }
        assert_eq!(self.table.covered_of(&node(number)), self.model.covered.keys().filter(|p| p.0 == number).count());
    }

    fn erts_down(&mut self, monitor: usize) {
        self.model.certificates += 1;
        let reason = self.model.certificates;
        let place = self.model.covered.iter().find(|(_, one)| **one == monitor).map(|(place, _)| *place);
        let ids = place.map_or_else(Vec::new, |place| self.model.live_at(place));
        assert_eq!(self.table.erts_down(&erts(monitor), reason), ids.len());
        self.model.fire(ids, Some(reason));
        if let Some(place) = place {
            self.model.covered.remove(&place);
            self.model.forget(|one| *one == place);
        }
    }

    fn uncover(&mut self, number: u8, limit: usize) {
        let spare = &mut self.model.spare[usize::from(number)];
        assert_eq!(self.table.spare_of(&node(number)), spare.len());
        let expected: Vec<Words> = spare.drain(..limit.min(spare.len())).map(erts).collect();
        assert_eq!(self.table.uncover(&node(number), limit), expected);
    }

    fn lose_uncovered(&mut self, number: u8) {
        let lost: BTreeSet<Place> = self.model.needed(number).into_iter().map(|(_, place)| place).collect();
        let ids = self.model.live(|row| lost.contains(&row.place));
        assert_eq!(self.table.lose_uncovered(&node(number), usize::MAX), ids.len());
        self.model.fire(ids, None);
        self.model.forget(|place| lost.contains(place));
    }

    fn drop_subscriber(&mut self, subscriber: u64) {
        self.table.drop_subscriber(subscriber);
        for i in 0..self.model.rows.len() {
            if self.model.rows[i].subscriber == subscriber && self.model.rows[i].state != State::Done {
                self.model.consume(i);
            }
        }
    }

    fn take(&mut self, limit: usize, fair: bool) {
        let waiting = self.model.fired.clone();
        let taken = self.table.take(limit, fair, u32::clone);
        assert_eq!(taken.len(), limit.min(waiting.len()));
        let ids: Vec<usize> = taken.iter().map(|dispatch| self.check(dispatch)).collect();
        if fair {
            self.check_fair(&ids, &waiting);
        }
        if !fair && limit >= waiting.len() {
            // Names that fire at a take-over do so in the order of their subscriptions.
            assert_eq!(BTreeSet::from_iter(&ids), BTreeSet::from_iter(&waiting));
        }
        for i in ids {
            self.model.fired.retain(|fired| *fired != i);
            self.model.rows[i].state = State::Done;
        }
    }

    fn check(&self, dispatch: &Dispatch<u32>) -> usize {
        let i = dispatch.words[3] as usize;
        let row = &self.model.rows[i];
        assert_eq!(row.state, State::Fired(dispatch.reason));
        assert_eq!((row.subscriber, row.place), (dispatch.subscriber, place_of(&dispatch.object)));
        i
    }

    fn check_fair(&self, ids: &[usize], waiting: &[usize]) {
        let count = |ids: &[usize]| {
            let mut counts = BTreeMap::<u64, usize>::new();
            for i in ids {
                *counts.entry(self.model.rows[*i].subscriber).or_default() += 1;
            }
            counts
        };
        let (served, wanted) = (count(ids), count(waiting));
        let most = served.values().max().copied().unwrap_or(0);
        for (subscriber, wanted) in wanted {
            let served = served.get(&subscriber).copied().unwrap_or(0);
            assert!(served == wanted || served + 1 >= most, "{subscriber} got {served} of {wanted}, another {most}");
        }
    }

    fn check_sizes(&self) {
        let count = |wanted: fn(&State) -> bool| self.model.rows.iter().filter(|row| wanted(&row.state)).count();
        let sizes = self.table.sizes();
        assert_eq!(sizes.live, count(|state| *state == State::Live));
        assert_eq!(sizes.fired, count(|state| matches!(state, State::Fired(_))));
        assert_eq!(self.table.counts(), self.model.counts);
        for (i, row) in self.model.rows.iter().enumerate() {
            let expected = (row.state != State::Done).then_some(row.subscriber);
            assert_eq!(self.table.subscriber_of(&words(i)), expected);
            let place = self.table.target_of(&words(i)).map(|object| place_of(&object));
            assert_eq!(place, expected.map(|_| row.place));
        }
    }

    fn check_between(&self) {
        for (place, subscriber) in (0..2).flat_map(|n| (0..6).flat_map(move |t| (0..4).map(move |s| ((n, t), s)))) {
            let ids = self.model.live(|row| row.place == place && row.subscriber == subscriber);
            let found = self.table.between(&node(place.0), &identity(place.1), subscriber);
            assert_eq!(found, ids.into_iter().map(words).collect::<Vec<_>>());
        }
    }

    fn finish(&mut self) {
        for number in 0..2 {
            self.lose(number);
        }
        self.take(1000, true);
        self.table.settle(10_000);
        self.table.retire(100);
        assert_eq!(self.table.sizes(), super::Sizes::default());
        assert_eq!(self.table.cohorts.len() + self.table.lists.len(), 0);
        assert_eq!(self.table.by_words.len() + self.table.by_key.len() + self.table.covers.len(), 0);
        assert_eq!(self.table.take_released().len(), self.model.certificates as usize);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn monitors_do_what_the_model_does(steps in steps()) {
        let mut pair = Pair { table: Monitors::default(), model: Model::default() };
        for step in steps {
            pair.run(step);
            pair.check_sizes();
        }
        pair.check_between();
        pair.finish();
    }
}

#[test]
fn references_fire_in_the_order_they_were_made() {
    let mut table = Monitors::<u32>::default();
    for i in 0..50 {
        table.add(words(i), &node(0), identity(u8::try_from(i % 5).unwrap()), 1);
    }
    table.certify(&node(0), &identity(2), 1);
    table.lose(&node(0));

    let fired: Vec<u32> = table.take(100, true, u32::clone).iter().map(|dispatch| dispatch.words[3]).collect();

    let certified = (0..50).filter(|i| i % 5 == 2);
    let lost = (0..50).filter(|i| i % 5 != 2);
    assert_eq!(fired, certified.chain(lost).collect::<Vec<u32>>());
}

#[test]
fn a_large_subscriber_is_removed_bit_by_bit() {
    let mut table = Monitors::<u32>::default();
    for i in 0..5000 {
        table.add(words(i), &node(0), identity(0), 1);
    }
    table.add(words(5000), &node(0), identity(3), 1);
    let sent = table.instructions(&node(0), 10).len();
    table.handed(&node(0), sent);
    table.drop_subscriber(1);
    assert_eq!(table.sizes().references, 5001);

    // The name was given up and is asked for again, though the dead subscriber's row is still there.
    assert!(table.add(words(5001), &node(0), identity(3), 2).woken);
    let named: Vec<Instruction> =
        table.instructions(&node(0), 10).into_iter().map(|(instruction, _)| instruction).collect();
    assert_eq!(named, [Instruction::Unsubscribe, Instruction::Subscribe]);

    while table.settle(1000).0 {}
    assert_eq!(table.sizes().references, 1);
    assert_eq!(table.pending_of(&node(0)), 2);
}
