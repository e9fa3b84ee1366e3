//! The containers that are being decoded: what is peculiar to lists and maps.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt};

use super::read::Reader;
use super::tag;
use crate::error::DecodeError;
use crate::term::atom::Atom;
use crate::term::keyed::KeyedMap;
use crate::term::list::{FrozenList, ImproperList};
use crate::term::map::Pair;
use crate::term::raw::{self, ListBuilder};

/// What decoding gives.
pub type Decoded<T> = Result<T, DecodeError>;

/// A list whose end is not in sight: its tail may be a list again.
pub struct List<'py> {
    pub items: ListBuilder<'py>,
    pub length: usize,
    pub frozen: bool,
    pub tail: Option<Bound<'py, PyAny>>,
    pub wants_tail: bool,
}

impl<'py> List<'py> {
    pub fn push(&mut self, value: Bound<'py, PyAny>) -> Decoded<()> {
        if self.wants_tail {
            self.tail = Some(value);
            return Ok(());
        }
        self.items.push(value).map_err(no_memory)
    }

    pub fn is_full(&self) -> bool {
        self.items.filled() >= self.length
    }

    /// Read on where the tail is a list; true when the list is complete.
    pub fn end(&mut self, reader: &mut Reader<'_>, pending: &mut usize) -> Decoded<bool> {
        if self.tail.is_some() {
            return Ok(true);
        }
        loop {
            match reader.peek() {
                Some(tag::NIL) => reader.tag()?,
                Some(tag::STRING) => {
                    reader.tag()?;
                    let length = reader.length16()?;
                    let bytes = reader.take(length)?;
                    push_bytes(&mut self.items, bytes)?;
                    self.length += length;
                    0
                }
                Some(tag::LIST) => {
                    reader.tag()?;
                    let more = reader.length32()?;
                    *pending = pending.saturating_add(more);
                    if *pending > reader.remaining() {
                        return Err(reader.malformed("more elements are declared than bytes are left"));
                    }
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
            };
            *pending -= 1;
            return Ok(true);
        }
    }

    pub fn finish(self, py: Python<'py>) -> Decoded<Bound<'py, PyAny>> {
        match self.tail {
            None => finish_list(self.items, self.frozen),
            Some(tail) => {
                let items = self.items.finish().to_tuple().unbind().into();
                object(py, ImproperList { items, tail: tail.unbind().into() })
            }
        }
    }
}

/// Keys of a large map, counted by the hash that Python gives them. A peer can choose numbers, and tuples of them, of which
/// all have the same one: each look for one of so many takes as long as there are others.
pub struct Crowd {
    counts: KeyedMap<isize, usize>,
    maximum: usize,
}

impl Crowd {
    /// Count a key; how many of its hash there are if these are too many.
    fn add(&mut self, key: &Bound<'_, PyAny>) -> Decoded<()> {
        if key.is_exact_instance_of::<PyBytes>() || key.is_exact_instance_of::<Atom>() {
            return Ok(()); // nobody elsewhere can tell their hashes
        }
        let count = self.counts.entry(key.hash().map_err(no_memory)?).or_insert(0);
        *count += 1;
        if *count <= self.maximum {
            return Ok(());
        }
        let (value, maximum) = (*count as u64, self.maximum as u64);
        Err(DecodeError::Limit { limit: "max_equal_hashes", value, maximum, offset: 0 })
    }
}

/// A map: a dict as long as Python can tell its keys apart, and is not too deep for it.
pub struct Map<'py> {
    pub dict: Option<Bound<'py, PyDict>>,
    pub pairs: Vec<Pair<'py>>,
    pub key: Option<Bound<'py, PyAny>>,
    pub left: usize,
    pub frozen: bool,
    pub deep: bool,
    crowd: Option<Crowd>,
}

impl<'py> Map<'py> {
    pub fn new(py: Python<'py>, left: usize, frozen: bool, max_equal_hashes: usize) -> Self {
        let dict = (!frozen).then(|| PyDict::new(py));
        let crowd = (!frozen && left > max_equal_hashes)
            .then(|| Crowd { counts: KeyedMap::default(), maximum: max_equal_hashes });
        Self { dict, pairs: Vec::new(), key: None, left, frozen, deep: false, crowd }
    }

    pub fn add(&mut self, value: Bound<'py, PyAny>) -> Decoded<()> {
        let Some(key) = self.key.take() else {
            return Ok(());
        };
        self.left -= 1;
        if let Some(dict) = &self.dict {
            if let Some(crowd) = self.crowd.as_mut().filter(|_| !self.deep) {
                crowd.add(&key)?;
            }
            if !self.deep && raw::insert_new(dict, &key, &value).map_err(no_memory)? {
                return Ok(());
            }
            self.pairs.extend(dict.iter());
            self.dict = None;
        }
        self.pairs.push((key, value));
        Ok(())
    }
}

pub fn push_bytes<'py>(list: &mut ListBuilder<'py>, bytes: &[u8]) -> Decoded<()> {
    let py = list.py();
    for byte in bytes {
        let integer: Bound<'py, PyInt> = byte.into_pyobject(py).map_err(|_| DecodeError::Memory)?;
        list.push(integer.into_any()).map_err(no_memory)?;
    }
    Ok(())
}

pub fn finish_list(list: ListBuilder<'_>, frozen: bool) -> Decoded<Bound<'_, PyAny>> {
    let list = list.finish();
    if frozen {
        let items = list.to_tuple().unbind().into();
        return object(list.py(), FrozenList { items });
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
