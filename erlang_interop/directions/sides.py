"""A node with ZenMonitor, seen from both ends: what watches, and what is watched.

`Side` and `Subscriber` say the same of a node of ours and of an Elixir node; `python_side` and `elixir_side` implement
them, so that one suite serves every direction. Monitors are numbered per subscriber, in the order they are made.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["FAST", "NOBODY", "SOON", "Down", "Side", "Subscriber", "Target", "until"]

Target: TypeAlias = Pid | Atom | tuple[Atom, Atom]

SOON: Final = 20.0
"""Seconds within which anything that is to happen has happened."""

NOBODY: Final = atoms.nobody_has_this_name

FAST: Final = {
    "connector_sweep_interval": 10,
    "batcher_sweep_interval": 10,
    "demand_interval": 10,
    "demand_amount": 5000,
}


class Down(NamedTuple):
    """One DOWN of ZenMonitor, its reason unwrapped.

    Attributes:
        number: Which monitor of the subscriber it is for.
        target: The object that it names.
        reason: What the target ended with.
    """

    number: int
    target: Target
    reason: Any


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(SOON):
        while not await condition():
            await asyncio.sleep(0.02)


class Subscriber(ABC):
    """A process that monitors through ZenMonitor, and what it has received."""

    def __init__(self, watched: Atom) -> None:
        self._watched = watched
        self._barriers: set[int] = set()

    @abstractmethod
    async def monitor(self, *targets: Target) -> list[int]:
        """Monitor each target once; return the numbers of the monitors."""

    @abstractmethod
    async def demonitor(self, index: int, *, flush: bool = False) -> None:
        """Undo a monitor."""

    @abstractmethod
    async def live(self, index: int) -> list[int]:
        """Return the live monitors that the subscriber has of the target of one of them."""

    @abstractmethod
    async def hold(self) -> None:
        """From now on leave DOWNs unread in the mailbox, until `downs`."""

    @abstractmethod
    async def unread(self) -> int:
        """Return how many messages are in the mailbox."""

    @abstractmethod
    async def _received(self) -> list[Down]:
        """Read the mailbox; return everything received so far, in order."""

    @abstractmethod
    async def end(self) -> None:
        """End the subscriber."""

    async def downs(self, count: int) -> list[Down]:
        """Wait for that many DOWNs, and return all that have come, in the order of arrival."""

        async def enough() -> bool:
            return len(await self._own()) >= count

        await until(enough)
        return await self._own()

    async def barrier(self) -> None:
        """Wait until whatever was under way to this subscriber has arrived.

        A monitor of a name that nobody has goes all the way to the Proxy and back, behind everything before it.
        """
        (index,) = await self.monitor((NOBODY, self._watched))
        self._barriers.add(index)

        async def arrived() -> bool:
            return index in {down.number for down in await self._received()}

        await until(arrived)

    async def _own(self) -> list[Down]:
        return [down for down in await self._received() if down.number not in self._barriers]


class Side(ABC):
    """A node that runs ZenMonitor.

    Attributes:
        name: Its node name.
        is_original: Whether it runs the original or the stand-in for it, whose faults it then has.
        dials: Whether a monitor or ``connect`` dials a node that is not connected.
    """

    name: Atom
    is_original: bool
    dials: bool

    # ---- the end that watches

    @abstractmethod
    async def subscriber(self, watched: Atom) -> Subscriber:
        """Start a process that will monitor processes of the node ``watched``."""

    @abstractmethod
    async def link(self, peer: Atom) -> None:
        """Connect to a node."""

    @abstractmethod
    async def unlink(self, peer: Atom) -> None:
        """Disconnect from a node."""

    @abstractmethod
    async def nodes(self) -> list[Atom]:
        """Return the nodes that are connected."""

    @abstractmethod
    async def connect(self, peer: Atom) -> str:
        """Find out whether a node is compatible."""

    @abstractmethod
    async def compatibility(self, target: Target) -> str:
        """Return the effective compatibility of a target's node."""

    @abstractmethod
    async def compatibility_for_node(self, peer: Atom) -> str:
        """Return the effective compatibility of a node."""

    @abstractmethod
    async def cached_compatibility(self, peer: Atom) -> str:
        """Return the word of the compatibility cache, without a number of attempts."""

    # ---- the end that is watched

    @abstractmethod
    async def spawn(self, count: int) -> list[Pid]:
        """Start idle processes."""

    @abstractmethod
    async def register(self, name: Atom) -> Pid:
        """Start an idle process under a name."""

    @abstractmethod
    async def kill(self, reasons: Iterable[tuple[Pid, Any]]) -> None:
        """Send each process an exit signal."""

    @abstractmethod
    async def let_return(self, pid: Pid) -> None:
        """Let a process end with ``normal``."""

    @abstractmethod
    async def rows(self) -> int:
        """Return the size of the Proxy's table of subscribers."""

    @abstractmethod
    async def end_proxy(self) -> None:
        """Kill the Proxy; its supervisor starts another."""

    @abstractmethod
    async def stop_application(self) -> None:
        """Stop ZenMonitor."""

    @abstractmethod
    async def start_application(self) -> None:
        """Start ZenMonitor again."""

    @abstractmethod
    async def end(self) -> None:
        """End the whole node."""

    async def await_rows(self, count: int) -> None:
        """Wait until the Proxy's table of subscribers has that many rows."""

        async def reached() -> bool:
            return await self.rows() == count

        await until(reached)

    async def await_compatibility(self, peer: Atom, word: str) -> None:
        """Wait until the compatibility cache says something of a node."""

        async def reached() -> bool:
            return await self.cached_compatibility(peer) == word

        await until(reached)
