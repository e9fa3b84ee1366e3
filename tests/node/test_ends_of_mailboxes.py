"""Every mailbox ends once, wherever it is left: by its own task, another one, an exit stack, the event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import Mailbox, atoms, current_process
from pyzen.errors import ProcessExit
from tests.node.stage import Stage, Watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.usefixtures("quiet")

Opened = tuple[Mailbox, "Callable[[], Awaitable[Any]]"]
"""A mailbox, and what leaves it."""


async def leaving(mailbox: Mailbox) -> None:
    await mailbox.__aexit__(None, None, None)


async def in_the_same_task(stage: Stage) -> Opened:
    mailbox = await stage.node.mailbox("tried").__aenter__()
    return mailbox, lambda: leaving(mailbox)


async def twice(stage: Stage) -> Opened:
    mailbox = await stage.node.mailbox("tried").__aenter__()

    async def leave() -> None:
        await leaving(mailbox)
        await leaving(mailbox)

    return mailbox, leave


async def by_another_task(stage: Stage) -> Opened:
    mailbox = await asyncio.create_task(stage.node.mailbox("tried").__aenter__())
    return mailbox, lambda: asyncio.create_task(leaving(mailbox))


async def by_a_stack_in_another_task(stage: Stage) -> Opened:
    stack = AsyncExitStack()
    mailbox = await stack.enter_async_context(stage.node.mailbox("tried"))
    return mailbox, lambda: asyncio.create_task(stack.aclose())


async def by_the_loop(stage: Stage) -> Opened:
    """An asynchronous generator that nobody has read to its end is closed by the event loop, in a task of its own."""

    async def generator() -> AsyncIterator[Mailbox]:
        async with stage.node.mailbox("tried") as mailbox:
            yield mailbox

    reading = [generator()]
    mailbox = await anext(reading[0])

    async def leave() -> None:
        reading.clear()

    return mailbox, leave


async def by_a_failure(stage: Stage) -> Opened:
    mailbox = stage.node.mailbox("tried")
    going = asyncio.Event()

    async def fail() -> None:
        async with mailbox:
            await going.wait()
            raise ValueError("boom")

    failing = asyncio.ensure_future(fail())
    await asyncio.sleep(0)

    async def leave() -> None:
        going.set()
        with pytest.raises(ValueError, match="boom"):
            await failing

    return mailbox, leave


async def by_cancellation(stage: Stage) -> Opened:
    mailbox = stage.node.mailbox("tried")

    async def wait() -> None:
        async with mailbox:
            await asyncio.Event().wait()

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)

    async def leave() -> None:
        waiting.cancel()
        await asyncio.wait([waiting])

    return mailbox, leave


WAYS = (
    in_the_same_task, twice, by_another_task, by_a_stack_in_another_task, by_the_loop, by_a_failure, by_cancellation,
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_mailbox_that_is_left(stage: Stage, way: Callable[[Stage], Awaitable[Opened]]) -> None:
    async def scene() -> None:
        mailbox, leave = await way(stage)
        async with Watched(stage, mailbox.pid) as watched:
            await leave()
            await watched.end_once(atoms.normal)
        with pytest.raises(ProcessExit):
            await mailbox.receive()

    stage.play(scene())


def test_mailbox_that_is_killed_and_left(stage: Stage) -> None:
    async def scene() -> None:
        async with stage.node.mailbox("tried") as mailbox, Watched(stage, mailbox.pid) as watched:
            watched.watchers[1].mailbox.send_exit(mailbox.pid, atoms.boom)
            await watched.end_once(atoms.boom)

    stage.play(scene())


def test_process_that_runs_is_the_one_whose_mailbox_is_open(stage: Stage) -> None:
    async def scene() -> None:
        async with stage.node.mailbox() as outer:
            async with stage.node.mailbox() as inner:
                assert current_process() is inner
            assert current_process() is outer
        with pytest.raises(RuntimeError, match="no process is running"):
            current_process()

    stage.play(scene())


def test_mailbox_that_was_left_elsewhere_is_no_running_process(stage: Stage) -> None:
    async def scene() -> None:
        _, leave = await by_a_stack_in_another_task(stage)
        await leave()
        with pytest.raises(RuntimeError, match="no process is running"):
            current_process()

    stage.play(scene())


CONSOLE = """
from pyzen import Node
node = await Node("console@127.0.0.1", cookie="secret", epmd="embedded", zen=None).start()
opened = node.mailbox("tried")
me = await opened.__aenter__()
me.send(me.pid, 7)
print("got", await me.receive(timeout=5))
await opened.__aexit__(None, None, None)
print("left", node.whereis("tried"))
await node.stop()
"""


def test_mailbox_in_the_console_of_asyncio() -> None:
    """Each line there is a task of its own."""
    command = [sys.executable, "-m", "asyncio"]
    ended = subprocess.run(command, input=CONSOLE, capture_output=True, text=True, timeout=60, check=False)

    assert "got 7" in ended.stdout, ended
    assert "left None" in ended.stdout, ended
    assert "Error" not in ended.stderr, ended
