//! The atom section of a distribution header.
//!
//! ```text
//! N:8, [ Flags : (N div 2)+1 bytes, Ref_0 … Ref_(N-1) ]        (bracket absent when N = 0)
//! ```
//!
//! `Flags` are N+1 nibbles, low one first. Nibble k < N: bit 3 = new entry, bits 2..0 = segment of the slot.
//! Nibble N: bit 0 = all lengths have 16 bits. A new entry is `Index:8, Len, Text`, an old one `Index:8`.
//!
//! Source: OTP, "Distribution Header", "Normal Distribution Header".

use super::PacketError;
use super::atom_cache::{AtomCache, slot};
use super::bytes::Cursor;
use super::slots::Slots;
use crate::term::atom::{Budget, MAX_CHARACTERS, Name};

const SHORT: PacketError = PacketError::Malformed("distribution header ends too early");
const NEW_ENTRY: u8 = 8;
const LONG_ATOMS: u8 = 1;

/// Read the atom section and apply its new entries to `cache`; answers what `ATOM_CACHE_REF k` stands for.
pub fn read_atoms(cursor: &mut Cursor<'_>, cache: &mut AtomCache, budget: &Budget) -> Result<Vec<Name>, PacketError> {
    let count = usize::from(cursor.u8().ok_or(SHORT)?);
    if count == 0 {
        return Ok(Vec::new());
    }
    let nibbles = cursor.take(count / 2 + 1).ok_or(SHORT)?;
    let long = nibble(nibbles, count)? & LONG_ATOMS != 0;
    (0..count).map(|k| read_reference(cursor, cache, nibble(nibbles, k)?, long, budget)).collect()
}

/// Append the atom section for these atoms, at most 255, and assign their slots.
pub fn write_atoms(atoms: &[Name], slots: &mut Slots, out: &mut Vec<u8>) {
    let Ok(count) = u8::try_from(atoms.len()) else { return debug_assert!(false, "too many atoms for a header") };
    out.push(count);
    if count == 0 {
        return;
    }
    let nibbles = out.len();
    out.resize(nibbles + atoms.len() / 2 + 1, 0);
    // All lengths have 16 bits if one text needs them, known slot or not.
    let long = atoms.iter().any(|name| name.text().len() > usize::from(u8::MAX));
    for (k, name) in atoms.iter().enumerate() {
        let (slot, new) = slots.place(name);
        #[expect(clippy::cast_possible_truncation, reason = "a slot has 11 bits")]
        let (segment, index) = ((slot >> 8) as u8, slot as u8);
        set_nibble(out, nibbles, k, segment | if new { NEW_ENTRY } else { 0 });
        out.push(index);
        if new {
            write_text(name.text(), long, out);
        }
    }
    set_nibble(out, nibbles, atoms.len(), u8::from(long) * LONG_ATOMS);
}

fn set_nibble(out: &mut [u8], start: usize, k: usize, nibble: u8) {
    if let Some(pair) = out.get_mut(start + k / 2) {
        *pair |= if k % 2 == 0 { nibble } else { nibble << 4 };
    }
}

fn write_text(text: &str, long: bool, out: &mut Vec<u8>) {
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 characters of 4 bytes, or one byte if not long")]
    let length = (text.len() as u16).to_be_bytes();
    out.extend_from_slice(if long { &length } else { &length[1..] });
    out.extend_from_slice(text.as_bytes());
}

fn nibble(nibbles: &[u8], k: usize) -> Result<u8, PacketError> {
    let pair = nibbles.get(k / 2).ok_or(SHORT)?;
    Ok(if k % 2 == 0 { pair & 15 } else { pair >> 4 })
}

fn read_reference(
    cursor: &mut Cursor<'_>,
    cache: &mut AtomCache,
    nibble: u8,
    long: bool,
    budget: &Budget,
) -> Result<Name, PacketError> {
    let slot = slot(nibble, cursor.u8().ok_or(SHORT)?);
    if nibble & NEW_ENTRY == 0 {
        return cache.get(slot).cloned();
    }
    let length = if long { cursor.u16().map(usize::from) } else { cursor.u8().map(usize::from) };
    let text = length.and_then(|length| cursor.take(length)).ok_or(SHORT)?;
    let name = intern(text, budget)?;
    cache.insert(slot, name.clone());
    Ok(name)
}

/// The atom of a UTF-8 text of the peer.
pub fn intern(text: &[u8], budget: &Budget) -> Result<Name, PacketError> {
    let text = std::str::from_utf8(text).map_err(|_| PacketError::Malformed("an atom is not UTF-8"))?;
    if text.len() > MAX_CHARACTERS && text.chars().count() > MAX_CHARACTERS {
        return Err(PacketError::Malformed("an atom has more than 255 characters"));
    }
    Ok(Name::within(text, budget)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], cache: &mut AtomCache) -> Result<Vec<Name>, PacketError> {
        read_atoms(&mut Cursor::new(bytes), cache, &Budget::ENDLESS)
    }

    fn pass(atoms: &[Name], slots: &mut Slots, cache: &mut AtomCache) -> usize {
        let mut out = Vec::new();
        write_atoms(atoms, slots, &mut out);
        let mut cursor = Cursor::new(&out);
        assert_eq!(read_atoms(&mut cursor, cache, &Budget::ENDLESS), Ok(atoms.to_vec()));
        assert!(cursor.rest().is_empty());
        out.len()
    }

    #[test]
    fn what_is_written_is_read() {
        let (mut slots, mut cache) = (Slots::default(), AtomCache::default());
        let mut names: Vec<Name> = ["a", "", "é", "nil"].map(Name::intern).to_vec();
        assert_eq!(pass(&[], &mut slots, &mut cache), 1);
        assert_eq!(pass(&names, &mut slots, &mut cache), 1 + 3 + 4 * 2 + 1 + 2 + 3);
        assert_eq!(pass(&names, &mut slots, &mut cache), 1 + 3 + 4);

        names.push(Name::intern(&"\u{10000}".repeat(255)));
        assert_eq!(pass(&names, &mut slots, &mut cache), 1 + 3 + 4 + 3 + 1020);
    }

    #[test]
    fn what_is_written_is_read_while_slots_are_overwritten() {
        let names: Vec<Name> = (0..6000).map(|number| Name::intern(&format!("churn_{number}"))).collect();
        let (mut slots, mut cache) = (Slots::default(), AtomCache::default());
        for round in 0..3 {
            for chunk in names.chunks(255 - round) {
                pass(chunk, &mut slots, &mut cache);
            }
        }
    }

    fn texts(names: &[Name]) -> Vec<&str> {
        names.iter().map(Name::text).collect()
    }

    /// Five references: 0 and 1 cached in segments 4 and 0; 2, 3, 4 new in segments 1, 0, 1.
    const EXAMPLE: &[u8] = b"\x05\x04\x89\x09\x0a\x0b\x0c\x01x\x0d\x02yy\x0e\x03zzz";

    fn filled() -> AtomCache {
        let mut cache = AtomCache::default();
        cache.insert(slot(4, 10), Name::intern("ten"));
        cache.insert(slot(0, 11), Name::intern("eleven"));
        cache
    }

    #[test]
    fn a_header_without_atoms_is_one_byte() {
        let mut cursor = Cursor::new(&[0, 104]);

        assert_eq!(read_atoms(&mut cursor, &mut AtomCache::default(), &Budget::NOTHING), Ok(vec![]));
        assert_eq!(cursor.rest(), [104]);
    }

    #[test]
    fn cached_and_new_entries_keep_their_order() {
        let mut cache = filled();

        let names = read(EXAMPLE, &mut cache).unwrap();

        assert_eq!(texts(&names), ["ten", "eleven", "x", "yy", "zzz"]);
        assert_eq!(cache.get(slot(1, 12)).unwrap().text(), "x");
        assert_eq!(cache.get(slot(0, 13)).unwrap().text(), "yy");
        assert_eq!(cache.get(slot(1, 14)).unwrap().text(), "zzz");
    }

    #[test]
    fn a_header_cut_anywhere_is_an_error() {
        for cut in 0..EXAMPLE.len() {
            assert!(read(&EXAMPLE[..cut], &mut filled()).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn long_atoms_have_lengths_of_two_bytes() {
        let text = "é".repeat(255);
        let mut bytes = vec![1, 0x18, 3];
        bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text.as_bytes());

        let names = read(&bytes, &mut AtomCache::default()).unwrap();

        assert_eq!(texts(&names), [text]);
    }

    #[test]
    fn an_atom_of_256_characters_is_an_error() {
        let mut bytes = vec![1, 0x18, 3, 1, 0];
        bytes.extend([b'a'; 256]);

        assert!(read(&bytes, &mut AtomCache::default()).is_err());
    }

    #[test]
    fn an_atom_that_is_not_utf8_is_an_error() {
        assert!(read(&[1, 0x08, 3, 1, 0xff], &mut AtomCache::default()).is_err());
    }

    #[test]
    fn a_reference_to_an_empty_slot_is_an_error() {
        assert!(read(&[1, 0x00, 3], &mut AtomCache::default()).is_err());
    }

    #[test]
    fn only_new_atoms_need_a_budget() {
        let known = Name::intern("a known atom");

        assert_eq!(intern(b"a known atom", &Budget::NOTHING), Ok(known));
        assert!(matches!(intern(b"an unknown atom", &Budget::NOTHING), Err(PacketError::Atoms(_))));
    }
}
