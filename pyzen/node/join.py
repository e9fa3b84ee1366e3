"""Membership of a cluster: connect to every visible node that a known one knows.

Erlang nodes mesh themselves by ``global``, which this node does not join; so it asks. It asks members only: nodes that
the program has joined, and those of which members tell. What they tell may be made up, so names are bounded and dialled
a few at a time: those that many tell of come first, those that could not be reached last.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol, final

from pyzen.errors import PyzenError
from pyzen.logs import get_logger
from pyzen.tasks import start_task
from pyzen.terms import Atom, atoms
from pyzen.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

log = get_logger("pyzen.node")

INTERVAL: Final = 5.0
"""Seconds between two questions."""

MAX_BACKOFF: Final = 60.0
"""Seconds between two attempts at a node that can't be reached, at most."""

MAX_NAMES: Final = 2048
"""Names that one member can tell of: those of its last answer, of which the first count."""

MAX_DIALS: Final = 32
"""Nodes that are dialled at one time, but for those that have not answered in `PATIENCE`."""

PATIENCE: Final = 1.0
"""Seconds after which a dial keeps no other one waiting."""


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
        self._too_many = Throttle()
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
            try:
                await self.refresh()
            except Exception as error:  # none should get here; one that does must not be the last round
                log.error("%s can't look for nodes to join", self._node.name, exc_info=error)

    async def refresh(self) -> None:
        """Ask every connected member whom it knows, and connect to those."""
        told = Counter(self._seeds)
        await asyncio.gather(*(self._ask(node, told) for node in self._connected_members()))
        self._members = set(told)
        here = {self._node.name, *self._node.nodes(), *self._node.nodes(hidden=True)}
        self._failed = {node: row for node, row in self._failed.items() if node in told and node not in here}
        due = [node for node, _ in told.most_common() if node not in here and self._is_due(node)]
        rest = iter(sorted(due, key=self._failed.__contains__))
        await asyncio.gather(*(self._connect_all(rest) for _ in range(MAX_DIALS)))

    def _connected_members(self) -> list[Atom]:
        members = self._members.union(self._seeds)
        # To a hidden node every link is a hidden one.
        return [node for node in (*self._node.nodes(), *self._node.nodes(hidden=True)) if node in members]

    async def _ask(self, node: Atom, told: Counter[Atom]) -> None:
        """Count each name that a node tells of."""
        try:
            answer = await self._node.rpc(node, atoms.erlang, atoms.nodes)
        except PyzenError as error:
            log.debug("%s does not tell its nodes: %s", node, error)
            return
        names = answer if isinstance(answer, list) else []
        if len(names) > MAX_NAMES and self._too_many.let(asyncio.get_running_loop().time()):
            log.warning(
                "%s tells %s of %d nodes: only the first %d count", node, self._node.name, len(names), MAX_NAMES
            )
        told.update(dict.fromkeys((one for one in names[:MAX_NAMES] if isinstance(one, Atom)), 1))

    def _is_due(self, node: Atom) -> bool:
        return asyncio.get_running_loop().time() >= self._failed.get(node, (0.0, 0.0))[0]

    async def _connect_all(self, nodes: Iterator[Atom]) -> None:
        """Connect to one after the other, until others that do so have taken the last; return when all is over."""
        begun: list[asyncio.Task[None]] = []
        try:
            for node in nodes:
                if self._stopped:
                    return
                begun.append(start_task(self._connect(node)))
                await asyncio.wait(begun[-1:], timeout=PATIENCE)
            await asyncio.gather(*begun)
        finally:
            for task in begun:
                task.cancel()

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
