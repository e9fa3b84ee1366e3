"""``node.zen``: ZenMonitor as the users of a node see it.

A thin face of `pyzen.zen.system`, which knows no asyncio: here its callbacks become awaitables.
"""

from __future__ import annotations

import asyncio
from _thread import get_ident
from typing import TYPE_CHECKING, final

from pyzen.actor.reasons import as_atom, settle
from pyzen.zen.system import ZenSystem

if TYPE_CHECKING:
    from pyzen.actor.runtime import Target
    from pyzen.config import ZenConfig
    from pyzen.node.router import Router
    from pyzen.terms import Atom, Pid, Reference
    from pyzen.zen.names import Compatibility
    from pyzen.zen.system import CachedCompatibility, ZenStatistics

__all__ = ["Zen", "compatibility_within"]


@final
class Zen:
    """Monitors processes of other nodes by the hundred thousand, through the ZenMonitor of those nodes.

    Attributes:
        system: The monitor system itself, for parts of the node.
    """

    def __init__(self, router: Router, config: ZenConfig) -> None:
        self.system = ZenSystem(router, config)
        self._home = router.home

    def start(self) -> None:
        """Start the processes of the monitor system."""
        self.system.start()

    def stop(self) -> None:
        """Stop them."""
        self.system.stop()

    @property
    def _system(self) -> ZenSystem:
        """The monitor system for who uses the node, in its thread and event loop."""
        if get_ident() != self._home.thread_id or not self._home.is_running():
            self._home.check("ZenMonitor")
        return self.system

    @property
    def config(self) -> ZenConfig:
        """The settings, to be changed at run time."""
        return self._system.config

    def monitor(self, target: Target, *, subscriber: Pid | None = None) -> Reference:
        """Monitor a process; one ``(DOWN, ref, process, target, (zen_monitor, reason))`` follows, unless demonitored.

        Args:
            target: A pid, ``(name, node)``, or a local name.
            subscriber: A pid of this node; None for the running process.

        Raises:
            TypeError: Any other target.
            ValueError: The names ``_`` and ``$<digits>``; a subscriber of another node.
            RuntimeError: No process is running, and no subscriber is given.
        """
        return self.system.monitor(target, subscriber=subscriber)  # `node.zen` has asked where this is

    def demonitor(self, ref: Reference, *, flush: bool = False) -> bool:
        """Undo a monitor; true always. With ``flush`` no DOWN for it is seen after this returns."""
        return self._system.demonitor(ref, flush=flush)

    async def connect(self, peer: Atom | str, timeout: float = 5.0) -> Compatibility:
        """Find out whether a node has a ZenMonitor; dials if ``auto_connect``.

        Never raises for a peer that is down or slow: past ``timeout`` seconds the answer is ``"incompatible"`` and the
        attempt goes on.
        """
        return await compatibility_within(self._system, as_atom(peer), timeout)

    def compatibility(self, target: Target) -> Compatibility:
        """Return the effective compatibility of a target's node; never touches the network."""
        return self._system.compatibility(target)

    def compatibility_for_node(self, peer: Atom | str) -> Compatibility:
        """Return the effective compatibility of a node; never touches the network."""
        return self._system.compatibility_for_node(as_atom(peer))

    def cached_compatibility(self, peer: Atom | str) -> CachedCompatibility:
        """Return the cache entry of a node."""
        return self._system.cached_compatibility(as_atom(peer))

    def monitors(self, target: Target, subscriber: Pid) -> list[Reference]:
        """Return the live references between a target and a subscriber."""
        return self._system.monitors(target, subscriber)

    def last_loss(self, peer: Atom | str) -> str | None:
        """Return why the references to a node fired ``nodedown`` last, None for never."""
        return self._system.last_loss(as_atom(peer))

    def statistics(self) -> ZenStatistics:
        """Return the sizes of all tables and pending sets, and the counters."""
        return self._system.statistics()


async def compatibility_within(system: ZenSystem, peer: Atom, timeout: float) -> Compatibility:
    """Return whether a node is compatible; ``"incompatible"`` past ``timeout`` seconds, and the attempt goes on."""
    answer: asyncio.Future[Compatibility] = asyncio.get_running_loop().create_future()
    system.connect(peer, lambda compatibility: settle(answer, compatibility, None))
    try:
        async with asyncio.timeout(timeout):
            return await answer
    except TimeoutError:
        return "incompatible"
