//! Signals of this node to their encoded form, for what a link has negotiated.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyTuple;

use crate::dist::flags::{ALIAS, ALTACT_SIG, SEND_SENDER};
use crate::dist::loan::Loan;
use crate::dist::sender::Encoded;
use crate::etf::{self, Left};
use crate::term::atom::Atom;
use crate::term::pid::Pid;
use crate::term::reference::Reference;

use super::python::{Payload, raise};

const SMALL_TUPLE: u8 = 104;
const SMALL_INTEGER: u8 = 97;
/// The atom `''`, where the protocol has an unused element.
const UNUSED: [u8; 2] = [119, 0];
/// `ALTACT_SIG_SEND` to an alias.
const TO_ALIAS: u8 = 4;

/// Longest message: its packet has a length of 32 bits, toward peers without fragments.
const MAX_LENGTH: usize = u32::MAX as usize - 1024;

/// The parts of a tuple `{Op, …}` of which each is bytes or a term.
enum Part<'a, 'py> {
    Bytes(&'a [u8]),
    Term(&'a Bound<'py, PyAny>),
}

/// Encode a message. `None` if the peer has no operation for it: BEAM drops messages to aliases then, and so do we.
pub fn message(
    from_pid: &Bound<'_, Pid>,
    to: &Bound<'_, PyAny>,
    message: &Bound<'_, PyAny>,
    flags: u64,
    max_depth: usize,
) -> PyResult<Option<Encoded>> {
    use Part::{Bytes, Term};
    let from = Term(from_pid.as_any());
    let mut data = Vec::with_capacity(256);
    if to.is_instance_of::<Pid>() {
        match flags & SEND_SENDER {
            0 => control(2, &[Bytes(&UNUSED), Term(to)], max_depth, &mut data)?,
            _ => control(22, &[from, Term(to)], max_depth, &mut data)?,
        }
    } else if to.is_instance_of::<Atom>() {
        control(6, &[from, Bytes(&UNUSED), Term(to)], max_depth, &mut data)?;
    } else if !to.is_instance_of::<Reference>() {
        let kind = to.get_type().name()?.to_string();
        return Err(pyo3::exceptions::PyTypeError::new_err(format!(
            "a message goes to a Pid, Atom or Reference, not {kind}"
        )));
    } else if flags & ALTACT_SIG != 0 {
        control(37, &[Bytes(&[SMALL_INTEGER, TO_ALIAS]), from, Term(to)], max_depth, &mut data)?;
    } else if flags & ALIAS != 0 {
        control(33, &[from, Term(to)], max_depth, &mut data)?;
    } else {
        return Ok(None);
    }
    let control_length = data.len();
    let left = append(message, max_depth, &mut data)?;
    finish(message.py(), data, left, control_length).map(Some)
}

/// Encode any other signal.
pub fn signal(control: &Bound<'_, PyTuple>, payload: &Payload<'_>, max_depth: usize) -> PyResult<Encoded> {
    let mut data = Vec::with_capacity(256);
    etf::encode_term(control.as_any(), max_depth, &mut data)?;
    let control_length = data.len();
    let left = match payload {
        Payload::Term(term) => append(term, max_depth, &mut data)?,
        Payload::Absent => Vec::new(),
    };
    finish(control.py(), data, left, control_length)
}

fn control(op: u8, parts: &[Part<'_, '_>], max_depth: usize, out: &mut Vec<u8>) -> PyResult<()> {
    let arity = u8::try_from(1 + parts.len())?;
    out.extend_from_slice(&[SMALL_TUPLE, arity, SMALL_INTEGER, op]);
    parts.iter().try_for_each(|part| match part {
        Part::Bytes(bytes) => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        Part::Term(term) => etf::encode_term(term, max_depth, out),
    })
}

/// A term without its large binaries, or one that was encoded before the link was up.
fn append<'py>(term: &Bound<'py, PyAny>, max_depth: usize, out: &mut Vec<u8>) -> PyResult<Vec<Left<'py>>> {
    let mut left = Vec::new();
    match term.cast::<etf::Encoded>() {
        Ok(encoded) => out.extend_from_slice(&encoded.get().bytes),
        Err(_) => etf::encode_lending(term, max_depth, out, &mut left)?,
    }
    Ok(left)
}

fn finish(py: Python<'_>, data: Vec<u8>, left: Vec<Left<'_>>, control_length: usize) -> PyResult<Encoded> {
    let lend = |(at, bytes): Left<'_>| (at, Loan::new(Arc::new(PyBackedBytes::from(bytes))));
    let encoded = Encoded { lent: left.into_iter().map(lend).collect(), ..Encoded::plain(data, control_length) };
    if encoded.length() > MAX_LENGTH {
        return Err(raise(py, "EncodeError", &format!("a message of {} bytes fits no packet", encoded.length()), None));
    }
    Ok(encoded)
}
