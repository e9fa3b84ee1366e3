//! Who the ends of a link are; atoms and pids of control tuples, read without an interpreter.
//!
//! Source: OTP, "External Term Format".

use std::borrow::Cow;

use super::PacketError;
use super::bytes::Cursor;
use super::header::intern;
use crate::limits::Limits;
use crate::term::atom::{Budget, Name};

/// Who the two ends of an active link are.
#[derive(Debug, Clone)]
pub struct Identity {
    /// This node.
    pub node: Name,
    /// Its incarnation.
    pub creation: u32,
    /// The node at the other end.
    pub peer: Name,
    /// The intersection of both sides' flags.
    pub flags: u64,
    /// Who pays for atoms that the peer makes.
    pub budget: Budget,
}

impl Identity {
    /// The ends of a link, whose peer has one budget for all links to this node.
    pub fn new(node: Name, creation: u32, peer: Name, flags: u64, limits: &Limits) -> Self {
        let budget = Budget::of_peer(&node, &peer, limits);
        Self { node, creation, peer, flags, budget }
    }
}

const SHORT: PacketError = PacketError::Malformed("a control tuple ends too early");

/// The number of the pid that comes next, if it is one of `node` and `creation`.
pub fn read_own_pid(
    cursor: &mut Cursor<'_>,
    atoms: &[Name],
    node: &Name,
    creation: u32,
) -> Result<Option<u64>, PacketError> {
    let wide = match cursor.u8() {
        Some(88) => true,   // NEW_PID_EXT
        Some(103) => false, // PID_EXT
        _ => return Err(PacketError::Malformed("a control tuple holds something else where a pid belongs")),
    };
    let ours = read_text(cursor, atoms)? == node.text();
    let id = cursor.u32().ok_or(SHORT)?;
    let serial = cursor.u32().ok_or(SHORT)?;
    let found = if wide { cursor.u32() } else { cursor.u8().map(u32::from) };
    let number = u64::from(serial) << 32 | u64::from(id);
    let found = found.ok_or(SHORT)?;
    Ok((ours && found == creation).then_some(number))
}

/// The atom that comes next.
pub fn read_atom(cursor: &mut Cursor<'_>, atoms: &[Name], budget: &Budget) -> Result<Name, PacketError> {
    let text = read_text(cursor, atoms)?;
    intern(text.as_bytes(), budget)
}

fn read_text<'t, 'd: 't, 'n: 't>(cursor: &mut Cursor<'d>, atoms: &'n [Name]) -> Result<Cow<'t, str>, PacketError> {
    match cursor.u8() {
        Some(82) => {
            let index = usize::from(cursor.u8().ok_or(SHORT)?);
            let name = atoms.get(index).ok_or(PacketError::Malformed("an atom index past the header's atoms"))?;
            Ok(name.text().into())
        }
        Some(tag @ (118 | 100)) => text(cursor.u16().map(usize::from), cursor, tag == 100),
        Some(tag @ (119 | 115)) => text(cursor.u8().map(usize::from), cursor, tag == 115),
        _ => Err(PacketError::Malformed("a control tuple holds something else where an atom belongs")),
    }
}

fn text<'a>(length: Option<usize>, cursor: &mut Cursor<'a>, latin1: bool) -> Result<Cow<'a, str>, PacketError> {
    let bytes = length.and_then(|length| cursor.take(length)).ok_or(SHORT)?;
    if latin1 {
        return Ok(bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into());
    }
    std::str::from_utf8(bytes).map(Cow::from).map_err(|_| PacketError::Malformed("an atom is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(atom: &[u8], tail: &[u8]) -> Vec<u8> {
        [&[88], atom, &[0, 0, 0, 7, 0, 0, 0, 1], tail].concat()
    }

    fn read(bytes: &[u8]) -> Result<Option<u64>, PacketError> {
        read_own_pid(&mut Cursor::new(bytes), &[Name::intern("n@h")], &Name::intern("n@h"), 9)
    }

    #[test]
    fn an_own_pid_is_known_in_every_form_of_its_atom() {
        for atom in [&b"\x52\0"[..], b"\x77\x03n@h", b"\x76\0\x03n@h", b"\x73\x03n@h", b"\x64\0\x03n@h"] {
            assert_eq!(read(&pid(atom, &[0, 0, 0, 9])), Ok(Some(1 << 32 | 7)), "{atom:?}");
        }
    }

    #[test]
    fn a_pid_of_another_node_or_creation_is_not_ours() {
        assert_eq!(read(&pid(b"\x77\x03m@h", &[0, 0, 0, 9])), Ok(None));
        assert_eq!(read(&pid(b"\x52\0", &[0, 0, 0, 8])), Ok(None));
    }

    #[test]
    fn an_old_pid_has_a_creation_of_one_byte() {
        let mut bytes = pid(b"\x52\0", &[9]);
        bytes[0] = 103;

        assert_eq!(read(&bytes), Ok(Some(1 << 32 | 7)));
    }

    #[test]
    fn a_pid_cut_anywhere_is_an_error() {
        for node in [b"\x77\x03n@h", b"\x77\x03m@h"] {
            let bytes = pid(node, &[0, 0, 0, 9]);
            for cut in 0..bytes.len() {
                assert!(read(&bytes[..cut]).is_err(), "{node:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_index_past_the_header_is_an_error() {
        assert!(read(&pid(b"\x52\x01", &[0, 0, 0, 9])).is_err());
    }

    #[test]
    fn latin1_and_utf8_give_the_same_atom() {
        let atom = |bytes: &[u8]| read_atom(&mut Cursor::new(bytes), &[], &Budget::ENDLESS).unwrap();

        assert_eq!(atom(b"\x73\x01\xe9"), Name::intern("é"));
        assert_eq!(atom("\x77\x02é".as_bytes()), Name::intern("é"));
    }
}
