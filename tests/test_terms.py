"""Terms as objects: what they are equal to, how they hash, sort, print and travel."""

from __future__ import annotations

import collections.abc
import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzen import terms
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
    ReferenceSource,
    TermMap,
    atoms,
    elixir,
    struct,
)
from tests import strategies

PID = Pid("app@host", 123, 4, 5)

ONE_OF_EACH: list[Any] = [
    Atom("ok"),
    PID,
    Port("app@host", 7, 5),
    Reference("app@host", 5, [1, 2, 3]),
    BitString(b"\xff", 3),
    FrozenList([1, (2,)]),
    ImproperList([1], 2),
    TermMap([(1, "a"), (1.0, "b")]),
    Export("m", "f", 2),
    Fun("m", 1, bytes(16), 1, 2, -3, PID, (1, "x")),
    Record("m", "r", {"x": 1, "true": 2}, 1),
]

each = pytest.mark.parametrize("term", ONE_OF_EACH, ids=lambda term: type(term).__name__)


# ---- all of them -------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_terms_survive_pickle(term: Any, protocol: int) -> None:
    back = pickle.loads(pickle.dumps(term, protocol))

    assert back == term
    assert type(back) is type(term)


@each
def test_terms_survive_copies(term: Any) -> None:
    assert copy.copy(term) == term
    assert copy.deepcopy(term) == term


@each
def test_terms_are_hashable_and_equal_to_their_like(term: Any) -> None:
    like = pickle.loads(pickle.dumps(term))

    assert hash(like) == hash(term)
    assert {term: 1}[like] == 1


@each
def test_terms_differ_from_everything_else(term: Any) -> None:
    others = [other for other in ONE_OF_EACH if other is not term]

    assert all(term != other for other in [*others, None, 1, "ok", object(), ()])


@each
def test_terms_are_final(term: Any) -> None:
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (type(term),), {})


@each
def test_terms_have_no_dict_and_no_weak_references(term: Any) -> None:
    assert not hasattr(term, "__dict__")
    with pytest.raises(TypeError):
        weakref.ref(term)
    with pytest.raises(AttributeError):
        term.anything = 1


@pytest.mark.parametrize(
    "term",
    [one for one in ONE_OF_EACH if not isinstance(one, FrozenList | ImproperList | TermMap | Fun | Record)],
    ids=repr,
)
def test_terms_without_objects_are_unknown_to_the_collector(term: Any) -> None:
    assert not gc.is_tracked(term)


@pytest.mark.parametrize(
    ("term", "shown"),
    [
        (Atom("ok"), "Atom('ok')"),
        (PID, "#PID<0.123.4 app@host>"),
        (Port("app@host", 7, 5), "#Port<0.7 app@host>"),
        (Reference("app@host", 5, [1, 2, 3]), "#Reference<0.3.2.1 app@host>"),
        (BitString(b"\xff", 3), "BitString(b'\\xe0', 3)"),
        (FrozenList([1, (2,)]), "FrozenList([1, (2,)])"),
        (ImproperList([1], 2), "ImproperList([1], 2)"),
        (TermMap([(1, "a"), (1.0, "b")]), "TermMap([(1, 'a'), (1.0, 'b')])"),
        (Export("m", "f", 2), "Export(Atom('m'), Atom('f'), 2)"),
        (Record("m", "r", {"x": 1}), "Record(Atom('m'), Atom('r'), {Atom('x'): 1}, 1)"),
    ],
    ids=str,
)
def test_terms_show_themselves(term: Any, shown: str) -> None:
    assert repr(term) == shown


@given(strategies.keys(), strategies.keys())
def test_keys_that_are_equal_hash_alike(one: Any, other: Any) -> None:
    if one == other:
        assert hash(one) == hash(other)


def test_module_exports_what_it_declares() -> None:
    assert sorted(terms.__all__) == sorted(name for name in dir(terms) if name in terms.__all__)
    assert {"Atom", "Pid", "Reference", "TermMap", "atoms", "elixir", "struct"} <= set(terms.__all__)


# ---- atoms -------------------------------------------------------------------------------------------


def test_atom_is_one_object_per_text() -> None:
    assert Atom("same") is Atom("same")
    assert Atom("same") is not Atom("other")


def test_atom_is_no_text() -> None:
    assert Atom("ok") != "ok"
    assert str(Atom("ok")) == "ok"
    assert {Atom("ok"): 1, "ok": 2}[Atom("ok")] == 1


@pytest.mark.parametrize(("text", "value"), [("true", "True"), ("false", "False"), ("nil", "None")])
def test_atom_refuses_what_python_has_values_for(text: str, value: str) -> None:
    with pytest.raises(ValueError, match=value):
        Atom(text)


def test_atom_has_at_most_255_characters() -> None:
    assert len(str(Atom("é" * 255))) == 255
    with pytest.raises(ValueError, match="255"):
        Atom("a" * 256)


def test_atom_refuses_a_lone_surrogate() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        Atom("\ud800")


def test_atom_sorts_by_its_text() -> None:
    assert sorted([Atom("z"), Atom("é"), Atom("a")]) == [Atom("a"), Atom("z"), Atom("é")]
    with pytest.raises(TypeError):
        Atom("a") < "b"  # type: ignore[operator]  # noqa: B015


def test_atoms_are_attributes_and_items() -> None:
    assert atoms.DOWN is Atom("DOWN")
    assert atoms.DOWN is atoms.DOWN
    assert atoms["a b"] is Atom("a b")


def test_atoms_give_python_values() -> None:
    assert (atoms.true, atoms.false, atoms.nil) == (True, False, None)
    assert (atoms["true"], atoms["false"], atoms["nil"]) == (True, False, None)


def test_atoms_stand_in_patterns() -> None:
    match (Atom("DOWN"), 1):
        case (atoms.DOWN, number):
            assert number == 1
        case _:
            pytest.fail("the pattern does not match")


def test_atoms_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        atoms.ok = 1  # type: ignore[misc, unused-ignore]


def test_atoms_make_none_of_special_names() -> None:
    with pytest.raises(AttributeError):
        getattr(atoms, "__wrapped__")  # noqa: B009 - an attribute that inspection asks for
    assert copy.copy(atoms).ok is atoms.ok


def test_elixir_names_modules() -> None:
    assert elixir.ZenMonitor.Proxy is Atom("Elixir.ZenMonitor.Proxy")
    assert elixir.Process is Atom("Elixir.Process")


@pytest.mark.parametrize(
    ("atom", "name"), [(elixir, "lower"), (atoms.ok, "Foo"), (elixir.Foo, "_x"), (Atom("Elixirs"), "Foo")]
)
def test_other_attributes_of_atoms_are_errors(atom: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(atom, name)


def test_struct_is_a_map_with_its_module() -> None:
    user = struct("MyApp.User", name="Ann", age=3)

    assert user == {atoms.__getitem__("__struct__"): elixir.MyApp.User, atoms["name"]: "Ann", atoms.age: 3}
    assert struct(elixir.MyApp.User) == struct("Elixir.MyApp.User") == struct("MyApp.User")


# ---- identifiers -------------------------------------------------------------------------------------


def test_pid_has_parts() -> None:
    assert (PID.node, PID.id, PID.serial, PID.creation) == (Atom("app@host"), 123, 4, 5)
    assert PID.number == 4 << 32 | 123


@pytest.mark.parametrize("change", [{"node": "b@host"}, {"id": 1}, {"serial": 1}, {"creation": 1}])
def test_pids_differ_by_each_part(change: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"node": "app@host", "id": 123, "serial": 4, "creation": 5}

    assert Pid(**parts) == PID
    assert Pid(**{**parts, **change}) != PID


@pytest.mark.parametrize("value", [-1, 2**32])
def test_pid_refuses_numbers_of_more_than_32_bits(value: int) -> None:
    with pytest.raises(OverflowError):
        Pid("n@h", value, 0, 0)


def test_identifiers_are_made_with_atoms_or_texts() -> None:
    assert Pid(Atom("n@h"), 1, 0, 0) == Pid("n@h", 1, 0, 0)
    with pytest.raises(TypeError, match="an Atom or a str"):
        Pid(1, 1, 0, 0)  # type: ignore[arg-type]


def test_port_has_64_bits() -> None:
    assert Port("n@h", 2**64 - 1, 0).id == 2**64 - 1
    with pytest.raises(OverflowError):
        Port("n@h", 2**64, 0)


@pytest.mark.parametrize("words", [[], [1] * 6])
def test_reference_has_one_to_five_words(words: list[int]) -> None:
    with pytest.raises(ValueError, match="1 to 5 words"):
        Reference("n@h", 0, words)


def test_reference_source_never_makes_one_twice() -> None:
    source = ReferenceSource("n@h", 3)

    made = {source.next() for _ in range(1000)}

    assert len(made) == 1000
    assert all(len(one.words) == 5 and one.words[0] < 2**18 and one.creation == 3 for one in made)


# ---- bitstrings --------------------------------------------------------------------------------------


def test_bitstring_clears_unused_bits() -> None:
    assert BitString(b"\xff\xff", 1) == BitString(b"\xff\x80", 1)
    assert BitString(b"\xff", 1) != BitString(b"\xff", 2)


def test_head_of_a_bitstring_has_whole_bytes() -> None:
    bits = BitString(b"ab\xff", 1)

    assert [bits.head(size) for size in (0, 1, 2, 3)] == [b"", b"a", b"ab", b"ab"]


@pytest.mark.parametrize(("data", "bits"), [(b"", 1), (b"a", 0), (b"a", 8)])
def test_bitstring_refuses_whole_bytes(data: bytes, bits: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        BitString(data, bits)


# ---- lists -------------------------------------------------------------------------------------------


def test_frozen_list_is_a_sequence() -> None:
    frozen = FrozenList([1, 2, 3, 2])

    assert isinstance(frozen, collections.abc.Sequence)
    assert (len(frozen), frozen[0], frozen[-1], 2 in frozen, list(frozen)) == (4, 1, 2, True, [1, 2, 3, 2])
    assert (frozen[1:3], frozen.index(2), frozen.index(2, 2), frozen.count(2)) == (FrozenList([2, 3]), 1, 3, 2)
    assert FrozenList() == []
    with pytest.raises(IndexError):
        frozen[4]


def test_frozen_list_stands_in_patterns() -> None:
    match FrozenList([1, 2]):
        case [1, rest]:
            assert rest == 2
        case _:
            pytest.fail("the pattern does not match")


def test_frozen_list_equals_a_list_of_equal_elements() -> None:
    frozen = FrozenList([1, (2,), FrozenList([3])])

    assert frozen == [1, (2,), [3]]
    assert ([1, (2,), [3]] == frozen) is True  # noqa: SIM300 - the list is asked first
    assert frozen != [1, (2,), [4]]
    assert frozen != (1, (2,), [3])


def test_frozen_list_hashes_numbers_as_python_does() -> None:
    assert hash(FrozenList([1, (2,)])) == hash(FrozenList([True, (2.0,)]))


def test_frozen_list_of_lists_is_unhashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(FrozenList([[1]]))


def test_frozen_lists_within_themselves_are_not_compared_for_ever() -> None:
    def loop() -> FrozenList:
        inner: list[Any] = []
        outer = FrozenList([inner])
        inner.append(outer)
        return outer

    with pytest.raises(RecursionError):
        loop() == loop()  # noqa: B015


def test_frozen_list_is_collected_with_its_cycle() -> None:
    class Marker:
        pass

    marker = Marker()
    alive = weakref.ref(marker)
    inner: list[Any] = [marker]
    inner.append(FrozenList([inner]))
    inner.append(TermMap({1: inner}))
    inner.append(ImproperList([1], (inner,)))
    inner.append(Record("m", "r", {"x": inner}))
    del inner, marker
    gc.collect()

    assert alive() is None


def test_improper_list_has_elements_and_a_tail() -> None:
    improper = ImproperList([atoms.alias], 2)

    assert (improper.elements, improper.tail) == ((atoms.alias,), 2)
    match improper:
        case ImproperList(elements=(atoms.alias,), tail=tail):
            assert tail == 2
        case _:
            pytest.fail("the pattern does not match")


def test_improper_list_joins_an_improper_tail() -> None:
    assert ImproperList([1], ImproperList([2], 3)) == ImproperList([1, 2], 3)


@pytest.mark.parametrize(("elements", "tail"), [([], 1), ([1], []), ([1], [2]), ([1], FrozenList())])
def test_improper_list_refuses_proper_ones(elements: list[int], tail: Any) -> None:
    with pytest.raises(ValueError, match="list"):
        ImproperList(elements, tail)


# ---- maps --------------------------------------------------------------------------------------------

APART = [(1, "i"), (1.0, "f"), (True, "t"), (0.0, "p"), (-0.0, "n"), ((1,), "ti"), ((1.0,), "tf"), (2**70, "b")]


def test_term_map_keeps_keys_apart() -> None:
    term_map = TermMap(APART)

    assert len(term_map) == len(APART)
    assert [term_map[key] for key, _ in APART] == [value for _, value in APART]


def test_term_map_is_a_mapping() -> None:
    term_map = TermMap([(1, "a"), (1.0, "b")])

    assert isinstance(term_map, collections.abc.Mapping)
    assert list(term_map) == [1, 1.0]
    assert list(term_map.keys()) == [1, 1.0]
    assert list(term_map.values()) == ["a", "b"]
    assert list(term_map.items()) == [(1, "a"), (1.0, "b")]
    assert (term_map.get(1), term_map.get(2), term_map.get(2, 3)) == ("a", None, 3)
    assert 1 in term_map
    assert True not in term_map
    with pytest.raises(KeyError) as caught:
        term_map[(1, 2)]
    assert caught.value.args == ((1, 2),)


def test_term_map_stands_in_patterns() -> None:
    match TermMap([(1, "a"), (1.0, "b")]):
        case {1: first}:
            assert first == "a"
        case _:
            pytest.fail("the pattern does not match")


def test_term_map_is_made_of_pairs_or_a_mapping() -> None:
    assert TermMap({1: 2}) == TermMap([(1, 2)]) == TermMap(TermMap({1: 2})) == TermMap(iter([(1, 2)]))
    assert len(TermMap()) == 0


def test_term_map_keeps_the_last_of_equal_keys() -> None:
    assert list(TermMap([(1, "a"), (2, "b"), (1, "c")]).items()) == [(1, "c"), (2, "b")]


def test_term_map_equals_maps_that_are_the_same_term() -> None:
    assert TermMap([(1, 2), (3, [4])]) == {3: [4], 1: 2}
    assert ({3: [4], 1: 2} == TermMap([(1, 2), (3, [4])])) is True  # noqa: SIM300 - the dict is asked first
    assert TermMap({1: 2}) != {1.0: 2}
    assert TermMap({1: 2}) != {1: 2.0}
    assert TermMap({1: 2}) != [(1, 2)]


def test_term_map_takes_text_for_its_bytes() -> None:
    assert TermMap({b"name": 1})["name"] == 1


def test_term_map_of_mutable_values_is_unhashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(TermMap({1: [2]}))


@pytest.mark.parametrize("key", [[1], {1: 2}, {1}, ([],)])
def test_term_map_refuses_mutable_keys(key: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        TermMap([(key, 1)])
    with pytest.raises(TypeError, match="unhashable"):
        TermMap()[key]


@given(st.lists(st.tuples(strategies.keys(), st.integers())))
def test_term_map_does_not_depend_on_order(pairs: list[tuple[Any, int]]) -> None:
    term_map = TermMap(pairs)
    backwards = TermMap(list(term_map.items())[::-1])

    assert term_map == backwards
    assert hash(term_map) == hash(backwards)


# ---- funs and records --------------------------------------------------------------------------------


def test_fun_has_parts() -> None:
    fun = Fun("m", 1, bytes(16), 2, 3, -4, PID, (1, "x"))

    assert (fun.module, fun.arity, fun.uniq, fun.index) == (Atom("m"), 1, bytes(16), 2)
    assert (fun.old_index, fun.old_uniq, fun.pid, fun.free_variables) == (3, -4, PID, (1, "x"))


def test_fun_has_a_checksum_of_16_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Fun("m", 1, b"", 2, 3, 4, PID, ())


def test_export_stands_in_patterns() -> None:
    match Export("lists", "map", 2):
        case Export(atoms.lists, function, 2):
            assert function is atoms.map
        case _:
            pytest.fail("the pattern does not match")


def test_record_has_fields() -> None:
    record = Record("m", "r", {"x": 1, atoms.y: [2], True: 3}, 2)

    assert (record.module, record.name, record.flags, record.exported) == (Atom("m"), Atom("r"), 2, False)
    assert record.fields == {atoms.x: 1, atoms.y: [2], True: 3}
    assert (record["x"], record[atoms.y]) == (1, [2])
    with pytest.raises(KeyError):
        record["z"]


def test_record_refuses_a_field_twice() -> None:
    with pytest.raises(ValueError, match="once"):
        Record("m", "r", [("x", 1), (atoms.x, 2)])


def test_deep_containers_show_themselves_in_part() -> None:
    term: Any = FrozenList()
    for _ in range(300):
        term = FrozenList([term])

    assert "FrozenList(...)" in repr(term)
