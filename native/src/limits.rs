//! Bounds on everything that a peer can grow; the twin of `pyzen.config.Limits`.

/// See `pyzen.config.Limits` for units and meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Nesting of a term.
    pub max_depth: usize,
    /// Keys of one map that have the same hash in Python.
    pub max_equal_hashes: usize,
    /// Bytes of one encoded term.
    pub max_term_size: usize,
    /// Bytes that the objects of one term take, without those of its binaries.
    pub max_decoded_size: usize,
    /// Bytes that a compressed term may grow to.
    pub max_inflated_size: usize,
    /// Atoms alive that peers have made, and as many that the program has decoded.
    pub max_atoms: usize,
    /// Atoms alive that one peer has made.
    pub max_peer_atoms: usize,
    /// Bytes that one packet may declare.
    pub max_packet_size: usize,
    /// Bytes per link that may wait for Python.
    pub max_queued_bytes: usize,
    /// Bytes per link that may wait for the peer.
    pub max_unsent_bytes: usize,
    /// Inbound connections that have not proved to know the cookie.
    pub max_handshakes: usize,
    /// Unfinished messages in fragments, per link.
    pub max_fragment_sequences: usize,
    /// Seconds a handshake may take.
    pub setup_time: f64,
    /// Whether messages to peers that have the atom cache use it.
    pub atom_cache: bool,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            max_depth: 2000,
            max_equal_hashes: 100,
            max_term_size: 512 * MIB,
            max_decoded_size: 512 * MIB,
            max_inflated_size: 64 * MIB,
            max_atoms: 1_048_576,
            max_peer_atoms: 262_144,
            max_packet_size: 512 * MIB,
            max_queued_bytes: 64 * MIB,
            max_unsent_bytes: 256 * MIB,
            max_handshakes: 1024,
            max_fragment_sequences: 4096,
            setup_time: 7.0,
            atom_cache: true,
        }
    }
}
