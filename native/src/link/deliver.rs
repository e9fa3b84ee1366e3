//! Packets to what Python sees: flat events, one form for every variant of an operation.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use super::arguments::no_payload;
use super::filling::LARGE_PACKET;
use super::guarded::Guarded;
use super::python::{MESSAGE, REFUSED};
use crate::dist::bytes::Cursor;
use crate::dist::control::{Head, Payload, Shape, Target, read_head};
use crate::dist::identity::{Identity, read_atom, read_own_pid};
use crate::dist::packet::Packet;
use crate::error::DecodeError;
use crate::etf::{Decoding, decode_term, skip_term};
use crate::limits::Limits;
use crate::term::atom::Name;
use crate::term::raw::TupleBuilder;
use crate::term::reference::Reference;

/// An event without its link.
pub enum Flat {
    /// A message.
    Message(Receiver, Py<PyAny>),
    /// Any other: the kind, and three values.
    Other(i64, [Py<PyAny>; 3]),
}

/// Whom a message is for.
pub enum Receiver {
    /// A process of this node.
    Number(u64),
    /// A registered name.
    Name(Name),
    /// An alias.
    Alias(Py<PyAny>),
}

impl Receiver {
    /// Whether both are surely the same process. Aliases are hardly ever used twice.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => one == two,
            (Self::Name(one), Self::Name(two)) => one == two,
            _ => false,
        }
    }

    fn to_object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Number(number) => Ok(number.into_pyobject(py)?.into_any()),
            Self::Name(name) => Ok(name.atom(py)?.into_any()),
            Self::Alias(alias) => Ok(alias.bind(py).clone()),
        }
    }
}

impl Flat {
    /// A message or a spawn request whose payload breaks a limit: for whom, or its control tuple, and which limit.
    fn refused(py: Python<'_>, what: Bound<'_, PyAny>, why: &str) -> Self {
        Self::Other(REFUSED, [what.unbind(), PyString::new(py, why).into_any().unbind(), py.None()])
    }

    /// Whether Python may find that the link has to end here.
    pub fn may_end_the_link(&self) -> bool {
        matches!(self, Self::Other(kind, _) if *kind > MESSAGE || *kind == REFUSED)
    }
}

/// Bytes of one element of a control tuple, a reason apart: more are no name, no identifier and no options.
const MAX_ELEMENT: usize = 64 * 1024;

/// The signals whose payload is a reason; one that breaks a limit is replaced, so that the signal is not lost.
const WITH_REASON: [u8; 3] = [24, 26, 28];

/// A packet of which all is decoded but the payload, which is its last term.
pub struct Opened {
    /// The operation; of several that mean the same, the one that Python knows.
    op: u8,
    content: Content,
    /// Where the payload starts, if there is one.
    start: Option<usize>,
}

/// What a packet is.
enum Content {
    /// A message.
    Message(Receiver),
    /// Any other, with the control tuple in its one form.
    Signal(Py<PyAny>),
}

/// What a packet has led to.
pub enum Delivered {
    /// Nothing: it is a message to a process that is none of ours.
    Nothing,
    /// An event.
    Whole(Flat),
    /// The payload takes long to decode, and is not begun.
    Large(Opened),
}

/// Decode a packet, but for the payload of a large one. An error is the reason to close the link.
pub fn deliver(py: Python<'_>, packet: &Packet, identity: &Identity, limits: &Limits) -> Result<Delivered, String> {
    match open(py, packet, identity, limits)? {
        None => Ok(Delivered::Nothing),
        Some(opened) if packet.size() >= LARGE_PACKET && opened.start.is_some() => Ok(Delivered::Large(opened)),
        Some(opened) => opened.decode(py, packet, &decoding(packet, identity, limits)).map(Delivered::Whole),
    }
}

/// The same, whatever its size; `None` for a message to a process that is none of ours.
pub fn deliver_whole(
    py: Python<'_>,
    packet: &Packet,
    identity: &Identity,
    limits: &Limits,
) -> Result<Option<Flat>, String> {
    let opened = open(py, packet, identity, limits)?;
    opened.map(|opened| opened.decode(py, packet, &decoding(packet, identity, limits))).transpose()
}

fn open(py: Python<'_>, packet: &Packet, identity: &Identity, limits: &Limits) -> Result<Option<Opened>, String> {
    let how = decoding(packet, identity, limits);
    let mut terms = Terms { py, data: packet.terms(), position: 0, bound: packet.control_bound(), how };
    terms.version(packet)?;
    let head = terms.native(read_head)?;
    terms.open(&head, packet, identity).map_err(|error| format!("control message {}: {error}", head.op))
}

/// How the terms of a packet are decoded.
pub fn decoding<'a>(packet: &'a Packet, identity: &'a Identity, limits: &'a Limits) -> Decoding<'a> {
    Decoding { limits, strings: false, atoms: &packet.atoms, budget: &identity.budget }
}

impl Opened {
    /// The bytes of the payload.
    pub fn payload<'a>(&self, packet: &'a Packet) -> &'a [u8] {
        self.start.and_then(|start| packet.terms().get(start..)).unwrap_or_default()
    }

    /// Decode the payload, too.
    fn decode(self, py: Python<'_>, packet: &Packet, how: &Decoding<'_>) -> Result<Flat, String> {
        let payload = match self.start {
            Some(_) => decode_term(py, self.payload(packet), how).map(|(payload, _)| payload),
            None => Ok(no_payload(py).map_err(|error| error.to_string())?),
        };
        self.close(py, payload)
    }

    /// The event. A payload that breaks a limit costs itself only: what it belongs to is refused, or has another
    /// reason. One with an atom more than the peer may make, or that is no term, ends the link.
    pub fn close(self, py: Python<'_>, payload: Result<Bound<'_, PyAny>, DecodeError>) -> Result<Flat, String> {
        match payload {
            Ok(payload) => Ok(self.complete(py, payload)),
            Err(error @ DecodeError::Limit { .. }) => {
                self.without(py, &error.to_string()).map_err(|error| error.to_string())
            }
            Err(error) => Err(format!("control message {}: payload: {error}", self.op)),
        }
    }

    fn complete(self, py: Python<'_>, payload: Bound<'_, PyAny>) -> Flat {
        match self.content {
            Content::Message(receiver) => Flat::Message(receiver, payload.unbind()),
            Content::Signal(control) => Flat::Other(i64::from(self.op), [control, py.None(), payload.unbind()]),
        }
    }

    fn without(self, py: Python<'_>, why: &str) -> PyResult<Flat> {
        if WITH_REASON.contains(&self.op) {
            return Ok(self.complete(py, Name::intern("undecodable").atom(py)?.into_any()));
        }
        let what = match self.content {
            Content::Message(receiver) => receiver.to_object(py)?,
            Content::Signal(control) => control.into_bound(py),
        };
        Ok(Flat::refused(py, what, why))
    }
}

/// The terms of one packet, read from the first on.
struct Terms<'a, 'py> {
    py: Python<'py>,
    data: &'a [u8],
    position: usize,
    /// Where the control tuple ends at the latest.
    bound: usize,
    how: Decoding<'a>,
}

type Read<T> = Result<T, String>;

impl<'a, 'py> Terms<'a, 'py> {
    fn rest(&self) -> &'a [u8] {
        self.data.get(self.position..).unwrap_or_default()
    }

    /// What is left of the control tuple, and no more of it than its elements take.
    fn control(&self) -> &'a [u8] {
        let most = MAX_ELEMENT.min(self.how.limits.max_term_size);
        let end = self.position.saturating_add(most).min(self.bound);
        self.data.get(self.position..end).unwrap_or_default()
    }

    fn version(&mut self, packet: &Packet) -> Read<()> {
        if packet.versioned {
            if self.rest().first() != Some(&131) {
                return Err("malformed packet: a term without version byte".to_owned());
            }
            self.position += 1;
        }
        Ok(())
    }

    /// Read part of the control tuple without the interpreter.
    fn native<T, E: ToString>(&mut self, read: impl FnOnce(&mut Cursor<'a>) -> Result<T, E>) -> Read<T> {
        let mut cursor = Cursor::new(self.control());
        let value = read(&mut cursor).map_err(|error| error.to_string())?;
        self.position += cursor.position();
        Ok(value)
    }

    fn element(&mut self) -> Read<Bound<'py, PyAny>> {
        let (term, taken) = decode_term(self.py, self.control(), &self.how).map_err(|error| error.to_string())?;
        self.position += taken;
        Ok(term)
    }

    fn skip(&mut self) -> Read<()> {
        self.position += skip_term(self.control(), self.how.atoms).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn open(&mut self, head: &Head, packet: &Packet, identity: &Identity) -> Read<Option<Opened>> {
        let (op, content, payload) = match head.shape {
            Shape::Message { from, to, target } => {
                let Some(receiver) = self.message(head, (from, to, target), packet, identity)? else { return Ok(None) };
                (head.op, Content::Message(receiver), Payload::Behind)
            }
            Shape::Signal { op, first, last, payload } => {
                (op, Content::Signal(self.signal(head, op, first..=last, payload)?.unbind()), payload)
            }
        };
        let start = match payload {
            Payload::None => None,
            Payload::Behind => Some(self.behind(packet)?),
            Payload::Within => Some(self.position),
        };
        Ok(Some(Opened { op, content, start }))
    }

    fn message(
        &mut self,
        head: &Head,
        (from, to, target): (Option<usize>, usize, Target),
        packet: &Packet,
        identity: &Identity,
    ) -> Read<Option<Receiver>> {
        let mut receiver = None;
        for index in 1..head.arity {
            if Some(index) == from {
                // Nobody asks who it is.
                self.pid(packet, identity)?;
            } else if index == to {
                receiver = self.receiver(target, packet, identity)?;
            } else {
                self.skip()?;
            }
        }
        Ok(receiver)
    }

    /// The number of a process of ours; `None` for any other pid.
    fn pid(&mut self, packet: &Packet, identity: &Identity) -> Read<Option<u64>> {
        self.native(|cursor| read_own_pid(cursor, &packet.atoms, &identity.node, identity.creation))
    }

    /// The receiver of a message; `None` for a pid that is not ours.
    fn receiver(&mut self, target: Target, packet: &Packet, identity: &Identity) -> Read<Option<Receiver>> {
        match target {
            Target::Pid => Ok(self.pid(packet, identity)?.map(Receiver::Number)),
            Target::Name => {
                let name = self.native(|cursor| read_atom(cursor, &packet.atoms, &identity.budget))?;
                Ok(Some(Receiver::Name(name)))
            }
            Target::Alias => {
                let alias = self.element()?;
                if !alias.is_instance_of::<Reference>() {
                    return Err("the alias is not a reference".to_owned());
                }
                Ok(Some(Receiver::Alias(alias.unbind())))
            }
        }
    }

    /// The control tuple in its one form, up to a reason that is its last element.
    fn signal(
        &mut self,
        head: &Head,
        op: u8,
        kept: std::ops::RangeInclusive<usize>,
        payload: Payload,
    ) -> Read<Bound<'py, PyAny>> {
        let text = |error: PyErr| error.to_string();
        let mut control = TupleBuilder::new(self.py, 2 + kept.end() - kept.start()).map_err(text)?;
        control.push(i64::from(op).into_pyobject(self.py).map_err(|error| error.to_string())?.into_any());
        let read = if payload == Payload::Within { head.arity - 1 } else { head.arity };
        for index in 1..read {
            if kept.contains(&index) {
                control.push(self.element()?);
            } else {
                self.skip()?;
            }
        }
        Ok(control.finish(self.py).into_any())
    }

    /// Where the payload starts that is a term of its own.
    fn behind(&mut self, packet: &Packet) -> Read<usize> {
        if self.rest().is_empty() {
            return Err("there is no payload".to_owned());
        }
        self.version(packet)?;
        Ok(self.position)
    }
}

/// The events as Python gets them, in order: `(kind, link, first, second, third)`.
///
/// Messages to one receiver that follow each other are one event, whatever their links. Those to a guarded one are so
/// only if they came by the same link, and so are those behind something for which Python may end the link.
pub struct Batch<'a, 'py> {
    events: Bound<'py, PyList>,
    last: Option<(Receiver, u64, Bound<'py, PyList>)>,
    guarded: &'a Guarded,
    /// Links with such an event.
    doubtful: Vec<u64>,
    length: usize,
}

impl<'a, 'py> Batch<'a, 'py> {
    /// Nothing has happened.
    pub fn new(py: Python<'py>, guarded: &'a Guarded) -> Self {
        Self { events: PyList::empty(py), last: None, guarded, doubtful: Vec::new(), length: 0 }
    }

    /// Add what has happened to a link.
    pub fn push(&mut self, link: u64, flat: Flat) -> PyResult<()> {
        self.length += 1;
        if flat.may_end_the_link() && !self.doubtful.contains(&link) {
            self.doubtful.push(link);
        }
        match flat {
            Flat::Message(to, message) => self.message(link, to, message),
            Flat::Other(kind, values) => {
                self.last = None;
                self.event(kind, link, values)
            }
        }
    }

    fn message(&mut self, link: u64, to: Receiver, message: Py<PyAny>) -> PyResult<()> {
        let link = if self.guarded.has(&to) || self.doubtful.contains(&link) { link } else { 0 };
        if let Some((last, via, messages)) = &self.last
            && last.is(&to)
            && *via == link
        {
            return messages.append(message);
        }
        let py = self.events.py();
        let messages = PyList::new(py, [message])?;
        self.event(MESSAGE, link, [to.to_object(py)?.unbind(), messages.clone().into_any().unbind(), py.None()])?;
        self.last = Some((to, link, messages));
        Ok(())
    }

    fn event(&self, kind: i64, link: u64, values: [Py<PyAny>; 3]) -> PyResult<()> {
        let py = self.events.py();
        let mut event = TupleBuilder::new(py, 5)?;
        event.push(kind.into_pyobject(py)?.into_any());
        event.push(link.into_pyobject(py)?.into_any());
        for value in values {
            event.push(value.into_bound(py));
        }
        self.events.append(event.finish(py))
    }

    /// How much has happened: each message counts.
    pub fn len(&self) -> usize {
        self.length
    }

    /// The list for Python.
    pub fn finish(self) -> Bound<'py, PyList> {
        self.events
    }
}
