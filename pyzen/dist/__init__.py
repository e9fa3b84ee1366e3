"""The distribution protocol without I/O: flags, handshake, epmd, control messages."""
