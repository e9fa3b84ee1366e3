"""Two nodes in an event loop of some kind, on which the ends of processes are watched."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pyzen import Mailbox, Node, atoms
from tests.loops import runner_of
from tests.node.ends import is_reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from pyzen.terms import Pid, Reference

__all__ = ["Stage", "Watched", "left_on", "staged", "until"]


class Stage:
    """Two connected nodes in a loop of some kind: ends are watched from both."""

    def __init__(self, runner: asyncio.Runner, complaints: list[Any]) -> None:
        self._runner = runner
        self._stack = AsyncExitStack()
        self.complaints = complaints

    async def begin(self) -> None:
        self.node = await self._start("a", epmd="embedded")
        self.other = await self._start("b", epmd=self.node._epmd)
        assert await self.other.connect(self.node.name)

    async def _start(self, alive: str, **options: Any) -> Node:
        node = Node(f"{alive}{secrets.token_hex(3)}@127.0.0.1", cookie="secret", zen=None, **options)
        return await self._stack.enter_async_context(node)

    async def close(self) -> None:
        await self._stack.aclose()

    def run(self, scene: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(scene)

    def play(self, scene: Awaitable[None]) -> None:
        """Play a scene, after which nothing is left that was not there before."""
        before = left_on(self.node)
        self.complaints.clear()
        self.run(within_time(scene))
        self.run(within_time(until(lambda: left_on(self.node) == before)))
        assert self.complaints == []


def staged(kind: str) -> Iterator[Stage]:
    """Yield a stage in a loop of a kind, and close it."""
    complaints: list[Any] = []
    for runner in runner_of(kind, complaints):
        stage = Stage(runner, complaints)
        runner.run(stage.begin())
        yield stage
        runner.run(stage.close())


async def within_time(scene: Awaitable[None]) -> None:
    async with asyncio.timeout(20):
        await scene


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


def left_on(node: Node) -> dict[str, Any]:
    """Return all that a process can leave behind on its node."""
    router = node._router
    return {
        "processes": router.processes(),
        "names": set(router.names),
        "aliases": set(router.aliases),
        "monitors by name": set(router._named),
        "relations": {one.pid for related in router.losses.related().values() for one in related if not one.guarded},
        "tasks": set(router._tasks),
    }


class Watcher(NamedTuple):
    """A process that is linked with another, and monitors it."""

    mailbox: Mailbox
    ref: Reference

    async def hears_once(self, pid: Pid, reason: Any) -> None:
        """Hear of the end by the monitor and by the link, once each."""
        heard = [await self.mailbox.receive(timeout=10), await self.mailbox.receive(timeout=10)]
        heard.sort(key=lambda message: str(message[0]))
        assert heard[0][:4] == (atoms.DOWN, self.ref, atoms.process, pid)
        assert heard[1][:2] == (atoms.EXIT, pid)
        for message in heard:
            assert is_reason(reason, message[-1]), message
        with pytest.raises(TimeoutError):
            await self.mailbox.receive(timeout=0)


class Watched:
    """A process watched from its own node and from another."""

    def __init__(self, stage: Stage, pid: Pid) -> None:
        self._stage = stage
        self._stack = AsyncExitStack()
        self.pid = pid
        self.watchers: list[Watcher] = []

    async def __aenter__(self) -> Watched:
        for node in (self._stage.node, self._stage.other):
            mailbox = await self._stack.enter_async_context(node.mailbox())
            mailbox.trap_exit = True
            mailbox.link(self.pid)
            self.watchers.append(Watcher(mailbox, mailbox.monitor(self.pid)))
        assert await self._stage.other.ping(self._stage.node.name)  # what was sent before has arrived
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def end_once(self, reason: Any) -> None:
        for watcher in self.watchers:
            await watcher.hears_once(self.pid, reason)
        assert self._stage.node.whereis("tried") is None
