//! Terms that Python has no type for.
//!
//! Each has a native part that needs no interpreter (and may be dropped by any thread) and, with the
//! feature `python`, an object around it: final, frozen, without `__dict__`, and unknown to the collector unless
//! it holds other objects.

pub mod atom;
pub mod bits;
#[cfg(feature = "python")]
pub mod fun;
#[cfg(feature = "python")]
pub mod held;
#[cfg(feature = "python")]
pub mod identity;
pub mod keyed;
#[cfg(feature = "python")]
pub mod list;
#[cfg(feature = "python")]
pub mod map;
#[cfg(feature = "python")]
pub mod number;
pub mod pid;
pub mod port;
#[cfg(feature = "python")]
pub mod raw;
#[cfg(feature = "python")]
pub mod record;
pub mod reference;
#[cfg(feature = "python")]
pub mod walk;

/// Add the types of this module to `pyzen._native`.
#[cfg(feature = "python")]
pub fn register(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    use pyo3::types::PyModuleMethods as _;

    module.add_class::<atom::Atom>()?;
    module.add_class::<pid::Pid>()?;
    module.add_class::<port::Port>()?;
    module.add_class::<reference::Reference>()?;
    module.add_class::<reference::ReferenceSource>()?;
    module.add_class::<bits::BitString>()?;
    module.add_class::<list::FrozenList>()?;
    module.add_class::<list::ImproperList>()?;
    module.add_class::<map::TermMap>()?;
    module.add_class::<fun::Fun>()?;
    module.add_class::<fun::Export>()?;
    module.add_class::<record::Record>()?;
    map::register_as_collections(module.py())
}
