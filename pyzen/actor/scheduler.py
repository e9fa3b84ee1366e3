"""The run queue: lets processes work within budgets, so that a storm for one can't starve the others or the loop."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.actor import Actor
    from pyzen.terms import Atom

TURN: Final = 0.005
"""Seconds of one turn, after which the event loop gets its chance."""

BUDGET: Final = 100
"""Messages that one process may handle before the next process runs."""

SHARE: Final = 0.001
"""Seconds after which the processes of a peer have had their turn: the one that runs then comes to its end."""


class Runnable(Protocol):
    """What can be in the run queue: an `Actor`.

    Attributes:
        born_of: The node that has caused it, with all of whose it takes turns; None for the program's own.
    """

    @property
    def born_of(self) -> Atom | None:
        """See above."""

    def run(self, budget: int) -> bool:
        """Do what can be done now, at most ``budget`` messages; true when it has to run again."""


@final
class Share:
    """What a peer has caused that is ready to run: in the run queue it stands as one.

    Args:
        over: Called when nothing of it is ready any more.
        again: Called when it has been broken off, and there is more.
        clock: Returns the time.
    """

    __slots__ = ("_again", "_clock", "_over", "queue")

    born_of: Final = None

    def __init__(
        self, over: Callable[[], object], again: Callable[[Share], object], clock: Callable[[], float]
    ) -> None:
        self._over = over
        self._again = again
        self._clock = clock
        self.queue: deque[Runnable] = deque()

    def run(self, budget: int) -> bool:
        """Let some run, one at least; true when there are more."""
        queue, clock = self.queue, self._clock
        end = clock() + SHARE
        is_broken_off = True
        try:
            while queue:
                actor = queue.popleft()
                if actor.run(budget):
                    queue.append(actor)
                if clock() >= end:
                    break
            is_broken_off = False
        finally:
            if not queue:
                self._over()
            elif is_broken_off:
                self._again(self)
        return bool(queue)


@final
class Scheduler:
    """Runs the processes that have something to do, one after the other; those of one peer as if they were one.

    Attributes:
        current: The process whose callback is running, if any.
    """

    __slots__ = ("_call_soon", "_clock", "_end", "_pending", "_ready", "_running", "_shares", "current")

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._ready: deque[Runnable] = deque()
        self._shares: dict[Atom, Share] = {}
        self._pending = False
        self._running = False
        self._end = 0.0
        self.current: Actor | None = None

    def ready(self, actor: Runnable) -> None:
        """Let ``actor`` run in one of the next turns; called only while it is not waiting already."""
        if actor.born_of is None:
            self._ready.append(actor)
        else:
            self._share(actor.born_of).queue.append(actor)
        if not self._running:
            self._arm()

    def _share(self, node: Atom) -> Share:
        share = self._shares.get(node)
        if share is None:
            share = self._shares[node] = Share(partial(self._shares.pop, node), self._ready.append, self._clock)
            self._ready.append(share)
        return share

    def _arm(self) -> None:
        if not self._pending:
            self._call_soon(self._turn)  # before the mark: a call that raises must not be the last one
            self._pending = True

    def _turn(self) -> None:
        self._pending = False
        self.run()

    def hold(self) -> None:
        """Ask the loop for no turn until `run`, which the caller is about to call."""
        self._running = True

    def is_over(self) -> bool:
        """Say whether the turn is over: who has much to do goes on in the next one."""
        return self._clock() >= self._end

    def run(self) -> None:
        """Run ready processes until none is left or the turn is over; the rest runs in the loop's next turn."""
        ready, clock = self._ready, self._clock
        end = self._end = clock() + TURN
        self._running = True
        try:
            while ready:
                actor = ready.popleft()
                if actor.run(BUDGET):
                    ready.append(actor)
                if clock() >= end:
                    break
        finally:
            self._running = False
            if ready:
                self._arm()
