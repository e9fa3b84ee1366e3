//! The Proxy half against a model that scans sets.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Echo, Held, Identity, Subscriptions, Words};
use crate::term::atom::Name;
use crate::term::pid::PidParts;

fn pid(node: u8, number: u8) -> PidParts {
    PidParts { node: Name::intern(&format!("node{node}@subscriptions")), id: number.into(), serial: 0, creation: 1 }
}

fn connector(number: u8) -> PidParts {
    pid(number % 2, number)
}

fn target(number: u8) -> Identity {
    if number < 3 {
        return Identity::of(&pid(9, number));
    }
    Identity::Named(Name::intern(&format!("subscribed{number}")))
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe(u8, u8),
    Unsubscribe(u8, u8),
    Die(u8),
    Bad(u8),
    Send(u8, usize),
    DropConnector(u8),
    DropNode(u8),
    Reap(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pair = || (0..4u8, 0..5u8);
    let step = prop_oneof![
        8 => pair().prop_map(|(connector, target)| Step::Subscribe(connector, target)),
        3 => pair().prop_map(|(connector, target)| Step::Unsubscribe(connector, target)),
        4 => (0..5u8).prop_map(Step::Die),
        1 => (0..4u8).prop_map(Step::Bad),
        3 => (0..4u8, 0..4usize).prop_map(|(connector, limit)| Step::Send(connector, limit)),
        1 => (0..4u8).prop_map(Step::DropConnector),
        1 => (0..2u8).prop_map(Step::DropNode),
        2 => (0..4usize).prop_map(Step::Reap),
    ];
    prop::collection::vec(step, 0..80)
}

/// Targets below 100 are ours, others are bad ones by their number.
#[derive(Default)]
struct Model {
    known: BTreeSet<u8>,
    subscribed: BTreeSet<(u8, u8)>,
    certificates: BTreeMap<u8, Vec<(u32, u32)>>,
    watches: BTreeMap<u8, u32>,
    counter: u32,
    certified: u64,
}

struct Pair {
    table: Subscriptions<u32>,
    model: Model,
}

impl Pair {
    fn run(&mut self, step: Step) {
        match step {
            Step::Subscribe(number, to) => self.subscribe(number, to),
            Step::Unsubscribe(number, to) => self.unsubscribe(number, to),
            Step::Die(number) => self.die(number),
            Step::Bad(number) => self.bad(number),
            Step::Send(number, limit) => self.send(number, limit),
            Step::DropConnector(number) => {
                self.table.drop_connector(&connector(number));
                self.forget(number);
            }
            Step::DropNode(node) => {
                self.table.drop_node(&pid(node, 0).node);
                (0..4).filter(|number| number % 2 == node).for_each(|number| self.forget(number));
            }
            Step::Reap(limit) => self.reap(limit),
        }
    }

    fn forget(&mut self, number: u8) {
        self.model.known.remove(&number);
        self.model.subscribed.retain(|(one, _)| *one != number);
        self.model.certificates.remove(&number);
    }

    fn withdraw(&mut self, number: u8, to: u8) {
        if let Some(waiting) = self.model.certificates.get_mut(&number) {
            waiting.retain(|(echo, _)| *echo != u32::from(to));
        }
    }

    fn subscribe(&mut self, number: u8, to: u8) {
        let needs = self.table.subscribe(&connector(number), target(to));
        assert_eq!(needs.batcher, self.model.known.insert(number));
        assert_eq!(needs.monitor, !self.model.watches.contains_key(&to));
        self.withdraw(number, to);
        self.model.subscribed.insert((number, to));
        if needs.monitor {
            self.model.counter += 1;
            self.table.watch(&target(to), [0, 0, 0, self.model.counter, 0]);
            self.model.watches.insert(to, self.model.counter);
        }
    }

    fn unwatched(&mut self, words: Words) {
        self.model.watches.retain(|_, one| *one != words[3]);
    }

    fn unsubscribe(&mut self, number: u8, to: u8) {
        let watch = self.table.unsubscribe(&connector(number), &target(to));
        self.withdraw(number, to);
        self.model.subscribed.remove(&(number, to));
        if let Some(words) = watch {
            self.unwatched(words);
        }
    }

    fn die(&mut self, number: u8) {
        self.model.counter += 1;
        let reason = self.model.counter;
        let words = self.model.watches.remove(&number).unwrap_or(0);
        let woken = self.table.died(&[0, 0, 0, words, 0], reason, 1);
        let told: Vec<u8> = (0..4).filter(|one| self.model.subscribed.remove(&(*one, number))).collect();
        for one in &told {
            self.model.certified += 1;
            let waiting = self.model.certificates.entry(*one).or_default();
            assert_eq!(woken.contains(&connector(*one)), waiting.is_empty());
            waiting.push((number.into(), reason));
        }
    }

    fn bad(&mut self, number: u8) {
        self.model.counter += 1;
        let reason = self.model.counter;
        self.table.certify(&connector(number), 100 + reason, reason, 1);
        self.model.known.insert(number);
        self.model.certified += 1;
        self.model.certificates.entry(number).or_default().push((100 + reason, reason));
    }

    fn send(&mut self, number: u8, limit: usize) {
        let found = self.table.certificates(&connector(number), limit, 3);
        let number_of = |echo: Echo<'_, u32>| match echo {
            Echo::Object(value) => *value,
            Echo::Target(identity) => (0..5).find(|one| target(*one) == *identity).unwrap().into(),
        };
        let found: Vec<(u32, u32)> = found.into_iter().map(|(echo, reason)| (number_of(echo), *reason)).collect();
        let waiting = self.model.certificates.entry(number).or_default();
        let expected: Vec<(u32, u32)> = waiting.iter().take(limit.min(3)).copied().collect();
        assert_eq!(found, expected);
        self.table.sent(&connector(number), found.len());
        waiting.drain(..found.len());
    }

    fn reap(&mut self, limit: usize) {
        let (watches, _) = self.table.reap(limit);
        for words in watches {
            self.unwatched(words);
        }
    }

    fn check_held(&self, node: u8) {
        let of = |number: &u8| number % 2 == node;
        let certificates = self.model.certificates.iter().filter(|(one, _)| of(one)).map(|(_, waiting)| waiting.len());
        let size = certificates.sum::<usize>(); // each of one byte
        let expected = Held {
            connectors: self.model.known.iter().filter(|one| of(one)).count(),
            rows: self.model.subscribed.iter().filter(|(one, _)| of(one)).count() + size,
            size,
        };
        assert_eq!(self.table.held(&pid(node, 0).node), expected);
    }

    fn check(&self) {
        let sizes = self.table.sizes();
        assert_eq!(sizes.subscriptions, self.model.subscribed.len());
        assert_eq!(sizes.certificates, self.model.certificates.values().map(Vec::len).sum::<usize>());
        assert_eq!(sizes.connectors, self.model.known.len());
        assert_eq!(sizes.watches, self.model.watches.len());
        assert!((0..4).all(|one| self.table.knows(&connector(one)) == self.model.known.contains(&one)));
        assert_eq!(self.table.certified(), self.model.certified);
        (0..2).for_each(|node| self.check_held(node));
        let views = self.table.views(99);
        assert_eq!(views.len(), self.model.subscribed.len());
        let is_known = |(identity, pid): &(&Identity, &PidParts)| {
            self.model.subscribed.iter().any(|(one, to)| connector(*one) == **pid && target(*to) == **identity)
        };
        assert!(views.iter().all(is_known));
        for (number, to) in (0..4).flat_map(|one| (0..5).map(move |to| (one, to))) {
            let expected = self.model.subscribed.contains(&(number, to));
            assert_eq!(self.table.is_subscribed(&connector(number), &target(to)), expected);
            assert!(!expected || self.model.watches.contains_key(&to));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn subscriptions_do_what_the_model_does(steps in steps()) {
        let mut pair = Pair { table: Subscriptions::default(), model: Model::default() };
        for step in steps {
            pair.run(step);
            pair.check();
        }
        (0..4).for_each(|number| pair.run(Step::DropConnector(number)));
        pair.reap(1000);
        assert!(pair.model.watches.is_empty());
        assert!(pair.table.is_empty());
    }
}
