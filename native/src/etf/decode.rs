//! Bytes to objects, without recursion.
//!
//! A stack of unfinished containers; each term read is given to the innermost one. No container is made larger
//! than the bytes that are left could fill, all unfinished ones together.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString, PyTuple};

use super::build::{Decoded, Key, List, Map, SLOT, finish_list, no_memory, object, push_bytes};
use super::progress::{Frame, Hole, Progress};
use super::read::{self, Atoms, Reader};
use super::{Decoding, tag};
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::term::bits::{BitString, Bits};
use crate::term::fun::{Export, Fun, FunParts};
use crate::term::number;
use crate::term::pid::Pid;
use crate::term::port::Port;
use crate::term::raw::{CollectorPause, ListBuilder, TupleBuilder, Unfilled};
use crate::term::record::{self, Record, RecordParts};
use crate::term::reference::Reference;

/// A key nested deeper than this is never hashed by Python, whose tuples hash by recursion in C.
const MAX_HASHED_DEPTH: usize = 100;

/// Binaries from this size on are left unfilled where that is asked for.
const LARGE: usize = 256 * 1024;

/// Larger tuples are read a slice at a time.
const SMALL_ARITY: usize = 255;

/// Terms that are read between two looks at the clock.
const STRIDE: usize = 64;

/// Bytes that objects take in Python: their heads, and what a pair of a dict takes. Those of
/// binaries are bounded by the bytes of the term.
const CONTAINER: usize = 56;
const OBJECT: usize = 80;
const NUMBER: usize = 32;
const PAIR: usize = 100;

/// The integers that Python has anyway.
const KEPT: std::ops::RangeInclusive<i64> = -5..=256;

/// Decode one term at the start of `data`; the object, and how many bytes it took.
pub fn decode_term<'py>(
    py: Python<'py>,
    data: &[u8],
    how: &Decoding<'_>,
) -> Result<(Bound<'py, PyAny>, usize), DecodeError> {
    let _pause = CollectorPause::new(py);
    let mut decoder = Decoder::new(py, data, how, Progress::new(data.len(), how.limits, false)?);
    loop {
        if let Some(term) = decoder.stride()? {
            return Ok((term, decoder.reader.position()));
        }
    }
}

/// Decodes as far as it gets.
pub struct Decoder<'a, 'py> {
    py: Python<'py>,
    reader: Reader<'a>,
    atoms: Atoms<'a>,
    strings: bool,
    limits: &'a Limits,
    now: Progress,
}

/// What reading one tag has led to.
enum Step<'py> {
    Value(Bound<'py, PyAny>),
    Open(Frame),
    /// The term is the one that follows.
    Again,
}

impl<'a, 'py> Decoder<'a, 'py> {
    /// Go on with a term.
    pub fn new(py: Python<'py>, data: &'a [u8], how: &Decoding<'a>, now: Progress) -> Self {
        Self {
            py,
            reader: Reader::at(data, now.position),
            atoms: Atoms::new(how.atoms, how.budget),
            strings: how.strings,
            limits: how.limits,
            now,
        }
    }

    /// How far it is.
    pub fn suspend(self) -> Progress {
        Progress { position: self.reader.position(), ..self.now }
    }

    /// Read some terms; the value of the outermost one, if that is complete.
    pub fn stride(&mut self) -> Decoded<Option<Bound<'py, PyAny>>> {
        for _ in 0..STRIDE {
            match self.term()? {
                Step::Again => {}
                Step::Open(frame) => self.open(frame),
                Step::Value(value) => {
                    if let Some(value) = self.deliver(value)? {
                        return Ok(Some(value));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Give a value to the innermost container, and those that this completes to theirs.
    fn deliver(&mut self, mut value: Bound<'py, PyAny>) -> Decoded<Option<Bound<'py, PyAny>>> {
        loop {
            let (depth, at) = (self.now.frames.len(), self.reader.position());
            let Some(frame) = self.now.frames.last_mut() else {
                return Ok(Some(value));
            };
            let complete = match frame {
                Frame::Tuple(tuple) | Frame::Fun(_, tuple) | Frame::Record(_, tuple) => {
                    tuple.push(value);
                    tuple.is_full()
                }
                Frame::List(list) => {
                    list.push(value)?;
                    list.is_full() && list.end(self.py, &mut self.reader, &mut self.now.bounds)?
                }
                Frame::Map(map) if map.key.is_none() => {
                    self.now.key.end(map, depth - 1);
                    map.take_key(value, at);
                    false
                }
                Frame::Map(map) => {
                    map.add(value, at, &mut self.now.patience)?;
                    self.now.key.begin(map, depth - 1);
                    map.left == 0
                }
            };
            if !complete {
                return Ok(None);
            }
            let Some(frame) = self.now.frames.pop() else {
                return Ok(None);
            };
            value = self.close(frame)?;
        }
    }

    /// Count the container that begins.
    fn enter(&mut self) -> Decoded<()> {
        let (depth, maximum) = (self.now.frames.len(), self.limits.max_depth);
        if depth >= maximum {
            return Err(self.reader.limit("max_depth", depth + 1, maximum));
        }
        if let Key::Inside { frame, deep } = &mut self.now.key {
            *deep |= depth - *frame > MAX_HASHED_DEPTH;
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame) {
        if matches!((&frame, &self.now.key), (Frame::Map(_), Key::Outside)) {
            self.now.key = Key::Inside { frame: self.now.frames.len(), deep: false };
        }
        self.now.frames.push(frame);
    }

    fn expect(&mut self, terms: usize) -> Decoded<usize> {
        self.now.bounds.expect(terms, &self.reader)
    }

    fn charge(&mut self, bytes: usize) -> Decoded<()> {
        self.now.bounds.charge(bytes, &self.reader)
    }

    /// Count a container, and what each of its items takes.
    fn charge_container(&mut self, items: usize, each: usize) -> Decoded<()> {
        self.charge(items.saturating_mul(each).saturating_add(CONTAINER))
    }

    fn frozen(&self) -> bool {
        matches!(self.now.key, Key::Inside { .. })
    }

    fn term(&mut self) -> Decoded<Step<'py>> {
        let tag = self.tag()?;
        if let Some(value) = self.frequent(tag)? {
            return Ok(Step::Value(value));
        }
        match tag {
            tag::SMALL_TUPLE => {
                let arity = self.reader.length8()?;
                self.tuple(arity)
            }
            tag::LARGE_TUPLE => {
                let arity = self.reader.length32()?;
                self.tuple(arity)
            }
            tag::LIST => self.list(),
            tag::MAP => self.map(),
            _ => self.rare(tag),
        }
    }

    fn tag(&mut self) -> Decoded<u8> {
        let tag = self.reader.tag()?;
        self.now.bounds.pending -= 1;
        Ok(tag)
    }

    /// The value of a frequent tag that is none of a container.
    fn frequent(&mut self, tag: u8) -> Decoded<Option<Bound<'py, PyAny>>> {
        let value = match tag {
            tag::SMALL_INTEGER => {
                let value = self.reader.u8()?;
                self.integer(i64::from(value))?
            }
            tag::INTEGER => {
                let value = self.reader.i32()?;
                self.integer(i64::from(value))?
            }
            tag::NIL => self.bytes_list(&[])?,
            tag::STRING => {
                let length = self.reader.length16()?;
                let bytes = self.reader.take(length)?;
                self.bytes_list(bytes)?
            }
            tag::BINARY => {
                let length = self.reader.length32()?;
                let bytes = self.reader.take(length)?;
                self.charge(OBJECT)?;
                if length < LARGE { self.binary(bytes) } else { self.large_binary(bytes)? }
            }
            tag::NEW_PID | tag::PID => {
                let parts = read::pid(&mut self.reader, &mut self.atoms, tag)?;
                self.object(Pid(parts))?
            }
            tag::NEWER_REFERENCE | tag::NEW_REFERENCE | tag::REFERENCE => {
                let parts = read::reference(&mut self.reader, &mut self.atoms, tag)?;
                self.object(Reference(parts))?
            }
            _ => match self.atoms.read(&mut self.reader, tag)? {
                Some(name) => name.value(self.py).map_err(no_memory)?,
                None => return Ok(None),
            },
        };
        Ok(Some(value))
    }

    fn rare(&mut self, tag: u8) -> Decoded<Step<'py>> {
        let value = match tag {
            tag::NEW_FLOAT => {
                let value = f64::from_bits(self.reader.u64()?);
                self.float(value)?
            }
            tag::FLOAT => {
                let value = self.reader.old_float()?;
                self.float(value)?
            }
            tag::SMALL_BIG => {
                let length = self.reader.length8()?;
                self.big(length)?
            }
            tag::LARGE_BIG => {
                let length = self.reader.length32()?;
                self.big(length)?
            }
            tag::BIT_BINARY => self.bits()?,
            tag::V4_PORT | tag::NEW_PORT | tag::PORT => {
                let parts = read::port(&mut self.reader, &mut self.atoms, tag)?;
                self.object(Port(parts))?
            }
            tag::EXPORT => self.export()?,
            tag::NEW_FUN => return self.fun(),
            tag::RECORD => return self.record(),
            _ => return Err(self.reader.malformed(tag::refusal(tag))),
        };
        Ok(Step::Value(value))
    }

    fn integer(&mut self, value: i64) -> Decoded<Bound<'py, PyAny>> {
        if !KEPT.contains(&value) {
            self.charge(NUMBER)?;
        }
        let integer: Bound<'py, PyInt> = value.into_pyobject(self.py).map_err(|_| DecodeError::Memory)?;
        Ok(integer.into_any())
    }

    fn float(&mut self, value: f64) -> Decoded<Bound<'py, PyAny>> {
        self.charge(NUMBER)?;
        Ok(PyFloat::new(self.py, self.reader.finite(value)?).into_any())
    }

    fn big(&mut self, length: usize) -> Decoded<Bound<'py, PyAny>> {
        let negative = self.reader.sign()?;
        let magnitude = self.reader.take(length)?;
        self.charge(NUMBER + length + length / 8)?;
        number::from_magnitude(self.py, negative, magnitude).map_err(no_memory)
    }

    fn binary(&self, bytes: &[u8]) -> Bound<'py, PyAny> {
        match std::str::from_utf8(bytes) {
            Ok(text) if self.strings => PyString::new(self.py, text).into_any(),
            _ => PyBytes::new(self.py, bytes).into_any(),
        }
    }

    fn large_binary(&mut self, bytes: &[u8]) -> Decoded<Bound<'py, PyAny>> {
        let at = self.reader.position() - bytes.len();
        match &mut self.now.holes {
            Some(holes) if matches!(self.now.key, Key::Outside) && !self.strings => {
                let (unfilled, object) = Unfilled::new(self.py, bytes.len()).map_err(no_memory)?;
                holes.push(Hole { bytes: unfilled, at, left: bytes.len() });
                Ok(object.into_any())
            }
            _ => Ok(self.binary(bytes)),
        }
    }

    fn bits(&mut self) -> Decoded<Bound<'py, PyAny>> {
        let length = self.reader.length32()?;
        let last = self.reader.u8()?;
        let bytes = self.reader.take(length)?;
        if last > 8 || (last == 0) != bytes.is_empty() {
            return Err(self.reader.malformed("a bitstring uses 1 to 8 bits of its last byte"));
        }
        match Bits::new(bytes, last) {
            Some(bits) => self.object(BitString(bits)),
            None => Ok(self.binary(bytes)),
        }
    }

    fn bytes_list(&mut self, bytes: &[u8]) -> Decoded<Bound<'py, PyAny>> {
        self.charge_container(bytes.len(), SLOT)?;
        let mut list = ListBuilder::new(self.py, bytes.len()).map_err(no_memory)?;
        push_bytes(self.py, &mut list, bytes)?;
        finish_list(self.py, list, self.frozen())
    }

    fn tuple(&mut self, arity: usize) -> Decoded<Step<'py>> {
        if arity == 0 {
            return Ok(Step::Value(PyTuple::empty(self.py).into_any()));
        }
        self.enter()?;
        let arity = self.expect(arity)?;
        self.charge_container(arity, SLOT)?;
        let mut items = TupleBuilder::new(self.py, arity).map_err(no_memory)?;
        // Most tuples are small and hold no other container: those never become a frame.
        for _ in 0..arity.min(SMALL_ARITY) {
            let tag = self.tag()?;
            let Some(value) = self.frequent(tag)? else {
                self.reader.untag();
                self.now.bounds.pending += 1;
                break;
            };
            items.push(value);
        }
        Ok(if items.is_full() {
            Step::Value(items.finish(self.py).into_any())
        } else {
            Step::Open(Frame::Tuple(items))
        })
    }

    fn list(&mut self) -> Decoded<Step<'py>> {
        let length = self.reader.length32()?;
        self.expect(length.saturating_add(1))?;
        if length == 0 {
            return Ok(Step::Again);
        }
        self.enter()?;
        self.charge_container(length, SLOT)?;
        let items = ListBuilder::new(self.py, length).map_err(no_memory)?;
        Ok(Step::Open(Frame::List(List { items, length, frozen: self.frozen(), tail: None, wants_tail: false })))
    }

    fn map(&mut self) -> Decoded<Step<'py>> {
        let count = self.reader.length32()?;
        self.expect(count.saturating_mul(2))?;
        self.charge_container(count, PAIR)?;
        let map = Map::new(self.py, count, self.frozen(), self.limits.max_equal_hashes, self.reader.position());
        if count == 0 {
            return self.finish_map(map).map(Step::Value);
        }
        self.enter()?;
        Ok(Step::Open(Frame::Map(map)))
    }

    fn export(&mut self) -> Decoded<Bound<'py, PyAny>> {
        let module = self.atoms.expect(&mut self.reader)?.clone();
        let function = self.atoms.expect(&mut self.reader)?.clone();
        let arity = u8::try_from(self.reader.integer()?);
        let arity = arity.map_err(|_| self.reader.malformed("an arity is from 0 to 255"))?;
        self.object(Export { module, function, arity })
    }

    fn fun(&mut self) -> Decoded<Step<'py>> {
        // The size is not looked at, nor is it by BEAM: with atoms from a header it is not that of these bytes.
        self.reader.u32()?;
        let (arity, uniq, index) = (self.reader.u8()?, self.reader.bytes()?, self.reader.u32()?);
        let free = self.reader.length32()?;
        let module = self.atoms.expect(&mut self.reader)?.clone();
        let (old_index, old_uniq) = (self.reader.integer()?, self.reader.integer()?);
        let pid = match self.reader.tag()? {
            tag @ (tag::NEW_PID | tag::PID) => read::pid(&mut self.reader, &mut self.atoms, tag)?,
            _ => return Err(self.reader.malformed("a pid is needed here")),
        };
        self.charge(OBJECT)?;
        let parts = Box::new(FunParts { module, arity, uniq, index, old_index, old_uniq, pid });
        let free = self.expect(free)?;
        self.with_items(free, |items| Frame::Fun(parts, items))
    }

    fn record(&mut self) -> Decoded<Step<'py>> {
        let count = self.reader.length32()?;
        let flags = self.reader.u8()?;
        let module = self.atoms.expect(&mut self.reader)?.clone();
        let name = self.atoms.expect(&mut self.reader)?.clone();
        self.expect(count.saturating_mul(2))?;
        self.charge(count.saturating_mul(SLOT).saturating_add(OBJECT))?;
        self.now.bounds.pending -= count; // the names are read here
        let names: Decoded<Vec<_>> = (0..count).map(|_| self.atoms.expect(&mut self.reader).cloned()).collect();
        let fields = names?;
        if !record::are_distinct(&fields) {
            return Err(self.reader.malformed("a record has two fields of one name"));
        }
        let parts = Box::new(RecordParts { module, name, flags, fields });
        self.with_items(count, |items| Frame::Record(parts, items))
    }

    /// A frame that collects `count` terms, closed at once when that is none.
    fn with_items(&mut self, count: usize, frame: impl FnOnce(TupleBuilder) -> Frame) -> Decoded<Step<'py>> {
        self.enter()?;
        self.charge_container(count, SLOT)?;
        let frame = frame(TupleBuilder::new(self.py, count).map_err(no_memory)?);
        if count == 0 { self.close(frame).map(Step::Value) } else { Ok(Step::Open(frame)) }
    }

    fn close(&self, frame: Frame) -> Decoded<Bound<'py, PyAny>> {
        let py = self.py;
        match frame {
            Frame::Tuple(tuple) => Ok(tuple.finish(py).into_any()),
            Frame::List(list) => list.finish(py),
            Frame::Map(map) => self.finish_map(map),
            Frame::Fun(parts, free) => object(py, Fun { parts: *parts, free: free.finish(py).unbind().into() }),
            Frame::Record(parts, values) => {
                object(py, Record { parts: *parts, values: values.finish(py).unbind().into() })
            }
        }
    }

    fn finish_map(&self, map: Map) -> Decoded<Bound<'py, PyAny>> {
        map.finish(self.py)?.ok_or_else(|| self.reader.malformed("a map has the same key twice"))
    }

    /// An object of ours.
    fn object<T>(&mut self, value: T) -> Decoded<Bound<'py, PyAny>>
    where
        T: pyo3::PyClass + Into<pyo3::PyClassInitializer<T>>,
    {
        self.charge(OBJECT)?;
        object(self.py, value)
    }
}
