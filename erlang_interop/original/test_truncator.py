"""Reasons are truncated as the original does it, by both implementations of that in this project."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from erlang_interop.directions.elixir_side import literal
from pyzen import etf
from pyzen.terms import Atom, BitString, Export, ImproperList, Pid, Port, Reference, atoms
from pyzen.zen.truncator import truncate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.nodes import ElixirNode

SCALARS: list[Any] = [
    *(atoms.a, Atom(""), True, None, 0, -1, 2**200, 1.5, b"", b"x" * 1024, b"x" * 1025, b"\xff" * 3000, (), [], {}),
    *(Pid("n@h", 1, 2, 3), Reference("n@h", 3, (1, 2, 3)), Port("n@h", 7, 1), ImproperList([1], 2), [1, 2, 3]),
    *(BitString(b"\x80", 1), BitString(b"x" * 1020 + b"\x80", 1), BitString(b"x" * 1021 + b"\xff", 7)),
    *(BitString(b"x" * 1024 + b"\x80", 1), BitString(b"\xff" * 3000, 4), Export(atoms.erlang, atoms.node, 0)),
]
NAMES: list[Any] = [atoms["Elixir.RuntimeError"], atoms["Elixir.Nobody.Has.This"], True, False, None, atoms.x, 7, b"x"]
COUNT = 4000
KEYS: list[Any] = [atoms.k, b"key", 7, (1, 2), 1.5, "text", (atoms.long, b"x" * 2000)]


def term(dice: random.Random, depth: int) -> Any:
    """Make a term of at most ``depth`` levels, with containers of up to six elements."""
    kind = dice.choice(
        ["scalar", "scalar", "scalar", "tuple", "list", "map", "struct", "shutdown"] if depth else ["scalar"]
    )
    inner = [term(dice, depth - 1) for _ in range(dice.choice([0, 1, 2, 3, 4, 4, 5, 6]))] if kind != "scalar" else []
    match kind:
        case "tuple":
            return tuple(inner)
        case "list":
            return inner
        case "map":
            return dict(zip(KEYS, inner, strict=False))
        case "struct":
            name = {Atom("__struct__"): dice.choice(NAMES)}
            return name | {atoms[f"field_{index}"]: value for index, value in enumerate(inner)}
        case "shutdown":
            return (atoms.shutdown, inner)
    return dice.choice(SCALARS)


async def test_reasons_are_truncated_as_there(elixir_node: Callable[..., Awaitable[ElixirNode]]) -> None:
    node, dice = await elixir_node(), random.Random(1)
    # ASCII only: of valid UTF-8 ours keeps up to three bytes less.
    reasons = [*SCALARS, *(term(dice, dice.randrange(1, 5)) for _ in range(COUNT))]
    theirs: list[Any] = []
    for start in range(0, len(reasons), 500):
        code = f"Enum.map({literal(reasons[start : start + 500])}, &ZenMonitor.Truncator.truncate/1)"
        theirs += etf.decode(await node.call_etf("eval", code))

    # Larger than any of these: the limit of the whole is ours alone.
    ours = [etf.decode(etf.encode(truncate(reason, max_reason_size=2**30)[0])) for reason in reasons]

    wrong = [triple for triple in zip(reasons, ours, theirs, strict=True) if triple[1] != triple[2]]
    assert wrong == []
