"""How the processes of the program end when their node stops: in order, and while they can still send.

Those that no supervisor keeps, and the supervisors above all others, end one after the other, the last started first; a
supervisor stops its children likewise, each within its ``shutdown`` time. Every server runs ``terminate``, whether it
traps exits or not; an ``async def`` body is cancelled, and can still send while it cleans up. ZenMonitor, the links and
the processes of the node itself go on meanwhile.

Source: OTP, "init", ``stop/0``: the applications are stopped in the reverse order of their start.
"""

from __future__ import annotations

import asyncio
import math
from itertools import groupby
from typing import TYPE_CHECKING, Any, final

from pyzen.actor.actor import DOWN
from pyzen.actor.guarded import GuardedServer
from pyzen.actor.reasons import KILLED, SHUTDOWN
from pyzen.actor.verbs import actor_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyzen.actor.actor import Actor
    from pyzen.node.router import Router
    from pyzen.terms import Reference

__all__ = ["end_program"]


@final
class Watcher(GuardedServer):
    """Hears of the ends of the processes that are waited for; no message or exit of anybody else reaches it."""

    def __init__(self) -> None:
        self._waiting: set[Reference] = set()
        self._nothing_left = asyncio.Event()

    async def ended(self, actors: list[Actor], timeout: float | None) -> None:
        """Return when all have ended. Raises ``TimeoutError``."""
        self._waiting = {actor_of(self).monitor(actor.pid) for actor in actors if not actor.ended}
        self._nothing_left.clear()
        if self._waiting:
            async with asyncio.timeout(timeout):
                await self._nothing_left.wait()

    def handle_notice(self, message: tuple[Any, ...]) -> None:
        """Take the end of a process."""
        if message[0] is DOWN:
            self._waiting.discard(message[1])
            if not self._waiting:
                self._nothing_left.set()


async def end_program(router: Router, timeout: float) -> None:
    """End the processes of the program. Those without a supervisor have ``timeout`` seconds in all, then are killed.

    A process that has asked for it ends last, or in its supervisor's turn.
    """
    watcher, asking = Watcher(), None if router.asker is None else router.asker.actor
    router.spawn(watcher)
    router.is_stopping = True
    deadline = router.now() + timeout
    for batch in _batches(router, asking):
        await _end(watcher, batch, max(deadline - router.now(), 0.0), timeout)


def _batches(router: Router, asking: Actor | None) -> Iterator[list[Actor]]:
    """Yield what ends together, the last started first: each supervisor alone, others that were started in a row."""
    tops = [one for one in reversed(router.actors()) if not one.guarded and not has_supervisor(router, one)]
    tops.sort(key=lambda actor: actor is asking)
    for (supervises, _), group in groupby(tops, key=lambda actor: (actor.loop.supervises, actor is asking)):
        if supervises:
            yield from ([actor] for actor in group)
        else:
            yield list(group)


def has_supervisor(router: Router, actor: Actor) -> bool:
    """Say whether a process ends with the one that has started it."""
    parent = None if actor.parent is None else router.actor(actor.parent)
    return parent is not None and parent.loop.supervises


async def _end(watcher: Watcher, batch: list[Actor], left: float, timeout: float) -> None:
    """Tell processes to end and wait for that; a supervisor has the time that its children have, and as much more."""
    for actor in batch:
        if not actor.ended:
            actor.finish(SHUTDOWN)
    time = batch[0].loop.time_to_stop() + timeout if batch[0].loop.supervises else left
    try:
        await watcher.ended(batch, None if math.isinf(time) else time)
    except TimeoutError:
        for actor in batch:
            actor.end(KILLED)
