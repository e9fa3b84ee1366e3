"""Who shares something with which other node, and the loss of a node: all of them hear of it, a slice at a time.

A process that has not heard yet goes on as before, but it hears before it begins to share anything with that node anew:
the loss takes none of that. No link to the node comes up before all have heard.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyzen.actor.actor import Actor
    from pyzen.actor.scheduler import Scheduler
    from pyzen.terms import Atom

__all__ = ["Loss", "Losses"]

SLICE: Final = 500
"""Processes that hear of a loss in one go; the rest waits for the next turn."""


@final
class Loss:
    """A node that is lost, and the processes that have not heard of it yet; runs until all have.

    Attributes:
        born_of: In whose turns it runs: in those of the node.
        over: Set when all have heard.
    """

    def __init__(self, node: Atom, actors: set[Actor], losses: dict[Atom, Loss]) -> None:
        self._node = self.born_of = node
        self.actors = actors
        self._losses = losses
        self.over = asyncio.Event()

    def tell(self, actor: Actor) -> None:
        """Let a process hear now, unless it has."""
        if actor in self.actors:
            self.actors.remove(actor)
            self._lose(actor)

    def _lose(self, actor: Actor) -> None:
        actor.nodes = tuple(node for node in actor.nodes if node is not self._node)
        actor.lose_link(self._node)

    def run(self, budget: int = SLICE) -> bool:
        """Tell a slice; called by the scheduler. True when there is more."""
        del budget
        self._tell(SLICE)
        return bool(self.actors)

    def finish(self) -> None:
        """Tell all that are left."""
        self._tell(len(self.actors))

    def _tell(self, count: int) -> None:
        for _ in range(min(count, len(self.actors))):
            self._lose(self.actors.pop())
        if not self.actors and self._losses.get(self._node) is self:
            del self._losses[self._node]
            self.over.set()


@final
class Losses:
    """The processes of a node by what they share with others, and the losses that not all have heard of."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._related: dict[Atom, set[Actor]] = {}
        self._losses: dict[Atom, Loss] = {}

    def relate(self, node: Atom, actor: Actor) -> None:
        """Remember that ``actor`` must hear when ``node`` is lost; called before it shares anything new with that."""
        if self._losses:
            self.tell(node, actor)
        related = self._related.get(node)
        if related is None:
            related = self._related[node] = set()
        if actor not in related:
            related.add(actor)
            actor.nodes += (node,)

    def related(self) -> dict[Atom, Iterable[Actor]]:
        """Return which processes share something with which node."""
        return dict(self._related)

    def forget(self, actor: Actor) -> None:
        """Tell an ended process nothing more."""
        for node in actor.nodes:
            related, loss = self._related.get(node), self._losses.get(node)
            if related is not None:
                related.discard(actor)
                if not related:
                    del self._related[node]
            if loss is not None:
                loss.actors.discard(actor)
        actor.nodes = ()

    def lose(self, node: Atom) -> None:
        """Tell the first slice of those that share something with ``node``; the others hear in turns of their own."""
        actors, loss = self._related.pop(node, set()), self._losses.get(node)
        if loss is not None:
            loss.actors |= actors
            return
        loss = self._losses[node] = Loss(node, actors, self._losses)
        if loss.run():
            self._scheduler.ready(loss)

    def tell(self, node: Atom, actor: Actor) -> None:
        """Let ``actor`` hear now that ``node`` is lost, if it is, and the process has not heard yet."""
        loss = self._losses.get(node)
        if loss is not None:
            loss.tell(actor)

    def under_way(self, node: Atom) -> Loss | None:
        """Return the loss of ``node`` that some have not heard of yet."""
        return self._losses.get(node)
