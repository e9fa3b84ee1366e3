//! `SubscriptionTable`.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::arguments::{Home, object_of};
use crate::table::{Echo, Identity, Object, Subscriptions};
use crate::term::atom::{Atom, Name};
use crate::term::pid::{Pid, PidParts};
use crate::term::reference::Reference;

const BATCHER: u8 = 1;
const MONITOR: u8 = 2;

/// The subscriptions of other nodes' Connectors to processes of this node.
#[pyclass(frozen, module = "pyzen", name = "SubscriptionTable")]
pub struct SubscriptionTable {
    home: Home,
    core: Mutex<Subscriptions<Py<PyAny>>>,
}

impl SubscriptionTable {
    /// Work on the table; what nobody holds any more is freed afterwards. `work` must not run Python code.
    fn with<T>(&self, work: impl FnOnce(&mut Subscriptions<Py<PyAny>>) -> T) -> T {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = work(&mut core);
        let released = core.take_released();
        drop(core);
        drop(released);
        answer
    }

    fn target(&self, object: &Bound<'_, PyAny>) -> PyResult<Identity> {
        let (node, identity) = self.home.target(object)?;
        let is_ours = match &identity {
            Identity::Process { creation, .. } => *creation == self.home.creation,
            Identity::Named(_) => true,
        };
        if node == self.home.node && is_ours {
            return Ok(identity);
        }
        Err(PyValueError::new_err(format!("{object:?} is not of this node")))
    }

    fn echo(&self, identity: &Identity) -> Option<Object> {
        match identity {
            Identity::Named(name) => Some(Object::Named(name.clone(), self.home.node.clone())),
            process @ Identity::Process { .. } => process.pid(&self.home.node).map(Object::Process),
        }
    }

    fn pids(py: Python<'_>, parts: Vec<PidParts>) -> PyResult<Vec<Bound<'_, Pid>>> {
        parts.into_iter().map(|parts| Bound::new(py, Pid(parts))).collect()
    }
}

/// What a certificate echoes, with the table unlocked.
enum Echoed {
    Object(Option<Object>),
    Term(Py<PyAny>),
}

#[pymethods]
impl SubscriptionTable {
    #[new]
    fn new(node: &Bound<'_, PyAny>, creation: u32) -> PyResult<Self> {
        let home = Home { node: Name::from_object(node)?, creation };
        Ok(Self { home, core: Mutex::default() })
    }

    #[pyo3(signature = (connector, /))]
    fn meet(&self, connector: &Bound<'_, Pid>) -> bool {
        self.with(|core| core.meet(&connector.get().0))
    }

    #[pyo3(signature = (connector, target, /))]
    fn subscribe(&self, connector: &Bound<'_, Pid>, target: &Bound<'_, PyAny>) -> PyResult<u8> {
        let identity = self.target(target)?;
        let needs = self.with(|core| core.subscribe(&connector.get().0, identity));
        Ok((u8::from(needs.batcher) * BATCHER) | (u8::from(needs.monitor) * MONITOR))
    }

    #[pyo3(signature = (target, reference, /))]
    fn watch(&self, target: &Bound<'_, PyAny>, reference: &Bound<'_, Reference>) -> PyResult<()> {
        let identity = self.target(target)?;
        let words = self.home.words(reference).ok_or_else(|| PyValueError::new_err("a reference of another node"))?;
        self.with(|core| core.watch(&identity, words));
        Ok(())
    }

    #[pyo3(signature = (connector, target, /))]
    fn unsubscribe<'py>(
        &self,
        py: Python<'py>,
        connector: &Bound<'py, Pid>,
        target: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, Reference>>> {
        let identity = self.target(target)?;
        let words = self.with(|core| core.unsubscribe(&connector.get().0, &identity));
        words.map(|words| self.home.reference(py, words)).transpose()
    }

    #[pyo3(signature = (reference, reason, size, /))]
    fn died<'py>(
        &self,
        py: Python<'py>,
        reference: &Bound<'py, Reference>,
        reason: Py<PyAny>,
        size: u32,
    ) -> PyResult<Vec<Bound<'py, Pid>>> {
        let Some(words) = self.home.words(reference) else { return Ok(Vec::new()) };
        Self::pids(py, self.with(|core| core.died(&words, reason, size)))
    }

    #[pyo3(signature = (node, /))]
    fn held(&self, node: &Bound<'_, Atom>) -> (usize, usize, usize) {
        let held = self.with(|core| core.held(node.get().name()));
        (held.connectors, held.rows, held.size)
    }

    #[pyo3(signature = (connector, target, reason, size, /))]
    fn certify(&self, connector: &Bound<'_, Pid>, target: Py<PyAny>, reason: Py<PyAny>, size: u32) -> bool {
        self.with(|core| core.certify(&connector.get().0, target, reason, size))
    }

    #[pyo3(signature = (connector, limit, size, /))]
    fn certificates<'py>(
        &self,
        py: Python<'py>,
        connector: &Bound<'py, Pid>,
        limit: usize,
        size: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let found: Vec<(Echoed, Py<PyAny>)> = self.with(|core| {
            let found = core.certificates(&connector.get().0, limit, size);
            let echoed = |echo: Echo<'_, Py<PyAny>>| match echo {
                Echo::Target(identity) => Echoed::Object(self.echo(identity)),
                Echo::Object(term) => Echoed::Term(term.clone_ref(py)),
            };
            found.into_iter().map(|(echo, reason)| (echoed(echo), reason.clone_ref(py))).collect()
        });
        let list = PyList::empty(py);
        for (echo, reason) in found {
            let echo = match echo {
                Echoed::Term(term) => term.into_bound(py),
                Echoed::Object(Some(object)) => object_of(py, object)?,
                Echoed::Object(None) => continue,
            };
            list.append((echo, reason))?;
        }
        Ok(list)
    }

    #[pyo3(signature = (connector, count, /))]
    fn sent(&self, connector: &Bound<'_, Pid>, count: usize) {
        self.with(|core| core.sent(&connector.get().0, count));
    }

    #[pyo3(signature = (connector, /))]
    fn waiting(&self, connector: &Bound<'_, Pid>) -> usize {
        self.with(|core| core.waiting(&connector.get().0))
    }

    #[pyo3(signature = (connector, target, /))]
    fn is_subscribed(&self, connector: &Bound<'_, Pid>, target: &Bound<'_, PyAny>) -> bool {
        let identity = self.target(target);
        identity.is_ok_and(|identity| self.with(|core| core.is_subscribed(&connector.get().0, &identity)))
    }

    #[pyo3(signature = (connector, /))]
    fn drop_connector(&self, connector: &Bound<'_, Pid>) -> bool {
        self.with(|core| core.drop_connector(&connector.get().0))
    }

    #[pyo3(signature = (node, /))]
    fn drop_node<'py>(&self, py: Python<'py>, node: &Bound<'py, Atom>) -> PyResult<Vec<Bound<'py, Pid>>> {
        Self::pids(py, self.with(|core| core.drop_node(node.get().name())))
    }

    #[pyo3(signature = (connector, /))]
    fn knows(&self, connector: &Bound<'_, Pid>) -> bool {
        self.with(|core| core.knows(&connector.get().0))
    }

    fn connectors<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, Pid>>> {
        Self::pids(py, self.with(|core| core.connectors()))
    }

    #[pyo3(signature = (limit, /))]
    fn rows<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let found: Vec<_> = self.with(|core| {
            let views = core.views(limit);
            views.into_iter().map(|(identity, pid)| (self.echo(identity), pid.clone())).collect()
        });
        let list = PyList::empty(py);
        for (object, pid) in found {
            if let Some(object) = object {
                list.append((object_of(py, object)?, Bound::new(py, Pid(pid))?))?;
            }
        }
        Ok(list)
    }

    #[pyo3(signature = (limit, /))]
    fn reap<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<(Vec<Bound<'py, Reference>>, bool)> {
        let (watches, more) = self.with(|core| core.reap(limit));
        let references: PyResult<_> = watches.into_iter().map(|words| self.home.reference(py, words)).collect();
        Ok((references?, more))
    }

    fn sizes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let sizes = self.with(|core| core.sizes());
        let dict = PyDict::new(py);
        dict.set_item("subscriptions", sizes.subscriptions)?;
        dict.set_item("certificates", sizes.certificates)?;
        dict.set_item("subscribed_targets", sizes.targets)?;
        dict.set_item("connectors", sizes.connectors)?;
        dict.set_item("watches", sizes.watches)?;
        dict.set_item("leftover", sizes.leftover)?;
        Ok(dict)
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("certificates_queued", self.with(|core| core.certified()))?;
        Ok(dict)
    }
}
