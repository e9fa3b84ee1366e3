//! The receivers that have to know which link a message came by.
//!
//! They are processes of the node itself, which serve all peers at once. Messages to all others need no link, and those
//! to one receiver that follow each other are one event, whatever their links.

use pyo3::prelude::*;
use rustc_hash::FxHashSet;

use super::deliver::Receiver;
use crate::term::atom::Name;

/// Numbers and names of processes of this node.
#[derive(Default)]
pub struct Guarded {
    numbers: FxHashSet<u64>,
    names: FxHashSet<Name>,
}

impl Guarded {
    /// Whether a message to this receiver has to say its link. An alias is one request of one link.
    pub fn has(&self, receiver: &Receiver) -> bool {
        match receiver {
            Receiver::Number(number) => self.numbers.contains(number),
            Receiver::Name(name) => self.names.contains(name),
            Receiver::Alias(_) => true,
        }
    }

    /// Add the number or the name of a process.
    pub fn add(&mut self, receiver: &Bound<'_, PyAny>) -> PyResult<()> {
        match receiver.extract() {
            Ok(number) => self.numbers.insert(number),
            Err(_) => self.names.insert(Name::from_object(receiver)?),
        };
        Ok(())
    }

    /// Remove the number or the name of a process.
    pub fn remove(&mut self, receiver: &Bound<'_, PyAny>) -> PyResult<()> {
        match receiver.extract() {
            Ok(number) => self.numbers.remove(&number),
            Err(_) => self.names.remove(&Name::from_object(receiver)?),
        };
        Ok(())
    }
}
