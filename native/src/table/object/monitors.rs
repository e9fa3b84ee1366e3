//! `MonitorTable`.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use rustc_hash::FxHashMap;

use super::arguments::{Home, certified, object_of, pair};
use super::downs::Unreads;
use crate::table::{Dispatch, Instruction, Monitors, News, Object, Removed};
use crate::term::atom::{Atom, Name};
use crate::term::pid::Pid;
use crate::term::raw::{CollectorPause, ListBuilder, TupleBuilder};
use crate::term::reference::{Reference, ReferenceSource};

const SUBSCRIBER: u8 = 1;
const WOKEN: u8 = 2;
const IDLE: u8 = 4;
const LIVE: u8 = 8;
const FIRED: u8 = 16;
const MORE: u8 = 32;

/// Atoms of the instructions.
struct Words {
    subscribe: Name,
    unsubscribe: Name,
}

impl Words {
    fn new() -> Self {
        Self { subscribe: Name::intern("subscribe"), unsubscribe: Name::intern("unsubscribe") }
    }
}

/// The references of this node's subscribers.
#[pyclass(frozen, module = "pyzen", name = "MonitorTable")]
pub struct MonitorTable {
    source: Py<ReferenceSource>,
    home: Home,
    words: Words,
    core: Mutex<Monitors<Py<PyAny>>>,
}

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

fn bits(news: News) -> u8 {
    flag(news.subscriber, SUBSCRIBER) | flag(news.woken, WOKEN) | flag(news.idle, IDLE)
}

type Dispatches = Vec<Dispatch<Py<PyAny>>>;

/// Dispatches by subscriber, in the order of the first of each.
fn by_subscriber(dispatches: Dispatches) -> Vec<(u64, Dispatches)> {
    let mut groups: Vec<(u64, Dispatches)> = Vec::new();
    let mut places: FxHashMap<u64, usize> = FxHashMap::default();
    let mut room = dispatches.len();
    for dispatch in dispatches {
        let place = *places.entry(dispatch.subscriber).or_insert(groups.len());
        if place == groups.len() {
            // The first has room for all: most often there is no other.
            groups.push((dispatch.subscriber, Vec::with_capacity(std::mem::take(&mut room))));
        }
        groups[place].1.push(dispatch);
    }
    groups
}

impl MonitorTable {
    /// Work on the table; what nobody holds any more is freed afterwards. `work` must not run Python code.
    fn with<T>(&self, work: impl FnOnce(&mut Monitors<Py<PyAny>>) -> T) -> T {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = work(&mut core);
        let released = core.take_released();
        drop(core);
        drop(released);
        answer
    }

    fn subscriber(&self, pid: &Bound<'_, Pid>) -> PyResult<u64> {
        let error =
            || PyValueError::new_err(format!("a subscriber is a process of {}, not {pid:?}", self.home.node.text()));
        self.home.number(pid).ok_or_else(error)
    }

    fn own_words(&self, reference: &Bound<'_, Reference>) -> PyResult<crate::table::Words> {
        self.home.words(reference).ok_or_else(|| PyValueError::new_err("a reference of another node"))
    }

    fn atoms(py: Python<'_>, names: Vec<Name>) -> PyResult<Vec<Bound<'_, Atom>>> {
        names.into_iter().map(|name| name.atom(py)).collect()
    }
}

#[pymethods]
impl MonitorTable {
    #[new]
    fn new(source: Bound<'_, ReferenceSource>) -> Self {
        let home = Home::of(&source);
        Self { source: source.unbind(), home, words: Words::new(), core: Mutex::default() }
    }

    #[pyo3(signature = (target, subscriber, /))]
    fn add<'py>(
        &self,
        py: Python<'py>,
        target: &Bound<'py, PyAny>,
        subscriber: &Bound<'py, Pid>,
    ) -> PyResult<(Bound<'py, Reference>, u8)> {
        let (node, identity) = self.home.target(target)?;
        let subscriber = self.subscriber(subscriber)?;
        let reference = Bound::new(py, Reference(self.source.get().make()))?;
        let Some(words) = self.home.words(&reference) else {
            return Err(PyValueError::new_err("the source makes references of another node"));
        };
        let news = self.with(|core| core.add(words, &node, identity, subscriber));
        Ok((reference, bits(news)))
    }

    #[pyo3(signature = (reference, /))]
    fn remove(&self, reference: &Bound<'_, Reference>) -> u8 {
        let Some(words) = self.home.words(reference) else { return 0 };
        let (removed, news) = self.with(|core| core.remove(&words));
        bits(news)
            | match removed {
                Removed::Unknown => 0,
                Removed::Live => LIVE,
                Removed::Fired => FIRED,
            }
    }

    #[pyo3(signature = (reference, /))]
    fn subscriber_of<'py>(
        &self,
        py: Python<'py>,
        reference: &Bound<'py, Reference>,
    ) -> PyResult<Option<Bound<'py, Pid>>> {
        let number = self.home.words(reference).and_then(|words| self.with(|core| core.subscriber_of(&words)));
        number.map(|number| self.home.pid(py, number)).transpose()
    }

    #[pyo3(signature = (reference, /))]
    fn target_of<'py>(
        &self,
        py: Python<'py>,
        reference: &Bound<'py, Reference>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let object = self.home.words(reference).and_then(|words| self.with(|core| core.target_of(&words)));
        object.map(|object| object_of(py, object)).transpose()
    }

    #[pyo3(signature = (limit, /))]
    fn rows<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let found = self.with(|core| core.references(limit));
        let list = PyList::empty(py);
        for (number, words, object) in found {
            list.append((self.home.pid(py, number)?, self.home.reference(py, words)?, object_of(py, object)?))?;
        }
        Ok(list)
    }

    #[pyo3(signature = (subscriber, /))]
    fn is_subscriber(&self, subscriber: &Bound<'_, Pid>) -> bool {
        self.home.number(subscriber).is_some_and(|number| self.with(|core| core.is_subscriber(number)))
    }

    #[pyo3(signature = (limit, /))]
    fn subscribers<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Bound<'py, Pid>>> {
        let numbers = self.with(|core| core.subscriber_numbers(limit));
        numbers.into_iter().map(|number| self.home.pid(py, number)).collect()
    }

    #[pyo3(signature = (target, subscriber, /))]
    fn monitors<'py>(
        &self,
        py: Python<'py>,
        target: &Bound<'py, PyAny>,
        subscriber: &Bound<'py, Pid>,
    ) -> PyResult<Vec<Bound<'py, Reference>>> {
        let (node, identity) = self.home.target(target)?;
        let subscriber = self.subscriber(subscriber)?;
        let found = self.with(|core| core.between(&node, &identity, subscriber));
        found.into_iter().map(|words| self.home.reference(py, words)).collect()
    }

    #[pyo3(signature = (node, limit, /))]
    fn instructions<'py>(
        &self,
        py: Python<'py>,
        node: &Bound<'py, Atom>,
        limit: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let node = node.get().name();
        let found: Vec<(Instruction, Object)> = self.with(|core| {
            let found = core.instructions(node, limit);
            found.into_iter().filter_map(|(instruction, target)| Some((instruction, core.object(target)?))).collect()
        });
        let (subscribe, unsubscribe) = (self.words.subscribe.value(py)?, self.words.unsubscribe.value(py)?);
        let _pause = CollectorPause::new(py);
        let mut list = ListBuilder::new(py, found.len())?;
        for (instruction, object) in found {
            let word = if instruction == Instruction::Subscribe { &subscribe } else { &unsubscribe };
            let mut pair = TupleBuilder::new(py, 2)?;
            pair.push(word.clone());
            pair.push(object_of(py, object)?);
            list.push(pair.finish(py).into_any())?;
        }
        Ok(list.finish(py))
    }

    #[pyo3(signature = (node, count, /))]
    fn handed(&self, node: &Bound<'_, Atom>, count: usize) {
        self.with(|core| core.handed(node.get().name(), count));
    }

    #[pyo3(signature = (node, certificates, /))]
    fn certify(&self, node: &Bound<'_, Atom>, certificates: &Bound<'_, PyList>) -> (usize, usize) {
        let node = node.get().name();
        self.with(|core| {
            let (mut fired, mut ignored) = (0, 0);
            for certificate in certificates {
                let parts = pair(&certificate).and_then(|(target, reason)| Some((certified(&target, node)?, reason)));
                let count = parts.map_or(0, |(identity, reason)| core.certify(node, &identity, reason.unbind()));
                fired += count;
                ignored += usize::from(count == 0);
            }
            (fired, ignored)
        })
    }

    #[pyo3(signature = (node, /))]
    fn lose(&self, node: &Bound<'_, Atom>) -> usize {
        self.with(|core| core.lose(node.get().name()))
    }

    #[pyo3(signature = (node, /))]
    fn take_over(&self, node: &Bound<'_, Atom>) -> usize {
        self.with(|core| core.take_over(node.get().name()))
    }

    #[pyo3(signature = (node, references, /))]
    fn cover(&self, node: &Bound<'_, Atom>, references: Vec<Bound<'_, Reference>>) -> PyResult<usize> {
        let words: PyResult<Vec<_>> = references.iter().map(|reference| self.own_words(reference)).collect();
        let words = words?;
        Ok(self.with(|core| core.cover(node.get().name(), &words)))
    }

    #[pyo3(signature = (reference, reason, /))]
    fn erts_down(&self, reference: &Bound<'_, Reference>, reason: Py<PyAny>) -> usize {
        let Some(words) = self.home.words(reference) else { return 0 };
        self.with(|core| core.erts_down(&words, reason))
    }

    #[pyo3(signature = (node, limit, /))]
    fn uncover<'py>(
        &self,
        py: Python<'py>,
        node: &Bound<'py, Atom>,
        limit: usize,
    ) -> PyResult<Vec<Bound<'py, Reference>>> {
        let spare = self.with(|core| core.uncover(node.get().name(), limit));
        spare.into_iter().map(|words| self.home.reference(py, words)).collect()
    }

    #[pyo3(signature = (node, limit, /))]
    fn lose_uncovered(&self, node: &Bound<'_, Atom>, limit: usize) -> usize {
        self.with(|core| core.lose_uncovered(node.get().name(), limit))
    }

    #[pyo3(signature = (node, /))]
    fn covered(&self, node: &Bound<'_, Atom>) -> usize {
        self.with(|core| core.covered_of(node.get().name()))
    }

    #[pyo3(signature = (node, /))]
    fn spare(&self, node: &Bound<'_, Atom>) -> usize {
        self.with(|core| core.spare_of(node.get().name()))
    }

    #[pyo3(signature = (limit, /))]
    fn settle(&self, limit: usize) -> u8 {
        let (more, news) = self.with(|core| core.settle(limit));
        bits(news) | flag(more, MORE)
    }

    #[pyo3(signature = (limit, fair, unreads, /))]
    fn take<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
        fair: bool,
        unreads: &Bound<'py, Unreads>,
    ) -> PyResult<(usize, Bound<'py, PyList>)> {
        let taken = self.with(|core| core.take(limit, fair, |reason| reason.clone_ref(py)));
        let (count, list) = (taken.len(), PyList::empty(py));
        for (subscriber, dispatches) in by_subscriber(taken) {
            list.append((self.home.pid(py, subscriber)?, Unreads::keep(unreads, dispatches)))?;
        }
        Ok((count, list))
    }

    #[pyo3(signature = (subscriber, /))]
    fn drop_subscriber(&self, subscriber: &Bound<'_, Pid>) -> u8 {
        self.home.number(subscriber).map_or(0, |number| bits(self.with(|core| core.drop_subscriber(number))))
    }

    #[pyo3(signature = (subscriber, reference, /))]
    fn watch(&self, subscriber: &Bound<'_, Pid>, reference: &Bound<'_, Reference>) -> PyResult<()> {
        let number = self.subscriber(subscriber)?;
        let words = self.own_words(reference)?;
        self.with(|core| core.watch(number, words));
        Ok(())
    }

    fn unwatch_all(&self) {
        self.with(Monitors::unwatch_all);
    }

    #[pyo3(signature = (start, limit, /))]
    fn unwatched<'py>(
        &self,
        py: Python<'py>,
        start: usize,
        limit: usize,
    ) -> PyResult<(Vec<Bound<'py, Pid>>, Option<usize>)> {
        let (numbers, next) = self.with(|core| core.unwatched(start, limit));
        let pids: PyResult<_> = numbers.into_iter().map(|number| self.home.pid(py, number)).collect();
        Ok((pids?, next))
    }

    #[pyo3(signature = (limit, /))]
    fn retire<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Option<Bound<'py, Reference>>>> {
        let watches = self.with(|core| core.retire(limit));
        watches.into_iter().map(|words| words.map(|words| self.home.reference(py, words)).transpose()).collect()
    }

    fn take_woken<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, Atom>>> {
        Self::atoms(py, self.with(Monitors::take_woken))
    }

    fn nodes<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, Atom>>> {
        Self::atoms(py, self.with(|core| core.nodes()))
    }

    #[pyo3(signature = (node, /))]
    fn live(&self, node: &Bound<'_, Atom>) -> usize {
        self.with(|core| core.live_of(node.get().name()))
    }

    #[pyo3(signature = (node, /))]
    fn pending(&self, node: &Bound<'_, Atom>) -> usize {
        self.with(|core| core.pending_of(node.get().name()))
    }

    #[getter]
    fn fired(&self) -> usize {
        self.with(|core| core.fired())
    }

    fn sizes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let sizes = self.with(|core| core.sizes());
        let dict = PyDict::new(py);
        dict.set_item("references", sizes.references)?;
        dict.set_item("live", sizes.live)?;
        dict.set_item("fired", sizes.fired)?;
        dict.set_item("targets", sizes.targets)?;
        dict.set_item("subscribers", sizes.subscribers)?;
        dict.set_item("nodes", sizes.nodes)?;
        dict.set_item("pending", sizes.pending)?;
        dict.set_item("reasons", sizes.reasons)?;
        dict.set_item("batches", sizes.batches)?;
        dict.set_item("erts_monitors", sizes.erts_monitors)?;
        Ok(dict)
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = self.with(|core| core.counts());
        let dict = PyDict::new(py);
        dict.set_item("monitors", counts.monitors)?;
        dict.set_item("demonitors", counts.demonitors)?;
        dict.set_item("references_fired", counts.fired)?;
        dict.set_item("subscribes_sent", counts.subscribes)?;
        dict.set_item("unsubscribes_sent", counts.unsubscribes)?;
        Ok(dict)
    }
}
