//! The containers that are being encoded, each with how far it has come.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use rustc_hash::FxHashSet;

use super::output::Output;
use super::{path, tag};
use crate::term::atom::Name;
use crate::term::fun::Fun;
use crate::term::identity;
use crate::term::list::ImproperList;
use crate::term::raw::{DictWalk, list_item};
use crate::term::record::Record;

/// Why a term was not encoded.
pub enum Fault {
    /// The object has no Erlang form; the sentence says why.
    NoForm(String),
    /// The term is larger than was asked for.
    TooLarge,
    /// Anything else.
    Python(PyErr),
}

impl From<PyErr> for Box<Fault> {
    fn from(error: PyErr) -> Self {
        Self::new(Fault::Python(error))
    }
}

/// The answer of what writes. A box, for it comes back from each object in a register then.
pub type Encoded<T> = Result<T, Box<Fault>>;

/// Whether something was written.
pub type Written = Encoded<()>;

/// The fault that an object has no Erlang form.
pub fn no_form<T>(why: impl Into<String>) -> Encoded<T> {
    Err(Box::new(Fault::NoForm(why.into())))
}

/// Kinds of objects written so far that can make unequal keys the same term.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // counts of what the names say
pub struct Seen {
    pub texts: usize,
    pub binaries: usize,
    /// Instances of subclasses, which may define equality as they like.
    pub odd: usize,
}

/// A container with children that are still to be written.
#[allow(missing_docs)] // `next` is the index of the next child
pub enum Frame<'py> {
    Tuple { items: Bound<'py, PyTuple>, next: usize },
    List { list: Bound<'py, PyList>, next: usize, length: usize },
    Frozen { items: Bound<'py, PyTuple>, next: usize },
    Improper { list: Bound<'py, ImproperList>, next: usize },
    Dict(Box<Dict<'py>>),
    Map { items: Bound<'py, PyTuple>, next: usize },
    Fun { fun: Bound<'py, Fun>, next: usize, size_at: usize },
    Record { record: Bound<'py, Record>, next: usize },
}

/// A dict being written, key and value in turn.
pub struct Dict<'py> {
    walk: DictWalk<'py>,
    left: usize,
    key: Option<Bound<'py, PyAny>>,
    value: Option<Bound<'py, PyAny>>,
    before: Seen,
    texts: bool,
    binaries: bool,
    odd: bool,
}

impl<'py> Frame<'py> {
    /// The next child; `None` once the container is complete.
    #[inline]
    pub fn next(&mut self, out: &mut Output<'_>, seen: Seen) -> Encoded<Option<Bound<'py, PyAny>>> {
        match self {
            Self::Tuple { items, next } | Self::Map { items, next } => Ok(advance(items, next)),
            Self::List { list, next, length } => {
                if list.len() != *length {
                    return no_form("a list was changed while it was encoded");
                }
                if next == length {
                    out.put([tag::NIL])?;
                    return Ok(None);
                }
                *next += 1;
                Ok(list_item(list, *next - 1))
            }
            Self::Frozen { items, next } => {
                let item = advance(items, next);
                if item.is_none() {
                    out.put([tag::NIL])?;
                }
                Ok(item)
            }
            Self::Improper { list, next } => Ok(advance_improper(list, next)),
            Self::Dict(dict) => dict.next(seen),
            Self::Fun { fun, next, size_at } => {
                let item = advance(fun.get().free.bind(fun.py()), next);
                if item.is_none() {
                    write_size(out, *size_at)?;
                }
                Ok(item)
            }
            Self::Record { record, next } => Ok(advance(record.get().values.bind(record.py()), next)),
        }
    }

    /// How one gets from the container to the child given last.
    pub fn step(&self) -> String {
        match self {
            Self::Tuple { next, .. } | Self::List { next, .. } | Self::Frozen { next, .. } => {
                format!("[{}]", next.saturating_sub(1))
            }
            Self::Improper { list, next } if *next > list.get().items.bind(list.py()).len() => ".tail".to_owned(),
            Self::Improper { next, .. } => format!(".elements[{}]", next.saturating_sub(1)),
            Self::Dict(dict) => match (&dict.key, &dict.value) {
                (Some(key), None) => format!("[{}]", path::key(key)),
                (Some(key), Some(_)) => format!(".key({})", path::key(key)),
                _ => String::new(),
            },
            Self::Map { items, next } => match items.get_item(next.saturating_sub(1) & !1) {
                Ok(key) if next % 2 == 0 => format!("[{}]", path::key(&key)),
                Ok(key) => format!(".key({})", path::key(&key)),
                Err(_) => String::new(),
            },
            Self::Fun { next, .. } => format!(".free_variables[{}]", next.saturating_sub(1)),
            Self::Record { record, next } => {
                let field = record.get().parts.fields.get(next.saturating_sub(1));
                format!("[{}]", field.map_or("", Name::text))
            }
        }
    }
}

fn advance<'py>(items: &Bound<'py, PyTuple>, next: &mut usize) -> Option<Bound<'py, PyAny>> {
    let item = items.as_slice().get(*next)?;
    *next += 1;
    Some(item.clone())
}

fn advance_improper<'py>(list: &Bound<'py, ImproperList>, next: &mut usize) -> Option<Bound<'py, PyAny>> {
    let (py, this) = (list.py(), list.get());
    let items = this.items.bind(py);
    if *next > items.len() {
        return None;
    }
    advance(items, next).or_else(|| {
        *next += 1;
        Some(this.tail.bind(py).clone())
    })
}

/// Write the size of a fun, which counts itself, now that it is known.
fn write_size(out: &mut Output<'_>, at: usize) -> Written {
    let Ok(size) = u32::try_from(out.len() - at) else {
        return no_form("a fun has more than 4 GiB");
    };
    out.set(at, size.to_be_bytes());
    Ok(())
}

impl<'py> Dict<'py> {
    /// Before the first pair.
    pub fn new(dict: &Bound<'py, PyDict>) -> Self {
        let (walk, left) = (DictWalk::new(dict.clone()), dict.len());
        Self { walk, left, key: None, value: None, before: Seen::default(), texts: false, binaries: false, odd: false }
    }

    fn next(&mut self, seen: Seen) -> Encoded<Option<Bound<'py, PyAny>>> {
        if let Some(value) = self.value.take() {
            self.key_written(seen);
            return Ok(Some(value));
        }
        match self.walk.advance() {
            Some((key, value)) if self.left > 0 => {
                self.left -= 1;
                self.before = seen;
                (self.key, self.value) = (Some(key.clone()), Some(value));
                Ok(Some(key))
            }
            None if self.left == 0 => {
                self.key = None;
                self.check_keys()?;
                Ok(None)
            }
            _ => {
                self.key = None;
                no_form("a dict was changed while it was encoded")
            }
        }
    }

    fn key_written(&mut self, seen: Seen) {
        self.texts |= seen.texts != self.before.texts;
        self.binaries |= seen.binaries != self.before.binaries;
        self.odd |= seen.odd != self.before.odd;
    }

    /// A peer would close the link over a map that has a key twice, such as `"a"` and `b"a"`.
    fn check_keys(&self) -> Written {
        if !(self.odd || self.texts && self.binaries) {
            return Ok(());
        }
        let mut keys = FxHashSet::default();
        for key in self.walk.dict().keys() {
            if !keys.insert(identity::of(&key)?) {
                return no_form(format!("two keys of a dict are the same Erlang term, one is {}", path::key(&key)));
            }
        }
        Ok(())
    }
}
