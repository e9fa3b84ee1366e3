//! DOWNs that lie in mailboxes, each found by its reference until it is read.

use super::index::{Keyed, Sharded};
use super::rows::Words;
use super::slab::Slab;

#[derive(Debug)]
struct Row<M> {
    words: Words,
    message: Option<M>,
}

impl<M> Default for Row<M> {
    fn default() -> Self {
        Self { words: Words::default(), message: None }
    }
}

impl<M> Keyed<Words> for Row<M> {
    fn key(&self) -> Words {
        self.words
    }
}

/// What waits to be read, by reference. `M` is the type of what waits.
#[derive(Debug)]
pub struct Unread<M> {
    rows: Slab<Row<M>>,
    by_words: Sharded<Words>,
}

impl<M> Default for Unread<M> {
    fn default() -> Self {
        Self { rows: Slab::default(), by_words: Sharded::default() }
    }
}

impl<M> Unread<M> {
    /// Let something wait. The words must be new.
    pub fn insert(&mut self, words: Words, message: M) {
        let id = self.rows.insert(Row { words, message: Some(message) });
        self.by_words.insert(id, &self.rows);
    }

    /// What waits.
    pub fn get(&self, words: &Words) -> Option<&M> {
        self.rows[self.by_words.get(words, &self.rows)?].message.as_ref()
    }

    /// The same, to change.
    pub fn get_mut(&mut self, words: &Words) -> Option<&mut M> {
        let id = self.by_words.get(words, &self.rows)?;
        self.rows[id].message.as_mut()
    }

    /// Take what waits, because it is read or withdrawn.
    pub fn remove(&mut self, words: &Words) -> Option<M> {
        let id = self.by_words.get(words, &self.rows)?;
        self.by_words.remove(words, id, &self.rows);
        self.rows.remove(id).message
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_found_until_it_is_taken() {
        let mut unread = Unread::default();
        unread.insert([7, 0, 0, 1, 0], "one");
        unread.insert([7, 0, 0, 2, 0], "two");
        assert_eq!(unread.get(&[7, 0, 0, 2, 0]), Some(&"two"));
        assert_eq!(unread.remove(&[7, 0, 0, 2, 0]), Some("two"));
        assert_eq!(unread.get(&[7, 0, 0, 2, 0]), None);
        assert_eq!((unread.remove(&[7, 0, 0, 2, 0]), unread.count()), (None, 1));
    }
}
