//! Doubly linked lists whose links are in the rows: every step is O(1), whatever the length.

use super::slab::{NONE, Slab};

/// The neighbours of a row in one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    prev: u32,
    next: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { prev: NONE, next: NONE }
    }
}

/// A row that can be in several lists at a time, one per `WHICH`.
pub trait Linked<const WHICH: usize> {
    /// The link for that list.
    fn link(&self) -> Link;
    /// The same, to change.
    fn link_mut(&mut self) -> &mut Link;
}

/// The ends of one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    first: u32,
    last: u32,
    len: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE, len: 0 }
    }
}

impl List {
    /// How many rows are in it.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no row is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first row, or `NONE`.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// The row after `id`, or `NONE`.
    pub fn next<const WHICH: usize, T: Linked<WHICH>>(rows: &Slab<T>, id: u32) -> u32 {
        rows[id].link().next
    }

    /// The rows from the first on.
    pub fn iter<const WHICH: usize, T: Linked<WHICH>>(&self, rows: &Slab<T>) -> impl Iterator<Item = u32> {
        let some = |id: u32| (id != NONE).then_some(id);
        std::iter::successors(some(self.first), move |id| some(Self::next(rows, *id)))
    }

    /// Append a row that is in no list of this kind.
    pub fn push<const WHICH: usize, T: Linked<WHICH>>(&mut self, rows: &mut Slab<T>, id: u32) {
        *rows[id].link_mut() = Link { prev: self.last, next: NONE };
        if self.last == NONE {
            self.first = id;
        } else {
            rows[self.last].link_mut().next = id;
        }
        self.last = id;
        self.len += 1;
    }

    /// Take out a row that is in this list.
    pub fn unlink<const WHICH: usize, T: Linked<WHICH>>(&mut self, rows: &mut Slab<T>, id: u32) {
        let link = std::mem::take(rows[id].link_mut());
        match link.prev {
            NONE => self.first = link.next,
            prev => rows[prev].link_mut().next = link.next,
        }
        match link.next {
            NONE => self.last = link.prev,
            next => rows[next].link_mut().prev = link.prev,
        }
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Row(Link);

    impl Linked<0> for Row {
        fn link(&self) -> Link {
            self.0
        }

        fn link_mut(&mut self) -> &mut Link {
            &mut self.0
        }
    }

    #[test]
    fn rows_stay_in_order_whichever_is_taken_out() {
        let mut rows = Slab::default();
        let mut list = List::default();
        for _ in 0..4 {
            let id = rows.insert(Row::default());
            list.push(&mut rows, id);
        }
        list.unlink(&mut rows, 1);
        assert_eq!(list.iter(&rows).collect::<Vec<_>>(), [0, 2, 3]);
        list.unlink(&mut rows, 3);
        list.unlink(&mut rows, 0);
        assert_eq!(list.iter(&rows).collect::<Vec<_>>(), [2]);
        list.unlink(&mut rows, 2);
        assert!(list.is_empty());
        assert_eq!(list, List::default());
    }
}
