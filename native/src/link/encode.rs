//! Signals of this node to their encoded form, for what a link has negotiated.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyTuple;

use crate::dist::flags::{ALIAS, ALTACT_SIG, DIST_HDR_ATOM_CACHE, SEND_SENDER};
use crate::dist::loan::Loan;
use crate::dist::sender::{Encoded, FRAGMENT_SIZE};
use crate::etf::atoms::AtomList;
use crate::etf::{self, Aside};
use crate::limits::Limits;
use crate::term::atom::Atom;
use crate::term::pid::Pid;
use crate::term::reference::Reference;

use super::arguments::{Payload, raise};

const SMALL_TUPLE: u8 = 104;
const SMALL_INTEGER: u8 = 97;
/// The atom `''`, where the protocol has an unused element.
const UNUSED: [u8; 2] = [119, 0];
/// `ALTACT_SIG_SEND`, and its flags.
const ALTACT_SIG_SEND: u8 = 37;
const PRIORITY: u8 = 1;
const TO_ALIAS: u8 = 4;
const TO_NAME: u8 = 8;
/// How such a control tuple begins when the peer is asked to serve it first; its flags are the last byte.
const PRIORITY_HEAD: [u8; 5] = [SMALL_TUPLE, 4, SMALL_INTEGER, ALTACT_SIG_SEND, SMALL_INTEGER];

/// Longest message: its packet has a length of 32 bits, toward peers without fragments.
const MAX_LENGTH: usize = u32::MAX as usize - 1024;

/// A message being encoded.
struct Draft<'py> {
    data: Vec<u8>,
    aside: Aside<'py>,
    max_depth: usize,
}

/// The parts of a tuple `{Op, …}` of which each is bytes or a term.
enum Part<'a, 'py> {
    Bytes(&'a [u8]),
    Term(&'a Bound<'py, PyAny>),
}

/// Encode a message. `None` if the peer has no operation for it: BEAM drops messages to aliases then, and so do we.
///
/// `priority` asks the receiver to serve it first; peers before OTP 28 get an ordinary message.
pub fn message<'py>(
    from_pid: &Bound<'py, Pid>,
    to: &Bound<'py, PyAny>,
    message: &Bound<'py, PyAny>,
    priority: bool,
    flags: u64,
    limits: &Limits,
) -> PyResult<Option<Encoded>> {
    use Part::{Bytes, Term};
    let from = Term(from_pid.as_any());
    let mut draft = Draft::new(flags, limits);
    let alternative = flags & ALTACT_SIG != 0;
    if priority
        && alternative
        && let Some(kind) = receiver(to)
    {
        draft.control(ALTACT_SIG_SEND, &[Bytes(&[SMALL_INTEGER, PRIORITY | kind]), from, Term(to)])?;
    } else if to.is_instance_of::<Pid>() {
        match flags & SEND_SENDER {
            0 => draft.control(2, &[Bytes(&UNUSED), Term(to)])?,
            _ => draft.control(22, &[from, Term(to)])?,
        }
    } else if to.is_instance_of::<Atom>() {
        draft.control(6, &[from, Bytes(&UNUSED), Term(to)])?;
    } else if !to.is_instance_of::<Reference>() {
        let kind = to.get_type().name()?.to_string();
        return Err(pyo3::exceptions::PyTypeError::new_err(format!(
            "a message goes to a Pid, Atom or Reference, not {kind}"
        )));
    } else if alternative {
        draft.control(ALTACT_SIG_SEND, &[Bytes(&[SMALL_INTEGER, TO_ALIAS]), from, Term(to)])?;
    } else if flags & ALIAS != 0 {
        draft.control(33, &[from, Term(to)])?;
    } else {
        return Ok(None);
    }
    draft.finish(message.py(), Some(message)).map(Some)
}

/// The flag of `ALTACT_SIG_SEND` that says what `to` is. `None` if it is nothing that a message goes to.
fn receiver(to: &Bound<'_, PyAny>) -> Option<u8> {
    if to.is_instance_of::<Pid>() {
        Some(0)
    } else if to.is_instance_of::<Atom>() {
        Some(TO_NAME)
    } else {
        to.is_instance_of::<Reference>().then_some(TO_ALIAS)
    }
}

/// Encode any other signal.
pub fn signal(control: &Bound<'_, PyTuple>, payload: &Payload<'_>, flags: u64, limits: &Limits) -> PyResult<Encoded> {
    let mut draft = Draft::new(flags, limits);
    draft.term(control.as_any())?;
    draft.finish(
        control.py(),
        match payload {
            Payload::Term(term) => Some(term),
            Payload::Absent => None,
        },
    )
}

impl<'py> Draft<'py> {
    fn new(flags: u64, limits: &Limits) -> Self {
        let cache = limits.atom_cache && flags & DIST_HDR_ATOM_CACHE != 0;
        let aside = Aside { atoms: cache.then(AtomList::default), left: None };
        Self { data: Vec::with_capacity(256), aside, max_depth: limits.max_depth }
    }

    fn term(&mut self, term: &Bound<'py, PyAny>) -> PyResult<()> {
        etf::encode_aside(term, self.max_depth, &mut self.data, &mut self.aside)
    }

    fn control(&mut self, op: u8, parts: &[Part<'_, 'py>]) -> PyResult<()> {
        let arity = u8::try_from(1 + parts.len())?;
        self.data.extend_from_slice(&[SMALL_TUPLE, arity, SMALL_INTEGER, op]);
        parts.iter().try_for_each(|part| match part {
            Part::Bytes(bytes) => {
                self.data.extend_from_slice(bytes);
                Ok(())
            }
            Part::Term(term) => self.term(term),
        })
    }

    /// The message, after its control tuple was written. Large binaries of the payload are lent.
    fn finish(mut self, py: Python<'py>, payload: Option<&Bound<'py, PyAny>>) -> PyResult<Encoded> {
        let control_length = self.data.len();
        self.aside.left = Some(Vec::new());
        match payload.map(|payload| (payload, payload.cast::<etf::Encoded>())) {
            None => {}
            // It was encoded before the link was up.
            Some((_, Ok(encoded))) => self.data.extend_from_slice(&encoded.get().bytes),
            Some((term, Err(_))) => self.term(term)?,
        }
        let lend = |(at, bytes)| (at, Loan::new(Arc::new(PyBackedBytes::from(bytes))));
        let encoded = Encoded {
            atoms: self.aside.atoms.map(AtomList::into_names).unwrap_or_default(),
            data: self.data,
            lent: self.aside.left.unwrap_or_default().into_iter().map(lend).collect(),
            control_length,
        };
        if encoded.length() > MAX_LENGTH {
            let text = format!("a message of {} bytes fits no packet", encoded.length());
            return Err(raise(py, "EncodeError", &text, None));
        }
        Ok(without_priority_in_fragments(encoded))
    }
}

/// Take the priority from a signal that will leave in fragments: OTP 28.0 to 29.0.5 write past a buffer when one
/// arrives for a priority alias (GH-11416).
fn without_priority_in_fragments(mut encoded: Encoded) -> Encoded {
    if encoded.length() > FRAGMENT_SIZE
        && encoded.data.starts_with(&PRIORITY_HEAD)
        && let Some(flags) = encoded.data.get_mut(PRIORITY_HEAD.len())
    {
        *flags &= !PRIORITY;
    }
    encoded
}
