//! What Python sees of the link: `LinkThread`, and the kinds of events.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PySequence, PyTuple};
use rustc_hash::FxHashMap;

use super::arguments::{
    NoPayload, Payload, address, checked_frame, first_messages, limits_of, no_payload, raise, server_name,
};
use super::deliver::{Batch, Delivered, Flat, deliver};
use super::encode;
use super::events::Event;
use super::filling::{Desk, Filling};
use super::fork;
use super::guarded::Guarded;
use super::handle::{HIGH_MARK, Link, Posted, Request};
use super::session::Session;
use super::task::Settings;
use super::thread::Thread;
use super::tls::{self, TLSContext};
use super::watching::Watching;
use crate::dist::identity::Identity;
use crate::dist::loan::Loan;
use crate::dist::packet::Packet;
use crate::dist::sender::{Encoded, OVERHEAD};
use crate::limits::Limits;
use crate::term::atom::Name;
use crate::term::pid::Pid;
use crate::term::raw::{self, CollectorPause};

const SENT: u8 = 0;
const BUSY: u8 = 1;
const NO_LINK: u8 = 2;

/// A message; every other kind above it is an operation number.
pub const MESSAGE: i64 = 0;
const ACCEPTED: i64 = -1;
const CONNECTED: i64 = -2;
const FRAME: i64 = -3;
/// The end of a link.
pub const DOWN: i64 = -4;
const WRITABLE: i64 = -5;
const ENDED: i64 = -6;
/// A signal that is an object already.
pub const SIGNAL: i64 = -7;
/// A message or a spawn request whose payload breaks a limit.
pub const REFUSED: i64 = -8;
const TURNED_AWAY: i64 = -9;

/// One drain ends at whichever of these comes first.
const MAX_DRAINED: usize = 256;
const MAX_DRAINED_BYTES: usize = 1024 * 1024;
const MAX_DRAIN_TIME: Duration = Duration::from_millis(5);
/// After a drain of so few the next message is likely the answer somebody waits for, and is written at once: the I/O
/// thread would have to wake up first. More are a stream; then it is better to have the two work side by side.
const FEW: usize = 8;
/// Then large messages are decoded and copied for so long.
const MAX_FILL_TIME: Duration = Duration::from_millis(2);

/// So many times `max_unsent_bytes` may wait of signals, which must not get lost while their link stands.
const SIGNALS_FACTOR: usize = 2;

/// Too much waits for a peer.
fn overloaded(py: Python<'_>, maximum: usize, peer: &Name) -> PyErr {
    raise(py, "LinkOverloaded", &format!("more than {maximum} bytes wait for {}", peer.text()), Some(peer))
}

/// Add the types and functions of this module to `pyzen._native`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, value) in [("SENT", SENT), ("BUSY", BUSY), ("NO_LINK", NO_LINK)] {
        module.add(name, value)?;
    }
    module.add("HIGH_MARK", HIGH_MARK)?;
    module.add("OVERHEAD", OVERHEAD)?;
    let kinds = [
        ("MESSAGE", MESSAGE),
        ("ACCEPTED", ACCEPTED),
        ("CONNECTED", CONNECTED),
        ("FRAME", FRAME),
        ("DOWN", DOWN),
        ("WRITABLE", WRITABLE),
        ("ENDED", ENDED),
        ("SIGNAL", SIGNAL),
        ("REFUSED", REFUSED),
        ("TURNED_AWAY", TURNED_AWAY),
    ];
    for (name, value) in kinds {
        module.add(name, value)?;
    }
    module.add_class::<NoPayload>()?;
    module.add("NO_PAYLOAD", no_payload(module.py())?)?;
    module.add_class::<LinkThread>()?;
    module.add_class::<TLSContext>()?;
    module.add("TLS_FAULT", tls::PREFIX)?;
    module.add_class::<Session>()?;
    module.add_function(wrap_pyfunction!(guard_fd, module)?)?;
    module.add_function(wrap_pyfunction!(release_fd, module)?)
}

/// An event of so many connections, of which one has this address.
fn from_address(py: Python<'_>, kind: i64, address: SocketAddr, count: u64) -> PyResult<Flat> {
    let host = address.ip().to_string().into_pyobject(py)?.into_any().unbind();
    let port = address.port().into_pyobject(py)?.into_any().unbind();
    Ok(Flat::Other(kind, [host, port, count.into_pyobject(py)?.into_any().unbind()]))
}

/// An event of one value.
pub fn single(py: Python<'_>, kind: i64, value: Py<PyAny>) -> Flat {
    Flat::Other(kind, [value, py.None(), py.None()])
}

/// Close `fd` in every child that is forked from now on.
#[pyfunction]
fn guard_fd(fd: RawFd) -> PyResult<()> {
    fork::watch()?;
    fork::guard(fd);
    Ok(())
}

/// Undo `guard_fd`.
#[pyfunction]
fn release_fd(fd: RawFd) {
    fork::release(fd);
}

/// One I/O thread that owns the sockets of all links of one node.
#[pyclass(frozen, module = "pyzen._native")]
pub struct LinkThread {
    // Empty only while it is dropped.
    inner: Option<Inner>,
    generation: u64,
}

struct Inner {
    thread: Thread,
    links: Mutex<FxHashMap<u64, Entry>>,
    desk: Mutex<Desk>,
    watching: Option<Watching>,
    guarded: Mutex<Guarded>,
    counters: Counters,
    // What messages have on loan: the I/O thread must never be the last to let go of an object. It is joined before
    // this is dropped, as `thread` comes first.
    lent: Mutex<Vec<Loan>>,
    // Whether the next message is written at once rather than by the I/O thread.
    direct: AtomicBool,
}

#[derive(Clone)]
struct Entry {
    link: Arc<Link>,
    identity: Option<Arc<Identity>>,
    // Closed by this node: nothing of it is heard any more but its end.
    closed: bool,
}

#[derive(Default)]
struct Counters {
    received_packets: AtomicU64,
    received_bytes: AtomicU64,
    sent_messages: AtomicU64,
    sent_bytes: AtomicU64,
}

fn count(counter: &AtomicU64, bytes: &AtomicU64, size: usize) {
    counter.fetch_add(1, Ordering::Relaxed);
    bytes.fetch_add(size as u64, Ordering::Relaxed);
}

impl Drop for LinkThread {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            // In a forked child: there is no thread to join, and the descriptors are closed.
            std::mem::forget(self.inner.take());
        }
    }
}

impl LinkThread {
    fn inner(&self) -> PyResult<&Inner> {
        match &self.inner {
            Some(inner) if self.generation == fork::generation() => Ok(inner),
            _ => Err(PyRuntimeError::new_err("the links of a node can't be used after fork")),
        }
    }
}

impl Inner {
    fn links(&self) -> MutexGuard<'_, FxHashMap<u64, Entry>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, link: u64) -> Option<Entry> {
        self.links().get(&link).cloned()
    }

    fn guarded(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> &Limits {
        &self.thread.settings().limits
    }

    fn lent(&self) -> MutexGuard<'_, Vec<Loan>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Let go of what has come back.
    fn take_back(&self) {
        self.lent().retain(|loan| !loan.is_returned());
    }

    /// The link, still in handshake mode; `None` when it is gone.
    fn in_handshake(&self, link: u64) -> PyResult<Option<Arc<Link>>> {
        match self.entry(link) {
            Some(Entry { identity: Some(_), .. }) => Err(PyValueError::new_err(format!("link {link} is active"))),
            entry => Ok(entry.map(|entry| entry.link)),
        }
    }

    /// The link, active; `None` when it is gone.
    fn active(&self, link: u64) -> PyResult<Option<(Arc<Link>, Arc<Identity>)>> {
        match self.entry(link) {
            Some(Entry { identity: None, .. }) => Err(PyValueError::new_err(format!("link {link} is not active"))),
            entry => Ok(entry.and_then(|entry| Some((entry.link, entry.identity?)))),
        }
    }

    /// Queue a message or a signal; an `answer` is written at once if it is its turn.
    fn post(&self, link: &Link, order_key: u64, encoded: Encoded, maximum: Option<usize>, answer: bool) -> Posted {
        let size = encoded.length();
        self.lent().extend(encoded.lent.iter().map(|(_, loan)| loan.clone()));
        // Only a message is an answer: signals that come before it leave it the turn.
        let posted = if answer && self.direct.swap(false, Ordering::Relaxed) {
            link.write(order_key, encoded, maximum)
        } else {
            link.send(order_key, encoded, maximum)
        };
        if matches!(posted, Posted::Sent | Posted::Busy) {
            count(&self.counters.sent_messages, &self.counters.sent_bytes, size);
        } else {
            self.take_back();
        }
        posted
    }

    /// What Python sees of an event; nothing of links that are gone.
    fn translate(&self, py: Python<'_>, id: u64, event: Event, desk: &mut Desk) -> PyResult<Option<Flat>> {
        let entry = match &event {
            Event::Accepted(link, _) => {
                let entry = Entry { link: link.clone(), identity: None, closed: false };
                self.links().insert(id, entry.clone());
                Some(entry)
            }
            Event::Ended(_) | Event::TurnedAway(..) => None,
            Event::Down(_) => match self.links().remove(&id) {
                None => return Ok(None),
                entry => entry,
            },
            _ => match self.entry(id) {
                None | Some(Entry { closed: true, .. }) => return Ok(None),
                entry => entry,
            },
        };
        let flat = match event {
            Event::Accepted(_, address) => from_address(py, ACCEPTED, address, 1)?,
            Event::TurnedAway(address, count) => from_address(py, TURNED_AWAY, address, count)?,
            Event::Connected => single(py, CONNECTED, py.None()),
            Event::Frame(frame) => single(py, FRAME, PyBytes::new(py, &frame).into_any().unbind()),
            Event::Packet(packet) => match entry {
                Some(entry) => return self.packet(py, &entry, packet, desk),
                None => return Ok(None),
            },
            Event::Writable => single(py, WRITABLE, py.None()),
            Event::Returned => return Ok(None),
            Event::Down(reason) => single(py, DOWN, reason.into_pyobject(py)?.into_any().unbind()),
            Event::Ended(reason) => single(py, ENDED, reason.into_pyobject(py)?.into_any().unbind()),
        };
        Ok(Some(flat))
    }

    fn packet(&self, py: Python<'_>, entry: &Entry, packet: Packet, desk: &mut Desk) -> PyResult<Option<Flat>> {
        let Entry { link, identity: Some(identity), .. } = entry else { return Ok(None) };
        let delivered = match deliver(py, &packet, identity, self.limits()) {
            Ok(delivered) => delivered,
            Err(reason) => {
                let is_last = desk.postpone(link.id, packet).is_some();
                return is_last.then(|| self.end(py, link.id, reason, desk)).transpose();
            }
        };
        let size = packet.size();
        link.drained(size, self.limits().max_queued_bytes);
        count(&self.counters.received_packets, &self.counters.received_bytes, size);
        match (delivered, &self.watching) {
            (Delivered::Nothing, _) => Ok(None),
            (Delivered::Whole(flat), Some(watching)) => watching.made(py, link.id, flat, identity).map(Some),
            (Delivered::Whole(flat), None) => Ok(Some(flat)),
            (Delivered::Large(opened), _) => {
                desk.begin(link.id, Filling::new(py, opened, packet, identity.clone(), self.limits()));
                Ok(None)
            }
        }
    }

    /// End a link here: what it has read beyond is dropped, and so is its own `Down`.
    fn end(&self, py: Python<'_>, link: u64, reason: String, desk: &mut Desk) -> PyResult<Flat> {
        desk.forget(link);
        if let Some(entry) = self.links().remove(&link) {
            entry.link.request(Request::Close(reason.clone()));
        }
        Ok(single(py, DOWN, reason.into_pyobject(py)?.into_any().unbind()))
    }
}

#[pymethods]
impl LinkThread {
    #[new]
    #[pyo3(signature = (limits, ticktime, tls=None, signals=None))]
    fn new(
        limits: &Bound<'_, PyAny>,
        ticktime: f64,
        tls: Option<&Bound<'_, TLSContext>>,
        signals: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let limits = limits_of(limits)?;
        let ticktime = Duration::try_from_secs_f64(ticktime)
            .ok()
            .filter(|ticktime| !ticktime.is_zero())
            .ok_or_else(|| PyValueError::new_err("ticktime must be a positive number of seconds"))?;
        let tls = tls.map(|context| context.get().0.clone());
        let inner = Inner {
            thread: Thread::start(Settings { limits, ticktime, tls })?,
            links: Mutex::default(),
            desk: Mutex::default(),
            watching: signals.map(Watching::new).transpose()?,
            guarded: Mutex::default(),
            counters: Counters::default(),
            lent: Mutex::default(),
            direct: AtomicBool::new(false),
        };
        Ok(Self { inner: Some(inner), generation: fork::generation() })
    }

    fn fileno(&self) -> PyResult<RawFd> {
        let fd = self.inner()?.thread.events().fileno();
        fd.ok_or_else(|| PyValueError::new_err("the link thread is stopped"))
    }

    fn listen(&self, host: &str, port: u16) -> PyResult<(String, u16)> {
        let address = self.inner()?.thread.listen(address(host, port)?)?;
        Ok((address.ip().to_string(), address.port()))
    }

    #[pyo3(signature = (host, port, name=None))]
    fn dial(&self, host: &str, port: u16, name: Option<String>) -> PyResult<u64> {
        let inner = self.inner()?;
        let address = address(host, port)?;
        let name = match name {
            Some(name) => server_name(name)?,
            None => address.ip().into(),
        };
        let mut links = inner.links();
        let link = inner.thread.dial(address, name)?;
        let id = link.id;
        links.insert(id, Entry { link, identity: None, closed: false });
        Ok(id)
    }

    fn is_certified(&self, link: u64, host: &str) -> PyResult<bool> {
        let entry = self.inner()?.entry(link);
        Ok(entry.is_some_and(|entry| {
            let certificate = entry.link.certificate.get();
            certificate.is_some_and(|certificate| tls::is_for(certificate, host))
        }))
    }

    fn read_frame(&self, link: u64) -> PyResult<()> {
        if let Some(link) = self.inner()?.in_handshake(link)? {
            link.request(Request::ReadFrame);
        }
        Ok(())
    }

    fn write_frame(&self, link: u64, frame: &Bound<'_, PyAny>) -> PyResult<()> {
        let link = self.inner()?.in_handshake(link)?;
        let frame = raw::read_buffer(frame, <[u8]>::to_vec)?;
        let frame = checked_frame(frame)?;
        if let Some(link) = link {
            link.request(Request::WriteFrame(frame));
        }
        Ok(())
    }

    #[pyo3(signature = (link, *, node, creation, peer, flags, last_frame, first))]
    #[expect(clippy::too_many_arguments, reason = "all that a handshake has found out")]
    fn activate(
        &self,
        link: u64,
        node: &Bound<'_, PyAny>,
        creation: u32,
        peer: &Bound<'_, PyAny>,
        flags: u64,
        last_frame: Option<Vec<u8>>,
        first: &Bound<'_, PySequence>,
    ) -> PyResult<()> {
        let inner = self.inner()?;
        let (node, peer) = (Name::from_object(node)?, Name::from_object(peer)?);
        let identity = Identity::new(node, creation, peer, flags, inner.limits());
        let last_frame = last_frame.map(checked_frame).transpose()?;
        let first = first_messages(first, flags, inner.limits())?;
        let Some(handle) = inner.in_handshake(link)? else { return Ok(()) };
        let identity = Arc::new(identity);
        let entry = Entry { link: handle.clone(), identity: Some(identity.clone()), closed: false };
        inner.links().insert(link, entry);
        handle.request(Request::Activate { identity, last_frame });
        for (order_key, encoded) in first {
            inner.post(&handle, order_key, encoded, None, false);
        }
        Ok(())
    }

    #[pyo3(signature = (link, from_pid, to, message, priority=false, /))]
    fn send(
        &self,
        link: u64,
        from_pid: &Bound<'_, Pid>,
        to: &Bound<'_, PyAny>,
        message: &Bound<'_, PyAny>,
        priority: bool,
    ) -> PyResult<u8> {
        let inner = self.inner()?;
        let Some((handle, identity)) = inner.active(link)? else { return Ok(NO_LINK) };
        let limits = inner.limits();
        let encoded = encode::message(from_pid, to, message, priority, identity.flags, limits)?;
        let Some(encoded) = encoded else { return Ok(SENT) };
        match inner.post(&handle, from_pid.get().0.number(), encoded, Some(limits.max_unsent_bytes), true) {
            Posted::Sent => Ok(SENT),
            Posted::Busy => Ok(BUSY),
            Posted::Gone => Ok(NO_LINK),
            Posted::Overloaded => Err(overloaded(message.py(), limits.max_unsent_bytes, &identity.peer)),
        }
    }

    #[pyo3(signature = (link, order_key, control, payload=Payload::Absent, /))]
    fn signal(&self, link: u64, order_key: u64, control: &Bound<'_, PyTuple>, payload: Payload<'_>) -> PyResult<u8> {
        let inner = self.inner()?;
        let Some((handle, identity)) = inner.active(link)? else { return Ok(NO_LINK) };
        let encoded = encode::signal(control, &payload, identity.flags, inner.limits())?;
        let maximum = inner.limits().max_unsent_bytes.saturating_mul(SIGNALS_FACTOR);
        let with_this = maximum.saturating_add(encoded.cost()); // a single one of any size is taken
        match inner.post(&handle, order_key, encoded, Some(with_this), false) {
            Posted::Sent => Ok(SENT),
            Posted::Busy => Ok(BUSY),
            Posted::Gone => Ok(NO_LINK),
            Posted::Overloaded => Err(overloaded(control.py(), maximum, &identity.peer)),
        }
    }

    fn close(&self, link: u64, reason: String) -> PyResult<()> {
        let inner = self.inner()?;
        let Some(entry) = inner.links().get_mut(&link).map(|entry| {
            entry.closed = entry.identity.is_some();
            entry.clone()
        }) else {
            return Ok(());
        };
        if entry.closed
            && let Ok(mut desk) = inner.desk.lock()
        {
            desk.forget(link);
        }
        entry.link.request(Request::Close(reason));
        Ok(())
    }

    fn guard(&self, receiver: &Bound<'_, PyAny>) -> PyResult<()> {
        self.inner()?.guarded().add(receiver)
    }

    fn unguard(&self, receiver: &Bound<'_, PyAny>) -> PyResult<()> {
        self.inner()?.guarded().remove(receiver)
    }

    fn drain<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, bool)> {
        let inner = self.inner()?;
        let Ok(mut desk) = inner.desk.try_lock() else {
            return Err(PyRuntimeError::new_err("drain is running already"));
        };
        let _pause = CollectorPause::new(py);
        let guarded = inner.guarded();
        let (start, mut bytes, mut batch) = (Instant::now(), 0, Batch::new(py, &guarded));
        desk.backlog.refill(inner.thread.events());
        inner.take_back();
        for _ in 0..MAX_DRAINED {
            let Some((link, happened)) = desk.take_next() else { break };
            if let Event::Packet(packet) = &happened {
                bytes += packet.size();
            }
            if let Some(flat) = inner.translate(py, link, happened, &mut desk)? {
                batch.push(link, flat)?;
            }
            // Not before the first one: a drain gets on however late it is, or whoever was woken by it finds nothing.
            if bytes >= MAX_DRAINED_BYTES || start.elapsed() >= MAX_DRAIN_TIME {
                break;
            }
        }
        for (link, outcome) in desk.fill(py, inner.limits(), Instant::now() + MAX_FILL_TIME) {
            match outcome {
                Ok(flat) => batch.push(link, flat)?,
                Err(reason) => batch.push(link, inner.end(py, link, reason, &mut desk)?)?,
            }
        }
        inner.direct.store(batch.len() <= FEW, Ordering::Relaxed);
        Ok((batch.finish(), !desk.is_empty()))
    }

    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let inner = self.inner()?;
        let statistics = PyDict::new(py);
        let links: Vec<_> = inner.links().values().map(|entry| entry.link.clone()).collect();
        statistics.set_item("links", links.len())?;
        statistics.set_item("queued_bytes", links.iter().map(|link| link.queued()).sum::<usize>())?;
        statistics.set_item("unsent_bytes", links.iter().map(|link| link.unsent()).sum::<usize>())?;
        let counters = [
            ("received_packets", &inner.counters.received_packets),
            ("received_bytes", &inner.counters.received_bytes),
            ("sent_messages", &inner.counters.sent_messages),
            ("sent_bytes", &inner.counters.sent_bytes),
        ];
        for (name, counter) in counters {
            statistics.set_item(name, counter.load(Ordering::Relaxed))?;
        }
        let lent = inner.lent().iter().map(|loan| loan.bytes().len()).sum::<usize>();
        statistics.set_item("lent_bytes", lent)?;
        statistics.set_item("reflex_answers", inner.thread.events().answered())?;
        Ok(statistics)
    }

    fn stop(&self, py: Python<'_>) {
        // In a forked child there is nothing to stop, and this may be called at exit.
        if let Ok(inner) = self.inner() {
            py.detach(|| inner.thread.stop());
        }
    }
}
