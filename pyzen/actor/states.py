"""States: what ``sys:get_state`` shows of a user's object, which may hold anything.

A state is shown as far as it goes. What is deep, long or wide is cut, what can't be read or has no Erlang form is
shown by its ``repr``: a look at a process must neither end it nor hold up the event loop.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from enum import Enum
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.brief import brief
from pyzen.contained import contained
from pyzen.etf import encode
from pyzen.terms import Atom, FrozenList, Fun, ImproperList, Record, Reference, TermMap, atoms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyzen.actor.verbs import Verbs

__all__ = ["attributes_of", "masked", "module_of", "name_of", "presentable", "state_of"]

CUT: Final = atoms["..."]
MAX_DEPTH: Final = 6
MAX_ELEMENTS: Final = 1000
MAX_PARTS: Final = 20_000
REFERENCE: Final = re.compile(r"(#Reference<)[^>]*>?")
"""A reference in the text of an object."""
MISSING: Final = atoms.unset
RANDOM_WORDS: Final = 3
"""Of a reference of ours, which has two more."""


def attributes_of(instance: object) -> dict[str, Any]:
    """Return the attributes of an object that are its class's own, those in slots, too."""
    names = {name for base in type(instance).__mro__ for name in _slots_of(base)}
    names |= {name for name in getattr(instance, "__dict__", ()) if isinstance(name, str)}
    return {name: getattr(instance, name, None) for name in sorted(names) if not name.startswith("_pyzen_")}


def _slots_of(cls: type) -> Iterator[str]:
    for name, value in vars(cls).items():
        if type(value) is MemberDescriptorType and not name.startswith("__"):
            yield name


def module_of(server: Verbs) -> Atom:
    """Return the module that a process of Erlang with the same duties has, or the class as the name of a module."""
    return server._pyzen_module or name_of(type(server))


def name_of(target: Any) -> Atom:
    """Return a class or a function as the name of a module."""
    if not hasattr(target, "__qualname__"):
        target = type(target)
    return Atom(f"{target.__module__}.{target.__qualname__}"[:255])


def state_of(attributes: Mapping[str, Any]) -> Any:
    """Return attributes as a map of atoms that can be sent."""
    shown = _Shown()
    return {_atom(name.lstrip("_") or name): shown.form(value) for name, value in attributes.items()}


def presentable(value: Any) -> Any:
    """Return a value in a form that can be sent: terms as they are, dataclasses as maps, others by their ``repr``."""
    return _Shown().form(value)


def masked(ref: Reference) -> Reference:
    """Return a reference without its random words: by it nobody can speak for a process that is shown to a peer.

    What is left names it among all others of its node.
    """
    words = ref.words
    return Reference(ref.node, ref.creation, [0, 0, 0, *words[3:]]) if len(words) == RANDOM_WORDS + 2 else ref


def _atom(name: str) -> Any:
    return atoms[_text(name[:255])]


def _text(text: str) -> str:
    """Return a text that has an Erlang form (lone surrogates have none), and holds no reference in whole."""
    return REFERENCE.sub(r"\1...>", text).encode("utf-8", "replace").decode()


@final
class _Shown:
    """Makes the parts of one state presentable, until there are too many of them."""

    def __init__(self) -> None:
        self._left = MAX_PARTS

    def form(self, value: Any, depth: int = 0) -> Any:
        """Return the form of one part."""
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            return CUT
        with contained:
            return self._form(value, depth)
        return _text(brief(value))

    def _form(self, value: Any, depth: int) -> Any:
        match value:
            case list() | set() | frozenset() | FrozenList():
                return self._forms(value, depth)
            case tuple():
                return tuple(self._forms(value, depth))
            case dict() | TermMap():
                return self._map(value.items(), depth)
            case Reference():
                return masked(value)
            case ImproperList():
                return ImproperList(self._forms(value.elements, depth), self.form(value.tail, depth + 1))
            case Fun() | Record():
                return _text(brief(value))
            case Enum():
                return self.form(value.value, depth + 1)
        if is_dataclass(value) and not isinstance(value, type):
            shown = [(_atom(one.name), getattr(value, one.name, MISSING)) for one in fields(value) if one.repr]
            return self._map(shown, depth)
        encode(value)  # raises where there is no Erlang form
        return value

    def _forms(self, values: Iterable[Any], depth: int) -> list[Any]:
        return [self.form(one, depth + 1) for one in self._first(values)]

    def _map(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> TermMap:
        return TermMap([(self._key(key, depth), self.form(one, depth + 1)) for key, one in self._first(pairs)])

    def _key(self, key: Any, depth: int) -> Any:
        """Return the form of a key, which a list in it would keep from being one."""
        form = self.form(key, depth + 1)
        with contained:
            hash(form)
            return form
        return _text(brief(key))

    def _first(self, values: Iterable[Any]) -> Iterator[Any]:
        for _, one in zip(range(MAX_ELEMENTS), values, strict=False):
            if self._left <= 0:
                return
            yield one
