from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import NOREPLY, Continue, GenServer, Reply, Stop
from pyzen.errors import NameTaken, NoProcess, ProcessExit
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from pyzen.actor.receiver import Mailbox
    from pyzen.node.router import Router


class Counter(GenServer):
    count = 0

    def init(self, start: int = 0) -> None:
        self.count = start
        self.seen: list[Any] = []

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        match request:
            case atoms.get:
                return self.count
            case atoms.later:
                self.send_after(self.pid, (atoms.answer, from_), 0.01)
                return NOREPLY
            case atoms.stop:
                raise Stop(atoms.normal, reply=atoms.bye)
            case atoms.fail:
                raise ValueError("boom")
            case atoms.slow:
                return self.slow()
            case atoms.both:
                return Reply(atoms.first, Continue(atoms.then))
        return super().handle_call(request, from_)

    async def slow(self) -> Any:
        await asyncio.sleep(0.01)
        return atoms.slept

    def handle_cast(self, request: Any) -> None:
        self.count += request

    def handle_info(self, message: Any) -> None:
        match message:
            case (atoms.answer, from_):
                self.reply(from_, atoms.answered)
            case _:
                self.seen.append(message)

    def handle_continue(self, argument: Any) -> None:
        self.seen.append(argument)


class Host:
    def __init__(self, router: Router) -> None:
        self.runtime = router


@pytest.fixture
def host(router: Router) -> Host:
    return Host(router)


async def test_call_returns_the_reply(host: Host, me: Mailbox) -> None:
    pid = await Counter.start(host, 5)

    assert await me.call(pid, atoms.get) == 5


async def test_casts_and_calls_of_one_process_keep_their_order(host: Host, me: Mailbox) -> None:
    pid = await Counter.start(host, name="counter")
    for _ in range(250):
        me.cast(pid, 1)

    assert await me.call("counter", atoms.get) == 250


async def test_noreply_answers_later(host: Host, me: Mailbox) -> None:
    pid = await Counter.start(host)

    assert await me.call(pid, atoms.later) is atoms.answered


async def test_async_callback_answers_and_holds_the_next_message(host: Host, me: Mailbox) -> None:
    pid = await Counter.start(host)

    slow = asyncio.get_running_loop().create_task(me.call(pid, atoms.slow))
    await asyncio.sleep(0)
    me.cast(pid, 1)

    assert await slow is atoms.slept
    assert await me.call(pid, atoms.get) == 1


async def test_stop_replies_and_ends_with_its_reason(host: Host, me: Mailbox) -> None:
    pid = await Counter.start(host)
    ref = me.monitor(pid)

    assert await me.call(pid, atoms.stop) is atoms.bye

    assert await me.receive(timeout=2) == (atoms.DOWN, ref, atoms.process, pid, atoms.normal)


async def test_exception_ends_the_server_and_the_call(host: Host, me: Mailbox) -> None:
    pid = await Counter.start(host)

    with pytest.raises(ProcessExit) as caught:
        await me.call(pid, atoms.fail)

    assert caught.value.reason[0][atoms.message] == b"ValueError: boom"
    with pytest.raises(NoProcess):
        await me.call(pid, atoms.get)


async def test_unknown_call_exits_bad_call(host: Host, me: Mailbox) -> None:
    pid = await Counter.start(host)

    with pytest.raises(ProcessExit) as caught:
        await me.call(pid, atoms.unknown)

    assert caught.value.reason == (atoms.bad_call, atoms.unknown)


async def test_continue_runs_before_the_next_message(router: Router, host: Host, me: Mailbox) -> None:
    pid = await Counter.start(host)
    server = router.process(pid)
    assert isinstance(server, Counter)

    first = asyncio.get_running_loop().create_task(me.call(pid, atoms.both))
    await asyncio.sleep(0)
    me.send(pid, atoms.message)

    assert await first is atoms.first
    assert await me.call(pid, atoms.get) == 0
    assert server.seen == [atoms.then, atoms.message]


async def test_start_raises_what_init_ended_with(host: Host) -> None:
    class Broken(GenServer):
        def init(self) -> None:
            raise Stop(atoms.no_luck)

    with pytest.raises(ProcessExit) as caught:
        await Broken.start(host)

    assert caught.value.reason is atoms.no_luck


async def test_start_under_a_taken_name_raises_and_starts_nothing(router: Router, host: Host) -> None:
    await Counter.start(host, name="counter")
    before = router.processes()

    with pytest.raises(NameTaken):
        await Counter.start(host, name="counter")

    assert router.processes() == before


async def test_terminate_runs_when_a_callback_stops(host: Host, me: Mailbox) -> None:
    class Tidy(GenServer):
        def handle_cast(self, request: Any) -> None:
            raise Stop(request)

        async def terminate(self, reason: Any) -> None:
            await asyncio.sleep(0)
            self.send(me.pid, (atoms.terminated, reason))

    pid = await Tidy.start(host)
    me.cast(pid, atoms.enough)

    assert await me.receive(timeout=2) == (atoms.terminated, atoms.enough)


async def test_trapped_exit_of_the_parent_terminates(router: Router, host: Host, me: Mailbox) -> None:
    class Trapping(GenServer):
        def init(self) -> None:
            self.trap_exit = True

        def terminate(self, reason: Any) -> None:
            self.send(me.pid, (atoms.terminated, reason))

    parent = await Counter.start(host)
    await Trapping.start(host, link=parent)

    me.send_exit(parent, atoms.boom)

    assert await me.receive(timeout=2) == (atoms.terminated, atoms.boom)


async def test_send_request_answers_as_a_message(router: Router, host: Host) -> None:
    target = await Counter.start(host, 3)
    asking = await Counter.start(host)
    server = router.process(asking)
    assert isinstance(server, Counter)

    ref = server.send_request(target, atoms.get)
    gone = server.send_request("nobody", atoms.get) if router.whereis("nobody") else None
    while not server.seen:
        await asyncio.sleep(0)

    assert gone is None
    assert server.seen == [(ref, 3)]


async def test_a_storm_of_messages_leaves_the_loop_its_turns(router: Router, host: Host, me: Mailbox) -> None:
    pid = await Counter.start(host)
    for _ in range(20_000):
        me.cast(pid, 1)
    longest, last = 0.0, asyncio.get_running_loop().time()
    answer = asyncio.get_running_loop().create_task(me.call(pid, atoms.get))
    while not answer.done():
        await asyncio.sleep(0)
        now = asyncio.get_running_loop().time()
        longest, last = max(longest, now - last), now

    assert await answer == 20_000
    assert longest < 0.1
