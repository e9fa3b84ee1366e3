//! What Python sees of an atom: the one object that it has while somebody holds it.

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
