//! Finding the end of a term without making objects.

use super::read::Reader;
use super::tag;
use crate::error::DecodeError;
use crate::term::atom::Name;

/// How many bytes the term at the start of `data` takes, where `atoms` are those of the header.
///
/// Looks at tags and lengths only: what it accepts `decode_term` may still refuse, never the other way round.
pub fn skip_term(data: &[u8], atoms: &[Name]) -> Result<usize, DecodeError> {
    let mut reader = Reader::new(data);
    let mut pending: usize = 1;
    while pending > 0 {
        pending = pending - 1 + one(&mut reader, atoms)?;
        if pending > reader.remaining() {
            return Err(reader.malformed("more elements are declared than bytes are left"));
        }
    }
    Ok(reader.position())
}

/// Skip what belongs to one tag; how many terms follow as its children.
fn one(reader: &mut Reader<'_>, atoms: &[Name]) -> Result<usize, DecodeError> {
    let tag = reader.tag()?;
    let (bytes, children) = match tag {
        tag::NIL => (0, 0),
        tag::SMALL_INTEGER => (1, 0),
        tag::INTEGER => (4, 0),
        tag::NEW_FLOAT => (8, 0),
        tag::FLOAT => (31, 0),
        tag::ATOM_CACHE_REF => {
            if reader.length8()? >= atoms.len() {
                return Err(reader.malformed("no such atom in the header of this message"));
            }
            (0, 0)
        }
        tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => (reader.length8()?, 0),
        tag::ATOM | tag::ATOM_UTF8 | tag::STRING => (reader.length16()?, 0),
        tag::BINARY => (reader.length32()?, 0),
        tag::SMALL_BIG => (reader.length8()? + 1, 0),
        tag::LARGE_BIG | tag::BIT_BINARY => (reader.length32()?.saturating_add(1), 0),
        tag::SMALL_TUPLE => (0, reader.length8()?),
        tag::LARGE_TUPLE => (0, reader.length32()?),
        tag::LIST => (0, reader.length32()?.saturating_add(1)),
        tag::MAP => (0, reader.length32()?.saturating_mul(2)),
        tag::EXPORT => (0, 3),
        _ => return identifier(reader, tag),
    };
    reader.take(bytes)?;
    Ok(children)
}

/// Those that have a term amid their bytes.
fn identifier(reader: &mut Reader<'_>, tag: u8) -> Result<usize, DecodeError> {
    match tag {
        tag::PID | tag::REFERENCE | tag::PORT | tag::NEW_PID | tag::NEW_PORT | tag::V4_PORT => {
            node(reader)?;
            reader.take(match tag {
                tag::PID => 9,
                tag::NEW_PID | tag::V4_PORT => 12,
                tag::NEW_PORT => 8,
                _ => 5,
            })?;
            Ok(0)
        }
        tag::NEW_REFERENCE | tag::NEWER_REFERENCE => {
            let words = reader.length16()?;
            node(reader)?;
            reader.take(4 * words + if tag == tag::NEW_REFERENCE { 1 } else { 4 })?;
            Ok(0)
        }
        tag::NEW_FUN => {
            reader.take(4 + 1 + 16 + 4)?;
            Ok(reader.length32()?.saturating_add(4))
        }
        tag::RECORD => {
            let fields = reader.length32()?;
            reader.take(1)?;
            Ok(fields.saturating_mul(2).saturating_add(2))
        }
        _ => Err(reader.malformed(tag::refusal(tag))),
    }
}

fn node(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let length = match reader.tag()? {
        tag::ATOM_CACHE_REF => 1,
        tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => reader.length8()?,
        tag::ATOM | tag::ATOM_UTF8 => reader.length16()?,
        _ => return Err(reader.malformed("an atom is needed here")),
    };
    reader.take(length)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skip(data: &[u8]) -> Result<usize, DecodeError> {
        skip_term(data, &[Name::intern("cached")])
    }

    /// The bytes of the vectors, without their version byte; their files are JSON with one vector in a line.
    fn vectors() -> Vec<Vec<u8>> {
        let files =
            [include_str!("../../../tests/vectors/handmade.json"), include_str!("../../../tests/vectors/otp25.json")];
        let lines = files.iter().flat_map(|file| file.lines());
        lines.filter_map(|line| line.split("\"bytes\": \"83").nth(1)?.split('"').next()).map(unhex).collect()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn every_vector_is_skipped_to_its_end() {
        let plain: Vec<_> = vectors().into_iter().filter(|term| term[0] != tag::COMPRESSED).collect();
        assert!(plain.len() > 50);
        for mut term in plain {
            let length = term.len();
            term.extend([1, 2, 3]);
            assert_eq!(skip(&term), Ok(length), "{term:?}");
        }
    }

    #[test]
    fn no_prefix_of_a_vector_is_a_term() {
        for term in vectors() {
            for end in 0..term.len() {
                assert!(skip(&term[..end]).is_err(), "{term:?} up to {end}");
            }
        }
    }

    #[test]
    fn atoms_of_the_header_are_checked() {
        assert_eq!(skip(&[tag::ATOM_CACHE_REF, 0]), Ok(2));
        assert!(skip(&[tag::ATOM_CACHE_REF, 1]).is_err());
    }

    #[test]
    fn nesting_needs_no_stack() {
        let mut deep = [tag::LIST, 0, 0, 0, 1].repeat(1_000_000);
        deep.extend(vec![tag::NIL; 1_000_001]);
        assert_eq!(skip(&deep), Ok(6_000_001));
    }

    #[test]
    fn more_elements_than_bytes_are_refused_at_once() {
        let claim = [tag::LARGE_TUPLE, 255, 255, 255, 255, tag::NIL];
        assert!(matches!(skip(&claim), Err(DecodeError::Malformed { offset: 0, .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_skipped_or_refused(data in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(length) = skip(&data) {
                prop_assert!(length <= data.len());
            }
        }

        #[test]
        fn any_change_of_a_vector_is_skipped_or_refused(
            which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let vectors = vectors();
            let mut term = which.get(&vectors).clone();
            let at = at.index(term.len());
            term[at] = byte;
            let _ = skip(&term);
        }
    }
}
