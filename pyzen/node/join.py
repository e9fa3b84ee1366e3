"""Membership of a cluster: connect to every visible node that a known one knows.

Erlang nodes mesh themselves by ``global``, which this node does not join; so it asks.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, Protocol, final

from pyzen.errors import PyzenError
from pyzen.logs import get_logger
from pyzen.tasks import start_task
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

log = get_logger("pyzen.node")

INTERVAL: Final = 5.0
"""Seconds between two questions."""

MAX_BACKOFF: Final = 60.0
"""Seconds between two attempts at a node that can't be reached, at most."""


class Joiner(Protocol):
    """What the mesh needs of the node."""

    name: Atom

    def nodes(self, hidden: bool = False) -> list[Atom]:
        """Return the visible nodes connected; with ``hidden``, the hidden ones instead."""

    async def connect(self, peer: Atom) -> bool:
        """Connect to a node."""

    async def rpc(self, peer: Atom, module: Atom, function: Atom, args: Sequence[Any] = ()) -> Any:
        """Call a function on a node."""


@final
class Mesh:
    """Keeps the node connected to all visible nodes of the clusters it has joined."""

    def __init__(self, node: Joiner) -> None:
        self._node = node
        self._seeds: list[Atom] = []
        self._members: set[Atom] = set()
        self._failed: dict[Atom, tuple[float, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def add(self, seed: Atom) -> None:
        """Join the cluster of ``seed``, which is connected."""
        if seed not in self._seeds:
            self._seeds.append(seed)
        await self.refresh()
        if self._task is None and not self._stopped:
            self._task = start_task(self._run())

    async def stop(self) -> None:
        """Stop asking; links stay. An `add` that is under way begins nothing any more."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            await self.refresh()

    async def refresh(self) -> None:
        """Ask every connected node of the cluster whom it knows, and connect to those."""
        known = set(self._seeds)
        answers = await asyncio.gather(*(self._ask(node) for node in self._connected_members()))
        for answer in answers:
            known.update(answer)
        self._members = set(known)
        known -= {self._node.name, *self._node.nodes(), *self._node.nodes(hidden=True)}
        self._failed = {node: row for node, row in self._failed.items() if node in known}
        await asyncio.gather(*(self._connect(node) for node in known if self._is_due(node)))

    def _connected_members(self) -> list[Atom]:
        # To a hidden node every link is a hidden one; strangers among them may have nothing to tell.
        members = self._members.union(self._seeds)
        return [*self._node.nodes(), *(node for node in self._node.nodes(hidden=True) if node in members)]

    async def _ask(self, node: Atom) -> list[Atom]:
        try:
            answer = await self._node.rpc(node, atoms.erlang, atoms.nodes)
        except PyzenError as error:
            log.debug("%s does not tell its nodes: %s", node, error)
            return []
        return [one for one in answer if isinstance(one, Atom)] if isinstance(answer, list) else []

    def _is_due(self, node: Atom) -> bool:
        return asyncio.get_running_loop().time() >= self._failed.get(node, (0.0, 0.0))[0]

    async def _connect(self, node: Atom) -> None:
        try:
            connected = await self._node.connect(node)
        except PyzenError as error:
            log.warning("can't join %s: %s", node, error)
            connected = False
        if connected:
            self._failed.pop(node, None)
            return
        pause = min(MAX_BACKOFF, max(INTERVAL, 2 * self._failed.get(node, (0.0, 0.0))[1]))
        due = asyncio.get_running_loop().time() + pause * random.uniform(1, 1.25)
        self._failed[node] = due, pause
