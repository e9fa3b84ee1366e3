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
    use pyo3::prelude::*;

    /// Cargo's profile, told apart by what only the development profile has.
    const PROFILE: &str = if cfg!(debug_assertions) { "dev" } else { "release" };

    /// The module `pyzen._native`.
    #[pymodule(gil_used = true)]
    fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("PROFILE", PROFILE)?;
        crate::term::register(module)?;
        crate::etf::register(module)?;
        crate::table::register(module)?;
        crate::link::register(module)
    }
}
