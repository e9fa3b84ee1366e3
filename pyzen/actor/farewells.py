"""What an ended process tells others: the ends of its monitors and links, and answers to signals that waited for it.

However many there are, they leave in order, a slice at a time, and other processes run in between. Nothing else of the
process is left by then: whoever asks for it is told that it is not there.

Source: OTP, ``erts/emulator/beam/erl_process.c``, ``erts_continue_exit_process``, which yields likewise.
"""

from __future__ import annotations

from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.mailbox import withdraw
from pyzen.actor.relations import Relations
from pyzen.actor.signals import Demonitor, Down, Exit, Monitor, Signal
from pyzen.contained import contained

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from pyzen.actor.actor import Actor
    from pyzen.actor.runtime import Runtime
    from pyzen.terms import Pid, Reference

__all__ = ["Farewells"]

SLICE: Final = 500
"""Signals of an ended process that leave in one go; the rest waits for the next turn."""


@final
class Farewells:
    """Takes from an ended process what it owes others, and runs until that is told.

    Args:
        actor: The process; it shares nothing with anybody afterwards.
        reason: Why it has ended.

    Attributes:
        born_of: In whose turns it runs: in those of the process.
    """

    __slots__ = ("_runtime", "_signals", "born_of")

    def __init__(self, actor: Actor, reason: Any) -> None:
        relations, waiting = actor.relations, actor.incoming
        actor.relations, actor.incoming = Relations(actor.runtime.name, actor.runtime.shared), deque()
        relations.leave()
        withdraw(waiting)
        self._runtime = actor.runtime
        self.born_of = actor.born_of
        self._signals = chain(
            _ends(self._runtime, relations, actor.pid, reason, frozenset(actor.spawns)),
            _refusals(self._runtime, waiting, actor.pid, reason),
        )

    def begin(self) -> None:
        """Tell the first slice now."""
        if self.run():
            self._runtime.scheduler.ready(self)

    def run(self, budget: int = SLICE) -> bool:
        """Tell a slice; called by the scheduler. True when there may be more."""
        del budget
        told = 0
        for told, signal in enumerate(islice(self._signals, SLICE), 1):  # noqa: B007 - how many there were
            with contained:
                self._runtime.route(signal)
        return told == SLICE


def _ends(
    runtime: Runtime, relations: Relations, pid: Pid, reason: Any, unanswered: Container[Reference]
) -> Iterator[Signal]:
    """Yield what the end of a process means to others."""
    for ref, (watcher, name) in relations.watchers.items():
        if name is not None:
            runtime.forget_named(ref)
        yield Down(watcher, ref, pid if name is None else name, reason, pid)
    for other, state in relations.links.items():
        if state.active:
            yield Exit(other, pid, reason)
    for ref, target in relations.monitors.items():
        if ref not in unanswered:  # the reply to those finds nobody, and the process is given up then
            yield Demonitor(target, pid, ref)


def _refusals(runtime: Runtime, waiting: Iterable[Any], pid: Pid, reason: Any) -> Iterator[Signal]:
    """Yield the answers to signals that were waiting when the process ended: they came before its end."""
    for item in waiting:
        if issubclass(type(item), Signal):
            if type(item) is Monitor:
                runtime.forget_named(item.ref)
            yield from item.refused(reason, pid)
