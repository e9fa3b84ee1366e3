"""The records of the handshake, and the proof that goes with them.

Source: OTP, "Distribution Protocol", section "Distribution Handshake".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Self

from pyzen.dist.names import check_cookie
from pyzen.errors import HandshakeError

__all__ = ["REPLY", "ChallengeMessage", "NameMessage", "digest"]

NAME_HEADER: Final = struct.Struct(">cQIH")  # 'N', flags, creation, length of the name that follows
CHALLENGE_HEADER: Final = struct.Struct(">cQIIH")  # 'N', flags, challenge, creation, length of the name
REPLY: Final = struct.Struct(">cI16s")  # 'r', own challenge, digest of the other's


def digest(cookie: str, challenge: int) -> bytes:
    """Return the proof that its maker knows ``cookie``.

    Raises:
        ConfigError: If the cookie can't be used.
    """
    text = check_cookie(cookie).encode("latin-1") + str(challenge).encode("ascii")
    return hashlib.md5(text, usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True)
class NameMessage:
    """First message of an initiator."""

    flags: int
    creation: int
    name: str

    def serialize(self) -> bytes:
        """Return the frame."""
        name = self.name.encode("latin-1")
        return NAME_HEADER.pack(b"N", self.flags, self.creation, len(name)) + name

    @classmethod
    def parse(cls, frame: bytes) -> Self:
        """Return what a frame says; raises ``HandshakeError`` where it is cut short."""
        if len(frame) < NAME_HEADER.size:
            raise HandshakeError("the name message is cut short")
        _, flags, creation, length = NAME_HEADER.unpack_from(frame)
        return cls(flags, creation, parse_name(frame, NAME_HEADER.size, length))


@dataclass(frozen=True, slots=True)
class ChallengeMessage:
    """First message of an acceptor after its status."""

    flags: int
    challenge: int
    creation: int
    name: str

    def serialize(self) -> bytes:
        """Return the frame."""
        name = self.name.encode("latin-1")
        return CHALLENGE_HEADER.pack(b"N", self.flags, self.challenge, self.creation, len(name)) + name

    @classmethod
    def parse(cls, frame: bytes) -> Self:
        """Return what a frame says; raises ``HandshakeError`` where it is cut short."""
        if len(frame) < CHALLENGE_HEADER.size:
            raise HandshakeError("the challenge message is cut short")
        _, flags, challenge, creation, length = CHALLENGE_HEADER.unpack_from(frame)
        return cls(flags, challenge, creation, parse_name(frame, CHALLENGE_HEADER.size, length))


def parse_name(frame: bytes, start: int, length: int) -> str:
    """Return the name at ``start``; what follows it is for later versions of the protocol and is ignored."""
    if len(frame) < start + length:
        raise HandshakeError("the name is cut short")
    return frame[start : start + length].decode("latin-1")
