"""Terms nested as deep as a peer may nest them, and a thread with little stack to handle them in."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any, Final

from pyzen.config import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

STACK: Final = 512 * 1024
DEPTH: Final = Limits().max_depth

# What stands before a level and behind it, and the containers that it has.
LEVELS: Final = {
    "list": (b"l\0\0\0\x01", b"j", 1),
    "tuple": (b"h\x01", b"", 1),
    "large tuple": (b"i\0\0\0\x02a\x01", b"", 1),
    "map value": (b"t\0\0\0\x01a\x01", b"", 1),
    "map key": (b"t\0\0\0\x01", b"a\x01", 1),
    "map key of two": (b"t\0\0\0\x02a\x01a\x01", b"a\x01", 1),
    "improper tail": (b"l\0\0\0\x01a\x01h\x01", b"", 2),
    "improper element": (b"l\0\0\0\x01", b"a\x01", 1),
    "fun": (b"p\0\0\0\0\x01" + bytes(16) + bytes(4) + b"\0\0\0\x01w\x01ma\0a\0X" + b"w\x01n" + bytes(12), b"", 1),
    "record": (b"C\0\0\0\x01\x01w\x01mw\x01nw\x01f", b"", 1),
}
MIXES: Final = {
    f"mix {seed}": random.Random(seed).choices(sorted(LEVELS), k=random.Random(seed).choice([2, 3, 5, 40]))
    for seed in range(8)
}
SHAPES: Final = {kind: [kind] for kind in LEVELS} | MIXES


def nested(kinds: list[str], depth: int = DEPTH, *, within: str | None = None) -> bytes:
    """Return the external form of containers of these kinds by turns, as many levels as there may be."""
    chosen = [] if within is None else [LEVELS[within]]
    left = depth - len(chosen)
    while left >= max(LEVELS[kind][2] for kind in kinds):
        chosen.append(LEVELS[kinds[len(chosen) % len(kinds)]])
        left -= chosen[-1][2]
    return b"\x83" + b"".join(head for head, _, _ in chosen) + b"w\x01z" + b"".join(tail for _, tail, _ in chosen[::-1])


def in_small_stack(work: Callable[[], Any]) -> Any:
    """Run ``work`` in a thread with 512 KiB of stack."""
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    before = threading.stack_size(STACK)
    try:
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    if failure:
        raise failure[0]
    return outcome[0]
