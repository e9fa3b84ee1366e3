//! The external term format: bytes to terms and back.
//!
//! Source: OTP, "External Term Format".

pub mod atoms;
#[cfg(feature = "python")]
mod build;
#[cfg(any(feature = "python", test))]
mod crowd;
#[cfg(feature = "python")]
pub mod decode;
#[cfg(feature = "python")]
pub mod encode;
#[cfg(feature = "python")]
mod frame;
#[cfg(feature = "python")]
mod object;
#[cfg(feature = "python")]
mod output;
#[cfg(feature = "python")]
mod path;
#[cfg(feature = "python")]
mod progress;
pub mod read;
pub mod skip;
pub mod tag;
pub mod zlib;

use crate::limits::Limits;
use crate::term::atom::{Budget, Name};

#[cfg(feature = "python")]
pub use decode::decode_term;
#[cfg(feature = "python")]
pub use encode::{Aside, encode_aside, encode_term, encoded_size};
#[cfg(feature = "python")]
pub use object::{Encoded, decode_error, register};
#[cfg(feature = "python")]
pub use progress::{Hole, Progress};
pub use skip::skip_term;

/// How a term is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Decoding<'a> {
    /// Bounds on what the bytes may ask for.
    pub limits: &'a Limits,
    /// Whether binaries that are UTF-8 become `str`.
    pub strings: bool,
    /// The atoms of the header of a message between nodes: `ATOM_CACHE_REF` `k` stands for `atoms[k]`.
    pub atoms: &'a [Name],
    /// Who pays for atoms that are new.
    pub budget: &'a Budget,
}
