//! One active link without a socket, for tests: the reader and writer that the I/O thread has.
//!
//! It has no reflexes: everything that is received becomes an event.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use super::arguments::{Payload, limits_of};
use super::deliver::{Batch, deliver_whole};
use super::encode;
use super::guarded::Guarded;
use super::python::{DOWN, single};
use crate::dist::Format;
use crate::dist::identity::Identity;
use crate::dist::receiver::Receiver;
use crate::dist::sender::{Encoded, Sender};
use crate::limits::Limits;
use crate::term::atom::Name;
use crate::term::pid::Pid;
use crate::term::raw;

/// The id of the only link there is.
const LINK: u64 = 1;

/// One active link without a socket.
#[pyclass(frozen, module = "pyzen._native")]
pub struct Session {
    limits: Limits,
    identity: Identity,
    state: Mutex<State>,
}

struct State {
    receiver: Receiver,
    sender: Sender,
    down: bool,
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written<'py>(&self, py: Python<'py>, order_key: u64, encoded: Encoded) -> Bound<'py, PyBytes> {
        let mut out = Vec::new();
        let mut state = self.lock();
        state.sender.push(order_key, encoded);
        state.sender.fill(&mut out, usize::MAX);
        PyBytes::new(py, &out)
    }
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (limits, *, node, creation, peer, flags))]
    fn new(
        limits: &Bound<'_, PyAny>,
        node: &Bound<'_, PyAny>,
        creation: u32,
        peer: &Bound<'_, PyAny>,
        flags: u64,
    ) -> PyResult<Self> {
        let (limits, format) = (limits_of(limits)?, Format::of(flags));
        let (node, peer) = (Name::from_object(node)?, Name::from_object(peer)?);
        let identity = Identity::new(node, creation, peer, flags, &limits);
        let receiver = Receiver::new(format, identity.budget.clone(), &limits);
        let state = State { receiver, sender: Sender::new(format), down: false };
        Ok(Self { limits, identity, state: Mutex::new(state) })
    }

    #[pyo3(signature = (data, /))]
    fn receive_data<'py>(&self, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = data.py();
        let data = raw::read_buffer(data, <[u8]>::to_vec)?;
        let guarded = Guarded::default();
        let mut batch = Batch::new(py, &guarded);
        let mut packets = Vec::new();
        let mut state = self.lock();
        if state.down {
            return Ok(batch.finish());
        }
        let received = state.receiver.receive(&data, &mut packets).map_err(|error| error.to_string());
        let end = packets
            .iter()
            .try_for_each(|packet| {
                let flat = deliver_whole(py, packet, &self.identity, &self.limits)?;
                flat.map_or(Ok(()), |flat| batch.push(LINK, flat)).map_err(|error| error.to_string())
            })
            .and(received);
        if let Err(reason) = end {
            state.down = true;
            batch.push(LINK, single(py, DOWN, reason.into_pyobject(py)?.into_any().unbind()))?;
        }
        Ok(batch.finish())
    }

    #[pyo3(signature = (from_pid, to, message, priority=false, /))]
    fn send<'py>(
        &self,
        from_pid: &Bound<'py, Pid>,
        to: &Bound<'py, PyAny>,
        message: &Bound<'py, PyAny>,
        priority: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let encoded = encode::message(from_pid, to, message, priority, self.identity.flags, &self.limits)?;
        let Some(encoded) = encoded else { return Ok(PyBytes::new(message.py(), &[])) };
        Ok(self.written(message.py(), from_pid.get().0.number(), encoded))
    }

    #[pyo3(signature = (order_key, control, payload=Payload::Absent, /))]
    fn signal<'py>(
        &self,
        order_key: u64,
        control: &Bound<'py, PyTuple>,
        payload: Payload<'py>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let encoded = encode::signal(control, &payload, self.identity.flags, &self.limits)?;
        Ok(self.written(control.py(), order_key, encoded))
    }
}
