"""A node of ours as a `Side`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from erlang_interop.directions.sides import Down, Side, Subscriber, Target
from pyzen.terms import Atom, Pid, atoms
from pyzen.testing import Hoarder
from pyzen.zen.names import PROXY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyzen.actor.process import Process
    from pyzen.node.node import Node
    from pyzen.terms import Reference

__all__ = ["PythonSide"]


async def idle(process: Process) -> None:
    """Be a process that does nothing until it is told to stop."""
    await process.receive(lambda message: message is atoms.stop)


@final
class PythonSubscriber(Subscriber):
    """A process that reads its mailbox only when asked what it has received."""

    def __init__(self, node: Node, watched: Atom) -> None:
        super().__init__(watched)
        self._node = node
        self._process = Hoarder()
        self.pid = node.runtime.spawn(self._process)
        self._refs: list[Reference] = []
        self._indices: dict[Reference, int] = {}
        self._targets: list[Target] = []
        self._downs: list[Down] = []

    async def monitor(self, *targets: Target) -> list[int]:
        return [self._monitor(target) for target in targets]

    def _monitor(self, target: Target) -> int:
        index, ref = len(self._refs), self._node.zen.monitor(target, subscriber=self.pid)
        self._refs.append(ref)
        self._targets.append(target)
        self._indices[ref] = index
        return index

    async def demonitor(self, index: int, *, flush: bool = False) -> None:
        assert self._node.zen.demonitor(self._refs[index], flush=flush)

    async def live(self, index: int) -> list[int]:
        return [self._indices[ref] for ref in self._node.zen.monitors(self._targets[index], self.pid)]

    async def hold(self) -> None:
        """Nothing to do."""

    async def unread(self) -> int:
        return len(self._process.messages)

    async def _received(self) -> list[Down]:
        while (message := self._process.read()) is not None:
            match message:
                case (atoms.DOWN, ref, atoms.process, target, (atoms.zen_monitor, reason)):
                    self._downs.append(Down(self._indices[ref], target, reason))
                case _:
                    raise AssertionError(f"not a DOWN of ZenMonitor: {message!r}")
        return self._downs

    async def end(self) -> None:
        self._process.send_exit(self.pid, atoms.kill)


@final
class PythonSide(Side):
    """A node of ours, in this process."""

    is_original = False
    dials = True

    def __init__(self, node: Node) -> None:
        self.name = node.name
        self.subscribers: list[Pid] = []
        self._node = node

    # ---- the end that watches

    async def subscriber(self, watched: Atom) -> Subscriber:
        subscriber = PythonSubscriber(self._node, watched)
        self.subscribers.append(subscriber.pid)
        return subscriber

    async def link(self, peer: Atom) -> None:
        assert await self._node.connect(peer)

    async def unlink(self, peer: Atom) -> None:
        assert self._node.disconnect(peer)

    async def nodes(self) -> list[Atom]:
        return self._node.nodes()

    async def connect(self, peer: Atom) -> str:
        return await self._node.zen.connect(peer)

    async def compatibility(self, target: Target) -> str:
        return self._node.zen.compatibility(target)

    async def compatibility_for_node(self, peer: Atom) -> str:
        return self._node.zen.compatibility_for_node(peer)

    async def cached_compatibility(self, peer: Atom) -> str:
        cached = self._node.zen.cached_compatibility(peer)
        return cached if isinstance(cached, str) else cached[0]

    # ---- the end that is watched

    async def spawn(self, count: int) -> list[Pid]:
        return [self._node.spawn(idle) for _ in range(count)]

    async def register(self, name: Atom) -> Pid:
        return self._node.spawn(idle, name=name)

    async def kill(self, reasons: Iterable[tuple[Pid, Any]]) -> None:
        async with self._node.mailbox() as me:
            for pid, reason in reasons:
                me.send_exit(pid, reason)

    async def let_return(self, pid: Pid) -> None:
        self._node.send(pid, atoms.stop)

    async def rows(self) -> int:
        return self._node.zen.statistics().subscriptions

    async def end_proxy(self) -> None:
        proxy = self._node.whereis(PROXY)
        assert proxy is not None
        await self.kill([(proxy, atoms.kill)])

    async def stop_application(self) -> None:
        self._node.zen.stop()

    async def start_application(self) -> None:
        self._node.zen.start()

    async def end(self) -> None:
        await self._node.stop()
