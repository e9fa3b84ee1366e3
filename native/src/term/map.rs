//! Maps that a dict can't stand for: with keys that Python takes for equal, and those used as map keys.

use std::sync::OnceLock;

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyIterator, PyList, PyMapping, PyTuple, PyType};
use rustc_hash::FxHashMap;

use super::held::Held;
use super::identity::{self, Identity};
use super::walk::{self, Shown};

/// An immutable mapping whose keys are told apart as Erlang does.
#[pyclass(frozen, mapping, module = "pyzen.terms", name = "TermMap")]
pub struct TermMap {
    /// Keys and values in turn.
    pub(crate) items: Held<PyTuple>,
    /// Where the value of a key stands.
    places: FxHashMap<Identity, usize>,
    /// Known once all values have been seen to be immutable.
    identity: OnceLock<Identity>,
}

/// Why pairs make no map.
pub enum Unfit {
    /// Two keys are the same term.
    Duplicate,
    /// A key can't be hashed, or memory ran out.
    Error(PyErr),
}

impl From<PyErr> for Unfit {
    fn from(error: PyErr) -> Self {
        Self::Error(error)
    }
}

/// A key and its value.
pub type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

impl TermMap {
    /// A map of these pairs; with `frozen`, all values are immutable and its identity is found at once.
    pub fn of_distinct(py: Python<'_>, pairs: &[Pair<'_>], frozen: bool) -> Result<Self, Unfit> {
        let mut places = FxHashMap::with_capacity_and_hasher(pairs.len(), rustc_hash::FxBuildHasher);
        let mut parts = Vec::new();
        for (index, (key, value)) in pairs.iter().enumerate() {
            let identity = identity::of_frozen(key)?;
            if places.insert(identity, 2 * index + 1).is_some() {
                return Err(Unfit::Duplicate);
            }
            if frozen {
                parts.extend([identity, identity::of_frozen(value)?]);
            }
        }
        let items =
            PyTuple::new(py, pairs.iter().flat_map(|(key, value)| [key, value]).collect::<Vec<_>>())?.unbind().into();
        let identity = if frozen { OnceLock::from(identity::of_map(&parts)) } else { OnceLock::new() };
        Ok(Self { items, places, identity })
    }

    /// The identity of the map, if it was found before.
    pub fn known_identity(&self) -> Option<Identity> {
        self.identity.get().copied()
    }

    fn value<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.places.get(&identity::of_frozen(key)?) {
            Some(place) => self.items.bind(key.py()).get_item(*place).map(Some),
            None => Ok(None),
        }
    }

    fn shown<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let items = self.items.bind(py);
        let pairs = (0..items.len() / 2).map(|index| items.get_slice(2 * index, 2 * index + 2));
        PyList::new(py, pairs.collect::<Vec<_>>())
    }
}

#[pymethods]
impl TermMap {
    #[new]
    #[pyo3(signature = (pairs = None, /))]
    fn new(py: Python<'_>, pairs: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let given = pairs.map_or_else(|| Ok(Vec::new()), self::pairs)?;
        let mut places = FxHashMap::default();
        let mut last: Vec<Pair<'_>> = Vec::with_capacity(given.len());
        for (key, value) in given {
            let place = places.entry(identity::of_frozen(&key)?).or_insert(last.len());
            match last.get_mut(*place) {
                Some(pair) => pair.1 = value, // as in a dict: the first key, the last value
                None => last.push((key, value)),
            }
        }
        match Self::of_distinct(py, &last, false) {
            Ok(map) => Ok(map),
            Err(Unfit::Error(error)) => Err(error),
            Err(Unfit::Duplicate) => Err(PyValueError::new_err("a key changed while the map was made")),
        }
    }

    fn __len__(&self) -> usize {
        self.places.len()
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.value(key)?.ok_or_else(|| PyKeyError::new_err((key.clone().unbind(),)))
    }

    #[pyo3(signature = (key, default = None, /))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.value(key)?.or(default))
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.places.contains_key(&identity::of_frozen(key)?))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let items = self.items.bind(py);
        let keys = PyList::new(py, items.iter().step_by(2).collect::<Vec<_>>())?;
        keys.try_iter()
    }

    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "KeysView")
    }

    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ValuesView")
    }

    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ItemsView")
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        let this = slf.get();
        let identity = match this.known_identity() {
            Some(identity) => identity,
            None => identity::of_frozen(slf.as_any())?,
        };
        let identity = *this.identity.get_or_init(|| identity);
        #[allow(clippy::cast_possible_truncation)] // any 64 of the bits will do
        Ok(identity as isize)
    }

    fn __eq__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        let known = other.is_instance_of::<PyDict>() || other.is_instance_of::<Self>();
        walk::equality(slf.as_any(), other, known)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let shown = Shown::enter();
        shown.call("TermMap", &[slf.get().shown(slf.py())?.as_any()])
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyList>,))> {
        walk::check_pickled(slf.as_any())?;
        Ok((slf.get_type().into_any(), (slf.get().shown(slf.py())?,)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*self.items)
    }
}

/// The view of this name in `collections.abc`.
fn view<'py>(map: &Bound<'py, TermMap>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    map.py().import("collections.abc")?.getattr(name)?.call1((map,))
}

/// The pairs of a mapping, or of an iterable of pairs.
pub fn pairs<'py>(source: &Bound<'py, PyAny>) -> PyResult<Vec<Pair<'py>>> {
    let items = match source.cast::<PyMapping>() {
        Ok(mapping) => mapping.items()?.into_any(),
        Err(_) => source.clone(),
    };
    items.try_iter()?.map(|pair| pair?.extract()).collect()
}

/// Let `isinstance` and `match` take our containers for what they are.
pub fn register_as_collections(py: Python<'_>) -> PyResult<()> {
    static MAPPING: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static SEQUENCE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let mapping = MAPPING.import(py, "collections.abc", "Mapping")?;
    mapping.call_method1("register", (py.get_type::<TermMap>(),))?;
    let sequence = SEQUENCE.import(py, "collections.abc", "Sequence")?;
    sequence.call_method1("register", (py.get_type::<super::list::FrozenList>(),))?;
    Ok(())
}
