//! Reading bytes that may end or lie at any point, and the parts of terms that need no interpreter.

use super::tag;
use crate::error::DecodeError;
use crate::term::atom::{Budget, MAX_CHARACTERS, Name};
use crate::term::pid::PidParts;
use crate::term::port::PortParts;
use crate::term::reference::{MAX_WORDS, ReferenceParts};

/// A position in the bytes of a term.
#[derive(Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    /// The last tag read, for errors, and where.
    tag: Option<u8>,
    start: usize,
}

type Read<T> = Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// A reader at the start of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self::at(data, 0)
    }

    /// A reader of which so many bytes are read.
    pub fn at(data: &'a [u8], at: usize) -> Self {
        Self { data, at, tag: None, start: at }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.data.len().saturating_sub(self.at)
    }

    /// Where the current term starts.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The error that the current term is malformed.
    pub fn malformed(&self, what: &'static str) -> DecodeError {
        DecodeError::Malformed { what, offset: self.start, tag: self.tag }
    }

    /// The error that a limit is exceeded.
    pub fn limit(&self, limit: &'static str, value: usize, maximum: usize) -> DecodeError {
        DecodeError::Limit { limit, value: value as u64, maximum: maximum as u64, offset: self.start }
    }

    fn truncated(&self) -> DecodeError {
        DecodeError::Malformed { what: "the bytes end within a term", offset: self.data.len(), tag: self.tag }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or_else(|| self.truncated())?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| self.truncated())
    }

    /// One byte.
    pub fn u8(&mut self) -> Read<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Read<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Four bytes with sign.
    pub fn i32(&mut self) -> Read<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A length or count of one byte.
    pub fn length8(&mut self) -> Read<usize> {
        Ok(usize::from(self.u8()?))
    }

    /// A length or count of two bytes.
    pub fn length16(&mut self) -> Read<usize> {
        Ok(usize::from(self.u16()?))
    }

    /// A length or count of four bytes.
    pub fn length32(&mut self) -> Read<usize> {
        Ok(self.u32()? as usize)
    }

    /// Fixed bytes of another length.
    pub fn bytes<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.array()
    }

    /// The tag that starts a term.
    pub fn tag(&mut self) -> Read<u8> {
        self.start = self.at;
        let tag = self.u8()?;
        self.tag = Some(tag);
        Ok(tag)
    }

    /// Go back to before the tag read last.
    pub fn untag(&mut self) {
        self.at = self.start;
    }

    /// The tag that comes next, if any byte is left.
    pub fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    /// The text of a float of the old form.
    pub fn old_float(&mut self) -> Read<f64> {
        let field = self.take(31)?;
        let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
        let is_number = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let value = std::str::from_utf8(text).ok().filter(|_| is_number).and_then(|text| text.trim().parse().ok());
        value.ok_or_else(|| self.malformed("the text of a float is no number"))
    }

    /// A finite float.
    pub fn finite(&self, value: f64) -> Read<f64> {
        if value.is_finite() { Ok(value) } else { Err(self.malformed("a float is not finite")) }
    }

    /// An integer that has to fit 64 bits: the old index and checksum of a fun.
    pub fn integer(&mut self) -> Read<i64> {
        loop {
            let length = match self.tag()? {
                tag::SMALL_INTEGER => return Ok(i64::from(self.u8()?)),
                tag::INTEGER => return Ok(i64::from(self.i32()?)),
                tag::SMALL_BIG => self.length8()?,
                tag::LARGE_BIG => self.length32()?,
                // A list of none is its tail.
                tag::LIST if self.u32()? == 0 => continue,
                _ => return Err(self.malformed("an integer is needed here")),
            };
            return self.big(length);
        }
    }

    fn big(&mut self, length: usize) -> Read<i64> {
        let negative = self.sign()?;
        let magnitude = self.take(length)?;
        let value = small_magnitude(magnitude).ok_or_else(|| self.malformed("this integer has more than 63 bits"))?;
        Ok(if negative { -value } else { value })
    }

    /// The sign byte of a big integer.
    pub fn sign(&mut self) -> Read<bool> {
        // BEAM takes any byte but 0 for a minus.
        Ok(self.u8()? != 0)
    }
}

/// The value of a little-endian magnitude below 2^63.
pub fn small_magnitude(magnitude: &[u8]) -> Option<i64> {
    let significant = magnitude.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut bytes = [0; 8];
    bytes.get_mut(..significant)?.copy_from_slice(magnitude.get(..significant)?);
    i64::try_from(u64::from_le_bytes(bytes)).ok()
}

/// How many texts of atoms a call remembers.
const RECENT: usize = 32;

/// The atoms of the current call, so that the table behind its lock is asked once per text.
pub struct Atoms<'a> {
    // There are none where all atoms stand in the header of the packet.
    recent: Option<Box<[Option<Known<'a>>; RECENT]>>,
    cached: &'a [Name],
    budget: &'a Budget,
}

/// An atom, and the bytes that it is read from.
struct Known<'a> {
    bytes: &'a [u8],
    latin1: bool,
    utf8: bool,
    name: Name,
}

impl<'a> Atoms<'a> {
    /// No atoms yet but those of a header.
    pub fn new(cached: &'a [Name], budget: &'a Budget) -> Self {
        Self { recent: None, cached, budget }
    }

    /// The atom of a tag that is one, after the tag; `None` if the tag is none of an atom.
    pub fn read(&mut self, reader: &mut Reader<'a>, tag: u8) -> Read<Option<&Name>> {
        let (length, latin1) = match tag {
            tag::SMALL_ATOM_UTF8 => (reader.length8()?, false),
            tag::ATOM_UTF8 => (reader.length16()?, false),
            tag::SMALL_ATOM => (reader.length8()?, true),
            tag::ATOM => (reader.length16()?, true),
            tag::ATOM_CACHE_REF => {
                let index = reader.length8()?;
                let name = self.cached.get(index);
                return name.ok_or_else(|| reader.malformed("no such atom in the header of this message")).map(Some);
            }
            _ => return Ok(None),
        };
        let bytes = reader.take(length)?;
        self.text(reader, bytes, latin1).map(Some)
    }

    /// An atom that has to come next.
    pub fn expect(&mut self, reader: &mut Reader<'a>) -> Read<&Name> {
        let tag = reader.tag()?;
        self.read(reader, tag)?.ok_or_else(|| reader.malformed("an atom is needed here"))
    }

    #[expect(clippy::indexing_slicing, reason = "a place is below RECENT")]
    fn text(&mut self, reader: &Reader<'a>, bytes: &'a [u8], latin1: bool) -> Read<&Name> {
        let recent = self.recent.get_or_insert_with(|| Box::new([const { None }; RECENT]));
        let first = place(bytes);
        let known = |one: &Option<Known<'_>>| one.as_ref().is_some_and(|one| one.is(bytes, latin1));
        let place = [first, first ^ 1].into_iter().find(|place| known(&recent[*place]));
        if place.is_none() {
            let new = Known::new(reader, bytes, latin1, self.budget)?;
            recent.swap(first, first ^ 1);
            recent[first] = Some(new);
        }
        let place = place.unwrap_or(first);
        recent[place].as_ref().map(|known| &known.name).ok_or_else(|| reader.malformed("an atom was not kept"))
    }
}

impl<'a> Known<'a> {
    fn new(reader: &Reader<'_>, bytes: &'a [u8], latin1: bool, budget: &Budget) -> Read<Self> {
        let ascii = bytes.is_ascii(); // the same in both; up to OTP 25 most atoms come as Latin-1
        let name = if latin1 && !ascii {
            let text: String = bytes.iter().copied().map(char::from).collect();
            intern(reader, &text, budget)?
        } else {
            let text = std::str::from_utf8(bytes).map_err(|_| reader.malformed("an atom is not UTF-8"))?;
            intern(reader, text, budget)?
        };
        Ok(Self { bytes, latin1: latin1 || ascii, utf8: !latin1 || ascii, name })
    }

    fn is(&self, bytes: &[u8], latin1: bool) -> bool {
        self.bytes == bytes && if latin1 { self.latin1 } else { self.utf8 }
    }
}

/// Where in the recent atoms a text goes: here, or pushed out once into the place beside it.
fn place(bytes: &[u8]) -> usize {
    let at = |index: usize| bytes.get(index).copied().map_or(0, u32::from);
    let key = at(0) | at(bytes.len() / 2) << 8 | at(bytes.len().saturating_sub(1)) << 16;
    #[allow(clippy::cast_possible_truncation)] // any bits will do
    let mixed = key.wrapping_add(bytes.len() as u32).wrapping_mul(0x9e37_79b9); // Fibonacci hashing
    (mixed >> 27) as usize % RECENT
}

/// The atom of this text, made if it may be.
fn intern(reader: &Reader<'_>, text: &str, budget: &Budget) -> Read<Name> {
    if text.len() > MAX_CHARACTERS && text.chars().count() > MAX_CHARACTERS {
        return Err(reader.malformed("an atom has more than 255 characters"));
    }
    Name::within(text, budget).map_err(|spent| DecodeError::Atoms { spent, offset: reader.start() })
}

/// Creations of the ancient forms have two bits.
fn tiny_creation(reader: &mut Reader<'_>) -> Read<u32> {
    match reader.u8()? {
        creation @ 0..=3 => Ok(u32::from(creation)),
        _ => Err(reader.malformed("a creation of this old form is at most 3")),
    }
}

/// A pid after its tag.
pub fn pid<'a>(reader: &mut Reader<'a>, atoms: &mut Atoms<'a>, tag: u8) -> Read<PidParts> {
    let node = atoms.expect(reader)?.clone();
    let (id, serial) = (reader.u32()?, reader.u32()?);
    let creation = if tag == tag::PID { tiny_creation(reader)? } else { reader.u32()? };
    Ok(PidParts { node, id, serial, creation })
}

/// A port after its tag.
pub fn port<'a>(reader: &mut Reader<'a>, atoms: &mut Atoms<'a>, tag: u8) -> Read<PortParts> {
    let node = atoms.expect(reader)?.clone();
    let id = if tag == tag::V4_PORT { reader.u64()? } else { u64::from(reader.u32()?) };
    let creation = if tag == tag::PORT { tiny_creation(reader)? } else { reader.u32()? };
    Ok(PortParts { node, id, creation })
}

/// A reference after its tag.
pub fn reference<'a>(reader: &mut Reader<'a>, atoms: &mut Atoms<'a>, tag: u8) -> Read<ReferenceParts> {
    let count = if tag == tag::REFERENCE { 1 } else { reader.length16()? };
    if count > MAX_WORDS {
        return Err(reader.malformed("a reference has at most 5 words"));
    }
    let node = atoms.expect(reader)?.clone();
    let (creation, mut words) = match tag {
        tag::REFERENCE => {
            let word = reader.u32()?;
            (tiny_creation(reader)?, vec![word])
        }
        tag::NEW_REFERENCE => (tiny_creation(reader)?, Vec::new()),
        _ => (reader.u32()?, Vec::new()),
    };
    while words.len() < count {
        words.push(reader.u32()?);
    }
    ReferenceParts::new(node, creation, &words).ok_or_else(|| reader.malformed("a reference has at least one word"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_atom(data: &[u8], budget: &Budget) -> Read<Name> {
        Atoms::new(&[], budget).expect(&mut Reader::new(data)).cloned()
    }

    #[test]
    fn integers_need_all_their_bytes() {
        assert_eq!(Reader::new(&[0, 0, 1, 0]).u32(), Ok(256));
        assert!(Reader::new(&[0, 0, 1]).u32().is_err());
    }

    #[test]
    fn latin1_and_utf8_are_one_atom() {
        let one = read_atom(&[tag::SMALL_ATOM, 1, 0xe9], &Budget::ENDLESS).unwrap();
        let other = read_atom(&[tag::ATOM_UTF8, 0, 2, 0xc3, 0xa9], &Budget::ENDLESS).unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn an_atom_that_is_alive_needs_no_budget() {
        let bytes = [tag::SMALL_ATOM_UTF8, 3, b'l', b'i', b'm'];
        assert!(matches!(read_atom(&bytes, &Budget::NOTHING), Err(DecodeError::Atoms { offset: 0, .. })));

        let _alive = Name::intern("lim");
        assert!(read_atom(&bytes, &Budget::NOTHING).is_ok());
    }

    #[test]
    fn recent_atoms_are_told_apart() {
        let texts: Vec<String> = (0..200).map(|number| format!("recent_{number}")).collect();
        let data: Vec<u8> = texts
            .iter()
            .chain(&texts)
            .flat_map(|text| [&[tag::SMALL_ATOM_UTF8, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat())
            .collect();
        let any = Budget::ENDLESS;
        let (mut atoms, mut reader) = (Atoms::new(&[], &any), Reader::new(&data));
        for text in texts.iter().chain(&texts) {
            assert_eq!(atoms.expect(&mut reader).unwrap().text(), text);
        }
    }

    #[test]
    fn latin1_and_utf8_of_the_same_bytes_are_told_apart() {
        let (utf8, latin1) = ([tag::SMALL_ATOM_UTF8, 2, 0xc3, 0xa9], [tag::SMALL_ATOM, 2, 0xc3, 0xa9]);
        let data = [utf8, latin1, utf8, latin1].concat();
        let any = Budget::ENDLESS;
        let (mut atoms, mut reader) = (Atoms::new(&[], &any), Reader::new(&data));

        for text in ["\u{e9}", "\u{c3}\u{a9}", "\u{e9}", "\u{c3}\u{a9}"] {
            assert_eq!(atoms.expect(&mut reader).unwrap().text(), text);
        }
    }

    #[test]
    fn magnitudes_below_2_to_the_63_are_small() {
        assert_eq!(small_magnitude(&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Some(5));
        assert_eq!(small_magnitude(&[255, 255, 255, 255, 255, 255, 255, 127]), Some(i64::MAX));
        assert_eq!(small_magnitude(&[0, 0, 0, 0, 0, 0, 0, 128]), None);
    }

    #[test]
    fn the_text_of_an_old_float_is_a_number() {
        let field = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(31, 0);
            bytes
        };
        assert_eq!(Reader::new(&field("1.50000000000000000000e+00")).old_float(), Ok(1.5));
        assert!(Reader::new(&field("infinity")).old_float().is_err());
    }
}
