//! What a container holds: let go of without recursion, however deep it lies.
//!
//! Deallocators call each other: that of a tuple calls ours, which calls that of the next tuple. Python counts how deep
//! its own are nested, and defers what lies deeper; since 3.13 only past ten thousand of them, which is more than the
//! stack of most threads takes. So ours count as well: what lies deeper than a few of them waits until those are done.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::mem::{ManuallyDrop, take};
use std::ops::Deref;

use pyo3::prelude::*;

/// Containers of ours that are freed within each other.
const MAX_NESTED: usize = 32;

/// What a thread is freeing.
struct Freeing {
    nested: Cell<usize>,
    // Never dropped, and empty whenever nothing is being freed: objects are also freed while a thread ends.
    waiting: RefCell<ManuallyDrop<Vec<Py<PyAny>>>>,
}

thread_local! {
    static FREEING: Freeing =
        const { Freeing { nested: Cell::new(0), waiting: RefCell::new(ManuallyDrop::new(Vec::new())) } };
}

/// A reference that a container has to another object.
pub struct Held<T>(ManuallyDrop<Py<T>>);

impl<T> From<Py<T>> for Held<T> {
    fn from(object: Py<T>) -> Self {
        Self(ManuallyDrop::new(object))
    }
}

impl<T> Deref for Held<T> {
    type Target = Py<T>;

    fn deref(&self) -> &Py<T> {
        &self.0
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: taken once, for nobody looks at what is being dropped.
        let object = unsafe { ManuallyDrop::take(&mut self.0) };
        FREEING.with(|freeing| freeing.let_go(object.into_any()));
    }
}

impl Freeing {
    fn let_go(&self, object: Py<PyAny>) {
        let nested = self.nested.get();
        if nested >= MAX_NESTED {
            self.waiting.borrow_mut().push(object);
            return;
        }
        self.nested.set(nested + 1);
        drop(object);
        if nested == 0 && !self.waiting.borrow().is_empty() {
            self.free_waiting();
        }
        self.nested.set(nested);
    }

    /// Free what waits, and what waits for that in turn.
    fn free_waiting(&self) {
        while let Some(object) = self.next() {
            drop(object);
        }
        drop(take(&mut **self.waiting.borrow_mut()));
    }

    /// The next to be freed, with nothing borrowed: that may run code of any kind.
    fn next(&self) -> Option<Py<PyAny>> {
        self.waiting.borrow_mut().pop()
    }
}
