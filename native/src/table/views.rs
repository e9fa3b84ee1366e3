//! What an operator looks at: rows as they stand.

use super::firing::Object;
use super::monitors::Monitors;
use super::rows::Words;

impl<R> Monitors<R> {
    /// The target of a reference, from `add` until its DOWN is taken.
    pub fn target_of(&self, words: &Words) -> Option<Object> {
        let id = self.by_words.get(words, &self.rows)?;
        self.object(self.rows[id].target)
    }

    /// At most `limit` references with the number of their subscriber and their target, fired ones too, in no order.
    pub fn references(&self, limit: usize) -> Vec<(u64, Words, Object)> {
        let taken = self.rows.places().filter(|row| row.words != Words::default());
        let view = taken.map(|row| (self.subscribers[row.subscriber].number, row.words, self.object(row.target)));
        view.filter_map(|(number, words, object)| Some((number, words, object?))).take(limit).collect()
    }

    /// The numbers of at most `limit` subscribers that live, as far as is known, in no order.
    pub fn subscriber_numbers(&self, limit: usize) -> Vec<u64> {
        let taken = self.subscribers.places().filter(|row| row.number != 0 && !row.gone);
        taken.map(|row| row.number).take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Identity, Monitors};
    use crate::term::atom::Name;

    #[test]
    fn references_are_seen_until_they_are_taken() {
        let (node, target) = (Name::intern("views@h"), Identity::Named(Name::intern("viewed")));
        let (first, second) = ([1, 0, 0, 1, 0], [2, 0, 0, 2, 0]);
        let mut monitors = Monitors::<()>::default();
        monitors.add(first, &node, target.clone(), 7);
        monitors.add(second, &node, target, 8);
        monitors.remove(&first);

        let object = Object::Named(Name::intern("viewed"), node);
        assert_eq!(monitors.references(9), [(8, second, object.clone())]);
        assert!(monitors.references(0).is_empty());
        assert_eq!((monitors.target_of(&first), monitors.target_of(&second)), (None, Some(object)));
        assert_eq!(monitors.subscriber_numbers(9), [7, 8]);
        assert!(monitors.is_subscriber(7) && monitors.is_subscriber(8) && !monitors.is_subscriber(9));
        monitors.retire(9);
        monitors.drop_subscriber(8);
        assert!(monitors.subscriber_numbers(9).is_empty());
        assert!(!monitors.is_subscriber(7) && !monitors.is_subscriber(8));
    }
}
