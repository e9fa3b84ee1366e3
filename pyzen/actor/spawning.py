"""What can be started as a process."""

from __future__ import annotations

from typing import Any

from pyzen.actor.actor import Actor
from pyzen.actor.process import Process
from pyzen.actor.verbs import Verbs, make, next_life

__all__ = ["actor_for"]


def actor_for(target: Any, args: tuple[Any, ...]) -> Actor:
    """Return the actor of the process that ``target`` describes, not started yet.

    Args:
        target: ``async def body(process, *args)``; a `Process` or `GenServer` class, whose ``main`` or ``init`` gets
            the arguments; an instance of one, which takes none here and may have lived before; or an actor.
        args: The arguments.

    Raises:
        TypeError: ``target`` is none of these.
    """
    if isinstance(target, Actor):
        return target
    if isinstance(target, type) and issubclass(target, Verbs):
        return make(target, args)
    if isinstance(target, Verbs) and not args:
        return next_life(target)
    if callable(target) and not isinstance(target, (type, Verbs)):
        return make(Process, (target, *args))
    raise TypeError(f"an async function, or a Process or GenServer class is needed, not {target!r:.100}")
