//! Bitstrings whose length is no multiple of eight.
//!
//! Source: OTP, "External Term Format", section `BIT_BINARY_EXT`.

/// The bytes of a bitstring, with the unused low bits of the last one cleared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bits {
    bytes: Box<[u8]>,
    last: u8,
}

impl Bits {
    /// A bitstring of which `last` bits (1 to 7, from the top) of the last byte count; `None` for anything else.
    pub fn new(data: &[u8], last: u8) -> Option<Self> {
        let mut bytes: Box<[u8]> = data.into();
        let end = bytes.last_mut()?;
        if !(1..=7).contains(&last) {
            return None;
        }
        *end &= !(0xff >> last);
        Some(Self { bytes, last })
    }

    /// The bytes, the last one filled with zeros.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// At most `size` bytes from the start, of those that count in full.
    pub fn head(&self, size: usize) -> &[u8] {
        &self.bytes[..size.min(self.bytes.len() - 1)]
    }

    /// How many bits of the last byte count.
    pub fn last(&self) -> u8 {
        self.last
    }
}

#[cfg(feature = "python")]
pub use object::BitString;

#[cfg(feature = "python")]
mod object {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    use super::Bits;

    /// A bitstring whose length is no multiple of eight.
    #[pyclass(frozen, eq, hash, module = "pyzen.terms", name = "BitString")]
    #[derive(PartialEq, Eq, Hash)]
    pub struct BitString(pub Bits);

    #[pymethods]
    impl BitString {
        #[new]
        fn new(data: &[u8], bits: u8) -> PyResult<Self> {
            let unfit = "bits must be from 1 to 7 and data not empty: whole bytes are written as bytes";
            Bits::new(data, bits).map(Self).ok_or_else(|| PyValueError::new_err(unfit))
        }

        #[getter]
        fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
            PyBytes::new(py, self.0.bytes())
        }

        #[getter]
        fn bits(&self) -> u8 {
            self.0.last()
        }

        #[pyo3(signature = (size, /))]
        fn head<'py>(&self, py: Python<'py>, size: usize) -> Bound<'py, PyBytes> {
            PyBytes::new(py, self.0.head(size))
        }

        fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
            Ok(format!("BitString({}, {})", self.data(py).repr()?, self.0.last()))
        }

        fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (Bound<'py, PyBytes>, u8)) {
            (slf.get_type().into_any(), (slf.get().data(slf.py()), slf.get().0.last()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_bits_are_cleared() {
        assert_eq!(Bits::new(&[0xff, 0xff], 3).unwrap().bytes(), [0xff, 0xe0]);
    }

    #[test]
    fn head_has_whole_bytes_only() {
        let bits = Bits::new(&[1, 2, 0xff], 3).unwrap();
        assert_eq!((bits.head(1), bits.head(2), bits.head(3)), (&[1][..], &[1, 2][..], &[1, 2][..]));
    }

    #[test]
    fn whole_bytes_are_no_bitstring() {
        assert!(Bits::new(&[1], 0).is_none());
        assert!(Bits::new(&[1], 8).is_none());
        assert!(Bits::new(&[], 1).is_none());
    }
}
