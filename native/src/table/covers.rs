//! Which targets are watched by an ERTS monitor instead of a Proxy; found by target and by monitor.

use super::index::{Keyed, Sharded};
use super::rows::Words;
use super::slab::Slab;

#[derive(Debug, Default)]
struct Cover {
    target: u32,
    words: Words,
}

impl Keyed<u32> for Cover {
    fn key(&self) -> u32 {
        self.target
    }
}

impl Keyed<Words> for Cover {
    fn key(&self) -> Words {
        self.words
    }
}

/// ERTS monitors and their targets, one to one.
#[derive(Debug, Default)]
pub struct Covers {
    rows: Slab<Cover>,
    by_target: Sharded<u32>,
    by_words: Sharded<Words>,
}

impl Covers {
    /// Note the monitor of a target that has none.
    pub fn insert(&mut self, target: u32, words: Words) {
        let id = self.rows.insert(Cover { target, words });
        self.by_target.insert(id, &self.rows);
        self.by_words.insert(id, &self.rows);
    }

    /// Forget the monitor of a target, and answer it.
    pub fn remove(&mut self, target: u32) -> Option<Words> {
        if self.rows.len() == 0 {
            return None; // most nodes have a Proxy: no look-up for those
        }
        let id = self.by_target.get(&target, &self.rows)?;
        let words = self.rows[id].words;
        self.by_target.remove(&target, id, &self.rows);
        self.by_words.remove(&words, id, &self.rows);
        self.rows.remove(id);
        Some(words)
    }

    /// The target of a monitor.
    pub fn target_of(&self, words: &Words) -> Option<u32> {
        self.by_words.get(words, &self.rows).map(|id| self.rows[id].target)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cover_is_found_by_monitor_until_its_target_is_removed() {
        let mut covers = Covers::default();
        covers.insert(5, [0, 0, 0, 1, 0]);
        covers.insert(6, [0, 0, 0, 4, 0]);
        assert_eq!(covers.target_of(&[0, 0, 0, 1, 0]), Some(5));
        assert_eq!(covers.remove(5), Some([0, 0, 0, 1, 0]));
        assert_eq!((covers.target_of(&[0, 0, 0, 1, 0]), covers.remove(5), covers.len()), (None, None, 1));
    }
}
