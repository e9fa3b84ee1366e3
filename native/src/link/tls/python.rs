//! `TLSContext`: the files of both roles, read once.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rustls::version::{TLS12, TLS13};

use super::{Role, Tls, Versions};
use crate::link::arguments::raise;

/// What all encrypted connections of a node have in common.
#[pyclass(frozen, module = "pyzen._native")]
pub struct TLSContext(pub Arc<Tls>);

/// Certificate, key, authorities; whether to verify; versions.
type Given = (Option<PathBuf>, Option<PathBuf>, Option<PathBuf>, bool, Vec<String>);

fn role((certfile, keyfile, cafile, verify, versions): Given) -> PyResult<Role> {
    Ok(Role { certfile, keyfile, cafile, verify, versions: self::versions(&versions)? })
}

fn versions(names: &[String]) -> PyResult<Versions> {
    let version = |name: &String| match name.as_str() {
        "1.2" => Ok(&TLS12),
        "1.3" => Ok(&TLS13),
        other => Err(PyValueError::new_err(format!("there is no TLS version {other:?}"))),
    };
    names.iter().map(version).collect()
}

#[pymethods]
impl TLSContext {
    #[new]
    #[pyo3(signature = (*, server, client))]
    fn new(py: Python<'_>, server: Given, client: Given) -> PyResult<Self> {
        let tls = Tls::new(&role(server)?, &role(client)?);
        let tls = tls.map_err(|text| raise(py, "ConfigError", &text, None))?;
        Ok(Self(Arc::new(tls)))
    }
}
