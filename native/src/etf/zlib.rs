//! COMPRESSED: size and zlib data.
//!
//! Source: OTP, "External Term Format", introduction.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::read::Reader;
use super::tag;
use crate::error::DecodeError;
use crate::limits::Limits;

/// zlib makes at most this many bytes of one.
const MAX_RATIO: usize = 1032;

/// The term in `data`, which starts after the tag, inflated.
pub fn inflate(data: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
    let mut reader = Reader::new(data);
    reader.tag()?;
    let size = reader.length32()?;
    if size > limits.max_inflated_size {
        return Err(reader.limit("max_inflated_size", size, limits.max_inflated_size));
    }
    let packed = reader.take(reader.remaining())?;
    let mut inflated = Vec::with_capacity(size.min(packed.len().saturating_mul(MAX_RATIO)));
    let mut decoder = ZlibDecoder::new(packed);
    // One byte more than declared shows that there is more; reading to the end checks the checksum.
    let outcome = decoder.by_ref().take(size as u64 + 1).read_to_end(&mut inflated);
    if outcome.is_err() || inflated.len() != size {
        return Err(reader.malformed("compressed data is damaged or not of its declared size"));
    }
    if decoder.total_in() != packed.len() as u64 {
        return Err(reader.malformed("bytes follow the compressed term"));
    }
    Ok(inflated)
}

/// Tag, size and zlib data of an encoded term; `None` where that is not smaller, as BEAM decides it.
pub fn deflate(term: &[u8], level: u32) -> Option<Vec<u8>> {
    let size = u32::try_from(term.len()).ok()?;
    let mut packed = vec![tag::COMPRESSED];
    packed.extend(size.to_be_bytes());
    let mut encoder = ZlibEncoder::new(packed, Compression::new(level));
    encoder.write_all(term).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() <= term.len()).then_some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deflated_inflates() {
        let term = vec![7; 1000];
        let packed = deflate(&term, 6).unwrap();
        assert_eq!(inflate(&packed, &Limits::default()).unwrap(), term);
    }

    #[test]
    fn what_would_not_shrink_stays() {
        assert!(deflate(&[1, 2, 3], 9).is_none());
    }

    #[test]
    fn a_wrong_size_is_refused() {
        let mut packed = deflate(&[7; 1000], 6).unwrap();
        packed[4] -= 1;
        assert!(inflate(&packed, &Limits::default()).is_err());
        packed[4] += 2;
        assert!(inflate(&packed, &Limits::default()).is_err());
    }

    #[test]
    fn the_size_is_limited_before_anything_is_inflated() {
        let limits = Limits { max_inflated_size: 999, ..Limits::default() };
        let packed = deflate(&[7; 1000], 6).unwrap();
        let error = inflate(&packed, &limits).unwrap_err();
        assert_eq!(error, DecodeError::Limit { limit: "max_inflated_size", value: 1000, maximum: 999, offset: 0 });
    }
}
