//! Where an object stands in a term, as text for errors.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};

use crate::term::atom::Name;
use crate::term::number;

/// Characters of a key that are shown.
const MAX_KEY: usize = 40;

/// Steps that are shown at either end of a long path.
const SHOWN: usize = 16;

/// Join steps, outermost first; the middle of a long path is left out.
pub fn join(steps: &[String]) -> String {
    match (steps.get(..SHOWN), steps.len().checked_sub(SHOWN).and_then(|start| steps.get(start..))) {
        (Some(first), Some(last)) if steps.len() > 2 * SHOWN => {
            format!("{}... {} more ...{}", first.concat(), steps.len() - 2 * SHOWN, last.concat())
        }
        _ => steps.concat(),
    }
}

/// A key, short, and without running code of its class.
pub fn key(key: &Bound<'_, PyAny>) -> String {
    let py = key.py();
    let shown = |object: &Bound<'_, PyAny>| object.repr().map_or_else(|_| type_name(object), |text| text.to_string());
    if let Ok(text) = key.cast::<PyString>() {
        let short: String = text.to_string_lossy().chars().take(MAX_KEY).collect();
        shown(PyString::new(py, &short).as_any())
    } else if let Ok(bytes) = key.cast::<PyBytes>() {
        let bytes = bytes.as_bytes();
        shown(PyBytes::new(py, bytes.get(..MAX_KEY).unwrap_or(bytes)).as_any())
    } else if let Some(name) = Name::from_term(key) {
        name.text().to_owned()
    } else if let Some(value) = key.cast::<PyInt>().ok().and_then(number::small) {
        value.to_string()
    } else {
        type_name(key)
    }
}

/// The type of an object.
pub fn type_name(object: &Bound<'_, PyAny>) -> String {
    let name = object.get_type().qualname();
    name.map_or_else(|_| "object".to_owned(), |name| name.to_string_lossy().into_owned())
}
