//! The two signals that every call of a `GenServer` brings, made here.
//!
//! A `MONITOR_P` or `DEMONITOR_P` whose parts are what they should be becomes the signal's own object, so that no
//! control tuple is taken apart in Python. All others, the unsound ones too, go on as control tuples: the decoder in
//! Python says what is wrong with them. A pair costs two thirds of what it costs by that way.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::deliver::Flat;
use super::python::SIGNAL;
use crate::dist::identity::Identity;
use crate::term::atom::Atom;
use crate::term::pid::Pid;
use crate::term::reference::Reference;

const MONITOR_P: i64 = 19;
const DEMONITOR_P: i64 = 20;

/// The classes of the signals.
pub struct Watching {
    monitor: Py<PyAny>,
    demonitor: Py<PyAny>,
}

impl Watching {
    /// The classes by operation number, each called with a receiver, a watcher and a reference.
    pub fn new(classes: &Bound<'_, PyDict>) -> PyResult<Self> {
        let class = |op: i64| Ok::<_, PyErr>(classes.as_any().get_item(op)?.unbind());
        Ok(Self { monitor: class(MONITOR_P)?, demonitor: class(DEMONITOR_P)? })
    }

    /// The signal in place of its control tuple, if it is one of the two.
    pub fn made(&self, py: Python<'_>, link: u64, flat: Flat, identity: &Identity) -> PyResult<Flat> {
        let class = match &flat {
            Flat::Other(MONITOR_P, _) => &self.monitor,
            Flat::Other(DEMONITOR_P, _) => &self.demonitor,
            _ => return Ok(flat),
        };
        let Flat::Other(_, [control, _, _]) = &flat else { return Ok(flat) };
        let Some(arguments) = sound(control.bind(py), identity)? else { return Ok(flat) };
        let signal = class.bind(py).call1(arguments)?;
        signal.setattr(intern!(py, "via"), link)?;
        signal.setattr(intern!(py, "peer"), identity.peer.atom(py)?)?;
        Ok(Flat::Other(SIGNAL, [signal.unbind(), py.None(), py.None()]))
    }
}

type Arguments<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Receiver, watcher and reference, if watcher and reference are the peer's and the receiver is of the right kind.
fn sound<'py>(control: &Bound<'py, PyAny>, identity: &Identity) -> PyResult<Option<Arguments<'py>>> {
    let control = control.cast::<PyTuple>()?;
    let (watcher, target, reference) = (control.get_item(1)?, control.get_item(2)?, control.get_item(3)?);
    let is_theirs = watcher.cast::<Pid>().is_ok_and(|watcher| watcher.get().0.node == identity.peer)
        && reference.cast::<Reference>().is_ok_and(|reference| reference.get().0.node == identity.peer);
    if !is_theirs {
        return Ok(None);
    }
    let to = if target.is_instance_of::<Pid>() {
        target
    } else if target.is_instance_of::<Atom>() {
        (target, identity.node.atom(control.py())?).into_pyobject(control.py())?.into_any()
    } else {
        return Ok(None);
    };
    Ok(Some((to, watcher, reference)))
}
