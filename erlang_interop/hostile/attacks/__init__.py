"""The attacks, a file per kind. Importing this adds them all."""

from erlang_interop.hostile.attacks import (
    atoms,
    blocking,
    floods,
    handshakes,
    lobby,
    members,
    packets,
    printing,
    processes,
    system,
    terms,
    unread,
    zen,
)

__all__ = [
    "atoms", "blocking", "floods", "handshakes", "lobby", "members", "packets", "printing", "processes", "system",
    "terms", "unread", "zen",
]  # fmt: skip
