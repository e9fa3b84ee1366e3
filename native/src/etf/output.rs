//! The bytes that encoding makes: as many as memory and a bound allow.

use pyo3::exceptions::PyMemoryError;

use super::frame::{Fault, Written};
use super::tag;
use crate::term::atom::{Form, Name};

/// Room that is made at least when there is none.
const FIRST_ROOM: usize = 256;

/// Bytes that grow at their end.
///
/// Most of what is put has a few bytes, and how many the compiler knows: that takes a comparison and a store, no call.
pub struct Output<'out> {
    bytes: &'out mut Vec<u8>,
    /// How many bytes there may be. No room is made for more, so that whoever finds room need not ask.
    max_size: usize,
}

impl<'out> Output<'out> {
    /// Puts behind the bytes that are there. The bound holds if they come without room.
    pub fn new(bytes: &'out mut Vec<u8>, max_size: usize) -> Self {
        Self { bytes, max_size }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    fn has_room(&self, count: usize) -> bool {
        count <= self.bytes.capacity() - self.bytes.len()
    }

    /// Append these bytes.
    #[inline]
    pub fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Written {
        if !self.has_room(N) {
            self.make_room(N)?;
        }
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    /// Append any number of bytes.
    pub fn put_all(&mut self, bytes: &[u8]) -> Written {
        if !self.has_room(bytes.len()) {
            self.make_room(bytes.len())?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Append the external form of an atom, in clear.
    #[inline]
    pub fn put_atom(&mut self, name: &Name) -> Written {
        match name.form() {
            Some(form) if self.has_room(Form::PADDED) => {
                let end = self.bytes.len() + form.length();
                self.bytes.extend_from_slice(form.padded());
                self.bytes.truncate(end);
                Ok(())
            }
            _ => self.put_text(name.text()),
        }
    }

    #[cold]
    fn put_text(&mut self, text: &str) -> Written {
        #[allow(clippy::cast_possible_truncation)] // at most 255 characters of 4 bytes
        match (text.len() as u16).to_be_bytes() {
            [0, length] => self.put([tag::SMALL_ATOM_UTF8, length])?,
            [high, low] => self.put([tag::ATOM_UTF8, high, low])?,
        }
        self.put_all(text.as_bytes())
    }

    /// Whether `more` bytes are few enough; asked before they are made or copied.
    pub fn check(&self, more: usize) -> Written {
        if more > self.max_size.saturating_sub(self.bytes.len()) { Err(Box::new(Fault::TooLarge)) } else { Ok(()) }
    }

    #[cold]
    fn make_room(&mut self, count: usize) -> Written {
        self.check(count)?;
        let wanted = self.bytes.capacity().max(FIRST_ROOM).min(self.max_size - self.bytes.len());
        match self.bytes.try_reserve_exact(wanted.max(count)) {
            Ok(()) => Ok(()),
            Err(_) => Err(PyMemoryError::new_err("no memory for the encoded term").into()),
        }
    }

    /// Take back all but the first bytes.
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Write over four bytes.
    pub fn set(&mut self, at: usize, bytes: [u8; 4]) {
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&bytes);
        }
    }
}
