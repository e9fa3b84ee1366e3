//! The fence: what `PyO3` has no safe and fast way for.
//!
//! Nothing here runs Python code, with the exception of `read_buffer` (a buffer's exporter) and `insert_new`
//! (the hash and equality of a key).
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr;
use std::slice;

use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyTuple};

/// The value of an integer, or of an instance of a subclass, that fits 64 bits.
pub fn to_i64(integer: &Bound<'_, PyInt>) -> Option<i64> {
    let mut overflow: c_int = 0;
    // SAFETY: the object is an int, so that no conversion runs and -1 without overflow is a value.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(integer.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(value)
}

/// The object as a `T` if its type is that one and no subclass. Unlike `cast_exact` it makes no error where it is not.
#[inline]
pub fn exact<'a, 'py, T: PyTypeInfo>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, T>> {
    if !object.is_exact_instance_of::<T>() {
        return None;
    }
    // SAFETY: the type was seen above.
    Some(unsafe { object.cast_unchecked() })
}

/// A tuple of known length, filled from its start.
///
/// Once complete it is unknown to the collector when nothing in it is known to it, as the collector itself
/// would arrange later, but without its having to look.
pub struct TupleBuilder {
    tuple: Py<PyTuple>,
    filled: usize,
    length: usize,
    tracked: bool,
    hidden: bool,
}

impl TupleBuilder {
    /// An empty tuple with room for `length` items.
    pub fn new(py: Python<'_>, length: usize) -> PyResult<Self> {
        let size = ffi::Py_ssize_t::try_from(length)?;
        // SAFETY: PyTuple_New answers a new reference to a tuple of null items, or null with an error set. Nobody
        // else sees it before `finish`; the collector and the deallocator pass null items by.
        let tuple = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(size))?.cast_into_unchecked() };
        Ok(Self { tuple: tuple.unbind(), filled: 0, length, tracked: false, hidden: false })
    }

    /// Whether all items are there.
    pub fn is_full(&self) -> bool {
        self.filled == self.length
    }

    /// Set the next item; past the end nothing happens.
    pub fn push(&mut self, item: Bound<'_, PyAny>) {
        if self.is_full() {
            return;
        }
        self.tracked |= is_tracked(&item);
        // SAFETY: the index is below the length the tuple was made with, the slot is still null, and nobody else
        // has the tuple; the reference of `item` moves into the slot.
        unsafe { ffi::PyTuple_SET_ITEM(self.tuple.as_ptr(), index(self.filled), item.into_ptr()) };
        self.filled += 1;
    }

    /// Let nobody find the tuple by way of the collector, as long as items are missing.
    pub fn hide(&mut self, py: Python<'_>) {
        hide(self.tuple.bind(py));
        self.hidden = true;
    }

    /// The complete tuple. The caller has seen that it is full.
    pub fn finish(self, py: Python<'_>) -> Bound<'_, PyTuple> {
        debug_assert!(self.is_full());
        let tuple = self.tuple.into_bound(py);
        // What is not tracked is immutable for good or untracked itself, so the tuple can be no part of a cycle.
        if !self.tracked && self.length > 0 {
            hide(&tuple);
        } else if self.hidden {
            show(&tuple);
        }
        tuple
    }
}

/// Let the collector forget an object: a tuple or a list.
fn hide<T>(container: &Bound<'_, T>) {
    // SAFETY: the object has the header of the collector, as all tuples and lists; one that is untracked stays so.
    unsafe { ffi::PyObject_GC_UnTrack(container.as_ptr().cast()) };
}

/// Let the collector know a tuple or a list again, unless it does.
fn show<T>(container: &Bound<'_, T>) {
    // SAFETY: the object has the header of the collector, and none of its items is null any more.
    unsafe {
        if ffi::PyObject_GC_IsTracked(container.as_ptr()) == 0 {
            ffi::PyObject_GC_Track(container.as_ptr().cast());
        }
    }
}

#[allow(clippy::cast_possible_wrap)] // an index of an object that exists
fn index(index: usize) -> ffi::Py_ssize_t {
    index as ffi::Py_ssize_t
}

/// Whether the collector knows an object. Of most types it never does, which takes no call to tell.
fn is_tracked(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: asks about a live object and its type.
    unsafe {
        ffi::PyType_HasFeature(ffi::Py_TYPE(object.as_ptr()), ffi::Py_TPFLAGS_HAVE_GC) != 0
            && ffi::PyObject_GC_IsTracked(object.as_ptr()) != 0
    }
}

/// A list, filled from its start, first into the room it was made with.
pub struct ListBuilder {
    list: Py<PyList>,
    filled: usize,
    room: usize,
    hidden: bool,
}

impl ListBuilder {
    /// An empty list with room for `length` items.
    pub fn new(py: Python<'_>, length: usize) -> PyResult<Self> {
        let size = ffi::Py_ssize_t::try_from(length)?;
        // SAFETY: as for a tuple.
        let list = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyList_New(size))?.cast_into_unchecked() };
        Ok(Self { list: list.unbind(), filled: 0, room: length, hidden: false })
    }

    /// How many items are there.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Add an item.
    pub fn push(&mut self, item: Bound<'_, PyAny>) -> PyResult<()> {
        if self.filled >= self.room {
            self.filled += 1;
            return self.list.bind(item.py()).append(item);
        }
        // SAFETY: the index is below the length the list was made with, the slot is still null, and nobody else has
        // the list; the reference of `item` moves into the slot.
        unsafe { ffi::PyList_SET_ITEM(self.list.as_ptr(), index(self.filled), item.into_ptr()) };
        self.filled += 1;
        Ok(())
    }

    /// Let nobody find the list by way of the collector, as long as items are missing.
    pub fn hide(&mut self, py: Python<'_>) {
        hide(self.list.bind(py));
        self.hidden = true;
    }

    /// The list. The caller has seen that its room is filled.
    pub fn finish(self, py: Python<'_>) -> Bound<'_, PyList> {
        debug_assert!(self.filled >= self.room);
        let list = self.list.into_bound(py);
        if self.hidden {
            show(&list);
        }
        list
    }
}

/// The item of a list at an index, if the list has it now.
#[inline]
pub fn list_item<'py>(list: &Bound<'py, PyList>, index: usize) -> Option<Bound<'py, PyAny>> {
    if index >= list.len() {
        return None;
    }
    // SAFETY: the index is below the length as it is now, and nothing else runs before the reference is our own.
    Some(unsafe { list.get_item_unchecked(index) })
}

/// A `bytes` object that is filled after it was made.
///
/// Until then it must be reachable only from objects that no Python code has, and nobody may ask for its hash.
pub struct Unfilled(Py<PyBytes>);

impl Unfilled {
    /// Make one; the second value is the object itself.
    pub fn new(py: Python<'_>, length: usize) -> PyResult<(Self, Bound<'_, PyBytes>)> {
        let size = ffi::Py_ssize_t::try_from(length)?;
        // SAFETY: a null pointer asks for a new object of that size with any content; null comes with an error set.
        let object = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(ptr::null(), size))? };
        // SAFETY: it is what its name says.
        let object: Bound<'_, PyBytes> = unsafe { object.cast_into_unchecked() };
        Ok((Self(object.clone().unbind()), object))
    }

    /// Fill the part that starts at `start`; what goes past the end is left out.
    pub fn fill(&self, py: Python<'_>, start: usize, data: &[u8]) {
        let object = self.0.bind(py);
        let Some(room) = object.as_bytes().len().checked_sub(start) else { return };
        // SAFETY: start and count are within the object, whose content nobody else reads or writes yet, and which
        // `data` is no part of.
        unsafe {
            let place = ffi::PyBytes_AsString(object.as_ptr()).add(start);
            ptr::copy_nonoverlapping(data.as_ptr(), place.cast(), room.min(data.len()));
        }
    }
}

/// Insert a key; false, and nothing changed, if the dict has an equal one.
pub fn insert_new(dict: &Bound<'_, PyDict>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let before = dict.len();
    // SAFETY: three live objects; the answer is a borrowed reference, not used but for null, which means an error.
    let there = unsafe { ffi::PyDict_SetDefault(dict.as_ptr(), key.as_ptr(), value.as_ptr()) };
    if there.is_null() {
        return Err(PyErr::fetch(dict.py()));
    }
    Ok(dict.len() > before)
}

/// A walk over a dict that bears changes between its steps: then pairs may be missing or come twice.
pub struct DictWalk<'py> {
    dict: Bound<'py, PyDict>,
    position: ffi::Py_ssize_t,
}

impl<'py> DictWalk<'py> {
    /// A walk that starts with the first pair.
    pub fn new(dict: Bound<'py, PyDict>) -> Self {
        Self { dict, position: 0 }
    }

    /// The dict.
    pub fn dict(&self) -> &Bound<'py, PyDict> {
        &self.dict
    }

    /// The next pair.
    pub fn advance(&mut self) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
        let py = self.dict.py();
        // SAFETY: PyDict_Next checks the position against the dict as it is now. The references it lends are made
        // our own before anything else runs.
        unsafe {
            if ffi::PyDict_Next(self.dict.as_ptr(), &raw mut self.position, &raw mut key, &raw mut value) == 0 {
                return None;
            }
            Some((Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value)))
        }
    }
}

/// Give the bytes of a contiguous buffer to `take`, which must not run Python code.
pub fn read_buffer<T>(object: &Bound<'_, PyAny>, take: impl FnOnce(&[u8]) -> T) -> PyResult<T> {
    let mut view = ffi::Py_buffer::new();
    // SAFETY: a fresh view; PyBUF_SIMPLE asks for contiguous bytes, and fails for anything else.
    if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view, ffi::PyBUF_SIMPLE) } != 0 {
        return Err(PyErr::fetch(object.py()));
    }
    let length = usize::try_from(view.len).unwrap_or(0);
    let bytes: &[u8] = if length == 0 {
        &[]
    } else {
        // SAFETY: the exporter keeps `len` bytes at `buf` until the view is released, and the interpreter is held.
        unsafe { slice::from_raw_parts(view.buf.cast(), length) }
    };
    let taken = take(bytes);
    // SAFETY: the view was filled above and is released once.
    unsafe { ffi::PyBuffer_Release(&raw mut view) };
    Ok(taken)
}

/// Whether this is the interpreter that the process began with, rather than a subinterpreter.
pub fn is_main_interpreter(_py: Python<'_>) -> bool {
    // SAFETY: the interpreter is held, so there is a current one; the main one lives as long as the process.
    unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() }
}

/// Keeps the collector from running while many objects are made.
pub struct CollectorPause(bool);

impl CollectorPause {
    /// Pause the collector, if it is on, until the value is dropped.
    pub fn new(_py: Python<'_>) -> Self {
        // SAFETY: no argument; the interpreter is held.
        Self(unsafe { ffi::PyGC_Disable() } != 0)
    }
}

impl Drop for CollectorPause {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: as above: values of this type don't leave the call that made them.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
