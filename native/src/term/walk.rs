//! Equality, hash and repr of containers, without recursion; pickling as deep as Python can.
//!
//! Python's own tuples hash by recursion in C, and a peer decides how deep a term is nested.

use std::cell::Cell;
use std::hash::{Hash, Hasher};

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use rustc_hash::FxHashMap;

use super::atom::Atom;
use super::fun::Fun;
use super::identity;
use super::keyed::KeyedHasher;
use super::list::{FrozenList, ImproperList};
use super::map::TermMap;
use super::record::Record;

/// A list that contains itself is deeper than this; a term that was decoded never is.
const MAX_DEPTH: usize = 100_000;

/// Levels of a container that is pickled or copied. Python does both by recursion, several calls a level.
const MAX_PICKLED: usize = 300;

/// Nested containers shown by `repr` before it says `...`.
const MAX_SHOWN: usize = 50;

/// What `__eq__` answers: `NotImplemented` for a type that is not `known`.
pub fn equality<'py>(one: &Bound<'py, PyAny>, other: &Bound<'py, PyAny>, known: bool) -> PyResult<Py<PyAny>> {
    let py = one.py();
    if !known {
        return Ok(py.NotImplemented());
    }
    Ok(PyBool::new(py, equal(one, other)?).to_owned().into_any().unbind())
}

/// Python's `==`, iterative for tuples, lists, dicts and the containers of this package.
pub fn equal<'py>(one: &Bound<'py, PyAny>, other: &Bound<'py, PyAny>) -> PyResult<bool> {
    let mut pending = vec![(one.clone(), other.clone(), 0)];
    while let Some((one, other, depth)) = pending.pop() {
        if one.is(&other) {
            continue;
        }
        if depth > MAX_DEPTH {
            return Err(PyRecursionError::new_err("containers nested too deeply to compare, or within themselves"));
        }
        let mut children = Vec::new();
        if !shallow_equal(&one, &other, &mut children)? {
            return Ok(false);
        }
        pending.extend(children.into_iter().rev().map(|(one, other)| (one, other, depth + 1)));
    }
    Ok(true)
}

type Pairs<'py> = Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>;

/// Compare everything but the children, which go to `children`.
fn shallow_equal<'py>(one: &Bound<'py, PyAny>, other: &Bound<'py, PyAny>, children: &mut Pairs<'py>) -> PyResult<bool> {
    if is_frequent_leaf(one) && is_frequent_leaf(other) {
        return one.eq(other);
    }
    if let (Ok(one), Ok(other)) = (one.cast::<PyDict>(), other.cast::<PyDict>()) {
        return dicts_equal(one, other, children);
    }
    if one.is_instance_of::<TermMap>() || other.is_instance_of::<TermMap>() {
        return maps_equal(one, other);
    }
    match (Opened::of(one), Opened::of(other)) {
        (Some(one), Some(other)) => Ok(one.same_head(&other) && zip(&one, &other, children)),
        (None, None) => one.eq(other),
        _ => Ok(false),
    }
}

fn zip<'py>(one: &Opened<'py>, other: &Opened<'py>, children: &mut Pairs<'py>) -> bool {
    let pairs = one.items.as_slice().iter().zip(other.items.as_slice());
    children.extend(pairs.filter(|(one, other)| !one.is(other)).map(|(one, other)| (one.clone(), other.clone())));
    if let (Some(one), Some(other)) = (&one.tail, &other.tail) {
        children.push((one.clone(), other.clone()));
    }
    true
}

fn maps_equal<'py>(one: &Bound<'py, PyAny>, other: &Bound<'py, PyAny>) -> PyResult<bool> {
    let is_map = |object: &Bound<'py, PyAny>| object.is_instance_of::<TermMap>() || object.is_instance_of::<PyDict>();
    Ok(is_map(one) && is_map(other) && identity::of(one)? == identity::of(other)?)
}

fn dicts_equal<'py>(one: &Bound<'py, PyDict>, other: &Bound<'py, PyDict>, children: &mut Pairs<'py>) -> PyResult<bool> {
    if one.len() != other.len() {
        return Ok(false);
    }
    for pair in one.items() {
        let (key, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = pair.extract()?;
        match other.get_item(key)? {
            Some(there) => children.push((value, there)),
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Python's `hash` of a container whose elements are hashable, consistent with `equal`.
pub fn hash(object: &Bound<'_, PyAny>) -> PyResult<isize> {
    let mut hasher = KeyedHasher::default();
    let mut pending = vec![object.clone()];
    while let Some(object) = pending.pop() {
        let is_leaf = is_frequent_leaf(&object) || object.is_instance_of::<PyList>();
        let opened = if is_leaf { None } else { Opened::of(&object) };
        let Some(opened) = opened else {
            hasher.write_isize(object.hash()?);
            continue;
        };
        opened.hash_head(&mut hasher);
        pending.extend(opened.tail.iter().cloned());
        pending.extend(opened.items.iter().rev());
    }
    #[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // any bits will do
    Ok(hasher.finish() as isize)
}

/// Whether an object is of one of the types of which most elements of long lists are: seen without a look for others.
fn is_frequent_leaf(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyBytes>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<Atom>()
}

/// Refuse what `__reduce__` must not answer for: from 3.12 on nothing else keeps `pickle` from overflowing the stack.
pub fn check_pickled(object: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut deepest = FxHashMap::default(); // what is shared is looked at again only where it lies deeper
    let mut pending = vec![(object.clone(), 1)];
    while let Some((object, depth)) = pending.pop() {
        let Some(inner) = inner(&object) else { continue };
        if depth > MAX_PICKLED {
            let text = format!("containers nested deeper than {MAX_PICKLED} levels can't be pickled or copied");
            return Err(PyRecursionError::new_err(text));
        }
        let seen = deepest.entry(object.as_ptr() as usize).or_insert(0);
        if *seen < depth {
            *seen = depth;
            pending.extend(inner.into_iter().map(|one| (one, depth + 1)));
        }
    }
    Ok(())
}

/// What any container holds.
fn inner<'py>(object: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    if let Ok(map) = object.cast::<TermMap>() {
        Some(map.get().items.bind(object.py()).iter().collect())
    } else if let Ok(dict) = object.cast::<PyDict>() {
        Some(dict.iter().flat_map(|(key, value)| [key, value]).collect())
    } else {
        Opened::of(object).map(|opened| opened.items.iter().chain(opened.tail).collect())
    }
}

/// A container taken apart: what it is, and its children.
struct Opened<'py> {
    head: Head<'py>,
    items: Bound<'py, PyTuple>,
    tail: Option<Bound<'py, PyAny>>,
}

enum Head<'py> {
    Tuple,
    List,
    Improper,
    Fun(Bound<'py, Fun>),
    Record(Bound<'py, Record>),
}

impl<'py> Opened<'py> {
    fn of(object: &Bound<'py, PyAny>) -> Option<Self> {
        let py = object.py();
        let plain = |head, items| Some(Self { head, items, tail: None });
        if let Ok(tuple) = object.cast::<PyTuple>() {
            plain(Head::Tuple, tuple.clone())
        } else if let Ok(list) = object.cast::<PyList>() {
            plain(Head::List, list.to_tuple())
        } else if let Ok(list) = object.cast::<FrozenList>() {
            plain(Head::List, list.get().items.bind(py).clone())
        } else if let Ok(list) = object.cast::<ImproperList>() {
            let list = list.get();
            let tail = Some(list.tail.bind(py).clone());
            Some(Self { head: Head::Improper, items: list.items.bind(py).clone(), tail })
        } else if let Ok(fun) = object.cast::<Fun>() {
            plain(Head::Fun(fun.clone()), fun.get().free.bind(py).clone())
        } else if let Ok(record) = object.cast::<Record>() {
            plain(Head::Record(record.clone()), record.get().values.bind(py).clone())
        } else {
            None
        }
    }

    fn same_head(&self, other: &Self) -> bool {
        self.items.len() == other.items.len()
            && match (&self.head, &other.head) {
                (Head::Tuple, Head::Tuple) | (Head::List, Head::List) | (Head::Improper, Head::Improper) => true,
                (Head::Fun(one), Head::Fun(other)) => one.get().parts == other.get().parts,
                (Head::Record(one), Head::Record(other)) => one.get().parts == other.get().parts,
                _ => false,
            }
    }

    fn hash_head(&self, hasher: &mut KeyedHasher) {
        self.items.len().hash(hasher);
        match &self.head {
            Head::Tuple => hasher.write_u8(1),
            Head::List => hasher.write_u8(2),
            Head::Improper => hasher.write_u8(3),
            Head::Fun(fun) => fun.get().parts.hash(hasher),
            Head::Record(record) => record.get().parts.hash(hasher),
        }
    }
}

thread_local! {
    static SHOWN: Cell<usize> = const { Cell::new(0) };
}

/// Counts the containers around the one whose `repr` is being written.
pub struct Shown(usize);

impl Shown {
    /// Enter one more container, until the value is dropped.
    pub fn enter() -> Self {
        SHOWN.with(|depth| {
            depth.set(depth.get() + 1);
            Self(depth.get())
        })
    }

    /// The text `name(argument, ...)`.
    pub fn call(&self, name: &str, arguments: &[&Bound<'_, PyAny>]) -> PyResult<String> {
        if self.0 > MAX_SHOWN {
            return Ok(format!("{name}(...)"));
        }
        let shown: Vec<Bound<'_, PyString>> = arguments.iter().map(|one| one.repr()).collect::<PyResult<_>>()?;
        let shown: Vec<&str> = shown.iter().map(|one| one.to_str()).collect::<PyResult<_>>()?;
        Ok(format!("{name}({})", shown.join(", ")))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        SHOWN.with(|depth| depth.set(depth.get() - 1));
    }
}
