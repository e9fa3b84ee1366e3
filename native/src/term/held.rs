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

thread_local! {
    static NESTED: Cell<usize> = const { Cell::new(0) };
    // Never dropped, and empty whenever nothing is being freed: objects are also freed while a thread ends.
    static WAITING: RefCell<ManuallyDrop<Vec<Py<PyAny>>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
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
        let_go(unsafe { ManuallyDrop::take(&mut self.0) }.into_any());
    }
}

fn let_go(object: Py<PyAny>) {
    let nested = NESTED.get();
    if nested >= MAX_NESTED {
        WAITING.with_borrow_mut(|waiting| waiting.push(object));
        return;
    }
    NESTED.set(nested + 1);
    drop(object);
    if nested == 0 {
        free_waiting();
    }
    NESTED.set(nested);
}

/// Free what waits, and what waits for that in turn.
fn free_waiting() {
    while let Some(object) = WAITING.with_borrow_mut(|waiting| waiting.pop()) {
        drop(object);
    }
    WAITING.with_borrow_mut(|waiting| drop(take(&mut **waiting)));
}
