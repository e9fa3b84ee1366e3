"""Truncator: bounds the reasons that certificates carry.

At the top ``{shutdown, _}`` passes. Atoms, pids, ports, references and numbers pass; a long binary is cut; tuples and
proper lists of at most 4 elements and maps of at most 4 pairs pass with their values truncated one level deeper;
everything else, and everything at the depth limit, becomes ``truncated``. A bitstring that does not end on a byte is
cut like a binary where it is long enough for that, as there. A result that still encodes to more than
``max_reason_size`` loses its largest part, until it fits. What has no Erlang form becomes ``truncated`` as well: a
reason never fails a summary.

However large a reason is, it costs time and memory for ``max_reason_size`` at most.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import Any, Final, final

from pyzen.etf import encoded_size
from pyzen.terms import Atom, BitString, FrozenList, Pid, Port, Reference, TermMap, atoms
from pyzen.zen.names import TRUNCATED

SHUTDOWN: Final = atoms.shutdown
STRUCT: Final = atoms["__struct__"]
ATOM_HEAD: Final = 3
MAXIMUM_LENGTH: Final = 4
ELLIPSIS: Final = b"..."

TEXT_WINDOW: Final = 65_536
"""Bytes behind the cut that have to be UTF-8 too, for a binary to count as text."""

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
    if type(reason) is Atom and depth > 0:
        return reason, len(str(reason)) + ATOM_HEAD
    if not is_shutdown(reason):
        reason = _Cutter(depth, max_binary_size, max_reason_size).cut_top(reason)
    size = encoded_size(reason, maximum=max_reason_size)
    return _shrink(reason, max_reason_size) if size is None else (reason, size)


def is_shutdown(reason: Any) -> bool:
    """Say whether a reason is ``{shutdown, _}``, which the original passes whole."""
    return isinstance(reason, tuple) and len(reason) == 2 and reason[0] is SHUTDOWN


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
            case BitString():
                return self.cut_bitstring(term)
            case tuple() if len(term) <= MAXIMUM_LENGTH:
                return tuple(self.cut(element, level + 1) for element in term)
            case list() | FrozenList() if len(term) <= MAXIMUM_LENGTH:
                return [self.cut(element, level + 1) for element in term]
            case dict() | TermMap():
                return self.cut_map(term, level)
        return TRUNCATED

    def cut_map(self, term: Any, level: int) -> Any:
        pairs = list(term.items()) if len(term) <= MAXIMUM_LENGTH + 1 else []
        structs = [value for key, value in pairs if key is STRUCT and isinstance(value, Atom | bool | None)]
        if not 0 <= len(pairs) - len(structs) <= MAXIMUM_LENGTH or (not pairs and len(term)):
            return TRUNCATED
        cut = [(k, v if k is STRUCT and structs else self.cut(v, level + 1)) for k, v in pairs]
        return dict(cut) if isinstance(term, dict) else TermMap(cut)

    def cut_bitstring(self, term: BitString) -> Any:
        """Cut a bitstring that has the bytes that a cut leaves; the original takes any shorter one for an odd term."""
        size = self._max_binary_size - len(ELLIPSIS)
        head = term.head(size)
        return head + ELLIPSIS if len(head) == size else TRUNCATED

    def cut_binary(self, term: bytes | bytearray | memoryview | str) -> Any:
        window = self._max_binary_size + TEXT_WINDOW
        try:
            data = _head(term, window)
        except (ValueError, TypeError):  # a lone surrogate; a buffer that was released or is not contiguous
            return TRUNCATED
        if len(data) <= self._max_binary_size:
            return term
        is_whole = len(data) < window
        return _cut_text(data, self._max_binary_size - len(ELLIPSIS), is_whole=is_whole) + ELLIPSIS


def _head(term: bytes | bytearray | memoryview | str, size: int) -> bytes:
    """Return the first ``size`` bytes, or all; never looks further. Raises ``ValueError``, ``TypeError``."""
    if isinstance(term, str):
        return term[:size].encode()[:size]
    return bytes(memoryview(term).cast("B")[:size])


def _cut_text(data: bytes, size: int, *, is_whole: bool) -> bytes:
    """Return the first ``size`` bytes; of valid UTF-8 up to 3 less, so that no character is cut."""
    if not (_is_inside(data, size) and _is_text(data, is_whole=is_whole)):
        return data[:size]
    while size > 0 and _is_inside(data, size):
        size -= 1
    return data[:size]


def _is_inside(data: bytes, position: int) -> bool:
    """Say whether a cut there would be inside a character."""
    return data[position] & 0xC0 == 0x80


def _is_text(data: bytes, *, is_whole: bool) -> bool:
    try:
        getincrementaldecoder("utf-8")().decode(data, final=is_whole)
    except UnicodeDecodeError:
        return False
    return True


def _shrink(reason: Any, max_reason_size: int) -> tuple[Any, int]:
    """Replace parts, the largest first, until the whole fits and has an Erlang form."""
    parts = _parts(reason)
    while parts:
        key = max(parts, key=lambda one: _size_or_infinity(parts[one], max_reason_size))
        del parts[key]
        reason = _replaced(reason, key)
        size = encoded_size(reason, maximum=max_reason_size)
        if size is not None:
            return reason, size
    return TRUNCATED, len(str(TRUNCATED)) + ATOM_HEAD


def _parts(term: Any) -> dict[Any, Any]:
    """Return the values that can be replaced, by index or key."""
    if isinstance(term, tuple):
        return {index: part for index, part in enumerate(term) if not (index == 0 and is_shutdown(term))}
    if isinstance(term, list):
        return dict(enumerate(term))
    if isinstance(term, dict):
        return {key: value for key, value in term.items() if key is not STRUCT}
    return {}


def _size_or_infinity(term: Any, maximum: int) -> float:
    """Return the size of a part; what is too large to be kept in any case, or has no form, is infinite."""
    size = encoded_size(term, maximum=maximum)
    return float("inf") if size is None else size


def _replaced(term: Any, key: Any) -> Any:
    if isinstance(term, tuple):
        return (*term[:key], TRUNCATED, *term[key + 1 :])
    copy = term.copy()
    copy[key] = TRUNCATED
    return copy
