//! The wire format of packets: headers, atom cache, fragments, control tuples. Sans-I/O.
//!
//! Source: OTP, "Distribution Protocol", sections "Protocol between Connected Nodes" and "Distribution Header".

pub mod assembler;
pub mod atom_cache;
pub mod bytes;
pub mod control;
pub mod header;
pub mod identity;
pub mod loan;
pub mod order;
pub mod packet;
pub mod receiver;
pub mod reflex;
pub mod sender;
pub mod slots;

use thiserror::Error;

use crate::error::Spent;

/// Distribution flags that decide how packets look; the values are those of the handshake.
pub mod flags {
    /// Atoms may stand in the header of a packet and be remembered by slot.
    pub const DIST_HDR_ATOM_CACHE: u64 = 0x2000;
    /// Messages to a pid carry their sender.
    pub const SEND_SENDER: u64 = 0x8_0000;
    /// Reasons stand behind the control tuple.
    pub const EXIT_PAYLOAD: u64 = 0x40_0000;
    /// Large messages come in fragments.
    pub const FRAGMENTS: u64 = 0x80_0000;
    /// Messages may go to an alias by `ALIAS_SEND`.
    pub const ALIAS: u64 = 1 << 35;
    /// Messages may go to an alias by `ALTACT_SIG_SEND`.
    pub const ALTACT_SIG: u64 = 1 << 37;
}

/// How packets of a link look; decided by the flags that both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `112, 131 Control [, 131 Message]`: neither header flag is negotiated.
    PassThrough,
    /// `131, 68 …`: a distribution header and no version bytes.
    Header {
        /// Whether `131, 69` and `131, 70` are allowed.
        fragments: bool,
    },
}

impl Format {
    /// The format that follows from the negotiated flags.
    pub fn of(negotiated: u64) -> Self {
        match negotiated & (flags::DIST_HDR_ATOM_CACHE | flags::FRAGMENTS) {
            0 => Self::PassThrough,
            either => Self::Header { fragments: either & flags::FRAGMENTS != 0 },
        }
    }
}

/// Why the bytes of a peer end the link.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PacketError {
    /// The bytes break the format.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// A limit is exceeded.
    #[error("{limit} exceeded: {value} is more than {maximum}")]
    Limit {
        /// Name of the limit, as in `Limits`.
        limit: &'static str,
        /// What was found.
        value: u64,
        /// The limit in force.
        maximum: u64,
    },
    /// No more atoms may be made.
    #[error(transparent)]
    Atoms(#[from] Spent),
}

impl PacketError {
    /// A count or a size that is past its limit.
    pub fn limit(limit: &'static str, value: usize, maximum: usize) -> Self {
        Self::Limit { limit, value: value as u64, maximum: maximum as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_header_flag_ends_pass_through() {
        assert_eq!(Format::of(0), Format::PassThrough);
        assert_eq!(Format::of(flags::FRAGMENTS), Format::Header { fragments: true });
        assert_eq!(Format::of(flags::DIST_HDR_ATOM_CACHE), Format::Header { fragments: false });
        assert_eq!(Format::of(u64::MAX), Format::Header { fragments: true });
    }
}
