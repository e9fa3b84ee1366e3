"""Distribution flags: what a node can do, as announced in the handshake.

A word of 64 bits. Both sides expand the digest of the other, and what holds on the link is what both have.

Source: OTP, "Distribution Protocol", section "Distribution Flags"; the bit of ``MANDATORY_25_DIGEST`` is the
one that real nodes send (26), not the one printed there.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final

from pyzen.errors import MissingFlags

__all__ = [
    "MANDATORY",
    "MANDATORY_25",
    "OWN_FLAGS",
    "Flag",
    "expand_digest",
    "flag_names",
    "negotiate",
    "own_flags",
]


class Flag(IntFlag):
    """The bits of the flag word, by the document's names."""

    PUBLISHED = 0x1
    ATOM_CACHE = 0x2
    EXTENDED_REFERENCES = 0x4
    DIST_MONITOR = 0x8
    FUN_TAGS = 0x10
    DIST_MONITOR_NAME = 0x20
    HIDDEN_ATOM_CACHE = 0x40
    NEW_FUN_TAGS = 0x80
    EXTENDED_PIDS_PORTS = 0x100
    EXPORT_PTR_TAG = 0x200
    BIT_BINARIES = 0x400
    NEW_FLOATS = 0x800
    UNICODE_IO = 0x1000
    DIST_HDR_ATOM_CACHE = 0x2000
    SMALL_ATOM_TAGS = 0x4000
    UTF8_ATOMS = 0x1_0000
    MAP_TAG = 0x2_0000
    BIG_CREATION = 0x4_0000
    SEND_SENDER = 0x8_0000
    BIG_SEQTRACE_LABELS = 0x10_0000
    EXIT_PAYLOAD = 0x40_0000
    FRAGMENTS = 0x80_0000
    HANDSHAKE_23 = 0x100_0000
    UNLINK_ID = 0x200_0000
    MANDATORY_25_DIGEST = 0x400_0000
    SPAWN = 1 << 32
    NAME_ME = 1 << 33
    V4_NC = 1 << 34
    ALIAS = 1 << 35
    LOCAL_EXT = 1 << 36
    ALTACT_SIG = 1 << 37
    NATIVE_RECORDS = 1 << 38


# What the digest stands for.
MANDATORY_25: Final = (
    Flag.EXTENDED_REFERENCES
    | Flag.FUN_TAGS
    | Flag.NEW_FUN_TAGS
    | Flag.EXTENDED_PIDS_PORTS
    | Flag.EXPORT_PTR_TAG
    | Flag.BIT_BINARIES
    | Flag.NEW_FLOATS
    | Flag.UTF8_ATOMS
    | Flag.MAP_TAG
    | Flag.BIG_CREATION
    | Flag.HANDSHAKE_23
)

# What OTP 26 and newer ask of a peer, and what we ask: OTP 25 has it all too.
MANDATORY: Final = MANDATORY_25 | Flag.UNLINK_ID | Flag.V4_NC

# Everything this node can do.
OWN_FLAGS: Final = (
    MANDATORY
    | Flag.PUBLISHED
    | Flag.DIST_MONITOR
    | Flag.DIST_MONITOR_NAME
    | Flag.UNICODE_IO
    | Flag.DIST_HDR_ATOM_CACHE
    | Flag.SMALL_ATOM_TAGS
    | Flag.SEND_SENDER
    | Flag.BIG_SEQTRACE_LABELS
    | Flag.EXIT_PAYLOAD
    | Flag.FRAGMENTS
    | Flag.MANDATORY_25_DIGEST
    | Flag.SPAWN
    | Flag.ALIAS
    | Flag.ALTACT_SIG
    | Flag.NATIVE_RECORDS
)


def own_flags(*, hidden: bool) -> Flag:
    """Return the word this node announces; a hidden node is not published."""
    return OWN_FLAGS & ~Flag.PUBLISHED if hidden else OWN_FLAGS


def expand_digest(flags: int) -> Flag:
    """Return ``flags`` with the eleven mandatory bits of OTP 25 set if the digest says that they count as set."""
    word = Flag(flags)
    return word | MANDATORY_25 if Flag.MANDATORY_25_DIGEST in word else word


def flag_names(flags: int) -> list[str]:
    """Return the document's names of the bits that have one, lowest first."""
    return [one.name for one in Flag if one & flags and one.name is not None]


def negotiate(own: int, peer: int) -> Flag:
    """Return what holds on a link between a node with ``own`` flags and one with ``peer`` flags.

    Args:
        own: The word this node announced.
        peer: The word the peer announced, as received.

    Raises:
        MissingFlags: If the peer lacks a flag of ``MANDATORY``.
    """
    expanded = expand_digest(peer)
    if missing := MANDATORY & ~expanded:
        raise MissingFlags(flag_names(missing))
    return expand_digest(own) & expanded
