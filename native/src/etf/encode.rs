//! Objects to bytes, without recursion.
//!
//! A stack of containers whose children are still to be written. No code of the objects' classes runs, but a
//! collection may run finalizers amid the walk, so a list or dict is never trusted to stay as it was.

use std::sync::LazyLock;

use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple};

use super::atoms::AtomList;
use super::frame::{Dict, Encoded, Fault, Frame, Seen, Written, no_form};
use super::object::encode_error;
use super::output::Output;
use super::{path, tag};
use crate::term::atom::{Atom, Name};
use crate::term::bits::BitString;
use crate::term::fun::{Export, Fun};
use crate::term::list::{FrozenList, ImproperList};
use crate::term::map::TermMap;
use crate::term::number;
use crate::term::pid::{Pid, PidParts};
use crate::term::port::{Port, PortParts};
use crate::term::raw::{self, exact, list_item};
use crate::term::record::Record;
use crate::term::reference::Reference;

/// Longest list that goes as `STRING_EXT`.
const MAX_STRING: usize = 65_535;

/// BEAM writes ports below this in the form of before OTP 24.
const MAX_NEW_PORT: u32 = 1 << 28;

/// Append the external form of `term`, without version byte and with its atoms in clear, to `out`.
///
/// Raises `pyzen.errors.EncodeError`; then `out` is as it was.
pub fn encode_term(term: &Bound<'_, PyAny>, max_depth: usize, out: &mut Vec<u8>) -> PyResult<()> {
    encode_aside(term, max_depth, out, &mut Aside::default())
}

/// A part that was left out, and where it belongs.
pub type Left<'py> = (usize, Bound<'py, PyBytes>);

/// What of a message between nodes does not stand in its terms.
#[derive(Default)]
pub struct Aside<'py> {
    /// Atoms for the header; `None` where atoms have to be in clear.
    pub atoms: Option<AtomList>,
    /// Binaries of `LARGE` bytes and more; `None` where they have to stay.
    pub left: Option<Vec<Left<'py>>>,
}

/// The same for a message between nodes. On an error `aside` is of no more use.
pub fn encode_aside<'py>(
    term: &Bound<'py, PyAny>,
    max_depth: usize,
    out: &mut Vec<u8>,
    aside: &mut Aside<'py>,
) -> PyResult<()> {
    let start = out.len();
    let mut encoder = Encoder::new(Output::new(out, usize::MAX), aside, max_depth);
    let Err(fault) = encoder.run(term) else {
        return Ok(());
    };
    let path = encoder.path();
    out.truncate(start);
    Err(match *fault {
        Fault::NoForm(why) => encode_error(term.py(), &why, &path),
        Fault::TooLarge => PyMemoryError::new_err("the encoded term is too large"), // larger than the address space
        Fault::Python(error) => error,
    })
}

/// How many bytes a term encodes to, without version byte; none if it has no form or needs more than `max_size`.
///
/// Takes time and memory for `max_size` bytes at most, however large the term.
pub fn encoded_size(term: &Bound<'_, PyAny>, max_depth: usize, max_size: usize) -> PyResult<Option<usize>> {
    let (mut out, mut aside) = (Vec::new(), Aside::default());
    let mut encoder = Encoder::new(Output::new(&mut out, max_size), &mut aside, max_depth);
    match encoder.run(term) {
        Ok(()) => Ok((out.len() <= max_size).then_some(out.len())),
        Err(fault) => match *fault {
            Fault::NoForm(_) | Fault::TooLarge => Ok(None),
            Fault::Python(error) => Err(error),
        },
    }
}

/// Binaries from this size on are left out where that is asked for.
pub const LARGE: usize = 256 * 1024;

static TRUE: LazyLock<Name> = LazyLock::new(|| Name::intern("true"));
static FALSE: LazyLock<Name> = LazyLock::new(|| Name::intern("false"));
static NIL: LazyLock<Name> = LazyLock::new(|| Name::intern("nil"));

struct Encoder<'out, 'py> {
    out: Output<'out>,
    aside: &'out mut Aside<'py>,
    frames: Vec<Frame<'py>>,
    max_depth: usize,
    seen: Seen,
}

impl<'out, 'py> Encoder<'out, 'py> {
    fn new(out: Output<'out>, aside: &'out mut Aside<'py>, max_depth: usize) -> Self {
        Self { out, aside, frames: Vec::new(), max_depth, seen: Seen::default() }
    }

    fn run(&mut self, term: &Bound<'py, PyAny>) -> Written {
        self.value(term)?;
        while let Some(frame) = self.frames.last_mut() {
            match frame.next(&mut self.out, self.seen)? {
                Some(child) => self.value(&child)?,
                None => drop(self.frames.pop()),
            }
        }
        Ok(())
    }

    fn path(&self) -> String {
        let steps: Vec<String> = self.frames.iter().map(Frame::step).collect();
        path::join(&steps)
    }

    fn open(&mut self, frame: Frame<'py>) -> Written {
        self.check_depth()?;
        self.frames.push(frame);
        Ok(())
    }

    #[inline]
    fn check_depth(&self) -> Written {
        if self.frames.len() < self.max_depth { Ok(()) } else { self.too_deep() }
    }

    #[cold]
    fn too_deep(&self) -> Written {
        no_form(format!("containers are nested deeper than {} levels", self.max_depth))
    }

    /// Write one object, or the start of a container.
    fn value(&mut self, object: &Bound<'py, PyAny>) -> Written {
        if let Some(tuple) = exact::<PyTuple>(object) {
            self.tuple(tuple)
        } else if self.frequent(object)? {
            Ok(())
        } else if let Some(list) = exact::<PyList>(object) {
            self.list(list)
        } else if let Some(reference) = exact::<Reference>(object) {
            self.reference(reference.get())
        } else if let Some(dict) = exact::<PyDict>(object) {
            self.dict(dict)
        } else if let Some(truth) = exact::<PyBool>(object) {
            self.name(if truth.is_true() { &TRUE } else { &FALSE })
        } else if object.is_none() {
            self.name(&NIL)
        } else if let Some(float) = exact::<PyFloat>(object) {
            self.float(float.value())
        } else {
            self.rare(object)
        }
    }

    /// Write an object of a frequent type that holds no others; false, and nothing written, for any other.
    fn frequent(&mut self, object: &Bound<'py, PyAny>) -> Encoded<bool> {
        if let Some(atom) = exact::<Atom>(object) {
            self.name(atom.get().name())?;
        } else if let Some(pid) = exact::<Pid>(object) {
            self.pid(&pid.get().0)?;
        } else if let Some(bytes) = exact::<PyBytes>(object) {
            self.bytes(bytes)?;
        } else if let Some(integer) = exact::<PyInt>(object) {
            self.integer(integer)?;
        } else if let Some(text) = exact::<PyString>(object) {
            self.text(text)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn rare(&mut self, object: &Bound<'py, PyAny>) -> Written {
        if let Ok(list) = object.cast::<FrozenList>() {
            self.frozen(list)
        } else if let Ok(list) = object.cast::<ImproperList>() {
            self.count(tag::LIST, list.get().items.bind(object.py()).len())?;
            self.open(Frame::Improper { list: list.clone(), next: 0 })
        } else if let Ok(map) = object.cast::<TermMap>() {
            let items = map.get().items.bind(object.py()).clone();
            self.count(tag::MAP, items.len() / 2)?;
            self.open_unless_empty(items.len(), Frame::Map { items, next: 0 })
        } else if let Ok(bits) = object.cast::<BitString>() {
            let bits = &bits.get().0;
            self.count(tag::BIT_BINARY, bits.bytes().len())?;
            self.out.put([bits.last()])?;
            self.out.put_all(bits.bytes())
        } else if let Ok(port) = object.cast::<Port>() {
            self.port(&port.get().0)
        } else if let Ok(export) = object.cast::<Export>() {
            let export = export.get();
            self.out.put([tag::EXPORT])?;
            self.name(&export.module)?;
            self.name(&export.function)?;
            self.small(i64::from(export.arity))
        } else if let Ok(fun) = object.cast::<Fun>() {
            self.fun(fun)
        } else if let Ok(record) = object.cast::<Record>() {
            self.record(record)
        } else {
            self.subclass(object)
        }
    }

    /// Buffers, and instances of subclasses, which are written as their base.
    fn subclass(&mut self, object: &Bound<'py, PyAny>) -> Written {
        self.seen.odd += 1;
        if let Ok(integer) = object.cast::<PyInt>() {
            self.integer(integer)
        } else if let Ok(text) = object.cast::<PyString>() {
            self.text(text)
        } else if let Ok(bytes) = object.cast::<PyBytes>() {
            self.binary(bytes.as_bytes())
        } else if let Ok(tuple) = object.cast::<PyTuple>() {
            self.tuple(tuple)
        } else if let Ok(list) = object.cast::<PyList>() {
            self.list(list)
        } else if let Ok(dict) = object.cast::<PyDict>() {
            self.dict(dict)
        } else if let Ok(float) = object.cast::<PyFloat>() {
            self.float(float.value())
        } else if object.is_instance_of::<PyByteArray>() || object.is_instance_of::<PyMemoryView>() {
            self.buffer(object)
        } else {
            no_form(format!("{} has no Erlang form", path::type_name(object)))
        }
    }

    // -------------------------------------------------------------------------------------- bytes

    /// A tag with a count of four bytes.
    fn count(&mut self, tag: u8, count: usize) -> Written {
        let Ok(count) = u32::try_from(count) else {
            return no_form(format!("{count} bytes or elements are more than the format can count"));
        };
        let [a, b, c, d] = count.to_be_bytes();
        self.out.put([tag, a, b, c, d])
    }

    #[inline]
    fn name(&mut self, name: &Name) -> Written {
        if let Some(atoms) = &mut self.aside.atoms
            && let Some(index) = atoms.index(name)
        {
            return self.out.put([tag::ATOM_CACHE_REF, index]);
        }
        self.out.put_atom(name)
    }

    /// Leave out a large binary if that is asked for.
    fn leave(&mut self, bytes: &Bound<'py, PyBytes>) -> Encoded<bool> {
        // A fun's size counts what is in it.
        if self.aside.left.is_none() || self.frames.iter().any(|frame| matches!(frame, Frame::Fun { .. })) {
            return Ok(false);
        }
        self.count(tag::BINARY, bytes.as_bytes().len())?;
        if let Some(left) = &mut self.aside.left {
            left.push((self.out.len(), bytes.clone()));
        }
        Ok(true)
    }

    fn bytes(&mut self, bytes: &Bound<'py, PyBytes>) -> Written {
        self.seen.binaries += 1;
        if bytes.as_bytes().len() >= LARGE && self.leave(bytes)? {
            return Ok(());
        }
        self.binary(bytes.as_bytes())
    }

    fn binary(&mut self, bytes: &[u8]) -> Written {
        self.count(tag::BINARY, bytes.len())?;
        self.out.put_all(bytes)
    }

    fn text(&mut self, text: &Bound<'py, PyString>) -> Written {
        self.seen.texts += 1;
        // A character has one byte at least. A subclass may have a `__len__` of its own, which is code of a user.
        if text.is_exact_instance_of::<PyString>() {
            self.out.check(text.len()?)?;
        }
        match text.to_str() {
            Ok(text) => self.binary(text.as_bytes()),
            Err(_) => no_form("a str with a lone surrogate has no UTF-8 form"),
        }
    }

    fn buffer(&mut self, object: &Bound<'py, PyAny>) -> Written {
        match raw::read_buffer(object, |bytes| self.binary(bytes)) {
            Ok(written) => written,
            Err(error) => no_form(format!("{} is not contiguous or was released ({error})", path::type_name(object))),
        }
    }

    // -------------------------------------------------------------------------------------- numbers

    fn integer(&mut self, integer: &Bound<'py, PyInt>) -> Written {
        if let Some(value) = number::small(integer) {
            return self.small(value);
        }
        if let Some(value) = number::medium(integer) {
            return self.medium(value);
        }
        self.out.check(number::size(integer)?)?;
        let (negative, magnitude) = number::magnitude(integer)?;
        let magnitude = magnitude.as_bytes();
        match u8::try_from(magnitude.len()) {
            Ok(length) => self.out.put([tag::SMALL_BIG, length])?,
            Err(_) => self.count(tag::LARGE_BIG, magnitude.len())?,
        }
        self.out.put([u8::from(negative)])?;
        self.out.put_all(magnitude)
    }

    fn small(&mut self, value: i64) -> Written {
        if let Ok(byte) = u8::try_from(value) {
            self.out.put([tag::SMALL_INTEGER, byte])
        } else if let Ok(value) = i32::try_from(value) {
            let [a, b, c, d] = value.to_be_bytes();
            self.out.put([tag::INTEGER, a, b, c, d])
        } else {
            self.medium(value.into())
        }
    }

    fn medium(&mut self, value: i128) -> Written {
        let magnitude = value.unsigned_abs();
        let length = 16 - magnitude.leading_zeros() / 8;
        #[allow(clippy::cast_possible_truncation)] // 16 at the most
        self.out.put([tag::SMALL_BIG, length as u8, u8::from(value < 0)])?;
        self.out.put_all(magnitude.to_le_bytes().get(..length as usize).unwrap_or_default())
    }

    fn float(&mut self, value: f64) -> Written {
        if !value.is_finite() {
            return no_form(format!("the float {value} has no Erlang form"));
        }
        self.out.put([tag::NEW_FLOAT])?;
        self.out.put(value.to_be_bytes())
    }

    // -------------------------------------------------------------------------------------- identifiers

    fn pid(&mut self, pid: &PidParts) -> Written {
        self.out.put([tag::NEW_PID])?;
        self.name(&pid.node)?;
        let mut numbers = [0; 12];
        numbers[..4].copy_from_slice(&pid.id.to_be_bytes());
        numbers[4..8].copy_from_slice(&pid.serial.to_be_bytes());
        numbers[8..].copy_from_slice(&pid.creation.to_be_bytes());
        self.out.put(numbers)
    }

    fn port(&mut self, port: &PortParts) -> Written {
        match u32::try_from(port.id) {
            Ok(id) if id < MAX_NEW_PORT => {
                self.out.put([tag::NEW_PORT])?;
                self.name(&port.node)?;
                self.out.put(id.to_be_bytes())?;
            }
            _ => {
                self.out.put([tag::V4_PORT])?;
                self.name(&port.node)?;
                self.out.put(port.id.to_be_bytes())?;
            }
        }
        self.out.put(port.creation.to_be_bytes())
    }

    fn reference(&mut self, reference: &Reference) -> Written {
        let parts = &reference.0;
        #[allow(clippy::cast_possible_truncation)] // at most 5
        let count = parts.words().len() as u8;
        self.out.put([tag::NEWER_REFERENCE, 0, count])?;
        self.name(&parts.node)?;
        self.out.put(parts.creation.to_be_bytes())?;
        parts.words().iter().try_for_each(|word| self.out.put(word.to_be_bytes()))
    }

    // -------------------------------------------------------------------------------------- containers

    fn open_unless_empty(&mut self, length: usize, frame: Frame<'py>) -> Written {
        if length == 0 { Ok(()) } else { self.open(frame) }
    }

    fn tuple(&mut self, tuple: &Bound<'py, PyTuple>) -> Written {
        match u8::try_from(tuple.len()) {
            Ok(arity) => self.out.put([tag::SMALL_TUPLE, arity])?,
            Err(_) => self.count(tag::LARGE_TUPLE, tuple.len())?,
        }
        if tuple.is_empty() {
            return Ok(());
        }
        self.check_depth()?;
        // Most tuples hold no other container: those never become a frame.
        for (index, item) in tuple.as_slice().iter().enumerate() {
            let written = self.frequent(item);
            if !matches!(written, Ok(true)) {
                // An item that was refused counts as given, for the path.
                let next = if written.is_ok() { index } else { index + 1 };
                self.frames.push(Frame::Tuple { items: tuple.clone(), next });
                return written.map(drop);
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &Bound<'py, PyList>) -> Written {
        let length = list.len();
        if length == 0 {
            return self.out.put([tag::NIL]);
        }
        if self.string(length, |index| list_item(list, index))? {
            return Ok(());
        }
        self.count(tag::LIST, length)?;
        self.open(Frame::List { list: list.clone(), next: 0, length })?;
        self.first_tuples(list, length)
    }

    /// Write the tuples that the list of the innermost frame starts with, up to one that makes a frame.
    ///
    /// Long lists are mostly ones of tuples that make none: this saves a turn of `run` for each of them.
    fn first_tuples(&mut self, list: &Bound<'py, PyList>, length: usize) -> Written {
        let depth = self.frames.len();
        let (mut given, mut written) = (0, Ok(()));
        while written.is_ok()
            && self.frames.len() == depth
            && given < length
            && let Some(item) = list_item(list, given)
            && let Some(tuple) = exact::<PyTuple>(&item)
        {
            written = self.tuple(tuple);
            given += 1;
        }
        if let Some(Frame::List { next, .. }) = self.frames.get_mut(depth - 1) {
            *next = given;
        }
        written
    }

    fn frozen(&mut self, list: &Bound<'py, FrozenList>) -> Written {
        let items = list.get().items.bind(list.py()).clone();
        if items.is_empty() {
            return self.out.put([tag::NIL]);
        }
        if self.string(items.len(), |index| items.as_slice().get(index).cloned())? {
            return Ok(());
        }
        self.count(tag::LIST, items.len())?;
        self.open(Frame::Frozen { items, next: 0 })
    }

    /// Write a list as `STRING_EXT` if all its elements are bytes; else write nothing.
    fn string(&mut self, length: usize, item: impl Fn(usize) -> Option<Bound<'py, PyAny>>) -> Encoded<bool> {
        if length > MAX_STRING {
            return Ok(false);
        }
        let start = self.out.len();
        #[allow(clippy::cast_possible_truncation)] // seen above
        let [high, low] = (length as u16).to_be_bytes();
        self.out.put([tag::STRING, high, low])?;
        for index in 0..length {
            let Some(byte) = item(index).and_then(|item| byte(&item)) else {
                self.out.truncate(start);
                return Ok(false);
            };
            self.out.put([byte])?;
        }
        Ok(true)
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>) -> Written {
        let left = dict.len();
        self.count(tag::MAP, left)?;
        if left == 0 {
            return Ok(());
        }
        self.open(Frame::Dict(Box::new(Dict::new(dict))))
    }

    fn fun(&mut self, fun: &Bound<'py, Fun>) -> Written {
        let (parts, free) = (&fun.get().parts, fun.get().free.bind(fun.py()));
        self.out.put([tag::NEW_FUN])?;
        let size_at = self.out.len();
        self.out.put([0; 4])?;
        self.out.put([parts.arity])?;
        self.out.put(parts.uniq)?;
        self.out.put(parts.index.to_be_bytes())?;
        let Ok(count) = u32::try_from(free.len()) else {
            return no_form("a fun has too many free variables");
        };
        self.out.put(count.to_be_bytes())?;
        self.name(&parts.module)?;
        self.small(parts.old_index)?;
        self.small(parts.old_uniq)?;
        self.pid(&parts.pid)?;
        self.open(Frame::Fun { fun: fun.clone(), next: 0, size_at })
    }

    fn record(&mut self, record: &Bound<'py, Record>) -> Written {
        let parts = &record.get().parts;
        self.count(tag::RECORD, parts.fields.len())?;
        self.out.put([parts.flags])?;
        self.name(&parts.module)?;
        self.name(&parts.name)?;
        for field in &parts.fields {
            self.name(field)?;
        }
        self.open_unless_empty(parts.fields.len(), Frame::Record { record: record.clone(), next: 0 })
    }
}

/// The value of an integer from 0 to 255.
fn byte(object: &Bound<'_, PyAny>) -> Option<u8> {
    let integer = object.cast::<PyInt>().ok()?;
    if object.is_exact_instance_of::<PyBool>() {
        return None;
    }
    number::small(integer).and_then(|value| u8::try_from(value).ok())
}
