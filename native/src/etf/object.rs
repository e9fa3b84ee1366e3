//! What Python sees of the codec.

use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyType};

use super::{Decoding, decode_term, encode_term, tag, zlib};
use crate::error::{DecodeError, Spent};
use crate::limits::Limits;
use crate::term::atom::Budget;
use crate::term::raw;

/// Add the types and functions of this module to `pyzen._native`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Encoded>()?;
    module.add_function(wrap_pyfunction!(encode, module)?)?;
    module.add_function(wrap_pyfunction!(decode, module)?)?;
    module.add_function(wrap_pyfunction!(encoded_size, module)?)?;
    module.add_function(wrap_pyfunction!(encode_message, module)?)
}

/// A term encoded for a message between nodes.
#[pyclass(frozen, module = "pyzen._native", name = "Encoded")]
pub struct Encoded {
    /// The external form, without version byte.
    pub bytes: Vec<u8>,
}

#[pymethods]
impl Encoded {
    fn __len__(&self) -> usize {
        self.bytes.len()
    }
}

/// Encode a term with version byte, compressed at a level from 1 to 9, or 0 for not.
#[pyfunction]
fn encode<'py>(term: &Bound<'py, PyAny>, compressed: u32, max_depth: usize) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(256); // enough for most messages
    out.push(tag::VERSION);
    encode_term(term, max_depth, &mut out)?;
    let py = term.py();
    if compressed > 0 {
        let plain = out.get(1..).unwrap_or_default();
        if let Some(packed) = py.detach(|| zlib::deflate(plain, compressed.min(9))) {
            out.truncate(1);
            out.extend(packed);
        }
    }
    Ok(PyBytes::new(py, &out))
}

/// How many bytes `encode` would answer; none if the term has no form or they are more than `max_size`.
#[pyfunction]
fn encoded_size(term: &Bound<'_, PyAny>, max_depth: usize, max_size: usize) -> PyResult<Option<usize>> {
    let size = super::encoded_size(term, max_depth, max_size.saturating_sub(1))?;
    Ok(size.map(|size| size + 1))
}

/// Encode a term for a link that is not up yet.
#[pyfunction]
fn encode_message(term: &Bound<'_, PyAny>, max_depth: usize) -> PyResult<Encoded> {
    let mut bytes = Vec::new();
    encode_term(term, max_depth, &mut bytes)?;
    Ok(Encoded { bytes })
}

/// Decode a term with version byte.
#[pyfunction]
#[expect(
    clippy::too_many_arguments,
    reason = "each limit for itself: to make an object of them takes longer than most terms"
)]
fn decode<'py>(
    data: &Bound<'py, PyAny>,
    strings: bool,
    max_depth: usize,
    max_term_size: usize,
    max_decoded_size: usize,
    max_inflated_size: usize,
    max_atoms: usize,
    max_equal_hashes: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let limits =
        Limits { max_depth, max_equal_hashes, max_term_size, max_decoded_size, max_inflated_size, ..Limits::default() };
    let how = Decoding { limits: &limits, strings, atoms: &[], budget: &Budget::of_program(max_atoms) };
    let py = data.py();
    let decoded = match data.cast::<PyBytes>() {
        Ok(bytes) => binary_to_term(py, bytes.as_bytes(), &how),
        // A copy: other buffers may be changed by somebody else while they are read.
        Err(_) => binary_to_term(py, &raw::read_buffer(data, <[u8]>::to_vec)?, &how),
    };
    decoded.map_err(|error| decode_error(py, error))
}

fn binary_to_term<'py>(py: Python<'py>, data: &[u8], how: &Decoding<'_>) -> Result<Bound<'py, PyAny>, DecodeError> {
    let malformed = |what, offset, tag| DecodeError::Malformed { what, offset, tag };
    let (version, term) = data.split_first().ok_or_else(|| malformed("there is no byte", 0, None))?;
    if *version != tag::VERSION {
        return Err(malformed("the version byte is not 131", 0, Some(*version)));
    }
    if data.len() > how.limits.max_term_size {
        let (value, maximum) = (data.len() as u64, how.limits.max_term_size as u64);
        return Err(DecodeError::Limit { limit: "max_term_size", value, maximum, offset: 0 });
    }
    if term.first() != Some(&tag::COMPRESSED) {
        return whole_term(py, term, how).map_err(|error| error.moved(1));
    }
    let inflated = py.detach(|| zlib::inflate(term, how.limits)).map_err(|error| error.moved(1))?;
    let limits = Limits { max_term_size: usize::MAX, ..how.limits.clone() };
    whole_term(py, &inflated, &Decoding { limits: &limits, ..*how })
}

fn whole_term<'py>(py: Python<'py>, data: &[u8], how: &Decoding<'_>) -> Result<Bound<'py, PyAny>, DecodeError> {
    let (term, taken) = decode_term(py, data, how)?;
    if taken == data.len() {
        return Ok(term);
    }
    Err(DecodeError::Malformed { what: "bytes follow the term", offset: taken, tag: None })
}

/// The exception for bytes that are no term: `DecodeError` or `LimitExceeded` of `pyzen.errors`.
pub fn decode_error(py: Python<'_>, error: DecodeError) -> PyErr {
    static DECODE_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static LIMIT_EXCEEDED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let message = error.to_string();
    raised((|| {
        let keywords = PyDict::new(py);
        match error {
            DecodeError::Malformed { offset, tag, .. } => {
                keywords.set_item("offset", offset)?;
                keywords.set_item("tag", tag)?;
                let text = match tag {
                    Some(tag) => format!("{message} (offset {offset}, tag {tag})"),
                    None => format!("{message} (offset {offset})"),
                };
                DECODE_ERROR.import(py, "pyzen.errors", "DecodeError")?.call((text,), Some(&keywords))
            }
            DecodeError::Limit { limit, value, maximum, offset }
            | DecodeError::Atoms { spent: Spent { limit, value, maximum }, offset } => {
                keywords.set_item("offset", offset)?;
                let kind = LIMIT_EXCEEDED.import(py, "pyzen.errors", "LimitExceeded")?;
                kind.call((limit, value, maximum), Some(&keywords))
            }
            DecodeError::Memory => Err(PyMemoryError::new_err(message)),
        }
    })())
}

/// The exception for an object that has no Erlang form: `EncodeError` of `pyzen.errors`.
pub fn encode_error(py: Python<'_>, why: &str, path: &str) -> PyErr {
    static ENCODE_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    raised((|| {
        let keywords = PyDict::new(py);
        keywords.set_item("path", path)?;
        ENCODE_ERROR.import(py, "pyzen.errors", "EncodeError")?.call((why,), Some(&keywords))
    })())
}

fn raised(made: PyResult<Bound<'_, PyAny>>) -> PyErr {
    made.map_or_else(|error| error, PyErr::from_value)
}
