//! Pids.
//!
//! Source: OTP, "External Term Format", section `NEW_PID_EXT`.

use super::atom::Name;

/// The identity of a process. Never truncated: OTP 26 and later use up to 60 bits of `id` and `serial`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PidParts {
    /// The node.
    pub node: Name,
    /// First 32 bits of the number.
    pub id: u32,
    /// Second 32 bits of the number.
    pub serial: u32,
    /// The incarnation of the node.
    pub creation: u32,
}

impl PidParts {
    /// What names the process within its node and creation.
    pub fn number(&self) -> u64 {
        u64::from(self.serial) << 32 | u64::from(self.id)
    }
}

impl Ord for PidParts {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |parts: &Self| (parts.serial, parts.id);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.node.cmp(&other.node))
            .then_with(|| self.creation.cmp(&other.creation))
    }
}

impl PartialOrd for PidParts {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(feature = "python")]
pub use object::Pid;

#[cfg(feature = "python")]
mod object {
    use pyo3::prelude::*;

    use super::super::atom::{Atom, Name};
    use super::PidParts;

    /// The identifier of a process.
    #[pyclass(frozen, eq, ord, hash, module = "pyzen.terms", name = "Pid")]
    #[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Pid(pub PidParts);

    #[pymethods]
    impl Pid {
        #[new]
        fn new(node: &Bound<'_, PyAny>, id: u32, serial: u32, creation: u32) -> PyResult<Self> {
            let node = Name::from_object(node)?;
            Ok(Self(PidParts { node, id, serial, creation }))
        }

        #[getter]
        fn node<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Atom>> {
            self.0.node.atom(py)
        }

        #[getter]
        fn id(&self) -> u32 {
            self.0.id
        }

        #[getter]
        fn serial(&self) -> u32 {
            self.0.serial
        }

        #[getter]
        fn creation(&self) -> u32 {
            self.0.creation
        }

        #[getter]
        fn number(&self) -> u64 {
            self.0.number()
        }

        fn __repr__(&self) -> String {
            format!("#PID<0.{}.{} {}>", self.0.id, self.0.serial, self.0.node.text())
        }

        fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (String, u32, u32, u32)) {
            let parts = &slf.get().0;
            let arguments = (parts.node.text().to_owned(), parts.id, parts.serial, parts.creation);
            (slf.get_type().into_any(), arguments)
        }
    }
}
