//! Errors of the codec and the protocol, without Python.

use thiserror::Error;

/// Why no new atom may be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{limit} exceeded: {value} is more than {maximum}")]
pub struct Spent {
    /// The limit, as in `Limits`.
    pub limit: &'static str,
    /// How many atoms there would be.
    pub value: u64,
    /// How many there may be.
    pub maximum: u64,
}

/// Why bytes are not a term, or not one that fits the limits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes break the format.
    #[error("{what}")]
    Malformed {
        /// What is wrong, in words.
        what: &'static str,
        /// Position of the offending byte.
        offset: usize,
        /// The tag at fault.
        tag: Option<u8>,
    },
    /// A limit is exceeded.
    #[error("{limit} exceeded: {value} is more than {maximum}")]
    Limit {
        /// Name of the limit, as in `Limits`.
        limit: &'static str,
        /// What was found.
        value: u64,
        /// The limit in force.
        maximum: u64,
        /// Position of the offending byte.
        offset: usize,
    },
    /// No more atoms may be made.
    #[error("{spent}")]
    Atoms {
        /// Whose budget it is, and how large.
        spent: Spent,
        /// Position of the offending byte.
        offset: usize,
    },
    /// The interpreter could not make an object.
    #[error("no memory for the decoded term")]
    Memory,
}

impl DecodeError {
    /// The same error for bytes that lie `by` further back in their message.
    #[must_use]
    pub fn moved(mut self, by: usize) -> Self {
        if let Self::Malformed { offset, .. } | Self::Limit { offset, .. } | Self::Atoms { offset, .. } = &mut self {
            *offset += by;
        }
        self
    }
}
