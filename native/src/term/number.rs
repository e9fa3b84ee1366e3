//! Python integers of any size, without calling what a subclass has overridden.

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt};

/// The value of an integer that fits 64 bits.
pub fn small(integer: &Bound<'_, PyInt>) -> Option<i64> {
    crate::term::raw::to_i64(integer)
}

/// The same for one that fits 128 bits, which is soon told as well.
pub fn medium(integer: &Bound<'_, PyInt>) -> Option<i128> {
    integer.extract().ok()
}

/// Sign (true when negative) and little-endian magnitude without leading zeros.
pub fn magnitude<'py>(integer: &Bound<'py, PyInt>) -> PyResult<(bool, Bound<'py, PyBytes>)> {
    let py = integer.py();
    let kind = PyInt::type_object(py);
    let negative = kind.call_method1("__lt__", (integer, 0))?.is_truthy()?;
    let positive = kind.call_method1("__abs__", (integer,))?;
    let bits: usize = positive.call_method0("bit_length")?.extract()?;
    let bytes = positive.call_method1("to_bytes", (bits.div_ceil(8), "little"))?;
    Ok((negative, bytes.cast_into()?))
}

/// How many bytes the magnitude has; takes no time for them.
pub fn size(integer: &Bound<'_, PyInt>) -> PyResult<usize> {
    let bits: usize = PyInt::type_object(integer.py()).call_method1("bit_length", (integer,))?.extract()?;
    Ok(bits.div_ceil(8))
}

/// The integer of a little-endian magnitude.
pub fn from_magnitude<'py>(py: Python<'py>, negative: bool, magnitude: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let significant = magnitude.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let magnitude = &magnitude[..significant];
    if magnitude.len() < 8 {
        let mut bytes = [0; 8];
        bytes[..magnitude.len()].copy_from_slice(magnitude);
        let value = i64::from_le_bytes(bytes);
        return Ok((if negative { -value } else { value }).into_pyobject(py)?.into_any());
    }
    if magnitude.len() < 16 {
        let mut bytes = [0; 16];
        bytes[..magnitude.len()].copy_from_slice(magnitude);
        let value = i128::from_le_bytes(bytes);
        return Ok((if negative { -value } else { value }).into_pyobject(py)?.into_any());
    }
    let value = PyInt::type_object(py).call_method(
        "from_bytes",
        (PyBytes::new(py, magnitude), "little"),
        None::<&Bound<'_, PyDict>>,
    )?;
    if negative { value.neg() } else { Ok(value) }
}
