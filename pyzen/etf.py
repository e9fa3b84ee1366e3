"""The external term format: ``term_to_binary`` and ``binary_to_term``.

Source: OTP, "External Term Format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyzen import _native
from pyzen.config import Limits

if TYPE_CHECKING:
    from typing_extensions import Buffer  # `collections.abc` has it from Python 3.12 on

    from pyzen.terms import Term

__all__ = ["decode", "encode"]

DEFAULT_LIMITS: Final = Limits()

#: zlib's own default, which BEAM takes for the option ``compressed`` without a level.
DEFAULT_LEVEL: Final = 6


def encode(term: Term, *, compressed: int | bool = 0, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Encode a term, as ``term_to_binary`` does.

    Args:
        term: Any object that has an Erlang form. Instances of subclasses are encoded as their base.
        compressed: Level from 1 to 9, 0 for none, or True for the usual one. Where compression gains nothing,
            the term is left as it is.
        limits: How deep containers may be nested: ``max_depth`` is looked at.

    Returns:
        The external form, with its version byte 131; atoms as UTF-8.

    Raises:
        EncodeError: If an object has no Erlang form, or containers are nested deeper than ``limits`` allow;
            names the type of the object and its path within the term.
        ValueError: If there is no such level.
    """
    level = DEFAULT_LEVEL if compressed is True else int(compressed)
    if not 0 <= level <= 9:
        raise ValueError(f"compressed must be from 0 to 9, or a boolean, not {compressed!r}")
    return _native.encode(term, level, limits.max_depth)


def encoded_size(term: Term, *, maximum: int) -> int | None:
    """Return how many bytes `encode` would answer, without making them.

    Args:
        term: Any object.
        maximum: Bytes from which on the exact size does not matter; time and memory are bounded by it.

    Returns:
        The size; None if the term has no Erlang form, or it would be more than ``maximum``.
    """
    return _native.encoded_size(term, DEFAULT_LIMITS.max_depth, maximum)


def decode(data: Buffer, *, strings: bool = False, limits: Limits = DEFAULT_LIMITS) -> Term:
    """Decode a term, as ``binary_to_term`` does.

    Args:
        data: The external form with its version byte, and nothing after it; any contiguous buffer.
        strings: Whether binaries that are UTF-8 become ``str``; the others stay ``bytes``.
        limits: Bounds on what the bytes may ask for: ``max_depth``, ``max_term_size``, ``max_decoded_size``,
            ``max_inflated_size``, ``max_atoms`` and ``max_equal_hashes`` are looked at.

    Returns:
        The term. Containers are new objects; a container in the key of a map is an immutable one.

    Raises:
        DecodeError: If the bytes are no term that a real node could have sent; tells offset and tag. In a
            compressed term the offset counts in the inflated bytes.
        LimitExceeded: If a limit is exceeded; tells which.
    """
    return _native.decode(
        data,
        strings,
        limits.max_depth,
        limits.max_term_size,
        limits.max_decoded_size,
        limits.max_inflated_size,
        limits.max_atoms,
        limits.max_equal_hashes,
    )
