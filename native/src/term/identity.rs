//! Which objects are the same Erlang term: what `=:=` says there, not what `==` says here.
//!
//! `1`, `1.0` and `True` are three terms, `"a"` and `b"a"` one. A term's identity is a keyed hash of 128 bits, made
//! of those of its parts: it needs no recursion, no canonical encoding and no comparison, and nobody without the
//! key (drawn anew by each process) can make two terms meet.

use std::collections::hash_map::{DefaultHasher, RandomState};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyRecursionError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple};

use super::atom::Name;
use super::bits::BitString;
use super::fun::{Export, Fun};
use super::list::{FrozenList, ImproperList};
use super::map::TermMap;
use super::number;
use super::pid::Pid;
use super::port::Port;
use super::record::Record;
use super::reference::Reference;

/// Equal for equal terms, and for no others.
pub type Identity = u128;

/// As in `walk`: past it a container lies within itself.
const MAX_DEPTH: usize = 100_000;

static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);

/// Two independent keyed hashes of 64 bits.
struct Digest([DefaultHasher; 2]);

impl Digest {
    fn new(kind: Kind) -> Self {
        let mut digest = Self([KEYS[0].build_hasher(), KEYS[1].build_hasher()]);
        digest.write_u8(kind as u8);
        digest
    }

    fn identity(&self) -> Identity {
        u128::from(self.0[0].finish()) << 64 | u128::from(self.0[1].finish())
    }
}

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        for half in &mut self.0 {
            half.write(bytes);
        }
    }

    fn finish(&self) -> u64 {
        self.0[0].finish()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Atom,
    Integer,
    Float,
    Binary,
    Bits,
    Pid,
    Port,
    Reference,
    Export,
    Tuple,
    List,
    Improper,
    Map,
    Fun,
    Record,
    Foreign,
}

/// A container being walked.
struct Frame<'py> {
    kind: Kind,
    digest: Digest,
    children: std::vec::IntoIter<Bound<'py, PyAny>>,
    /// Of a map: the identities of keys and values so far.
    parts: Vec<Identity>,
}

enum Node<'py> {
    Leaf(Identity),
    Inner(Frame<'py>),
}

/// The identity of any object; what is no term is the same only as itself.
pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Identity> {
    walk(object, false)
}

/// The identity of an object that can't change, such as a key. Raises `TypeError` as `hash` does.
pub fn of_frozen(object: &Bound<'_, PyAny>) -> PyResult<Identity> {
    walk(object, true)
}

/// The identity of a map of these identities, key before value.
pub fn of_map(parts: &[Identity]) -> Identity {
    let mut pairs: Vec<&[Identity]> = parts.chunks_exact(2).collect();
    pairs.sort_unstable();
    let mut digest = Digest::new(Kind::Map);
    pairs.hash(&mut digest);
    digest.identity()
}

fn walk(object: &Bound<'_, PyAny>, frozen: bool) -> PyResult<Identity> {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    let mut next = Some(object.clone());
    loop {
        let mut done = match next.take() {
            Some(object) => match open(&object, frozen)? {
                Node::Leaf(identity) => Some(identity),
                Node::Inner(frame) if frames.len() < MAX_DEPTH => {
                    frames.push(frame);
                    None
                }
                Node::Inner(_) => {
                    return Err(PyRecursionError::new_err("containers nested too deeply, or within themselves"));
                }
            },
            None => None,
        };
        while let Some(frame) = frames.last_mut() {
            if let Some(identity) = done.take() {
                frame.add(identity);
            }
            next = frame.children.next();
            if next.is_some() {
                break;
            }
            done = frames.pop().map(Frame::close);
        }
        if let (Some(identity), None) = (done, &next) {
            return Ok(identity);
        }
    }
}

impl<'py> Frame<'py> {
    fn headless(kind: Kind, children: Vec<Bound<'py, PyAny>>) -> Node<'py> {
        Self::with_head(kind, children, |_| ())
    }

    fn with_head(kind: Kind, children: Vec<Bound<'py, PyAny>>, head: impl FnOnce(&mut Digest)) -> Node<'py> {
        let mut digest = Digest::new(kind);
        head(&mut digest);
        Node::Inner(Self { kind, digest, children: children.into_iter(), parts: Vec::new() })
    }

    fn add(&mut self, identity: Identity) {
        match self.kind {
            Kind::Map => self.parts.push(identity),
            _ => self.digest.write_u128(identity),
        }
    }

    fn close(self) -> Identity {
        match self.kind {
            Kind::Map => of_map(&self.parts),
            _ => self.digest.identity(),
        }
    }
}

fn leaf(kind: Kind, content: impl FnOnce(&mut Digest)) -> Node<'static> {
    let mut digest = Digest::new(kind);
    content(&mut digest);
    Node::Leaf(digest.identity())
}

fn open<'py>(object: &Bound<'py, PyAny>, frozen: bool) -> PyResult<Node<'py>> {
    if let Some(name) = Name::from_term(object) {
        // By its text: the name of True lives no longer than this call.
        return Ok(leaf(Kind::Atom, |digest| name.text().hash(digest)));
    }
    if let Some(node) = open_plain(object)? {
        return Ok(node);
    }
    if frozen && (object.is_instance_of::<PyList>() || object.is_instance_of::<PyDict>()) {
        return Err(PyTypeError::new_err(format!("unhashable type: '{}'", object.get_type().name()?)));
    }
    if let Some(node) = open_container(object)? {
        return Ok(node);
    }
    if let Some(node) = open_identifier(object) {
        return Ok(node);
    }
    if frozen {
        object.hash()?;
    }
    Ok(leaf(Kind::Foreign, |digest| digest.write_usize(object.as_ptr() as usize)))
}

/// Numbers and what is a binary there.
fn open_plain<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Node<'py>>> {
    if let Ok(integer) = object.cast::<PyInt>() {
        if let Some(value) = number::small(integer) {
            return Ok(Some(leaf(Kind::Integer, |digest| digest.write_i64(value))));
        }
        if let Some(value) = number::medium(integer) {
            return Ok(Some(leaf(Kind::Integer, |digest| digest.write_i128(value))));
        }
        let (negative, magnitude) = number::magnitude(integer)?;
        return Ok(Some(leaf(Kind::Integer, |digest| (negative, magnitude.as_bytes()).hash(digest))));
    }
    if let Ok(float) = object.cast::<PyFloat>() {
        return Ok(Some(leaf(Kind::Float, |digest| digest.write_u64(float.value().to_bits()))));
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Some(leaf(Kind::Binary, |digest| bytes.as_bytes().hash(digest))));
    }
    if let Ok(text) = object.cast::<PyString>() {
        // A lone surrogate has no Erlang form; here it only has to differ from all else.
        return match text.to_str() {
            Ok(text) => Ok(Some(leaf(Kind::Binary, |digest| text.as_bytes().hash(digest)))),
            Err(_) => Ok(Some(leaf(Kind::Foreign, |digest| text.to_string_lossy().hash(digest)))),
        };
    }
    if object.is_instance_of::<PyByteArray>() || object.is_instance_of::<PyMemoryView>() {
        let copy = PyBytes::type_object(object.py()).call1((object,))?.cast_into::<PyBytes>()?;
        return Ok(Some(leaf(Kind::Binary, |digest| copy.as_bytes().hash(digest))));
    }
    Ok(None)
}

fn open_container<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Node<'py>>> {
    let py = object.py();
    let node = if let Ok(tuple) = object.cast::<PyTuple>() {
        Frame::headless(Kind::Tuple, tuple.iter().collect())
    } else if let Ok(list) = object.cast::<PyList>() {
        Frame::headless(Kind::List, list.iter().collect())
    } else if let Ok(list) = object.cast::<FrozenList>() {
        Frame::headless(Kind::List, list.get().items.bind(py).iter().collect())
    } else if let Ok(list) = object.cast::<ImproperList>() {
        let list = list.get();
        Frame::headless(Kind::Improper, list.items.bind(py).iter().chain([list.tail.bind(py).clone()]).collect())
    } else if let Ok(map) = object.cast::<TermMap>() {
        match map.get().known_identity() {
            Some(identity) => Node::Leaf(identity),
            None => Frame::headless(Kind::Map, map.get().items.bind(py).iter().collect()),
        }
    } else if let Ok(map) = object.cast::<PyDict>() {
        let mut children = Vec::with_capacity(2 * map.len());
        for pair in map.items() {
            let (key, value) = pair.extract()?;
            children.extend([key, value]);
        }
        Frame::headless(Kind::Map, children)
    } else if let Ok(fun) = object.cast::<Fun>() {
        let children = fun.get().free.bind(py).iter().collect();
        Frame::with_head(Kind::Fun, children, |digest| fun.get().parts.hash(digest))
    } else if let Ok(record) = object.cast::<Record>() {
        let children = record.get().values.bind(py).iter().collect();
        Frame::with_head(Kind::Record, children, |digest| record.get().parts.hash(digest))
    } else {
        return Ok(None);
    };
    Ok(Some(node))
}

fn open_identifier<'py>(object: &Bound<'py, PyAny>) -> Option<Node<'py>> {
    if let Ok(pid) = object.cast::<Pid>() {
        Some(leaf(Kind::Pid, |digest| pid.get().0.hash(digest)))
    } else if let Ok(reference) = object.cast::<Reference>() {
        Some(leaf(Kind::Reference, |digest| reference.get().0.hash(digest)))
    } else if let Ok(port) = object.cast::<Port>() {
        Some(leaf(Kind::Port, |digest| port.get().0.hash(digest)))
    } else if let Ok(export) = object.cast::<Export>() {
        Some(leaf(Kind::Export, |digest| export.get().hash(digest)))
    } else if let Ok(bits) = object.cast::<BitString>() {
        Some(leaf(Kind::Bits, |digest| bits.get().0.hash(digest)))
    } else {
        None
    }
}
