"""Terms nested as deep as a peer may nest them: whatever is done with one, in a thread with 512 KiB of stack.

A stack that overflows ends the interpreter, and so the run of these tests.
"""

from __future__ import annotations

import copy
import gc
import json
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from pyzen import etf, printing
from pyzen.actor.states import presentable
from pyzen.brief import brief
from pyzen.config import Limits
from pyzen.errors import EncodeError, LimitExceeded
from pyzen.inspection import inspect
from pyzen.terms import FrozenList, Fun, ImproperList, Pid, Record, TermMap
from pyzen.zen.truncator import truncate
from tests.deep import DEPTH, LEVELS, SHAPES, in_small_stack, nested

if TYPE_CHECKING:
    from collections.abc import Callable

DEEPEST: Final = Limits(max_depth=10_000)
PID: Final = Pid("n@h", 1, 0, 7)
OURS: Final = sorted(set(LEVELS) - {"list", "tuple", "large tuple", "map value"})
"""Those that are no containers of Python's, even outside keys."""


def is_same(one: Any, other: Any) -> bool:
    return (one == other, one != other) == (True, False)


def hashes_alike(one: Any, other: Any) -> bool:
    try:
        return hash(one) == hash(other)
    except TypeError as error:
        return "unhashable" in str(error)


def as_json(one: Any) -> bool:
    with suppress(TypeError):  # there are no keys but texts and numbers
        json.dumps(one, default=str)
    return True


OPERATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "encode": lambda one, other: etf.encode(etf.decode(etf.encode(one))) == etf.encode(other),
    "compare": is_same,
    "compare within": lambda one, other: is_same(FrozenList([one]), FrozenList([other])),
    "hash": hashes_alike,
    "repr": lambda one, other: repr(one) == repr(other),
    "format": lambda one, other: f"{one} {other}",
    "print": lambda one, _: printing.format(one),
    "inspect": lambda one, _: inspect(one),
    "brief": lambda one, _: brief(one),
    "show a state": lambda one, _: etf.encode(presentable(one)),
    "truncate": lambda one, _: truncate(one, depth=2**31 - 1),
    "pickle": lambda one, _: pickle.loads(pickle.dumps(one)),
    "copy": lambda one, _: copy.deepcopy(one),
    "json": lambda one, _: as_json(one),
    "collect": lambda one, other: gc.collect() >= 0 and gc.is_tracked([one, other]),
}


def survives(operation: str, one: Any, other: Any) -> Any:
    """Do something; Python may refuse it for a container of its own, where it counts how deep it has got."""
    try:
        return OPERATIONS[operation](one, other)
    except RecursionError:
        return True


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_anything_can_be_done_with_a_term_at_the_depth_limit(shape: str, operation: str) -> None:
    data = nested(SHAPES[shape])

    def work() -> Any:
        one, other = etf.decode(data), etf.decode(data)
        return survives(operation, one, other)

    assert in_small_stack(work)


@pytest.mark.parametrize("shape", SHAPES)
def test_anything_can_be_done_with_a_key_at_the_depth_limit(shape: str) -> None:
    data = nested(SHAPES[shape], within="map key")

    def work() -> Any:
        one, other = etf.decode(data), etf.decode(data)
        assert isinstance(one, TermMap)
        return all(survives(operation, one, other) for operation in OPERATIONS)

    assert in_small_stack(work)


@pytest.mark.parametrize("shape", [[kind] for kind in OURS] + [OURS], ids=str)
def test_our_own_containers_need_no_stack_however_deep_they_are(shape: list[str]) -> None:
    data = nested(shape, DEEPEST.max_depth)

    def work() -> Any:
        one, other = etf.decode(data, limits=DEEPEST), etf.decode(data, limits=DEEPEST)
        assert etf.encode(one, limits=DEEPEST) == etf.encode(other, limits=DEEPEST)
        return one == other and hashes_alike(one, other) and repr(one) == repr(other)

    assert in_small_stack(work)


@pytest.mark.parametrize("kind", sorted(LEVELS))
def test_one_level_past_the_limit_is_refused(kind: str) -> None:
    data = nested([kind, "tuple"], DEPTH + 2)

    with pytest.raises(LimitExceeded, match=f"max_depth exceeded: {DEPTH + 1} is more than {DEPTH}"):
        etf.decode(data)
    term = etf.decode(data, limits=DEEPEST)
    with pytest.raises(EncodeError, match=f"nested deeper than {DEPTH} levels"):
        etf.encode(term)


# ---- what users make themselves has no limit

MADE: Final[dict[str, Callable[[Any], Any]]] = {
    "frozen list": lambda inner: FrozenList([inner]),
    "improper list": lambda inner: ImproperList([inner], 1),
    "map": lambda inner: TermMap([(1, inner)]),
    "fun": lambda inner: Fun("m", 1, bytes(16), 0, 0, 0, PID, (inner,)),
    "record": lambda inner: Record("m", "n", {"f": inner}),
}


def made(kind: str, depth: int, inner: Any = 1) -> Any:
    for _ in range(depth):
        inner = MADE[kind](inner)
    return inner


@pytest.mark.parametrize("kind", MADE)
def test_a_term_of_any_depth_is_compared_shown_refused_and_freed(kind: str) -> None:
    def work() -> bool:
        one, other = made(kind, 50_000), made(kind, 50_000)
        with pytest.raises(EncodeError, match="nested deeper"):
            etf.encode(one)
        return one == other and repr(one) == repr(other)

    assert in_small_stack(work)


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("outer", [1, 1000])
@pytest.mark.parametrize("way", [pickle.dumps, copy.deepcopy])
def test_a_term_that_is_too_deep_to_be_pickled_or_copied_says_so(
    kind: str, outer: int, way: Callable[[Any], Any]
) -> None:
    def work() -> bool:
        term: Any = made(kind, 50_000)
        for _ in range(outer):
            term = {1: term}
        with pytest.raises(RecursionError):
            way(term)
        return True

    assert in_small_stack(work)


@pytest.mark.parametrize("kind", MADE)
def test_a_term_that_shares_its_parts_is_pickled_in_no_time(kind: str) -> None:
    term: Any = 1
    for _ in range(40):  # a tree of 2 ** 40 leaves
        term = MADE[kind]([term, term])

    assert type(pickle.loads(pickle.dumps(term))) is type(term)


@pytest.mark.parametrize("kind", MADE)
def test_a_deep_term_in_a_cycle_is_freed_by_the_collector(kind: str) -> None:
    class Leaf:
        pass

    def work() -> bool:
        freed: list[int] = []
        cycle: list[Any] = []
        leaf = Leaf()
        Leaf.__del__ = lambda _: freed.append(1)  # type: ignore[attr-defined]
        cycle += [cycle, made(kind, 50_000, leaf)]
        del cycle, leaf
        gc.collect()
        return freed == [1]

    assert in_small_stack(work)


@pytest.mark.parametrize("kind", MADE)
def test_everything_in_a_deep_term_is_freed_at_once_and_each_once(kind: str) -> None:
    freed: list[int] = []

    class Leaf:
        def __del__(self) -> None:
            made(kind, 100)
            freed.append(1)

    def work() -> int:
        term: Any = 1
        for _ in range(1000):
            term = MADE[kind]([Leaf(), term])
        del term
        return len(freed)

    assert in_small_stack(work) == 1000
