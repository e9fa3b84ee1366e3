"""A process that has ended is freed at once, not by the collector, whatever it was and however it ended."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import ChildSpec, DynamicRegistry, GenServer, Process, Stop, Supervisor, atoms
from pyzen.errors import ProcessExit, RpcError
from tests.node.ends import ENDS
from tests.node.export_ends import EXPORTS, export_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.node.stage import Stage

pytestmark = pytest.mark.usefixtures("quiet")

COUNT = 100
"""Processes of each kind: one object that each of them leaves shows, a thread that is made meanwhile does not."""

ASYNCIO_S_OWN = {"exit in a task group", "exit in nested task groups", "exit beside an Exception in a task group",
                 "an Exception in a task group", "cancelled in a task group", "exit in a gathering",
                 "exit awaited for a time"}  # fmt: skip
"""An error that leaves a task group, a gathering or ``wait_for`` is a cycle of Python's own, without any process."""


async def returns(process: Process) -> None:
    """Do nothing."""


async def waits(process: Process) -> None:
    await process.receive()


async def waits_in_time(process: Process) -> None:
    await process.receive(timeout=60)


class Stopping(GenServer):
    def init(self) -> None:
        self.after(60, print)

    def handle_cast(self, request: Any) -> Any:
        raise Stop(atoms.asked)

    def handle_call(self, request: Any, from_: Any) -> None:
        raise Stop(atoms.asked)


class Failing(Stopping):
    def terminate(self, reason: Any) -> Any:
        raise ValueError("boom")


class Slow(Stopping):
    async def handle_cast(self, request: Any) -> None:
        await asyncio.sleep(0)
        raise Stop(atoms.asked)

    async def terminate(self, reason: Any) -> None:
        await asyncio.sleep(0)


class Unborn(GenServer):
    def init(self) -> None:
        raise ValueError("boom")


def bodies(how: Any) -> Callable[[Stage], Awaitable[None]]:
    async def scene(stage: Stage) -> None:
        async with stage.node.mailbox() as me:
            stage.node.spawn_monitor(how, subscriber=me.pid)
            await me.receive()

    return scene


def killed(target: Any, turns: int) -> Callable[[Stage], Awaitable[None]]:
    async def scene(stage: Stage) -> None:
        async with stage.node.mailbox() as me:
            pid, _ = stage.node.spawn_monitor(target, subscriber=me.pid)
            for _ in range(turns):
                await asyncio.sleep(0)
            me.send_exit(pid, atoms.kill)
            await me.receive()

    return scene


def servers(cls: type[GenServer]) -> Callable[[Stage], Awaitable[None]]:
    async def scene(stage: Stage) -> None:
        async with stage.node.mailbox() as me:
            pid = await cls.start(stage.node)
            me.monitor(pid)
            me.cast(pid, 1)
            await me.receive()

    return scene


async def unborn(stage: Stage) -> None:
    with suppress(ProcessExit):
        await Unborn.start(stage.node)


async def called(stage: Stage) -> None:
    with suppress(ProcessExit):
        await stage.node.call(stage.node.spawn(Stopping), 1)


async def supervised(stage: Stage) -> None:
    async with stage.node.mailbox() as me:
        pid, _ = stage.node.spawn_monitor(Supervisor, [ChildSpec("a", Stopping)], subscriber=me.pid)
        await me.call(pid, atoms.which_children)
        me.send_exit(pid, atoms.shutdown)
        await me.receive()


async def registered(stage: Stage) -> None:
    async with stage.node.mailbox() as me:
        pid = await DynamicRegistry.start(stage.node, lambda key: Stopping)
        stage.node.runtime.process(pid).lookup_or_start("key")
        me.monitor(pid)
        me.send_exit(pid, atoms.kill)
        await me.receive()


async def opened(stage: Stage) -> None:
    async with stage.node.mailbox("opened"):
        pass


async def requested(stage: Stage) -> None:
    async with stage.other.mailbox() as me:
        await me.spawn_request(stage.node.name, "ends", "end_0", monitor=True)
        await me.receive()


def asleep(time: Any) -> Callable[[Stage], Awaitable[None]]:
    async def scene(stage: Stage) -> None:
        async with stage.other.mailbox() as me:
            pid = await me.spawn_request(stage.node.name, "Elixir.Process", "sleep", [time], monitor=True)
            me.send_exit(pid[0] if isinstance(pid, tuple) else pid, atoms.kill)
            await me.receive()

    return scene


async def asked(stage: Stage) -> None:
    await stage.other.call((atoms.rex, stage.node.name), (atoms.call, atoms.ends, atoms.end_0, [], None))


def exported(number: int) -> Callable[[Stage], Awaitable[None]]:
    async def scene(stage: Stage) -> None:
        with suppress(RpcError):
            await stage.other.rpc(stage.node.name, "ends", f"end_{number}")

    return scene


TRIED_CALLS = ("ValueError", "StopIteration", "cancelled", "exit, plain", "returns", "no Erlang form")

KINDS: dict[str, Any] = {
    "a body that returns": bodies(returns),
    **{f"a body: {name}": bodies(end.how) for name, end in ENDS.items() if name not in ASYNCIO_S_OWN},
    "a body that is killed": killed(waits, 2),
    "a body that is killed while it waits for a time": killed(waits_in_time, 2),
    "a body that is killed before it begins": killed(waits, 0),
    "a server": servers(Stopping),
    "a server with coroutines": servers(Slow),
    "a server whose terminate fails": servers(Failing),
    "a server that is killed": killed(Stopping, 1),
    "a server whose init fails": unborn,
    "a server that ends when it is called": called,
    "a supervisor": supervised,
    "a registry": registered,
    "a mailbox": opened,
    "a process that a peer starts": requested,
    "a sleeper that is killed": asleep(60_000),
    "one that sleeps for ever and is killed": asleep(atoms.infinity),
    "a call of rex": asked,
    **{f"a call: {name}": exported(number) for number, name in enumerate(EXPORTS) if name.startswith(TRIED_CALLS)},
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_nothing_is_left_for_the_collector(stage: Stage, kind: Any) -> None:
    async def scene() -> None:
        export_all(stage.node)
        assert await growth(stage, kind) < COUNT

    stage.play(scene())


async def growth(stage: Stage, kind: Any) -> int:
    """Return how many more objects there are after so many processes of a kind, while nothing is collected."""
    await play_all(stage, kind, 5)  # what is made once
    gc.disable()
    gc.freeze()  # all there is so far is of no interest
    try:
        await play_all(stage, kind, COUNT)
        return len(gc.get_objects())
    finally:
        gc.unfreeze()
        gc.enable()


async def play_all(stage: Stage, kind: Any, count: int) -> None:
    for _ in range(count):
        await kind(stage)
    loop = asyncio.get_running_loop()
    for _ in range(200):  # asyncio lets go of cancelled timers once they are many
        loop.call_later(60, print).cancel()
    for _ in range(5):  # the tasks of the last processes end, and their callbacks are called
        assert await stage.other.ping(stage.node.name)
