"""How the processes of the program end when their node stops: in order, and while they can still send.

Those that no supervisor keeps, and the supervisors above all others, end one after the other, the last started first; a
supervisor stops its children likewise, each within its ``shutdown`` time. Every server runs ``terminate``, whether it
traps exits or not; an ``async def`` body is cancelled, and can still send while it cleans up. ZenMonitor, the links and
the processes of the node itself go on meanwhile.

Source: OTP, "init", ``stop/0``: the applications are stopped in the reverse order of their start.
"""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING

from pyzen.actor.process import Mailbox
from pyzen.actor.reasons import KILLED, SHUTDOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyzen.actor.actor import Actor
    from pyzen.node.router import Router
    from pyzen.terms import Pid

__all__ = ["end_program", "has_supervisor"]


async def end_program(router: Router, timeout: float) -> None:
    """End the processes of the program. One without a supervisor has ``timeout`` seconds, then it is killed.

    The process that asks for it goes on: it ends with the node.
    """
    asking = router.running()
    async with Mailbox(lambda mailbox: _open(router, mailbox)) as me:
        router.is_stopping = True
        for batch in list(_batches(router, {me.pid, asking})):
            await _end(me, batch, timeout)


def _open(router: Router, mailbox: Mailbox) -> None:
    router.spawn(mailbox)


def _batches(router: Router, left: set[Pid | None]) -> Iterator[list[Actor]]:
    """Yield what ends together, the last started first: each supervisor alone, others that were started in a row."""
    found = (actor for actor in reversed(router.actors()) if not actor.guarded and actor.pid not in left)
    tops = [actor for actor in found if not has_supervisor(router, actor)]
    for supervises, group in groupby(tops, key=lambda actor: actor.loop.supervises):
        if supervises:
            yield from ([actor] for actor in group)
        else:
            yield list(group)


def has_supervisor(router: Router, actor: Actor) -> bool:
    """Say whether a process ends with the one that has started it."""
    parent = None if actor.parent is None else router.actor(actor.parent)
    return parent is not None and parent.loop.supervises


async def _end(me: Mailbox, batch: list[Actor], timeout: float) -> None:
    """Tell processes to end and wait for that; a supervisor has the time that its children have."""
    waiting = {me.monitor(actor.pid) for actor in batch if not actor.ended}
    for actor in batch:
        if not actor.ended:
            actor.loop.finish(SHUTDOWN)
    try:
        async with asyncio.timeout(None if batch[0].loop.supervises else timeout):
            while waiting:
                waiting.discard((await me.receive())[1])
    except TimeoutError:
        for actor in batch:
            actor.end(KILLED)
