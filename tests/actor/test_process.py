from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.process import Mailbox, Process
from pyzen.actor.verbs import actor_of
from pyzen.errors import CallTimeout, ProcessExit
from pyzen.terms import atoms

if TYPE_CHECKING:
    from pyzen.node.router import Router


async def test_receive_takes_the_first_that_fits_and_leaves_the_rest_in_order(me: Mailbox) -> None:
    for number in (1, 2, 3, 4):
        me.send(me.pid, number)

    assert await me.receive(lambda message: message == 3, timeout=2) == 3

    assert [await me.receive(timeout=2) for _ in range(3)] == [1, 2, 4]


async def test_receive_times_out_and_loses_nothing(me: Mailbox) -> None:
    me.send(me.pid, 1)

    with pytest.raises(TimeoutError):
        await me.receive(lambda message: message == 2, timeout=0.01)

    assert await me.receive(timeout=0) == 1


async def test_cancelled_receive_loses_nothing(me: Mailbox) -> None:
    waiting = asyncio.get_running_loop().create_task(me.receive())
    await asyncio.sleep(0)

    me.send(me.pid, 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await me.receive(timeout=2) == 1


async def test_a_predicate_that_raises_changes_nothing(me: Mailbox) -> None:
    me.send(me.pid, 1)
    me.send(me.pid, 2)

    with pytest.raises(ZeroDivisionError):
        await me.receive(lambda _message: bool(1 / 0), timeout=1)

    assert [await me.receive(timeout=0), await me.receive(timeout=0)] == [1, 2]


async def test_ready_messages_do_not_starve_the_loop(me: Mailbox) -> None:
    for number in range(1000):
        me.send(me.pid, number)
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    asyncio.get_running_loop().call_soon(turn)
    for _ in range(1000):
        await me.receive(timeout=2)

    assert turns >= 9


async def test_exit_signal_ends_a_waiting_receive(router: Router) -> None:
    def opened(mailbox: Mailbox) -> None:
        router.spawn(mailbox)

    async with Mailbox(opened) as mailbox:
        waiting = asyncio.get_running_loop().create_task(mailbox.receive())
        await asyncio.sleep(0)
        mailbox.send_exit(mailbox.pid, atoms.boom)

        with pytest.raises(ProcessExit) as caught:
            await waiting

    assert caught.value.reason is atoms.boom


async def test_a_mailbox_is_the_running_process_inside_its_context(router: Router) -> None:
    def opened(mailbox: Mailbox) -> None:
        router.spawn(mailbox)

    async with Mailbox(opened) as mailbox:
        assert router.running() == mailbox.pid

    assert router.running() is None


async def test_leaving_a_mailbox_ends_it_normally(router: Router, me: Mailbox) -> None:
    def opened(mailbox: Mailbox) -> None:
        router.spawn(mailbox)

    async with Mailbox(opened) as other:
        me.monitor(other.pid)

    assert (await me.receive(timeout=2))[4] in {atoms.normal, atoms.noproc}


async def test_exit_signal_cancels_a_body(router: Router, me: Mailbox) -> None:
    cancelled: list[Any] = []

    async def body(process: Process) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(actor_of(process).exit_reason)
            raise

    pid = router.spawn(Process(body))
    await asyncio.sleep(0.01)
    ref = me.monitor(pid)
    me.send_exit(pid, atoms.boom)

    assert (await me.receive(timeout=2))[1:5:3] == (ref, atoms.boom)
    await asyncio.sleep(0)
    assert cancelled == [atoms.boom]


async def test_call_without_an_answer_times_out_and_drops_a_late_reply(router: Router, me: Mailbox) -> None:
    async def slow(process: Process) -> None:
        _tag, from_, _request = await process.receive()
        await process.receive()
        process.reply(from_, atoms.late)
        process.send(me.pid, atoms.replied)

    pid = router.spawn(Process(slow))

    with pytest.raises(CallTimeout):
        await me.call(pid, atoms.hello, timeout=0.01)
    me.send(pid, atoms.go)

    assert await me.receive(timeout=2) is atoms.replied
    with pytest.raises(TimeoutError):
        await me.receive(timeout=0)
    assert router.aliases == {}


async def test_async_for_ends_with_the_process(me: Mailbox) -> None:
    for number in range(3):
        me.send(me.pid, number)
    me.trap_exit = False
    seen = []

    async for message in me:
        seen.append(message)
        if message == 2:
            me.send_exit(me.pid, atoms.enough)

    assert seen == [0, 1, 2]


async def test_a_waiting_receive_asks_about_each_message_once(me: Mailbox) -> None:
    asked: list[Any] = []

    def match(message: Any) -> bool:
        asked.append(message)
        return bool(message == 30)

    me.send(me.pid, 0)
    waiting = asyncio.get_running_loop().create_task(me.receive(match))
    for number in range(1, 31):
        me.send(me.pid, number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert await waiting == 30
    assert asked == list(range(31))
    assert [await me.receive(timeout=0) for _ in range(30)] == list(range(30))


async def test_a_waiting_receive_looks_again_when_another_has_taken_something(me: Mailbox) -> None:
    for number in range(3):
        me.send(me.pid, number)
    waiting = asyncio.get_running_loop().create_task(me.receive(lambda message: message in {3, 5}))
    await asyncio.sleep(0)

    assert [await me.receive(timeout=0), await me.receive(timeout=0)] == [0, 1]
    me.send(me.pid, 3)
    me.send(me.pid, 4)

    assert await waiting == 3
    assert [await me.receive(timeout=0), await me.receive(timeout=0)] == [2, 4]
