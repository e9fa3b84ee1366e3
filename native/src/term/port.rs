//! Ports.
//!
//! Source: OTP, "External Term Format", section `V4_PORT_EXT`.

use super::atom::Name;

/// The identity of a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortParts {
    /// The node.
    pub node: Name,
    /// The number.
    pub id: u64,
    /// The incarnation of the node.
    pub creation: u32,
}

impl Ord for PortParts {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Unlike pids, ports are in the order of their nodes first.
        let key = |parts: &Self| (parts.creation, parts.id);
        self.node.cmp(&other.node).then_with(|| key(self).cmp(&key(other)))
    }
}

impl PartialOrd for PortParts {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(feature = "python")]
pub use object::Port;

#[cfg(feature = "python")]
mod object {
    use pyo3::prelude::*;

    use super::super::atom::{Atom, Name};
    use super::PortParts;

    /// The identifier of a port.
    #[pyclass(frozen, eq, ord, hash, module = "pyzen.terms", name = "Port")]
    #[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Port(pub PortParts);

    #[pymethods]
    impl Port {
        #[new]
        fn new(node: &Bound<'_, PyAny>, id: u64, creation: u32) -> PyResult<Self> {
            let node = Name::from_object(node)?;
            Ok(Self(PortParts { node, id, creation }))
        }

        #[getter]
        fn node<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Atom>> {
            self.0.node.atom(py)
        }

        #[getter]
        fn id(&self) -> u64 {
            self.0.id
        }

        #[getter]
        fn creation(&self) -> u32 {
            self.0.creation
        }

        fn __repr__(&self) -> String {
            format!("#Port<0.{} {}>", self.0.id, self.0.node.text())
        }

        fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (String, u64, u32)) {
            let parts = &slf.get().0;
            (slf.get_type().into_any(), (parts.node.text().to_owned(), parts.id, parts.creation))
        }
    }
}
