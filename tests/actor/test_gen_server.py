from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.answers import NOREPLY, Continue, Reply, Stop
from pyzen.actor.gen_server import GenServer
from pyzen.actor.scheduler import TURN, Scheduler
from pyzen.actor.server_loop import SLICE, Phase, server_loop
from pyzen.actor.verbs import actor_of
from pyzen.errors import NameTaken, NoProcess, ProcessExit
from pyzen.node.router import Router
from pyzen.terms import Atom, Pid, atoms
from tests.actor.conftest import NoLinks

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox


class Costly(GenServer):
    """Takes more than a turn for each message, and does half of the work in `handle_continue`."""

    def init(self, clock: list[float]) -> None:
        self.clock = clock
        self.seen = 0

    def handle_info(self, message: Any) -> Any:
        self.seen += 1
        self.clock[0] += TURN
        return Continue(self.seen) if self.seen % 2 else None

    def handle_continue(self, argument: Any) -> Any:
        self.clock[0] += TURN
        return Continue(argument - 1) if argument else None


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


class Periodic(Counter):
    """A server with methods of the names that such servers have."""

    def _begin(self) -> None:
        raise AssertionError("nobody but the server calls it")

    def _schedule(self, delay: float) -> None:
        raise AssertionError("nobody but the server calls it")


async def test_methods_of_a_server_are_not_taken_for_those_of_the_base(host: Host, me: Mailbox) -> None:
    pid = await Periodic.start(host, 5)

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
    for _ in range(100_000):
        me.cast(pid, 1)
    answer = asyncio.get_running_loop().create_task(me.call(pid, atoms.get))
    turns, last = [], time.thread_time()  # of the processor: what others use of a busy machine is no matter
    while not answer.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        turns.append(now - last)
        last = now

    assert await answer == 100_000
    assert max(turns) < sum(turns) / 2


class Cleaner(GenServer):
    """Stops on any cast; ``terminate`` does what the argument says."""

    def init(self, end: Any) -> None:
        self.end = end

    def handle_cast(self, request: Any) -> None:
        raise Stop(request)

    async def terminate(self, reason: Any) -> None:
        await asyncio.sleep(0)
        self.end(self, reason)


def leave(server: GenServer, reason: Any) -> None:
    server.exit((atoms.cleaned, reason))


def fail(server: GenServer, reason: Any) -> None:
    raise ValueError("unclean")


def be_cancelled(server: GenServer, reason: Any) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("end", [leave, fail, be_cancelled])
async def test_server_ends_whatever_an_async_terminate_does(router: Router, me: Mailbox, end: Any, quiet: None) -> None:
    pid = router.spawn(Cleaner(end))
    ref = me.monitor(pid)

    me.cast(pid, atoms.done)
    _, found, _, _, reason = await me.receive(timeout=2)

    assert found == ref
    match end.__name__:
        case "leave":
            assert reason == (atoms.cleaned, atoms.done)
        case "fail":
            assert reason[0][atoms.message] == b"ValueError: unclean"
        case _:
            assert reason[0][atoms.message] == b"CancelledError"


class PlainCleaner(Cleaner):
    def terminate(self, reason: Any) -> None:  # type: ignore[override]
        self.end(self, reason)


async def test_failure_of_a_plain_terminate_is_the_reason(router: Router, me: Mailbox, quiet: None) -> None:
    pid = router.spawn(PlainCleaner(fail))
    me.monitor(pid)

    me.cast(pid, atoms.done)

    assert (await me.receive(timeout=2))[4][0][atoms.message] == b"ValueError: unclean"


class Slow(GenServer):
    """Async callbacks that end in every way."""

    async def init(self) -> None:
        await asyncio.sleep(0)

    async def handle_cast(self, request: Any) -> Any:
        await asyncio.sleep(0)
        match request:
            case atoms.fail:
                raise ValueError("boom")
            case atoms.stop:
                raise Stop(atoms.stopped)
            case atoms.exit:
                self.exit(atoms.exited)
            case atoms.cancel:
                raise asyncio.CancelledError
            case atoms.hang:
                await asyncio.Event().wait()
            case atoms.lost:
                await self.call(("nobody", self.node), 1)
            case atoms.go_on:
                return Continue(atoms.stop)
        return None

    async def handle_continue(self, argument: Any) -> None:
        raise Stop((atoms.continued, argument))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (atoms.stop, atoms.stopped),
        (atoms.exit, atoms.exited),
        (atoms.lost, atoms.noproc),
        (atoms.go_on, (atoms.continued, atoms.stop)),
    ],
)
async def test_async_callback_ends_the_server_as_it_says(
    router: Router, me: Mailbox, quiet: None, request_: Any, reason: Any
) -> None:
    pid = router.spawn(Slow())
    me.monitor(pid)

    me.cast(pid, request_)

    assert (await me.receive(timeout=2))[4] == reason


async def test_exit_signal_cancels_an_async_callback(router: Router, me: Mailbox) -> None:
    server = Slow()
    pid = router.spawn(server)
    me.monitor(pid)
    me.cast(pid, atoms.hang)
    loop = server_loop(actor_of(server))
    while loop.task is None or loop.phase is not Phase.AWAITING:
        await asyncio.sleep(0)
    task = loop.task

    me.send_exit(pid, atoms.boom)

    assert (await me.receive(timeout=2))[4] is atoms.boom
    with pytest.raises(asyncio.CancelledError):
        await task


class Killer(GenServer):
    def init(self, victim: Pid) -> None:
        self.send_exit(victim, atoms.boom)


class Kept(GenServer):
    """Shows the coroutine of its async ``init``."""

    def init(self) -> Any:
        self.coroutine = asyncio.sleep(60)
        return self.coroutine


async def test_exit_signal_before_an_async_callback_has_begun_closes_it(router: Router, me: Mailbox) -> None:
    """Else Python would warn that it was never awaited."""
    server = Kept()
    pid = router.spawn(server)
    me.monitor(pid)
    router.spawn(Killer(pid))

    router.scheduler.run()  # makes the task of init, then lets the signal arrive

    assert (await me.receive(timeout=2))[4] is atoms.boom
    await router.join(2.0)
    assert inspect.getcoroutinestate(server.coroutine) == inspect.CORO_CLOSED


async def test_start_waits_for_an_async_init(host: Host, me: Mailbox) -> None:
    pid = await Slow.start(host)

    me.monitor(pid)
    me.cast(pid, atoms.stop)

    assert (await me.receive(timeout=2))[4] is atoms.stopped


class Stuck(GenServer):
    async def init(self) -> None:
        await asyncio.Event().wait()


async def test_start_that_takes_too_long_kills_the_server(router: Router, host: Host) -> None:
    with pytest.raises(TimeoutError):
        await Stuck.start(host, name="stuck", timeout=0.01)

    assert router.whereis("stuck") is None
    assert router.processes() == []


async def test_cancelled_start_kills_the_server(router: Router, host: Host) -> None:
    starting = asyncio.ensure_future(Stuck.start(host, name="stuck"))
    while not router.whereis("stuck"):
        await asyncio.sleep(0)

    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert router.whereis("stuck") is None


async def test_unknown_cast_exits_bad_cast(router: Router, me: Mailbox) -> None:
    pid = router.spawn(GenServer())
    me.monitor(pid)

    me.cast(pid, atoms.what)

    assert (await me.receive(timeout=2))[4] == (atoms.bad_cast, atoms.what)


async def test_continue_without_a_handler_exits_bad_continue(router: Router, me: Mailbox) -> None:
    class Going(GenServer):
        def handle_cast(self, request: Any) -> Any:
            return Continue(request)

    pid = router.spawn(Going())
    me.monitor(pid)

    me.cast(pid, atoms.what)

    assert (await me.receive(timeout=2))[4] == (atoms.bad_continue, atoms.what)


async def test_stray_messages_are_logged_once_in_ten_seconds(
    router: Router, host: Host, me: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    pid = router.spawn(Slow(), name="slow")
    for number in range(5):
        me.send(pid, number)

    me.monitor(pid)
    me.cast(pid, atoms.stop)
    await me.receive(timeout=2)

    assert caplog.text.count("does not handle") == 1
    assert "slow" in caplog.text


@pytest.mark.parametrize("message", [("$gen_call",), (atoms["$gen_call"], 5, 1), (atoms["$gen_cast"], 1, 2), ()])
async def test_message_that_only_looks_like_a_call_is_information(host: Host, me: Mailbox, message: Any) -> None:
    pid = await Counter.start(host)

    me.send(pid, message)
    await me.call(pid, atoms.get)

    server = host.runtime.process(pid)
    assert isinstance(server, Counter)
    assert server.seen == [message]


async def test_timer_runs_a_callback_of_the_server(router: Router, me: Mailbox) -> None:
    class Timed(GenServer):
        def handle_cast(self, request: Any) -> None:
            self.after(0.001, self.tell, request)

        def tell(self, pid: Pid) -> None:
            self.send(pid, router.running())

    pid = router.spawn(Timed())

    me.cast(pid, me.pid)

    assert await me.receive(timeout=2) == pid, "the timer's callback runs as the process"


def test_noreply_shows_what_it_is() -> None:
    assert repr(NOREPLY) == "NOREPLY"


async def test_costly_messages_of_one_server_leave_the_event_loop_its_turns() -> None:
    """A turn ends within a slice of messages when its time is over, whatever is left to do."""
    loop, clock = asyncio.get_running_loop(), [0.0]
    scheduler = Scheduler(loop.call_soon, lambda: clock[0])
    router = Router(Atom("local@test"), 7, scheduler, NoLinks(), now=loop.time, call_later=loop.call_later)
    actor = router.actor(router.spawn(Costly, clock))
    assert actor is not None
    actor.enqueue_all(range(1000))
    longest = 0.0
    while actor.mail or actor.incoming or longest == 0.0:
        before = clock[0]
        await asyncio.sleep(0)
        longest = max(longest, clock[0] - before)

    assert longest <= SLICE * TURN
