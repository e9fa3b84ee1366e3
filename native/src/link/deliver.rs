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
use crate::etf::{Decoding, Hole, decode_leaving_holes, decode_term, skip_term};
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

/// The signals whose payload is a reason; one that breaks a limit is replaced, so that the signal is not lost.
const WITH_REASON: [u8; 3] = [24, 26, 28];

/// Decode a packet. `None` for a message to a process that is none of ours; an error is the reason to close the link.
///
/// A payload that breaks a limit costs itself only: what it belongs to is refused, or has another reason. One with an
/// atom more than the peer may make ends the link.
///
/// The large binaries of a large packet are left unfilled and added to `holes`.
pub fn deliver(
    py: Python<'_>,
    packet: &Packet,
    identity: &Identity,
    limits: &Limits,
    holes: &mut Vec<Hole>,
) -> Result<Option<Flat>, String> {
    let how = Decoding { limits, strings: false, atoms: &packet.atoms, budget: &identity.budget };
    let mut terms = Terms { py, data: packet.terms(), position: 0, bound: packet.control_bound(), how, holes };
    terms.version(packet)?;
    let head = terms.native(read_head)?;
    let in_message = |error| format!("control message {}: {error}", head.op);
    let flat = terms.flat(&head, packet, identity).map_err(in_message)?;
    Ok(flat)
}

/// The terms of one packet, read from the first on.
struct Terms<'a, 'py> {
    py: Python<'py>,
    data: &'a [u8],
    position: usize,
    /// Where the control tuple ends at the latest.
    bound: usize,
    how: Decoding<'a>,
    holes: &'a mut Vec<Hole>,
}

type Read<T> = Result<T, String>;

/// A term, or which limit it breaks.
type Bounded<'py> = Result<Bound<'py, PyAny>, String>;

impl<'a, 'py> Terms<'a, 'py> {
    fn rest(&self) -> &'a [u8] {
        self.data.get(self.position..).unwrap_or_default()
    }

    /// What is left of the control tuple, and no more of it than one term may have.
    fn control(&self) -> &'a [u8] {
        let end = self.position.saturating_add(self.how.limits.max_term_size).min(self.bound);
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

    fn decode(&mut self, data: &[u8]) -> Result<Bound<'py, PyAny>, DecodeError> {
        let (term, taken) = decode_term(self.py, data, &self.how)?;
        self.position += taken;
        Ok(term)
    }

    fn decode_payload(&mut self) -> Result<Bound<'py, PyAny>, DecodeError> {
        if self.data.len() < LARGE_PACKET {
            return self.decode(self.rest());
        }
        let (term, taken, holes) = decode_leaving_holes(self.py, self.rest(), &self.how)?;
        self.holes.extend(holes.into_iter().map(|hole| Hole { at: hole.at + self.position, ..hole }));
        self.position += taken;
        Ok(term)
    }

    fn element(&mut self) -> Read<Bound<'py, PyAny>> {
        self.decode(self.control()).map_err(|error| error.to_string())
    }

    fn skip(&mut self) -> Read<()> {
        self.position += skip_term(self.control(), self.how.atoms).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn flat(&mut self, head: &Head, packet: &Packet, identity: &Identity) -> Read<Option<Flat>> {
        match head.shape {
            Shape::Message { from, to, target } => self.message(head, (from, to, target), packet, identity),
            Shape::Signal { op, first, last, payload } => {
                let (control, within) = self.signal(head, op, first..=last, payload)?;
                let payload = match payload {
                    Payload::None => Ok(no_payload(self.py).map_err(|error| error.to_string())?),
                    Payload::Behind => self.payload(packet)?,
                    Payload::Within => within.ok_or("the reason is missing")?,
                };
                let payload = match payload {
                    Ok(payload) => payload,
                    Err(_) if WITH_REASON.contains(&op) => self.undecodable()?,
                    Err(why) => return Ok(Some(Flat::refused(self.py, control, &why))),
                };
                let values = [control.unbind(), self.py.None(), payload.unbind()];
                Ok(Some(Flat::Other(i64::from(op), values)))
            }
        }
    }

    fn message(
        &mut self,
        head: &Head,
        (from, to, target): (Option<usize>, usize, Target),
        packet: &Packet,
        identity: &Identity,
    ) -> Read<Option<Flat>> {
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
        let Some(receiver) = receiver else { return Ok(None) };
        Ok(Some(match self.payload(packet)? {
            Ok(message) => Flat::Message(receiver, message.unbind()),
            Err(why) => {
                let receiver = receiver.to_object(self.py).map_err(|error| error.to_string())?;
                Flat::refused(self.py, receiver, &why)
            }
        }))
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

    /// The control tuple in its one form, and the reason if it is the last element.
    fn signal(
        &mut self,
        head: &Head,
        op: u8,
        kept: std::ops::RangeInclusive<usize>,
        payload: Payload,
    ) -> Read<(Bound<'py, PyAny>, Option<Bounded<'py>>)> {
        let text = |error: PyErr| error.to_string();
        let mut control = TupleBuilder::new(self.py, 2 + kept.end() - kept.start()).map_err(text)?;
        control.push(i64::from(op).into_pyobject(self.py).map_err(|error| error.to_string())?.into_any());
        let mut within = None;
        for index in 1..head.arity {
            if kept.contains(&index) {
                control.push(self.element()?);
            } else if payload == Payload::Within && index + 1 == head.arity {
                within = Some(self.bounded()?);
            } else {
                self.skip()?;
            }
        }
        Ok((control.finish().into_any(), within))
    }

    fn payload(&mut self, packet: &Packet) -> Read<Bounded<'py>> {
        if self.rest().is_empty() {
            return Err("there is no payload".to_owned());
        }
        self.version(packet)?;
        self.bounded()
    }

    /// The last term of the packet. Where it breaks a limit the link can go on: nothing is to be read behind it.
    fn bounded(&mut self) -> Read<Bounded<'py>> {
        match self.decode_payload() {
            Ok(term) => Ok(Ok(term)),
            Err(error @ DecodeError::Limit { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(format!("payload: {error}")),
        }
    }

    /// What stands for a reason that breaks a limit.
    fn undecodable(&self) -> Read<Bound<'py, PyAny>> {
        let atom = Name::intern("undecodable").atom(self.py);
        atom.map(Bound::into_any).map_err(|error| error.to_string())
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
        self.events.append(event.finish())
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
