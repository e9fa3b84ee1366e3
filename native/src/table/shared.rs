//! Reasons, stored once however many references they fire.

use super::slab::Slab;

/// Room kept for released values, so that a table at work does not make it bit by bit again and again.
const ROOM: usize = 1024;

#[derive(Debug)]
struct Row<R> {
    value: Option<R>,
    size: u32,
    holders: u32,
}

impl<R> Default for Row<R> {
    fn default() -> Self {
        Self { value: None, size: 0, holders: 0 }
    }
}

/// Values with a count of their holders.
///
/// `R` may be a Python object: freeing one may run any code, also code that comes back to the table. What nobody
/// holds any more is therefore put aside until the owner takes it away, with the table at rest.
#[derive(Debug)]
pub struct Shared<R> {
    rows: Slab<Row<R>>,
    released: Vec<R>,
}

impl<R> Default for Shared<R> {
    fn default() -> Self {
        Self { rows: Slab::default(), released: Vec::new() }
    }
}

impl<R> Shared<R> {
    /// Keep a value with one holder; `size` is whatever the owner wants to know later.
    pub fn keep(&mut self, value: R, size: u32) -> u32 {
        self.rows.insert(Row { value: Some(value), size, holders: 1 })
    }

    /// Add a holder.
    pub fn hold(&mut self, id: u32) {
        self.rows[id].holders += 1;
    }

    /// One holder less; the last one frees the value.
    pub fn release(&mut self, id: u32) {
        let row = &mut self.rows[id];
        row.holders -= 1;
        if row.holders == 0 {
            self.released.extend(self.rows.remove(id).value);
        }
    }

    /// The value.
    pub fn get(&self, id: u32) -> Option<&R> {
        self.rows[id].value.as_ref()
    }

    /// The size it was kept with.
    pub fn size(&self, id: u32) -> u32 {
        self.rows[id].size
    }

    /// How many values are kept.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Put aside a value that was never kept.
    pub fn put_aside(&mut self, value: R) {
        self.released.push(value);
    }

    /// Take away what nobody holds any more, to be freed when the table is at rest.
    pub fn take_released(&mut self) -> Vec<R> {
        let room = self.released.len().min(ROOM);
        std::mem::replace(&mut self.released, Vec::with_capacity(room))
    }
}
