//! The atom cache that this node writes: which atom stands in which slot at the peer.
//!
//! Two slots make a set; an atom has a place in one set, where it replaces the one used less recently. A slot may be
//! written twice in one header: readers resolve the references in order.

use super::atom_cache::SLOTS;
use crate::term::atom::Name;

const SETS: usize = SLOTS / 2;

/// The slots of one link; empty until the first atom is written.
#[derive(Debug, Default)]
pub struct Slots {
    sets: Vec<Set>,
}

#[derive(Debug, Default, Clone)]
struct Set {
    ways: [Option<Name>; 2],
    recent: usize,
}

impl Slots {
    /// The slot of an atom, and whether it has to be told anew.
    pub fn place(&mut self, name: &Name) -> (usize, bool) {
        if self.sets.is_empty() {
            self.sets.resize(SETS, Set::default());
        }
        let index = name.spread() % SETS;
        let Some(set) = self.sets.get_mut(index) else { return (0, true) };
        let known = set.ways.iter().position(|way| way.as_ref() == Some(name));
        set.recent = known.unwrap_or(1 - set.recent);
        if let (None, Some(way)) = (known, set.ways.get_mut(set.recent)) {
            *way = Some(name.clone());
        }
        (2 * index + set.recent, known.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atom_is_new_once() {
        let (mut slots, name) = (Slots::default(), Name::intern("placed"));

        let (slot, new) = slots.place(&name);

        assert!(new && slot < SLOTS);
        assert_eq!(slots.place(&name), (slot, false));
    }

    #[test]
    fn an_atom_in_use_survives_one_that_wants_its_set() {
        let names: Vec<Name> = (0..30_000).map(|number| Name::intern(&format!("crowded_{number}"))).collect();
        let set = names[0].spread() % SETS;
        let rivals: Vec<&Name> = names[1..].iter().filter(|name| name.spread() % SETS == set).collect();
        let mut slots = Slots::default();
        slots.place(&names[0]);

        for rival in &rivals {
            slots.place(rival);
            assert!(!slots.place(&names[0]).1);
        }

        assert!(rivals.len() > 1);
        assert!(slots.place(rivals[0]).1, "the least recent one is gone");
    }
}
