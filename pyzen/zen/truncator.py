"""Truncator: bounds the reasons that certificates carry.

At the top ``{shutdown, _}`` passes. Atoms, pids, ports, references and numbers pass; a long binary is cut; tuples and
proper lists of at most 4 elements and maps of at most 4 pairs pass with their values truncated one level deeper;
everything else, and everything at the depth limit, becomes ``truncated``. A result that still encodes to more than
``max_reason_size`` loses its largest part, until it fits. What has no Erlang form becomes ``truncated`` as well: a
reason never fails a summary.
"""

from __future__ import annotations

from typing import Any, Final, final

from pyzen.errors import EncodeError
from pyzen.etf import encode
from pyzen.terms import Atom, FrozenList, Pid, Port, Reference, TermMap, atoms
from pyzen.zen.names import TRUNCATED

SHUTDOWN: Final = atoms.shutdown
STRUCT: Final = atoms["__struct__"]
MAXIMUM_LENGTH: Final = 4
ELLIPSIS: Final = b"..."

Whole = Atom | Pid | Port | Reference | bool | int | float | None


def truncate(
    reason: Any, *, depth: int = 3, max_binary_size: int = 1024, max_reason_size: int = 65_536
) -> tuple[Any, int]:
    """Return a bounded reason, and how many bytes it encodes to.

    Args:
        reason: Any object; what has no Erlang form becomes ``truncated``.
        depth: Levels that are kept.
        max_binary_size: Bytes of a binary, a text counted as UTF-8, before it is cut.
        max_reason_size: Bytes of the whole, encoded.
    """
    if type(reason) is Atom:
        return reason, len(str(reason)) + 4
    if not is_shutdown(reason):
        reason = _Cutter(depth, max_binary_size, max_reason_size).cut_top(reason)
    size = encoded_size(reason)
    if size is not None and size <= max_reason_size:
        return reason, size
    return _shrink(reason, max_reason_size)


def is_shutdown(reason: Any) -> bool:
    """Say whether a reason is ``{shutdown, _}``, which the original passes whole."""
    return isinstance(reason, tuple) and len(reason) == 2 and reason[0] is SHUTDOWN


def encoded_size(term: Any) -> int | None:
    """Return how many bytes a term encodes to; None if it has no Erlang form."""
    try:
        return len(encode(term))
    except (EncodeError, RecursionError):
        return None


@final
class _Cutter:
    """Cuts one reason."""

    def __init__(self, depth: int, max_binary_size: int, max_reason_size: int) -> None:
        self._depth = depth
        self._max_binary_size = max_binary_size
        # Each part takes a byte at least; what is shared many times over must not be walked for ever.
        self._parts_left = max_reason_size

    def cut_top(self, term: Any) -> Any:
        try:
            return self.cut(term, 0)
        except RecursionError:
            return TRUNCATED

    def cut(self, term: Any, level: int) -> Any:
        self._parts_left -= 1
        if level >= self._depth or self._parts_left < 0:
            return TRUNCATED
        match term:
            case Atom() | Pid() | Port() | Reference() | int() | float() | None:
                return term
            case bytes() | bytearray() | memoryview() | str():
                return self.cut_binary(term)
            case tuple() if len(term) <= MAXIMUM_LENGTH:
                return tuple(self.cut(element, level + 1) for element in term)
            case list() | FrozenList() if len(term) <= MAXIMUM_LENGTH:
                return [self.cut(element, level + 1) for element in term]
            case dict() | TermMap():
                return self.cut_map(term, level)
        return TRUNCATED

    def cut_map(self, term: Any, level: int) -> Any:
        pairs = list(term.items()) if len(term) <= MAXIMUM_LENGTH + 1 else []
        structs = [value for key, value in pairs if key is STRUCT and isinstance(value, Atom)]
        if not 0 <= len(pairs) - len(structs) <= MAXIMUM_LENGTH or (not pairs and len(term)):
            return TRUNCATED
        cut = [(k, v if k is STRUCT and structs else self.cut(v, level + 1)) for k, v in pairs]
        return dict(cut) if isinstance(term, dict) else TermMap(cut)

    def cut_binary(self, term: bytes | bytearray | memoryview | str) -> Any:
        try:
            data = term.encode() if isinstance(term, str) else bytes(term)
        except UnicodeEncodeError:
            return TRUNCATED
        if len(data) <= self._max_binary_size:
            return term
        return _cut_text(data, self._max_binary_size - len(ELLIPSIS)) + ELLIPSIS


def _cut_text(data: bytes, size: int) -> bytes:
    """Return the first ``size`` bytes; of valid UTF-8 up to 3 less, so that no character is cut."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return data[:size]
    while size > 0 and data[size] & 0xC0 == 0x80:
        size -= 1
    return data[:size]


def _shrink(reason: Any, max_reason_size: int) -> tuple[Any, int]:
    """Replace parts, the largest first, until the whole fits and has an Erlang form."""
    parts = _parts(reason)
    while parts:
        key = max(parts, key=lambda one: _size_or_infinity(parts[one]))
        del parts[key]
        reason = _replaced(reason, key)
        size = encoded_size(reason)
        if size is not None and size <= max_reason_size:
            return reason, size
    return TRUNCATED, encoded_size(TRUNCATED) or 0


def _parts(term: Any) -> dict[Any, Any]:
    """Return the values that can be replaced, by index or key."""
    if isinstance(term, tuple):
        return {index: part for index, part in enumerate(term) if not (index == 0 and is_shutdown(term))}
    if isinstance(term, list):
        return dict(enumerate(term))
    if isinstance(term, dict):
        return {key: value for key, value in term.items() if key is not STRUCT}
    return {}


def _size_or_infinity(term: Any) -> float:
    size = encoded_size(term)
    return float("inf") if size is None else size


def _replaced(term: Any, key: Any) -> Any:
    if isinstance(term, tuple):
        return (*term[:key], TRUNCATED, *term[key + 1 :])
    copy = term.copy()
    copy[key] = TRUNCATED
    return copy
