"""The start of a term's ``repr``, for messages and logs: whatever a peer sends, it takes no time for the rest.

Knows nothing of the rest of the package. Python's own ``repr`` takes a second for 100 MB, and refuses long integers.
"""

from __future__ import annotations

import reprlib
from itertools import islice
from typing import Any, Final, final

__all__ = ["brief"]

MAX_BITS: Final = 256
MAX_BYTES: Final = 60
MAX_ELEMENTS: Final = 8
MAX_LEVEL: Final = 4

OPAQUE: Final = frozenset({"BitString", "Fun", "Record"})
"""Types of terms whose ``repr`` has no bound and is of little use when cut."""


def brief(term: object, length: int = 200) -> str:
    """Return ``repr(term)``, shortened within long parts, and to ``length`` characters."""
    try:
        text = _Brief().repr(term)
    except KeyboardInterrupt:
        raise
    except BaseException:  # `reprlib` survives an Exception of a `__repr__` only
        text = f"<{vars(type)['__name__'].__get__(type(term))}>"
    return text if len(text) <= length else text[: length - 3] + "..."


@final
class _Brief(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = self.maxfrozenset = MAX_ELEMENTS
        self.maxlevel = MAX_LEVEL
        self.maxstring = self.maxother = MAX_BYTES * 2

    def repr_bytes(self, value: bytes, _level: int) -> str:
        return repr(value) if len(value) <= MAX_BYTES else f"{value[:MAX_BYTES]!r}..."

    def repr_bytearray(self, value: bytearray, _level: int) -> str:
        return repr(value) if len(value) <= MAX_BYTES else f"{value[:MAX_BYTES]!r}..."

    def repr_dict(self, value: dict[Any, Any], level: int) -> str:
        return f"{{{self._pairs(value, level)}}}"  # unsorted: `reprlib` sorts the whole

    def repr_set(self, value: Any, level: int) -> str:
        return f"{{{self._some(value, level)}}}" if value else "set()"

    def repr_frozenset(self, value: Any, level: int) -> str:
        return f"frozenset({{{self._some(value, level)}}})" if value else "frozenset()"

    def _pairs(self, value: Any, level: int) -> str:
        if level <= 0:
            return "..."
        shown = [f"{self.repr1(key, level - 1)}: {self.repr1(one, level - 1)}" for key, one in islice(value.items(), 4)]
        return ", ".join([*shown, "..."] if len(value) > len(shown) else shown)

    def _some(self, value: Any, level: int) -> str:
        if level <= 0:
            return "..."
        shown = [self.repr1(one, level - 1) for one in islice(value, MAX_ELEMENTS)]
        return ", ".join([*shown, "..."] if len(value) > len(shown) else shown)

    def repr_int(self, value: int, _level: int) -> str:
        bits = value.bit_length()
        return repr(value) if bits <= MAX_BITS else f"<integer of {bits} bits>"

    def repr_TermMap(self, value: Any, level: int) -> str:  # reprlib finds it by the name of the type
        return f"TermMap({{{self._pairs(value, level)}}})"

    def repr_FrozenList(self, value: Any, level: int) -> str:
        return f"FrozenList({self.repr_list(list(value[: MAX_ELEMENTS + 1]), level)})"

    def repr_ImproperList(self, value: Any, level: int) -> str:
        elements = self.repr_list(list(value.elements[: MAX_ELEMENTS + 1]), level)
        return f"ImproperList({elements}, {self.repr1(value.tail, level - 1)})"

    def repr_instance(self, value: Any, level: int) -> str:
        name = type(value).__name__
        return f"<{name}>" if name in OPAQUE else super().repr_instance(value, level)
