//! Funs, opaque but kept whole, so that they go back as they came.
//!
//! Source: OTP, "External Term Format", sections `NEW_FUN_EXT` and `EXPORT_EXT`.

use pyo3::PyTraverseError;
use pyo3::exceptions::PyValueError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::atom::Name;
use super::held::Held;
use super::pid::{Pid, PidParts};
use super::walk::{self, Shown};

/// Everything of a fun but its free variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunParts {
    /// The module that defines the fun.
    pub module: Name,
    /// How many arguments it takes.
    pub arity: u8,
    /// Checksum of the module's code.
    pub uniq: [u8; 16],
    /// Which fun of the module.
    pub index: u32,
    /// As `index`, of the old form.
    pub old_index: i64,
    /// As `uniq`, of the old form.
    pub old_uniq: i64,
    /// The process that made the fun.
    pub pid: PidParts,
}

/// An Erlang fun; only its own node can call it.
#[pyclass(frozen, module = "pyzen.terms", name = "Fun")]
pub struct Fun {
    pub(crate) parts: FunParts,
    pub(crate) free: Held<PyTuple>,
}

impl Fun {
    /// What makes the same fun.
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let parts = &self.parts;
        let arguments = (
            parts.module.text(),
            parts.arity,
            self.uniq(py),
            parts.index,
            parts.old_index,
            parts.old_uniq,
            self.pid(),
            self.free.bind(py),
        );
        arguments.into_pyobject(py)
    }
}

#[pymethods]
impl Fun {
    #[new]
    #[allow(clippy::too_many_arguments)] // the fields of the format
    fn new(
        module: &Bound<'_, PyAny>,
        arity: u8,
        uniq: &[u8],
        index: u32,
        old_index: i64,
        old_uniq: i64,
        pid: &Bound<'_, Pid>,
        free_variables: Bound<'_, PyTuple>,
    ) -> PyResult<Self> {
        let uniq = uniq.try_into().map_err(|_| PyValueError::new_err("uniq has 16 bytes"))?;
        let (module, pid) = (Name::from_object(module)?, pid.get().0.clone());
        let parts = FunParts { module, arity, uniq, index, old_index, old_uniq, pid };
        Ok(Self { parts, free: free_variables.unbind().into() })
    }

    #[getter]
    fn module<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.parts.module.value(py)
    }

    #[getter]
    fn arity(&self) -> u8 {
        self.parts.arity
    }

    #[getter]
    fn uniq<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.parts.uniq)
    }

    #[getter]
    fn index(&self) -> u32 {
        self.parts.index
    }

    #[getter]
    fn old_index(&self) -> i64 {
        self.parts.old_index
    }

    #[getter]
    fn old_uniq(&self) -> i64 {
        self.parts.old_uniq
    }

    #[getter]
    fn pid(&self) -> Pid {
        Pid(self.parts.pid.clone())
    }

    #[getter]
    fn free_variables(&self, py: Python<'_>) -> Py<PyTuple> {
        self.free.clone_ref(py)
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        walk::hash(slf.as_any())
    }

    fn __eq__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        walk::equality(slf.as_any(), other, other.is_instance_of::<Self>())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let shown = Shown::enter();
        let arguments: Vec<Bound<'_, PyAny>> = slf.get().arguments(slf.py())?.iter().collect();
        shown.call("Fun", &arguments.iter().collect::<Vec<_>>())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        walk::check_pickled(slf.as_any())?;
        Ok((slf.get_type().into_any(), slf.get().arguments(slf.py())?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*self.free)
    }
}

/// The name of a function: `fun module:function/arity`.
#[pyclass(frozen, eq, hash, skip_from_py_object, module = "pyzen.terms", name = "Export")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Export {
    pub(crate) module: Name,
    pub(crate) function: Name,
    pub(crate) arity: u8,
}

#[pymethods]
impl Export {
    #[new]
    fn new(module: &Bound<'_, PyAny>, function: &Bound<'_, PyAny>, arity: u8) -> PyResult<Self> {
        Ok(Self { module: Name::from_object(module)?, function: Name::from_object(function)?, arity })
    }

    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str) {
        ("module", "function", "arity")
    }

    #[getter]
    fn module<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.module.value(py)
    }

    #[getter]
    fn function<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.function.value(py)
    }

    #[getter]
    fn arity(&self) -> u8 {
        self.arity
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Export({}, {}, {})", self.module(py)?.repr()?, self.function(py)?.repr()?, self.arity))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (String, String, u8)) {
        let this = slf.get();
        let arguments = (this.module.text().to_owned(), this.function.text().to_owned(), this.arity);
        (slf.get_type().into_any(), arguments)
    }
}
