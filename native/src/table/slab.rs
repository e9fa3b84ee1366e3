//! Rows in pages, so that growing never copies what is there and an empty page goes back to the allocator.

use std::ops::{Index, IndexMut};

/// No row.
pub const NONE: u32 = u32::MAX;

const PAGE: usize = 1024;

#[derive(Debug)]
struct Page<T> {
    rows: Vec<T>,
    vacant: Vec<u16>,
}

impl<T> Page<T> {
    const fn new() -> Self {
        Self { rows: Vec::new(), vacant: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.rows.len() == PAGE && self.vacant.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.rows.len() == self.vacant.len()
    }
}

impl<T> Page<T> {
    #[allow(clippy::cast_possible_truncation)] // a page has 1024 rows
    fn insert(&mut self, row: T) -> usize {
        if let Some(slot) = self.vacant.pop() {
            self.rows[usize::from(slot)] = row;
            return usize::from(slot);
        }
        if self.rows.capacity() == 0 {
            self.rows.reserve_exact(PAGE);
        }
        self.rows.push(row);
        self.rows.len() - 1
    }
}

impl<T: Default> Page<T> {
    /// Room for all numbers is made at once: growing bit by bit litters the heap with short pieces.
    #[allow(clippy::cast_possible_truncation)]
    fn take(&mut self, slot: usize) -> T {
        if self.vacant.capacity() == 0 {
            self.vacant.reserve_exact(PAGE);
        }
        self.vacant.push(slot as u16);
        std::mem::take(&mut self.rows[slot])
    }
}

/// A growing set of rows, each named by a number that stays the same while the row lives.
///
/// A number that names no row is a bug of the caller; indexing with one may panic.
#[derive(Debug)]
pub struct Slab<T> {
    pages: Vec<Page<T>>,
    /// Pages with room, the one to fill next at the end.
    open: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), open: Vec::new(), len: 0 }
    }
}

impl<T: Default> Slab<T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Numbers of rows, taken or not, are below this.
    pub fn bound(&self) -> usize {
        self.pages.len() * PAGE
    }

    /// Keep a row; answers its number.
    #[allow(clippy::cast_possible_truncation)] // four billion rows do not fit into memory
    pub fn insert(&mut self, row: T) -> u32 {
        let number = match self.open.last() {
            Some(number) => *number,
            None => self.open_page(),
        };
        let page = &mut self.pages[number as usize];
        let slot = page.insert(row);
        if page.is_full() {
            self.open.pop();
        }
        self.len += 1;
        number * PAGE as u32 + slot as u32
    }

    #[allow(clippy::cast_possible_truncation)]
    fn open_page(&mut self) -> u32 {
        let number = self.pages.len() as u32;
        self.pages.push(Page::new());
        self.open.push(number);
        number
    }

    /// Take a row out. The number may name another row later.
    #[allow(clippy::cast_possible_truncation)]
    pub fn remove(&mut self, id: u32) -> T {
        let (number, slot) = place(id);
        let page = &mut self.pages[number];
        if page.is_full() {
            self.open.push(number as u32);
        }
        let row = page.take(slot);
        // One page is kept, lest a table that hovers around empty allocates all the time.
        if page.is_empty() && self.open.len() > 1 {
            *page = Page::new();
        }
        self.len -= 1;
        row
    }
}

const fn place(id: u32) -> (usize, usize) {
    (id as usize / PAGE, id as usize % PAGE)
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        let (page, slot) = place(id);
        &self.pages[page].rows[slot]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        let (page, slot) = place(id);
        &mut self.pages[page].rows[slot]
    }
}

impl<T> Slab<T> {
    /// What is in every place that has ever been taken; a vacant one holds a default row.
    pub fn places(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| &page.rows)
    }

    /// The row of a number that may name none (then what a vacant place holds, or nothing).
    pub fn get(&self, id: u32) -> Option<&T> {
        let (page, slot) = place(id);
        self.pages.get(page)?.rows.get(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_its_row_until_it_is_removed() {
        let mut slab = Slab::default();
        let ids: Vec<u32> = (0..3000).map(|value| slab.insert(value)).collect();
        assert!(ids.iter().zip(0..).all(|(id, value)| slab[*id] == value));
        assert_eq!(slab.remove(ids[1500]), 1500);
        assert_eq!(slab.len(), 2999);
        assert_eq!(slab.insert(7), ids[1500]);
    }

    #[test]
    fn empty_pages_are_given_back() {
        let mut slab = Slab::default();
        let ids: Vec<u32> = (0..10_000u64).map(|value| slab.insert(value)).collect();
        for id in ids {
            slab.remove(id);
        }
        assert!(slab.pages.iter().filter(|page| page.rows.capacity() > 0).count() <= 1);
        assert_eq!(slab.len(), 0);
    }
}
