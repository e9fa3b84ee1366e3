//! Native records of OTP 29.
//!
//! Source: OTP 29, "External Term Format", section `RECORD_EXT` (experimental).

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::atom::Name;
use super::held::Held;
use super::walk::{self, Shown};

/// The bit of `flags` that says whether the record's definition is exported.
const EXPORTED: u8 = 1;

/// Everything of a record but its values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordParts {
    /// The module that defines the record.
    pub module: Name,
    /// Its name.
    pub name: Name,
    /// The flags of the wire; bit 0 is `exported`, the others are kept as they came.
    pub flags: u8,
    /// Names of the fields, each once.
    pub fields: Vec<Name>,
}

/// A native record.
#[pyclass(frozen, module = "pyzen.terms", name = "Record")]
pub struct Record {
    pub(crate) parts: RecordParts,
    pub(crate) values: Held<PyTuple>,
}

/// Whether no name stands twice.
pub fn are_distinct(names: &[Name]) -> bool {
    let mut sorted: Vec<&Name> = names.iter().collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair.first() != pair.last())
}

#[pymethods]
impl Record {
    #[new]
    #[pyo3(signature = (module, name, fields, flags = 1))]
    fn new(module: &Bound<'_, PyAny>, name: &Bound<'_, PyAny>, fields: &Bound<'_, PyAny>, flags: u8) -> PyResult<Self> {
        let pairs = super::map::pairs(fields)?;
        let names: Vec<Name> = pairs.iter().map(|(name, _)| field_name(name)).collect::<PyResult<_>>()?;
        if !are_distinct(&names) {
            return Err(PyValueError::new_err("a field of a record stands once only"));
        }
        let values = PyTuple::new(fields.py(), pairs.into_iter().map(|(_, value)| value))?.unbind().into();
        let (module, name) = (Name::from_object(module)?, Name::from_object(name)?);
        Ok(Self { parts: RecordParts { module, name, flags, fields: names }, values })
    }

    #[getter]
    fn module<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.parts.module.value(py)
    }

    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.parts.name.value(py)
    }

    #[getter]
    fn flags(&self) -> u8 {
        self.parts.flags
    }

    #[getter]
    fn exported(&self) -> bool {
        self.parts.flags & EXPORTED != 0
    }

    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fields = PyDict::new(py);
        for (name, value) in self.parts.fields.iter().zip(self.values.bind(py)) {
            fields.set_item(name.value(py)?, value)?;
        }
        Ok(fields)
    }

    fn __getitem__<'py>(&self, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let wanted = Name::from_object(name)?;
        match self.parts.fields.iter().position(|field| *field == wanted) {
            Some(index) => self.values.bind(name.py()).get_item(index),
            None => Err(PyKeyError::new_err(name.clone().unbind())),
        }
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        walk::hash(slf.as_any())
    }

    fn __eq__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        walk::equality(slf.as_any(), other, other.is_instance_of::<Self>())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let shown = Shown::enter();
        let (py, this) = (slf.py(), slf.get());
        let flags = this.parts.flags.into_pyobject(py)?;
        let (module, name, fields) = (this.module(py)?, this.name(py)?, this.fields(py)?);
        shown.call("Record", &[&module, &name, fields.as_any(), flags.as_any()])
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, this) = (slf.py(), slf.get());
        walk::check_pickled(slf.as_any())?;
        let arguments = (this.module(py)?, this.name(py)?, this.fields(py)?, this.parts.flags);
        Ok((slf.get_type().into_any(), arguments.into_pyobject(py)?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*self.values)
    }
}

/// The name in a key: an atom in any of its Python forms, or a `str`.
fn field_name(key: &Bound<'_, PyAny>) -> PyResult<Name> {
    super::atom::Name::from_term(key).map_or_else(|| Name::from_object(key), Ok)
}
