//! Atoms, interned for as long as somebody holds them.
//!
//! Source: OTP, "External Term Format", sections `ATOM_UTF8_EXT` and `SMALL_ATOM_UTF8_EXT`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use super::keyed::KeyedMap;

/// How the external form of a short atom begins.
pub const SMALL_ATOM_UTF8: u8 = 119;

/// Characters of the longest atom.
pub const MAX_CHARACTERS: usize = 255;

/// The atoms that Python has values of its own for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Any other atom.
    Plain,
    /// `true`
    True,
    /// `false`
    False,
    /// `nil`, Python's `None`
    Nil,
}

/// The external form of a short atom, filled up: to copy a constant count of bytes takes no call.
pub struct Form {
    bytes: [u8; Self::PADDED],
    length: u8,
}

impl Form {
    /// How long `padded` is. Longer forms have no `Form`; this has room for most names of nodes.
    pub const PADDED: usize = 48;

    fn of(text: &str) -> Option<Self> {
        let (mut bytes, length) = ([0; Self::PADDED], u8::try_from(text.len()).ok()?);
        bytes.get_mut(2..2 + text.len())?.copy_from_slice(text.as_bytes());
        bytes[..2].copy_from_slice(&[SMALL_ATOM_UTF8, length]);
        Some(Self { bytes, length: length + 2 })
    }

    /// The form, and zeros behind it.
    pub fn padded(&self) -> &[u8; Self::PADDED] {
        &self.bytes
    }

    /// How many bytes are the form.
    pub fn length(&self) -> usize {
        usize::from(self.length)
    }
}

struct Row {
    form: Option<Form>,
    text: Box<str>,
    meaning: Meaning,
    #[cfg(feature = "python")]
    object: object::Cached,
}

/// A native atom: cheap to clone, compared and hashed by identity, ordered by its text.
#[derive(Clone)]
pub struct Name(Arc<Row>);

type Table = KeyedMap<Box<str>, Weak<Row>>;

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

fn table() -> MutexGuard<'static, Table> {
    // A panic while the lock is held can't leave half a row behind.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table's lock, see `hold`.
pub struct Held(#[expect(dead_code, reason = "only held")] MutexGuard<'static, Table>);

/// Keep everybody else from making and freeing atoms: a fork takes this, so that the child can do both.
pub fn hold() -> Held {
    Held(table())
}

impl Name {
    /// The atom of this text. The caller has checked the length: at most `MAX_CHARACTERS`.
    pub fn intern(text: &str) -> Self {
        let mut table = table();
        if let Some(name) = table.get(text).and_then(Weak::upgrade) {
            return Self(name);
        }
        let name = Arc::new(Row {
            form: Form::of(text),
            text: text.into(),
            meaning: Meaning::of(text),
            #[cfg(feature = "python")]
            object: object::Cached::default(),
        });
        table.insert(text.into(), Arc::downgrade(&name));
        Self(name)
    }

    /// The atom of this text if it is alive.
    pub fn existing(text: &str) -> Option<Self> {
        table().get(text).and_then(Weak::upgrade).map(Self)
    }

    /// How many atoms are alive.
    pub fn count() -> usize {
        table().len()
    }

    /// The characters of the atom.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Its external form if that is short.
    pub fn form(&self) -> Option<&Form> {
        self.0.form.as_ref()
    }

    /// A number for tables of atoms, different for most; the same as long as the atom lives.
    pub fn spread(&self) -> usize {
        let address = Arc::as_ptr(&self.0) as usize as u64;
        // Fibonacci hashing; the low bits of the result depend on all of the address.
        #[allow(clippy::cast_possible_truncation)] // any bits will do
        let mixed = (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        mixed
    }

    /// Which Python value the atom stands for.
    pub fn meaning(&self) -> Meaning {
        self.0.meaning
    }
}

impl Meaning {
    fn of(text: &str) -> Self {
        match text {
            "true" => Self::True,
            "false" => Self::False,
            "nil" => Self::Nil,
            _ => Self::Plain,
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        let mut table = table();
        // Somebody may have interned the same text anew since the last holder let go.
        if table.get(&*self.text).is_some_and(|row| row.strong_count() == 0) {
            table.remove(&*self.text);
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // UTF-8 keeps the order of code points, which is Erlang's order of atoms.
        self.text().cmp(other.text())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Name({:?})", self.text())
    }
}

#[cfg(feature = "python")]
pub use object::Atom;

#[cfg(feature = "python")]
mod object {
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
    use pyo3::ffi;
    use pyo3::prelude::*;
    use pyo3::pyclass::CompareOp;
    use pyo3::types::{PyBool, PyString};

    use super::{MAX_CHARACTERS, Meaning, Name};

    /// The one `Atom` object of a `Row`, while it is alive. Touched only with the interpreter held.
    #[derive(Default)]
    pub struct Cached(AtomicPtr<ffi::PyObject>);

    /// An Erlang atom.
    #[pyclass(frozen, module = "pyzen.terms", name = "Atom")]
    pub struct Atom {
        name: Name,
    }

    impl Drop for Atom {
        fn drop(&mut self) {
            // `Name::object` makes an object only while there is none, so the one that goes is the cached one.
            self.name.0.object.0.store(ptr::null_mut(), Ordering::Relaxed);
        }
    }

    impl Name {
        /// The `Atom` of this name, also for `true`, `false` and `nil`.
        pub fn atom<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Atom>> {
            let cached = self.0.object.0.load(Ordering::Relaxed);
            if !cached.is_null() {
                return Ok(borrow(py, cached));
            }
            let made = Bound::new(py, Atom { name: self.clone() })?;
            self.0.object.0.store(made.as_ptr(), Ordering::Relaxed);
            Ok(made)
        }

        /// The Python value of this name: an `Atom`, `True`, `False` or `None`.
        pub fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
            match self.meaning() {
                Meaning::Plain => Ok(self.atom(py)?.into_any()),
                Meaning::True => Ok(PyBool::new(py, true).to_owned().into_any()),
                Meaning::False => Ok(PyBool::new(py, false).to_owned().into_any()),
                Meaning::Nil => Ok(py.None().into_bound(py)),
            }
        }

        /// The name in an `Atom` or a `str`; how arguments that are names are taken.
        pub fn from_object(object: &Bound<'_, PyAny>) -> PyResult<Self> {
            if let Ok(atom) = object.cast::<Atom>() {
                return Ok(atom.get().name.clone());
            }
            match object.cast::<PyString>() {
                Ok(text) => Self::checked(text.to_str()?),
                Err(_) => {
                    Err(PyTypeError::new_err(format!("an Atom or a str is needed, not {}", object.get_type().name()?)))
                }
            }
        }

        /// The name of a value that is an atom there: an `Atom`, `True`, `False` or `None`.
        pub fn from_term(object: &Bound<'_, PyAny>) -> Option<Self> {
            if let Ok(atom) = object.cast::<Atom>() {
                return Some(atom.get().name.clone());
            }
            if let Ok(truth) = object.cast::<PyBool>() {
                return Some(Self::intern(if truth.is_true() { "true" } else { "false" }));
            }
            object.is_none().then(|| Self::intern("nil"))
        }

        fn checked(text: &str) -> PyResult<Self> {
            let characters = text.chars().count();
            if characters > MAX_CHARACTERS {
                return Err(PyValueError::new_err(format!(
                    "an atom has at most {MAX_CHARACTERS} characters, not {characters}"
                )));
            }
            Ok(Self::intern(text))
        }
    }

    /// A new reference to the cached object.
    #[allow(unsafe_code)]
    fn borrow(py: Python<'_>, cached: *mut ffi::PyObject) -> Bound<'_, Atom> {
        // SAFETY: the pointer is stored by `Name::atom` and cleared by `Atom::drop`, both with the interpreter
        // held as here, so it points to a live `Atom`.
        unsafe { Bound::from_borrowed_ptr(py, cached).cast_into_unchecked() }
    }

    impl Atom {
        /// The native atom.
        pub fn name(&self) -> &Name {
            &self.name
        }
    }

    #[pymethods]
    impl Atom {
        #[new]
        #[pyo3(signature = (text, /))]
        fn new(text: &Bound<'_, PyString>) -> PyResult<Py<Self>> {
            let name = Name::checked(text.to_str()?)?;
            let value = match name.meaning() {
                Meaning::Plain => return Ok(name.atom(text.py())?.unbind()),
                Meaning::True => "True",
                Meaning::False => "False",
                Meaning::Nil => "None",
            };
            Err(PyValueError::new_err(format!("Atom({:?}) is written {value}", name.text())))
        }

        fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
            let text = PyString::new(py, self.name.text());
            Ok(format!("Atom({})", text.repr()?.to_str()?))
        }

        fn __str__(&self) -> &str {
            self.name.text()
        }

        fn __hash__(slf: &Bound<'_, Self>) -> isize {
            // Objects are aligned to 16 bytes; the low bits carry nothing.
            (slf.as_ptr() as isize) >> 4
        }

        fn __richcmp__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, op: CompareOp) -> Py<PyAny> {
            let py = slf.py();
            let Ok(other) = other.cast::<Self>() else {
                return py.NotImplemented();
            };
            let answer = match op {
                CompareOp::Eq => slf.is(other),
                CompareOp::Ne => !slf.is(other),
                _ => op.matches(slf.get().name.cmp(&other.get().name)),
            };
            PyBool::new(py, answer).to_owned().into_any().unbind()
        }

        /// `elixir.ZenMonitor.Proxy`: a capitalised attribute of an Elixir module is the module below it.
        fn __getattr__(&self, py: Python<'_>, part: &str) -> PyResult<Py<Self>> {
            let text = self.name.text();
            let is_module = text == "Elixir" || text.starts_with("Elixir.");
            if !is_module || !part.starts_with(|first: char| first.is_ascii_uppercase()) {
                return Err(PyAttributeError::new_err(format!("{text:?} is an atom and has no attribute {part:?}")));
            }
            Ok(Name::checked(&format!("{text}.{part}"))?.atom(py)?.unbind())
        }

        fn __copy__(slf: Py<Self>) -> Py<Self> {
            slf
        }

        fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
            slf
        }

        fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (String,)) {
            (slf.get_type().into_any(), (slf.get().name.text().to_owned(),))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_atom() {
        assert_eq!(Name::intern("one_atom"), Name::intern("one_atom"));
        assert_ne!(Name::intern("one_atom"), Name::intern("other_atom"));
    }

    #[test]
    fn an_atom_nobody_holds_is_freed() {
        let name = Name::intern("freed_atom");
        assert!(Name::existing("freed_atom").is_some());

        drop(name);

        assert!(Name::existing("freed_atom").is_none());
    }

    #[test]
    fn a_short_atom_has_its_external_form_ready() {
        let name = Name::intern("é");
        let form = name.form().unwrap();
        assert_eq!(form.padded()[..form.length()], [SMALL_ATOM_UTF8, 2, 0xc3, 0xa9]);

        assert_eq!(Name::intern(&"a".repeat(46)).form().unwrap().length(), Form::PADDED);
        assert!(Name::intern(&"a".repeat(47)).form().is_none());
    }

    #[test]
    fn order_is_that_of_code_points() {
        assert!(Name::intern("a") < Name::intern("b"));
        assert!(Name::intern("z") < Name::intern("é"));
        assert!(Name::intern("\u{ffff}") < Name::intern("\u{10000}"));
    }
}
