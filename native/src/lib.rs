//! The native part of pyzen: terms, codec, link and monitor table.
//!
//! Module order (each knows only those to its left): `error`, `limits` <- `term` <- `etf` <- `dist | table` <- `link`.

pub mod dist;
pub mod error;
pub mod etf;
pub mod limits;
pub mod link;
pub mod table;
pub mod term;

#[cfg(feature = "python")]
mod module {
    use pyo3::exceptions::PyImportError;
    use pyo3::prelude::*;

    use crate::term::raw;

    /// Cargo's profile, told apart by what only the development profile has.
    const PROFILE: &str = if cfg!(debug_assertions) { "dev" } else { "release" };

    /// The module `pyzen._native`.
    ///
    /// Atoms and types are one each for the whole process, and belong to whoever holds the one lock of its interpreter.
    /// A build without that lock takes it up again for this module, unless it was told not to.
    #[pymodule(gil_used = true)]
    fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
        refuse_other_interpreters(module.py())?;
        module.add("PROFILE", PROFILE)?;
        crate::term::keyed::choose();
        crate::term::register(module)?;
        crate::etf::register(module)?;
        crate::table::register(module)?;
        crate::link::register(module)
    }

    fn refuse_other_interpreters(py: Python<'_>) -> PyResult<()> {
        if !raw::is_main_interpreter(py) {
            return Err(PyImportError::new_err(
                "pyzen can be used in the main interpreter only, not in a subinterpreter",
            ));
        }
        let locked = match py.import("sys")?.getattr_opt("_is_gil_enabled")? {
            Some(is_enabled) => is_enabled.call0()?.is_truthy()?,
            None => true, // before 3.13
        };
        if !locked {
            return Err(PyImportError::new_err("pyzen needs the GIL: start Python without PYTHON_GIL=0 and -X gil=0"));
        }
        Ok(())
    }
}
