//! Between Python's terms and the compact ones.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::table::{Identity, Object, Words};
use crate::term::atom::{Atom, Name};
use crate::term::pid::{Pid, PidParts};
use crate::term::reference::{Reference, ReferenceParts, ReferenceSource};

/// The node that a table belongs to.
pub struct Home {
    pub node: Name,
    pub creation: u32,
}

impl Home {
    /// The node that a source makes references of.
    pub fn of(source: &Bound<'_, ReferenceSource>) -> Self {
        let one = source.get().make();
        Self { node: one.node, creation: one.creation }
    }

    /// The number of a process of this node.
    pub fn number(&self, pid: &Bound<'_, Pid>) -> Option<u64> {
        let parts = &pid.get().0;
        (parts.node == self.node && parts.creation == self.creation).then(|| parts.number())
    }

    /// A process of this node.
    #[allow(clippy::cast_possible_truncation)] // the halves of the number
    pub fn pid<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Bound<'py, Pid>> {
        let (id, serial) = (number as u32, (number >> 32) as u32);
        Bound::new(py, Pid(PidParts { node: self.node.clone(), id, serial, creation: self.creation }))
    }

    /// The words of a reference of this node.
    pub fn words(&self, reference: &Bound<'_, Reference>) -> Option<Words> {
        let parts = &reference.get().0;
        let is_ours = parts.node == self.node && parts.creation == self.creation;
        is_ours.then(|| parts.words().try_into().ok()).flatten()
    }

    /// A reference of this node.
    pub fn reference<'py>(&self, py: Python<'py>, words: Words) -> PyResult<Bound<'py, Reference>> {
        let parts = ReferenceParts::new(self.node.clone(), self.creation, &words);
        let parts = parts.ok_or_else(|| PyValueError::new_err("a reference has 1 to 5 words"))?;
        Bound::new(py, Reference(parts))
    }

    /// A target as an argument: a pid, a name of this node, or `(name, node)`.
    pub fn target(&self, object: &Bound<'_, PyAny>) -> PyResult<(Name, Identity)> {
        if let Ok(pid) = object.cast::<Pid>() {
            let parts = &pid.get().0;
            return Ok((parts.node.clone(), Identity::of(parts)));
        }
        if let Some((name, node)) = pair(object) {
            if is_name(&name) && is_name(&node) {
                return Ok((Name::from_object(&node)?, Identity::Named(checked_name(&name)?)));
            }
        } else if is_name(object) {
            return Ok((self.node.clone(), Identity::Named(checked_name(object)?)));
        }
        let text = format!("a pid, a name or (name, node) can be monitored, not {}", object.get_type().name()?);
        Err(PyTypeError::new_err(text))
    }
}

/// The items of a tuple of two.
pub fn pair<'py>(object: &Bound<'py, PyAny>) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let tuple = object.cast::<PyTuple>().ok().filter(|tuple| tuple.len() == 2)?;
    Some((tuple.get_item(0).ok()?, tuple.get_item(1).ok()?))
}

fn is_name(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<Atom>() || object.is_instance_of::<PyString>()
}

/// A name that can be monitored: an Elixir peer takes `_` for every name, and `$1` for a variable of a match.
fn checked_name(object: &Bound<'_, PyAny>) -> PyResult<Name> {
    let name = Name::from_object(object)?;
    let is_variable = |text: &str| {
        text.strip_prefix('$').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    if name.text() == "_" || is_variable(name.text()) {
        return Err(PyValueError::new_err(format!("the name {:?} can't be monitored", name.text())));
    }
    Ok(name)
}

/// What a certificate names, if it is a target of `node`. Runs no Python code.
pub fn certified(object: &Bound<'_, PyAny>, node: &Name) -> Option<Identity> {
    if let Ok(pid) = object.cast::<Pid>() {
        return (pid.get().0.node == *node).then(|| Identity::of(&pid.get().0));
    }
    let (name, at) = pair(object)?;
    let (name, at) = (name.cast::<Atom>().ok()?, at.cast::<Atom>().ok()?);
    (at.get().name() == node).then(|| Identity::Named(name.get().name().clone()))
}

/// What a DOWN, an instruction or a certificate names, as a Python object.
pub fn object_of(py: Python<'_>, object: Object) -> PyResult<Bound<'_, PyAny>> {
    match object {
        Object::Process(parts) => Ok(Bound::new(py, Pid(parts))?.into_any()),
        Object::Named(name, node) => Ok((name.value(py)?, node.value(py)?).into_pyobject(py)?.into_any()),
    }
}
