//! The containers that are being decoded: what is peculiar to lists and maps.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString};

use super::crowd::{Crowd, TooMany};
use super::progress::Bounds;
use super::read::Reader;
use super::tag;
use crate::error::DecodeError;
use crate::term::atom::Atom;
use crate::term::list::{FrozenList, ImproperList};
use crate::term::map::{Pair, TermMap, Unfit};
use crate::term::pid::Pid;
use crate::term::raw::{self, ListBuilder};
use crate::term::reference::Reference;

/// Bytes that an item takes in a list or a tuple.
pub const SLOT: usize = 8;

/// What decoding gives.
pub type Decoded<T> = Result<T, DecodeError>;

/// A list whose end is not in sight: its tail may be a list again.
pub struct List {
    pub items: ListBuilder,
    pub length: usize,
    pub frozen: bool,
    pub tail: Option<Py<PyAny>>,
    pub wants_tail: bool,
}

impl List {
    pub fn push(&mut self, value: Bound<'_, PyAny>) -> Decoded<()> {
        if self.wants_tail {
            self.tail = Some(value.unbind());
            return Ok(());
        }
        self.items.push(value).map_err(no_memory)
    }

    pub fn is_full(&self) -> bool {
        self.items.filled() >= self.length
    }

    /// Read on where the tail is a list; true when the list is complete.
    pub fn end(&mut self, py: Python<'_>, reader: &mut Reader<'_>, bounds: &mut Bounds) -> Decoded<bool> {
        if self.tail.is_some() {
            return Ok(true);
        }
        loop {
            match reader.peek() {
                Some(tag::NIL) => drop(reader.tag()?),
                Some(tag::STRING) => {
                    reader.tag()?;
                    let length = reader.length16()?;
                    let bytes = reader.take(length)?;
                    bounds.charge(length * SLOT, reader)?;
                    push_bytes(py, &mut self.items, bytes)?;
                    self.length += length;
                }
                Some(tag::LIST) => {
                    reader.tag()?;
                    let more = reader.length32()?;
                    bounds.expect(more, reader)?;
                    bounds.charge(more.saturating_mul(SLOT), reader)?;
                    if more == 0 {
                        continue;
                    }
                    self.length += more;
                    return Ok(false);
                }
                _ => {
                    self.wants_tail = true;
                    return Ok(false);
                }
            }
            bounds.pending -= 1;
            return Ok(true);
        }
    }

    pub fn finish(self, py: Python<'_>) -> Decoded<Bound<'_, PyAny>> {
        match self.tail {
            None => finish_list(py, self.items, self.frozen),
            Some(tail) => {
                let items = self.items.finish(py).to_tuple().unbind().into();
                object(py, ImproperList { items, tail: tail.into() })
            }
        }
    }
}

/// Keys from this many bytes on take time to be compared.
const LONG: usize = 17;

/// A map of no more keys may have any: each is compared with few others.
const FEW: usize = 8;

/// Bytes of keys that one call may let Python compare: some in any case, and so many times those of the whole term.
const COMPARED: usize = 4096;
const COMPARED_TIMES: usize = 4;

/// How many bytes of keys Python may compare while a term of `size` bytes is decoded.
pub fn patience(size: usize) -> usize {
    COMPARED.saturating_add(size.saturating_mul(COMPARED_TIMES))
}

/// Whether nobody elsewhere can tell the hash that Python gives a key.
fn is_hashed_with_a_secret(key: &Bound<'_, PyAny>) -> bool {
    key.is_exact_instance_of::<PyBytes>()
        || key.is_exact_instance_of::<Atom>()
        || key.is_exact_instance_of::<Pid>()
        || key.is_exact_instance_of::<Reference>()
        || key.is_exact_instance_of::<PyString>()
}

/// A map: a dict as long as Python can tell its keys apart, soon, and is not too deep for it.
pub struct Map {
    pub dict: Option<Py<PyDict>>,
    pub pairs: Vec<(Py<PyAny>, Py<PyAny>)>,
    pub key: Option<Py<PyAny>>,
    pub left: usize,
    pub frozen: bool,
    pub deep: bool,
    /// Where the bytes of the current key or value start.
    start: usize,
    key_size: usize,
    max_equal_hashes: usize,
    large: bool,
    crowd: Option<Box<Crowd>>,
}

impl Map {
    pub fn new(py: Python<'_>, left: usize, frozen: bool, max_equal_hashes: usize, start: usize) -> Self {
        let dict = (!frozen).then(|| PyDict::new(py).unbind());
        let large = left > max_equal_hashes;
        let (pairs, crowd) = (Vec::new(), None);
        Self { dict, pairs, key: None, left, frozen, deep: false, start, key_size: 0, max_equal_hashes, large, crowd }
    }

    pub fn take_key(&mut self, key: Bound<'_, PyAny>, end: usize) {
        self.key_size = end - self.start;
        self.key = Some(key.unbind());
    }

    pub fn add(&mut self, value: Bound<'_, PyAny>, end: usize, patience: &mut usize) -> Decoded<()> {
        let py = value.py();
        let Some(key) = self.key.take().map(|key| key.into_bound(py)) else {
            return Ok(());
        };
        self.left -= 1;
        self.start = end;
        if let Some(dict) = self.dict.as_ref().map(|dict| dict.bind(py).clone()) {
            let apart = !self.deep && self.is_soon_found(&dict, &key, patience)?;
            if apart && raw::insert_new(&dict, &key, &value).map_err(no_memory)? {
                return Ok(());
            }
            self.pairs.extend(dict.iter().map(|(key, value)| (key.unbind(), value.unbind())));
            self.dict = None;
        }
        self.pairs.push((key.unbind(), value.unbind()));
        Ok(())
    }

    /// The map, with all its keys; `None` where one comes twice.
    pub fn finish(self, py: Python<'_>) -> Decoded<Option<Bound<'_, PyAny>>> {
        match self.dict {
            Some(dict) => Ok(Some(dict.into_bound(py).into_any())),
            None => term_map(py, self),
        }
    }

    /// Whether Python may look for the place of a key; refused if that takes too many steps.
    fn is_soon_found(
        &mut self,
        dict: &Bound<'_, PyDict>,
        key: &Bound<'_, PyAny>,
        patience: &mut usize,
    ) -> Decoded<bool> {
        let is_harmless = !self.large && (self.key_size < LONG || dict.len() < FEW);
        if self.crowd.is_none() && (is_harmless || is_hashed_with_a_secret(key)) {
            return Ok(true);
        }
        let crowd = match &mut self.crowd {
            Some(crowd) => crowd,
            None => self.crowd.insert(Box::new(crowd_of(dict, self.max_equal_hashes)?)),
        };
        let equal = crowd.add(key.hash().map_err(no_memory)?).map_err(|keys| too_many(keys, self.max_equal_hashes))?;
        let left = patience.checked_sub(if self.key_size < LONG { 0 } else { equal * self.key_size });
        *patience = left.unwrap_or(0);
        Ok(left.is_some())
    }
}

/// A map that no dict can stand for; `None` where a key comes twice.
fn term_map(py: Python<'_>, map: Map) -> Decoded<Option<Bound<'_, PyAny>>> {
    let pairs: Vec<Pair<'_>> =
        map.pairs.into_iter().map(|(key, value)| (key.into_bound(py), value.into_bound(py))).collect();
    match TermMap::of_distinct(py, &pairs, map.frozen) {
        Ok(map) => object(py, map).map(Some),
        Err(Unfit::Duplicate) => Ok(None),
        Err(Unfit::Error(_)) => Err(DecodeError::Memory),
    }
}

fn crowd_of(dict: &Bound<'_, PyDict>, maximum: usize) -> Decoded<Crowd> {
    let mut crowd = Crowd::new(maximum);
    for (key, _) in dict.iter() {
        crowd.add(key.hash().map_err(no_memory)?).map_err(|keys| too_many(keys, maximum))?;
    }
    Ok(crowd)
}

fn too_many(TooMany(keys): TooMany, maximum: usize) -> DecodeError {
    DecodeError::Limit { limit: "max_equal_hashes", value: keys as u64, maximum: maximum as u64, offset: 0 }
}

/// Whether what is read lies in a key of a map.
pub enum Key {
    Outside,
    /// In a key of the map that is this frame.
    Inside {
        frame: usize,
        deep: bool,
    },
}

impl Key {
    /// The key of this map has come to its end.
    pub fn end(&mut self, map: &mut Map, index: usize) {
        if let Self::Inside { frame, deep } = *self {
            if frame == index {
                map.deep |= deep;
                *self = Self::Outside;
            }
        }
    }

    /// The next key of this map begins, if there is one.
    pub fn begin(&mut self, map: &Map, index: usize) {
        if map.left > 0 && matches!(self, Self::Outside) {
            *self = Self::Inside { frame: index, deep: false };
        }
    }
}

pub fn push_bytes(py: Python<'_>, list: &mut ListBuilder, bytes: &[u8]) -> Decoded<()> {
    for byte in bytes {
        let integer: Bound<'_, PyInt> = byte.into_pyobject(py).map_err(|_| DecodeError::Memory)?;
        list.push(integer.into_any()).map_err(no_memory)?;
    }
    Ok(())
}

pub fn finish_list(py: Python<'_>, list: ListBuilder, frozen: bool) -> Decoded<Bound<'_, PyAny>> {
    let list = list.finish(py);
    if frozen {
        let items = list.to_tuple().unbind().into();
        return object(py, FrozenList { items });
    }
    Ok(list.into_any())
}

pub fn object<T>(py: Python<'_>, value: T) -> Decoded<Bound<'_, PyAny>>
where
    T: pyo3::PyClass + Into<pyo3::PyClassInitializer<T>>,
{
    Ok(Bound::new(py, value).map_err(no_memory)?.into_any())
}

/// Objects that come from checked bytes fail to be made only for want of memory.
pub fn no_memory(_error: PyErr) -> DecodeError {
    DecodeError::Memory
}
