"""Messages for processes that peers have started, and that nobody reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import current_process
from pyzen.node import unread
from pyzen.terms import Pid, atoms
from tests.node.conftest import until

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox
    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

ROOM = 11_000
SIZE = 1000
"""Bytes of a message, of which there is room for nine."""


@pytest.fixture
async def callee(make_node: MakeNode, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(unread, "MAX_UNREAD", ROOM)
    return await make_node("callee")


@pytest.fixture
async def caller(make_node: MakeNode, callee: Node) -> Node:
    node = await make_node("caller")
    await node.connect(callee.name)
    return node


async def started(mailbox: Mailbox, callee: Node, function: str, *args: Any) -> Pid:
    """Start a process on the other node, and monitor it."""
    before = set(callee.runtime.processes())
    mailbox.send(("rex", callee.name), (atoms["$gen_cast"], (atoms.cast, atoms.t, atoms[function], list(args), None)))
    await until(lambda: len(set(callee.runtime.processes()) - before) == 1)
    (pid,) = set(callee.runtime.processes()) - before
    mailbox.monitor(pid)
    return pid


async def sleep() -> None:
    await asyncio.Event().wait()


async def read(count: int) -> None:
    for _ in range(count):
        await current_process().receive()


async def test_a_process_that_does_not_read_is_ended(
    caller: Node, callee: Node, caplog: pytest.LogCaptureFixture
) -> None:
    callee.export("t", "sleep", sleep)
    async with caller.mailbox() as mailbox:
        pid = await started(mailbox, callee, "sleep")
        for _ in range(9):
            mailbox.send(pid, bytes(SIZE))
        assert await caller.ping(callee.name)
        assert callee.runtime.actor(pid) is not None

        mailbox.send(pid, bytes(SIZE))

        assert (await mailbox.receive(timeout=5))[-1] is atoms.killed
    assert f"ends a process that {caller.name} has started" in caplog.text


async def test_a_process_that_reads_is_not_ended(caller: Node, callee: Node) -> None:
    callee.export("t", "read", read)
    async with caller.mailbox() as mailbox:
        pid = await started(mailbox, callee, "read", 100)
        for number in range(100):
            mailbox.send(pid, bytes(SIZE))
            if number % 5 == 4:
                assert await caller.ping(callee.name)

        assert (await mailbox.receive(timeout=5))[-1] is atoms.normal


async def test_all_that_one_peer_has_started_count_together(caller: Node, callee: Node) -> None:
    callee.export("t", "sleep", sleep)
    async with caller.mailbox() as mailbox:
        first, second = await started(mailbox, callee, "sleep"), await started(mailbox, callee, "sleep")
        for pid in (first, second):
            for _ in range(5):
                mailbox.send(pid, bytes(SIZE))

        *_, ended, reason = await mailbox.receive(timeout=5)

        assert (ended, reason) == (second, atoms.killed)
        for _ in range(4):
            mailbox.send(first, bytes(SIZE))
        assert await caller.ping(callee.name)
        assert callee.runtime.actor(first) is not None, "what has ended gives back its room"


async def test_a_process_of_the_program_keeps_what_it_is_sent(caller: Node, callee: Node) -> None:
    mailbox = callee.mailbox("keeper")
    async with mailbox:
        for _ in range(20):
            caller.send(("keeper", callee.name), bytes(SIZE))
        assert await caller.ping(callee.name)
        assert [await mailbox.receive(timeout=5) for _ in range(20)] == [bytes(SIZE)] * 20


async def test_what_is_sent_here_counts_as_well(caller: Node, callee: Node) -> None:
    """A peer can have any server answer a process that does not read. What has no Erlang form comes from no peer."""
    callee.export("t", "sleep", sleep)
    async with caller.mailbox() as mailbox:
        pid = await started(mailbox, callee, "sleep")
        assert await caller.ping(callee.name), "the monitor stands"
        callee.send(pid, object())
        for _ in range(9):
            callee.send(pid, bytes(SIZE - 30))
        assert callee.runtime.actor(pid) is not None

        callee.send(pid, bytes(SIZE))

        assert (await mailbox.receive(timeout=5))[-1] is atoms.killed
