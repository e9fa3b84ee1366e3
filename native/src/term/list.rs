//! Lists that a Python list can't stand for: improper ones, and those used as map keys.
//!
//! The elements live in a tuple, which most of what can be asked of a list is asked of.

use pyo3::PyTraverseError;
use pyo3::exceptions::PyValueError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyIterator, PyList, PySlice, PyTuple};

use super::held::Held;
use super::walk::{self, Shown};

/// A list used as a map key: hashable, equal to a list of equal elements.
#[pyclass(frozen, sequence, module = "pyzen.terms", name = "FrozenList")]
pub struct FrozenList {
    pub(crate) items: Held<PyTuple>,
}

#[pymethods]
impl FrozenList {
    #[new]
    #[pyo3(signature = (elements = None, /))]
    fn new(py: Python<'_>, elements: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let items = elements.map_or_else(|| Ok(PyTuple::empty(py)), to_tuple)?;
        Ok(Self { items: items.unbind().into() })
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.items.bind(py).len()
    }

    fn __getitem__<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = index.py();
        let item = self.items.bind(py).as_any().get_item(index)?;
        if index.is_instance_of::<PySlice>() {
            let items = item.cast_into::<PyTuple>()?.unbind().into();
            return Ok(Bound::new(py, Self { items })?.into_any());
        }
        Ok(item)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.items.bind(py).try_iter()
    }

    fn __contains__(&self, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.items.bind(item.py()).contains(item)
    }

    #[pyo3(signature = (value, start = None, stop = None, /))]
    fn index<'py>(
        &self,
        value: &Bound<'py, PyAny>,
        start: Option<Bound<'py, PyInt>>,
        stop: Option<Bound<'py, PyInt>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = value.py();
        let start = start.map_or_else(|| 0i64.into_pyobject(py).map_err(PyErr::from), Ok)?;
        let stop = stop.map_or_else(|| i64::MAX.into_pyobject(py).map_err(PyErr::from), Ok)?;
        self.items.bind(py).call_method1("index", (value, start, stop))
    }

    #[pyo3(signature = (value, /))]
    fn count<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.items.bind(value.py()).call_method1("count", (value,))
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        walk::hash(slf.as_any())
    }

    fn __eq__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        let known = other.is_instance_of::<PyList>() || other.is_instance_of::<Self>();
        walk::equality(slf.as_any(), other, known)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let shown = Shown::enter();
        let list = slf.get().items.bind(slf.py()).to_list();
        shown.call("FrozenList", &[list.as_any()])
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyList>,))> {
        walk::check_pickled(slf.as_any())?;
        Ok((slf.get_type().into_any(), (slf.get().items.bind(slf.py()).to_list(),)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*self.items)
    }
}

/// A list whose last tail is not the empty list, such as `[alias|Ref]`.
#[pyclass(frozen, module = "pyzen.terms", name = "ImproperList")]
pub struct ImproperList {
    pub(crate) items: Held<PyTuple>,
    pub(crate) tail: Held<PyAny>,
}

#[pymethods]
impl ImproperList {
    #[new]
    #[pyo3(signature = (elements, tail))]
    fn new(elements: &Bound<'_, PyAny>, tail: &Bound<'_, PyAny>) -> PyResult<Self> {
        let items = to_tuple(elements)?;
        if items.is_empty() {
            return Err(PyValueError::new_err("an improper list has at least one element before its tail"));
        }
        if tail.is_instance_of::<PyList>() || tail.is_instance_of::<FrozenList>() {
            return Err(PyValueError::new_err("a list whose tail is a list is a proper one: write it as a list"));
        }
        let Ok(rest) = tail.cast::<Self>() else {
            return Ok(Self { items: items.unbind().into(), tail: tail.clone().unbind().into() });
        };
        let rest = rest.get();
        let joined = items.as_sequence().concat(rest.items.bind(tail.py()).as_sequence())?;
        Ok(Self { items: joined.to_tuple()?.unbind().into(), tail: rest.tail.clone_ref(tail.py()).into() })
    }

    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("elements", "tail")
    }

    #[getter]
    fn elements(&self, py: Python<'_>) -> Py<PyTuple> {
        self.items.clone_ref(py)
    }

    #[getter]
    fn tail(&self, py: Python<'_>) -> Py<PyAny> {
        self.tail.clone_ref(py)
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
        shown.call("ImproperList", &[this.items.bind(py).to_list().as_any(), this.tail.bind(py)])
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        walk::check_pickled(slf.as_any())?;
        let (py, this) = (slf.py(), slf.get());
        let arguments = (this.items.bind(py), this.tail.bind(py)).into_pyobject(py)?;
        Ok((slf.get_type().into_any(), arguments))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*self.items)?;
        visit.call(&*self.tail)
    }
}

fn to_tuple<'py>(elements: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    if let Ok(tuple) = elements.cast_exact::<PyTuple>() {
        return Ok(tuple.clone());
    }
    let items: Vec<Bound<'py, PyAny>> = elements.try_iter()?.collect::<PyResult<_>>()?;
    PyTuple::new(elements.py(), items)
}
