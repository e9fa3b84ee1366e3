"""Stopping: ends some children of a supervisor one after the other, the last one first, then goes on.

Each child is unlinked and monitored, told to end with ``shutdown``, and killed when its time is up. What it does about
that is heard by the monitor alone, so that no exit of it can be taken for something else.

Source: OTP, ``supervisor.erl``, ``shutdown/1`` and ``unlink_and_monitor/1``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

from pyzen.actor.reasons import KILL, SHUTDOWN
from pyzen.actor.server_loop import server_loop
from pyzen.actor.signals import Exit2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyzen.actor.actor import Actor
    from pyzen.actor.child import Child
    from pyzen.actor.runtime import Runtime, TimerHandle
    from pyzen.terms import Atom, Pid, Reference

__all__ = ["Stopping", "send_exit", "time_of"]


@final
class Stopping:
    """Children on their way to their ends.

    Args:
        supervisor: Whose children they are.
        children: In the order of their start.
        then: Called once, after the end of the last one.
    """

    def __init__(self, supervisor: Actor, children: Iterable[Child], then: Callable[[], None]) -> None:
        self._supervisor = supervisor
        self._children = list(children)
        self._then = then
        self._pid: Pid | None = None
        self._watch: Reference | None = None
        self._killer: TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Stopping {len(self._children)} more>"

    def waits_for(self, pid: Pid) -> bool:
        """Say whether this is the child that was told to end."""
        return pid == self._pid

    def watches(self, ref: Reference) -> bool:
        """Say whether a monitor is the one of that child."""
        return ref == self._watch

    def go_on(self) -> None:
        """Tell the next child to end; without one left, be done."""
        self.forget()
        while self._children:
            child = self._children.pop()
            if child.pid is not None:
                self._stop(child.pid, time_of(child, self._supervisor.runtime))
                return
        self._then()

    def forget(self) -> None:
        """Wait for the child that was told to end no longer."""
        self._pid = None
        if self._killer is not None:
            self._killer.cancel()
            self._killer = None
        if self._watch is not None:
            self._supervisor.demonitor(self._watch, flush=True)
            self._watch = None

    def _stop(self, pid: Pid, seconds: float) -> None:
        supervisor = self._supervisor
        self._pid = pid
        self._watch = supervisor.monitor(pid)
        supervisor.unlink(pid)
        send_exit(supervisor, pid, SHUTDOWN if seconds else KILL)
        if 0 < seconds < math.inf:
            self._killer = server_loop(supervisor).after(seconds, send_exit, supervisor, pid, KILL)


def time_of(child: Child, runtime: Runtime) -> float:
    """Return the seconds that a child may take to end: 0 has it killed.

    A supervisor has its own time and that of its children, which it stops one after the other: one with the usual five
    seconds leaves each of them what its specification says. OTP has a supervisor wait for one for ever.
    """
    given = child.spec.shutdown
    if not given:
        return math.inf if given is None else 0.0
    actor = None if child.pid is None else runtime.actor(child.pid)
    return given if actor is None else given + actor.loop.time_to_stop()


def send_exit(supervisor: Actor, pid: Pid, reason: Atom) -> None:
    """Send a child an exit signal."""
    supervisor.runtime.route(Exit2(pid, supervisor.pid, reason))
