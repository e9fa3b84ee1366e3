//! Between Python's arguments and what the link needs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyInt, PySequence, PyTuple};
use rustls::pki_types::ServerName;

use super::encode;
use crate::dist::sender::Encoded;
use crate::limits::Limits;
use crate::term::atom::Name;
use crate::term::pid::Pid;

/// The type of `NO_PAYLOAD`.
#[pyclass(frozen, module = "pyzen._native")]
pub struct NoPayload;

#[pymethods]
impl NoPayload {
    #[expect(clippy::unused_self, reason = "a method of Python")]
    fn __repr__(&self) -> &'static str {
        "NO_PAYLOAD"
    }
}

/// `NO_PAYLOAD`.
pub fn no_payload(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static NO_PAYLOAD: PyOnceLock<Py<NoPayload>> = PyOnceLock::new();
    let object = NO_PAYLOAD.get_or_try_init(py, || Py::new(py, NoPayload))?;
    Ok(object.bind(py).clone().into_any())
}

/// An argument that is a term, or left out. `None` is a term.
pub enum Payload<'py> {
    /// Left out, or `NO_PAYLOAD`.
    Absent,
    /// A term.
    Term(Bound<'py, PyAny>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Payload<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<NoPayload>() {
            return Ok(Self::Absent);
        }
        Ok(Self::Term(object.to_owned()))
    }
}

/// An exception of `pyzen.errors`.
pub fn raise(py: Python<'_>, name: &str, text: &str, peer: Option<&Name>) -> PyErr {
    let made = || {
        let keywords = PyDict::new(py);
        if let Some(peer) = peer {
            keywords.set_item("peer", peer.text())?;
        }
        py.import("pyzen.errors")?.getattr(name)?.call((text,), Some(&keywords))
    };
    made().map_or_else(|error| error, PyErr::from_value)
}

/// A `pyzen.config.Limits`.
pub fn limits_of(limits: &Bound<'_, PyAny>) -> PyResult<Limits> {
    let size = |name: &str| limits.getattr(name)?.extract::<usize>();
    Ok(Limits {
        max_depth: size("max_depth")?,
        max_equal_hashes: size("max_equal_hashes")?,
        max_term_size: size("max_term_size")?,
        max_decoded_size: size("max_decoded_size")?,
        max_inflated_size: size("max_inflated_size")?,
        max_atoms: size("max_atoms")?,
        max_peer_atoms: size("max_peer_atoms")?,
        max_packet_size: size("max_packet_size")?,
        max_queued_bytes: size("max_queued_bytes")?,
        max_unsent_bytes: size("max_unsent_bytes")?,
        max_handshakes: size("max_handshakes")?,
        max_fragment_sequences: size("max_fragment_sequences")?,
        setup_time: limits.getattr("setup_time")?.extract()?,
        atom_cache: limits.getattr("atom_cache")?.extract()?,
    })
}

/// An address of a host given as a literal.
pub fn address(host: &str, port: u16) -> PyResult<SocketAddr> {
    let ip = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        literal => literal.parse().map_err(|_| PyValueError::new_err(format!("{host:?} is not an IP address")))?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// What a certificate has to be for.
pub fn server_name(name: String) -> PyResult<ServerName<'static>> {
    let text = format!("{name:?} is no name that a certificate can be for");
    ServerName::try_from(name).map_err(|_| PyValueError::new_err(text))
}

/// A frame that a handshake can have.
pub fn checked_frame(frame: Vec<u8>) -> PyResult<Vec<u8>> {
    if frame.len() > usize::from(u16::MAX) {
        return Err(PyValueError::new_err(format!("a handshake frame has at most 65535 bytes, not {}", frame.len())));
    }
    Ok(frame)
}

/// The first packets: each the arguments of `send` (from a pid) or of `signal` (with an order key).
pub fn first_messages(first: &Bound<'_, PySequence>, flags: u64, limits: &Limits) -> PyResult<Vec<(u64, Encoded)>> {
    let mut messages = Vec::new();
    for item in first.try_iter()? {
        let item = item?.cast_into::<PyTuple>()?;
        let (key, second, third) = (item.get_item(0)?, item.get_item(1)?, item.get_item(2)?);
        if let Ok(from_pid) = key.cast::<Pid>() {
            let priority = item.len() > 3 && item.get_item(3)?.extract()?;
            let encoded = encode::message(from_pid, &second, &third, priority, flags, limits)?;
            messages.extend(encoded.map(|encoded| (from_pid.get().0.number(), encoded)));
        } else {
            let encoded = encode::signal(second.cast::<PyTuple>()?, &third.extract()?, flags, limits)?;
            messages.push((key.cast::<PyInt>()?.extract()?, encoded));
        }
    }
    Ok(messages)
}
