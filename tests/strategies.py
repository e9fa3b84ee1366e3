"""Hypothesis strategies for terms."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pyzen.terms import (
    Atom,
    BitString,
    Export,
    FrozenList,
    Fun,
    ImproperList,
    Pid,
    Port,
    Record,
    Reference,
    TermMap,
    atoms,
)

U32 = st.integers(0, 2**32 - 1)
NODES = st.sampled_from(["app@host", "a@127.0.0.1", "long.name_1@some.host.example", "ü@x"]).map(Atom)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=255)


def names() -> st.SearchStrategy[Any]:
    """Atoms in all their Python forms."""
    frequent = st.sampled_from(["ok", "error", "", "a b", "Elixir.Foo", "true", "false", "nil", "undefined", "é" * 255])
    return st.one_of(frequent, TEXTS).map(lambda text: atoms[text])


def integers() -> st.SearchStrategy[int]:
    """Integers of any size, most often at the edges of their encodings."""
    edges = [0, 255, 256, 2**27, 2**31, 2**32, 2**59, 2**63, 2**64, 2**2040, 2**2048]
    near_edges = st.builds(
        lambda edge, distance, sign: sign * (edge + distance),
        st.sampled_from(edges),
        st.integers(-2, 2),
        st.sampled_from([1, -1]),
    )
    return st.one_of(st.integers(-300, 300), near_edges, st.integers())


def floats() -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False)


def pids(*, wide: bool = True) -> st.SearchStrategy[Pid]:
    """Pids; without ``wide`` only those that OTP 25 takes, whose numbers have 28 and 13 bits."""
    number, serial = (U32, U32) if wide else (st.integers(0, 2**28 - 1), st.integers(0, 2**13 - 1))
    return st.builds(Pid, NODES, number, serial, U32)


def ports(*, wide: bool = True) -> st.SearchStrategy[Port]:
    return st.builds(Port, NODES, st.integers(0, 2 ** (64 if wide else 28) - 1), U32)


def references(*, wide: bool = True) -> st.SearchStrategy[Reference]:
    first = U32 if wide else st.integers(0, 2**18 - 1)
    words = st.builds(lambda one, more: [one, *more], first, st.lists(U32, max_size=4))
    return st.builds(Reference, NODES, U32, words)


def bitstrings() -> st.SearchStrategy[BitString]:
    return st.builds(BitString, st.binary(min_size=1, max_size=20), st.integers(1, 7))


def exports() -> st.SearchStrategy[Export]:
    return st.builds(Export, TEXTS, TEXTS, st.integers(0, 255))


def scalars(*, wide: bool = True) -> st.SearchStrategy[Any]:
    """Terms that hold no others."""
    return st.one_of(
        names(),
        integers(),
        floats(),
        st.binary(max_size=50),
        bitstrings(),
        pids(wide=wide),
        ports(wide=wide),
        references(wide=wide),
        exports(),
    )


def byte_lists() -> st.SearchStrategy[list[int]]:
    return st.binary(max_size=100).map(list)


def keys(*, wide: bool = True) -> st.SearchStrategy[Any]:
    """Terms as they stand in the key of a map: immutable throughout."""
    numbers = st.sampled_from([0, 1, 0.0, 1.0, -1, True, False] + ([-0.0] if wide else []))
    return st.recursive(
        st.one_of(numbers, scalars(wide=wide).filter(lambda term: wide or term != 0.0)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(tuple),
            st.lists(inner, max_size=3).map(FrozenList),
            st.lists(st.tuples(inner, inner), max_size=3).map(TermMap),
        ),
        max_leaves=5,
    )


def mappings(values: st.SearchStrategy[Any], *, wide: bool = True) -> st.SearchStrategy[Any]:
    """Maps in the form that decoding gives them."""
    return st.lists(st.tuples(keys(wide=wide), values), max_size=6).map(as_decoded)


def as_decoded(pairs: list[tuple[Any, Any]]) -> Any:
    """Return a dict where Python keeps all keys apart, else a ``TermMap``."""
    term_map = TermMap(pairs)
    plain = dict(term_map.items())
    return plain if len(plain) == len(term_map) else term_map


def improper_lists(inner: st.SearchStrategy[Any], tails: st.SearchStrategy[Any]) -> st.SearchStrategy[ImproperList]:
    return st.builds(ImproperList, st.lists(inner, min_size=1, max_size=4), tails)


def funs(inner: st.SearchStrategy[Any], *, wide: bool = True) -> st.SearchStrategy[Fun]:
    """Funs; a node keeps one entry per fun, so all that names one depends on its checksum."""

    def build(uniq: bytes, pid: Pid, free: list[Any]) -> Fun:
        arity, index = uniq[0], int.from_bytes(uniq[1:3])
        return Fun(f"module_{uniq[3] % 16}", arity, uniq, index, index, int.from_bytes(uniq[4:7]), pid, tuple(free))

    return st.builds(build, st.binary(min_size=16, max_size=16), pids(wide=wide), st.lists(inner, max_size=3))


def records(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Record]:
    return st.builds(Record, TEXTS, TEXTS, st.dictionaries(names(), inner, max_size=4), st.integers(0, 255))


def written_terms() -> st.SearchStrategy[Any]:
    """Terms that Erlang's syntax has a form for."""
    plain = st.one_of(
        names(), integers(), floats(), st.binary(max_size=50), TEXTS.map(lambda text: list(map(ord, text)))
    )
    hashable = st.one_of(names(), integers(), floats(), st.binary(max_size=20))
    keyed = st.one_of(
        hashable, st.lists(hashable, max_size=3).map(tuple), st.lists(hashable, max_size=3).map(FrozenList)
    )
    return st.recursive(
        plain,
        lambda inner: st.one_of(
            st.lists(inner, max_size=6),
            st.lists(inner, max_size=6).map(tuple),
            st.lists(st.tuples(keyed, inner), max_size=6).map(as_decoded),
            improper_lists(inner, hashable),
        ),
        max_leaves=25,
    )


def terms(*, wide: bool = True) -> st.SearchStrategy[Any]:
    """Terms in the form that decoding gives them.

    Args:
        wide: Also what OTP 25 does not take: wide pids, native records, maps with both zeros.
    """

    def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        kinds = [
            st.lists(inner, max_size=6),
            st.lists(inner, max_size=6).map(tuple),
            mappings(inner, wide=wide),
            improper_lists(inner, scalars(wide=wide)),
            funs(inner, wide=wide),
        ]
        return st.one_of(*kinds, *([records(inner)] if wide else []))

    return st.recursive(st.one_of(scalars(wide=wide), byte_lists()), containers, max_leaves=25)
