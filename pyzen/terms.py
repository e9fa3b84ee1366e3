"""Erlang's terms as Python objects.

What Python has a type for is that type: integers, floats, ``bytes``, lists, tuples, dicts, ``True``, ``False`` and
``None`` (``nil``). The rest is declared here: atoms, identifiers, bitstrings, funs, records, and containers that
keep what a list or a dict would lose. All of them are immutable, can be pickled, and, as far as their contents
allow it, hashed.

Source: OTP, "External Term Format".
"""

from __future__ import annotations

from typing import Any, Final, NoReturn, TypeAlias, final

from pyzen._native import (
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
)

__all__ = [
    "Atom",
    "Atoms",
    "BitString",
    "Export",
    "FrozenList",
    "Fun",
    "ImproperList",
    "Pid",
    "Port",
    "Record",
    "Reference",
    "ReferenceSource",
    "Term",
    "TermMap",
    "atoms",
    "elixir",
    "struct",
]

Term: TypeAlias = Any
"""Any object that has an Erlang form."""


@final
class Atoms:
    """Atoms as attributes: ``atoms.DOWN`` is ``Atom("DOWN")``.

    Being attributes, they are compared by value in ``match``. ``atoms.true``, ``atoms.false`` and ``atoms.nil`` are
    ``True``, ``False`` and ``None``. Texts that are no identifiers are items: ``atoms["a b"]``. An atom used as an
    attribute lives as long as the program.
    """

    true: Final = True
    false: Final = False
    nil: Final = None

    def __getattr__(self, text: str) -> Atom:
        if text.startswith("__") and text.endswith("__"):
            raise AttributeError(f"write atoms[{text!r}] for an atom with the name of a special method")
        atom = Atom(text)
        self.__dict__[text] = atom
        return atom

    def __getitem__(self, text: str) -> Any:
        """Return the atom of any text of at most 255 characters; for ``"true"`` and its kin the Python value."""
        special: dict[str, bool | None] = {"true": True, "false": False, "nil": None}
        return special[text] if text in special else Atom(text)

    def __setattr__(self, text: str, value: object) -> NoReturn:
        raise AttributeError(f"atoms can't be changed: atoms.{text} stands for the atom of that text")

    def __repr__(self) -> str:
        return "atoms"


atoms: Final = Atoms()
"""The atoms, by attribute."""

elixir: Term = Atom("Elixir")
"""Elixir's modules, by attribute: ``elixir.ZenMonitor.Proxy`` is ``Atom("Elixir.ZenMonitor.Proxy")``."""


def struct(name: Atom | str, /, **fields: Term) -> dict[Atom, Term]:
    """Build an Elixir struct: a map with the key ``__struct__``.

    Args:
        name: The module, as an atom or as it is written in Elixir (``"MyApp.User"``).
        fields: The fields; all that the module declares, for Elixir does not fill in defaults.

    Returns:
        A dict with atoms as keys.
    """
    module = name if isinstance(name, Atom) else Atom(f"Elixir.{name.removeprefix('Elixir.')}")
    return {Atom("__struct__"): module, **{Atom(field): value for field, value in fields.items()}}
