"""Classes as users of asyncio write them: nothing in them is meant for the kernel.

Each is a server that answers a call by its ``answer()``, watches processes when asked to, and hands what it hears to
the process ``tester``. ``ANSWERS`` says what a class answers; `ordinary` registers it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from pyzen import GenServer, atoms

Kind = TypeVar("Kind", bound=type[GenServer])


class Case(NamedTuple):
    """What a class is expected to answer, and what is ordinary about it."""

    cls: type[GenServer]
    answer: Any
    what: str


CASES: dict[str, Case] = {}


def ordinary(what: str, answer: Any = 7) -> Any:
    def register(cls: Kind) -> Kind:
        CASES[cls.__name__] = Case(cls, answer, what)
        return cls

    return register


class Ordinary(GenServer):
    """What the scenario needs; no state, so that every kind of class can have it."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (atoms.watch, pid):
                return self.monitor(pid)
            case (atoms.count, number):
                self.after(0.0, self.count, number)
                return atoms.ok
        return self.answer()

    def handle_info(self, message: Any) -> Any:
        self.send("tester", (atoms.saw, message))

    def count(self, number: Any) -> None:
        self.send("tester", (atoms.counted, number))

    def answer(self) -> Any:
        return 7
