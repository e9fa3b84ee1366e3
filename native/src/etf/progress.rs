//! How far a term is decoded: what is kept from one slice of the work to the next.

use std::time::Instant;

use pyo3::prelude::*;

use super::Decoding;
use super::build::{Decoded, Key, List, Map, patience};
use super::decode::Decoder;
use super::read::Reader;
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::term::fun::FunParts;
use crate::term::raw::{CollectorPause, TupleBuilder, Unfilled};
use crate::term::record::RecordParts;

/// A binary that was left unfilled: its bytes are `length` ones from `at` on.
pub struct Hole {
    /// The object.
    pub bytes: Unfilled,
    /// Where its bytes start.
    pub at: usize,
    /// How many bytes are not filled yet, counted from the start.
    pub left: usize,
}

/// A container that is not complete.
pub enum Frame {
    Tuple(TupleBuilder),
    List(List),
    Map(Map),
    Fun(Box<FunParts>, TupleBuilder),
    Record(Box<RecordParts>, TupleBuilder),
}

impl Frame {
    /// Let no Python code find what is not there yet. A dict is sound at any time.
    fn hide(&mut self, py: Python<'_>) {
        match self {
            Self::Tuple(items) | Self::Fun(_, items) | Self::Record(_, items) => items.hide(py),
            Self::List(list) => list.items.hide(py),
            Self::Map(_) => {}
        }
    }
}

/// What a term asks for, against what it may.
pub struct Bounds {
    /// Terms that the unfinished containers still need; each takes a byte at least.
    pub pending: usize,
    /// Bytes that objects may still take.
    room: usize,
    max_decoded_size: usize,
}

impl Bounds {
    /// Count terms that are to come; containers must not be made for more than can come.
    pub fn expect(&mut self, terms: usize, reader: &Reader<'_>) -> Decoded<usize> {
        self.pending = self.pending.saturating_add(terms);
        if self.pending > reader.remaining() {
            return Err(reader.malformed("more elements are declared than bytes are left"));
        }
        Ok(terms)
    }

    /// Count bytes that an object takes.
    #[inline]
    pub fn charge(&mut self, bytes: usize, reader: &Reader<'_>) -> Decoded<()> {
        match self.room.checked_sub(bytes) {
            Some(room) => self.room = room,
            None => return Err(self.overdrawn(bytes, reader)),
        }
        Ok(())
    }

    #[cold]
    fn overdrawn(&self, bytes: usize, reader: &Reader<'_>) -> DecodeError {
        let taken = (self.max_decoded_size - self.room).saturating_add(bytes);
        reader.limit("max_decoded_size", taken, self.max_decoded_size)
    }
}

/// A term of which a part is decoded, from bytes that stay the same.
pub struct Progress {
    /// How many bytes are read.
    pub position: usize,
    /// The unfinished containers, the innermost one last.
    pub frames: Vec<Frame>,
    /// What the term may still ask for.
    pub bounds: Bounds,
    /// Whether what is read lies in a key of a map.
    pub key: Key,
    /// Bytes of keys that Python may still compare.
    pub patience: usize,
    /// Large binaries that were left unfilled, where that is asked for.
    pub holes: Option<Vec<Hole>>,
}

impl Progress {
    /// A term at the start of `size` bytes, of which nothing is decoded. With `leaving_holes`, large binaries that are
    /// not part of a map's key are left unfilled: nobody may see the object before the caller has filled them.
    pub fn new(size: usize, limits: &Limits, leaving_holes: bool) -> Decoded<Self> {
        let maximum = limits.max_term_size;
        if size > maximum {
            let (value, maximum) = (size as u64, maximum as u64);
            return Err(DecodeError::Limit { limit: "max_term_size", value, maximum, offset: 0 });
        }
        Ok(Self {
            position: 0,
            frames: Vec::new(),
            bounds: Bounds { pending: 1, room: limits.max_decoded_size, max_decoded_size: limits.max_decoded_size },
            key: Key::Outside,
            patience: patience(size),
            holes: leaving_holes.then(Vec::new),
        })
    }

    /// The large binaries that are to be filled.
    pub fn into_holes(self) -> Vec<Hole> {
        self.holes.unwrap_or_default()
    }

    /// Go on until the term is complete, or until it is late, but for some terms at least. Without a value more is to be
    /// done, with the same bytes.
    pub fn advance<'py>(
        self,
        py: Python<'py>,
        data: &[u8],
        how: &Decoding<'_>,
        until: Instant,
    ) -> Decoded<(Option<Bound<'py, PyAny>>, Self)> {
        let _pause = CollectorPause::new(py);
        let mut decoder = Decoder::new(py, data, how, self);
        loop {
            let term = decoder.stride()?;
            if term.is_some() || Instant::now() >= until {
                return Ok((term, decoder.suspend().hidden(py)));
            }
        }
    }

    /// Let no Python code find what is not complete.
    fn hidden(mut self, py: Python<'_>) -> Self {
        self.frames.iter_mut().for_each(|frame| frame.hide(py));
        self
    }
}
