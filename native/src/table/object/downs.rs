//! `Unreads` and `Downs`: DOWNs on the way from the table, or from an ERTS monitor, to who reads them.
//!
//! A DOWN is made into an object when it is read: until then it takes a row, and no object has to be made for one that
//! is withdrawn.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::arguments::{Home, object_of};
use crate::table::{Dispatch, Object, Unread, Words};
use crate::term::atom::Name;
use crate::term::raw::TupleBuilder;
use crate::term::reference::{Reference, ReferenceSource};

/// A DOWN that nobody has read.
enum Message {
    /// As it is delivered.
    Made(Py<PyTuple>),
    /// What it is made of: the target, and the reason unless that is `nodedown`.
    Parts(Object, Option<Py<PyAny>>),
}

/// Atoms of a DOWN.
struct Atoms {
    down: Name,
    process: Name,
    zen_monitor: Name,
    nodedown: Name,
}

/// DOWNs in the mailboxes of one node.
#[pyclass(frozen, module = "pyzen", name = "Unreads")]
pub struct Unreads {
    home: Home,
    atoms: Atoms,
    core: Mutex<Unread<Message>>,
}

impl Unreads {
    /// The rows. No Python code may run while they are held.
    fn core(&self) -> MutexGuard<'_, Unread<Message>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, words: &Words) -> Option<Message> {
        self.core().remove(words)
    }

    /// The DOWN of a reference, which stays unread.
    fn peek<'py>(&self, py: Python<'py>, words: &Words) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let (object, reason) = match self.core().get(words) {
            None => return Ok(None),
            Some(Message::Made(down)) => return Ok(Some(down.clone_ref(py).into_bound(py))),
            Some(Message::Parts(object, reason)) => {
                (object.clone(), reason.as_ref().map(|reason| reason.clone_ref(py)))
            }
        };
        let down = self.down(py, *words, object, reason)?;
        // Kept, so that who looks again gets the same object and in no time.
        let before = self.core().get_mut(words).map(|row| std::mem::replace(row, Message::Made(down.clone().unbind())));
        drop(before);
        Ok(Some(down))
    }

    fn make<'py>(&self, py: Python<'py>, words: Words, message: Message) -> PyResult<Bound<'py, PyTuple>> {
        match message {
            Message::Made(down) => Ok(down.into_bound(py)),
            Message::Parts(object, reason) => self.down(py, words, object, reason),
        }
    }

    fn down<'py>(
        &self,
        py: Python<'py>,
        words: Words,
        object: Object,
        reason: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let mut wrapped = TupleBuilder::new(py, 2)?;
        wrapped.push(self.atoms.zen_monitor.value(py)?);
        wrapped.push(match reason {
            Some(reason) => reason.into_bound(py),
            None => self.atoms.nodedown.value(py)?,
        });
        let mut down = TupleBuilder::new(py, 5)?;
        down.push(self.atoms.down.value(py)?);
        down.push(self.home.reference(py, words)?.into_any());
        down.push(self.atoms.process.value(py)?);
        down.push(object_of(py, object)?);
        down.push(wrapped.finish(py).into_any());
        Ok(down.finish(py))
    }

    /// Keep what the table has consumed.
    pub fn keep(slf: &Bound<'_, Self>, dispatches: Vec<Dispatch<Py<PyAny>>>) -> Downs {
        let mut words = VecDeque::with_capacity(dispatches.len());
        let mut core = slf.get().core();
        for dispatch in dispatches {
            words.push_back(dispatch.words);
            core.insert(dispatch.words, Message::Parts(dispatch.object, dispatch.reason));
        }
        drop(core);
        Downs { unreads: slf.clone().unbind(), queue: Mutex::new(Queue { gone: 0, words }) }
    }
}

#[pymethods]
impl Unreads {
    #[new]
    fn new(source: &Bound<'_, ReferenceSource>) -> Self {
        let atoms = Atoms {
            down: Name::intern("DOWN"),
            process: Name::intern("process"),
            zen_monitor: Name::intern("zen_monitor"),
            nodedown: Name::intern("nodedown"),
        };
        Self { home: Home::of(source), atoms, core: Mutex::default() }
    }

    #[pyo3(signature = (reference, down, /))]
    fn add(slf: &Bound<'_, Self>, reference: &Bound<'_, Reference>, down: Py<PyTuple>) -> PyResult<Downs> {
        let words = slf.get().home.words(reference);
        let words = words.ok_or_else(|| PyValueError::new_err("a reference of another node"))?;
        slf.get().core().insert(words, Message::Made(down));
        let words = VecDeque::from([words]);
        Ok(Downs { unreads: slf.clone().unbind(), queue: Mutex::new(Queue { gone: 0, words }) })
    }

    #[pyo3(signature = (reference, /))]
    fn get<'py>(&self, py: Python<'py>, reference: &Bound<'py, Reference>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.home.words(reference).map_or(Ok(None), |words| self.peek(py, &words))
    }

    #[pyo3(signature = (reference, /))]
    fn withdraw(&self, reference: &Bound<'_, Reference>) -> bool {
        self.home.words(reference).and_then(|words| self.remove(&words)).is_some()
    }

    fn __len__(&self) -> usize {
        self.core().count()
    }
}

/// The references of DOWNs, in order.
struct Queue {
    /// How many have left: who looks at the others knows his place by their number from the first one on.
    gone: usize,
    /// Of those that have not been read, some withdrawn.
    words: VecDeque<Words>,
}

impl Queue {
    fn pop(&mut self) -> Option<Words> {
        self.gone += usize::from(!self.words.is_empty());
        self.words.pop_front()
    }

    /// Let go of the first ones that are read or withdrawn.
    fn tidy(&mut self, core: &Unread<Message>) {
        while self.words.front().is_some_and(|words| core.get(words).is_none()) {
            self.pop();
        }
    }
}

/// DOWNs for one process, in order.
#[pyclass(frozen, module = "pyzen", name = "Downs")]
pub struct Downs {
    unreads: Py<Unreads>,
    queue: Mutex<Queue>,
}

impl Downs {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one with this number, or the next that is there, and its number.
    fn at(&self, place: usize) -> Option<(usize, Words)> {
        let queue = self.queue();
        let place = place.max(queue.gone);
        queue.words.get(place - queue.gone).map(|words| (place, *words))
    }

    fn next(&self) -> Option<(Words, Message)> {
        let (mut queue, mut core) = (self.queue(), self.unreads.get().core());
        std::iter::from_fn(|| queue.pop()).find_map(|words| Some((words, core.remove(&words)?)))
    }
}

#[pymethods]
impl Downs {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.next().map(|(words, message)| self.unreads.get().make(py, words, message)).transpose()
    }

    fn __bool__(&self) -> bool {
        let (mut queue, core) = (self.queue(), self.unreads.get().core());
        queue.tidy(&core);
        !queue.words.is_empty()
    }

    fn __len__(&self) -> usize {
        let (queue, core) = (self.queue(), self.unreads.get().core());
        queue.words.iter().filter(|words| core.get(words).is_some()).count()
    }

    fn peek(slf: Py<Self>) -> Peek {
        // Who takes them out of turn looks from the first one on each time.
        slf.get().queue().tidy(&slf.get().unreads.get().core());
        Peek { downs: slf, place: AtomicUsize::new(0) }
    }

    #[pyo3(signature = (reference, /))]
    fn take(&self, reference: &Bound<'_, Reference>) -> bool {
        self.unreads.get().withdraw(reference)
    }

    fn clear(&self) {
        while let Some(message) = self.next() {
            drop(message);
        }
    }
}

impl Drop for Downs {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A look at DOWNs that stay unread.
#[pyclass(frozen, module = "pyzen", name = "Peek")]
pub struct Peek {
    downs: Py<Downs>,
    place: AtomicUsize,
}

#[pymethods]
impl Peek {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let downs = self.downs.get();
        while let Some((place, words)) = downs.at(self.place.load(Ordering::Relaxed)) {
            self.place.store(place + 1, Ordering::Relaxed);
            if let Some(down) = downs.unreads.get().peek(py, &words)? {
                return Ok(Some(down));
            }
        }
        Ok(None)
    }
}
