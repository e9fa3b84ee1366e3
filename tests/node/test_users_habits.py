"""Habits of asyncio people and of Elixir people: threads, tasks, contexts, factories, timers, odd settings."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import math
import weakref
from contextlib import AsyncExitStack, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

import pytest

from pyzen import Continue, GenServer, Process, ProcessExit, Reply, Stop, Supervisor, atoms
from pyzen.actor.actor import running
from pyzen.actor.registry import DynamicRegistry
from pyzen.actor.supervisor import ChildSpec
from pyzen.errors import ConfigError
from tests.node.test_users_failures import Nasty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.conftest import MakeNode, Place

pytestmark = pytest.mark.usefixtures("quiet")


class Worker(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return request

    def handle_cast(self, request: Any) -> None:
        raise Stop(request)


# ---- threads and event loops


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
async def test_verb_in_another_thread_raises_there_and_harms_nobody(place: Place, debug: bool) -> None:
    asyncio.get_running_loop().set_debug(debug)

    class Threaded(GenServer):
        async def handle_call(self, request: Any, from_: Any) -> Any:
            return await asyncio.to_thread(self.work)

        def work(self) -> Any:
            with pytest.raises(RuntimeError, match="thread"):
                self.send("tester", atoms.hello)
            with pytest.raises(RuntimeError, match="thread"):
                self.after(0, self.work)
            return atoms.refused

    assert await place.node.call(await Threaded.start(place.node), 1) is atoms.refused
    asyncio.get_running_loop().set_debug(False)


async def test_request_that_can_not_be_answered_keeps_nobody_from_hearing(place: Place) -> None:
    class Waiting(GenServer):
        def handle_cast(self, request: Any) -> None:
            def unanswerable(value: Any, error: Any) -> None:
                raise RuntimeError("Event loop is closed")

            ref = self.send_request("tester", 1)
            self._pyzen_actor.requests[ref] = unanswerable

        def handle_info(self, message: Any) -> None:
            raise Stop(atoms.done)

    pid = await Waiting.start(place.node)
    ref = place.tester.monitor(pid)
    place.node.cast(pid, 1)
    place.node.send(pid, 2)

    assert (await place.tester.receive(lambda message: message[1] == ref, timeout=5))[4] is atoms.done


# ---- logs


@pytest.fixture
def raising_logs() -> Iterator[None]:
    class Refusing(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise Nasty

    refusing, level = Refusing(), logging.root.manager.disable
    names = ["pyzen.node", "pyzen.dist", "pyzen.actor", "pyzen.zen", "pyzen.io"]
    logging.disable(logging.NOTSET)
    for name in names:
        logging.getLogger(name).addFilter(refusing)
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield
    for name in names:
        logging.getLogger(name).removeFilter(refusing)
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.disable(level)


async def test_log_that_raises_keeps_no_link_from_going_and_coming(
    place: Place, raising_logs: None, make_node: MakeNode
) -> None:
    far = await Worker.start(place.other)
    ref = place.tester.monitor(far)
    await place.node.call(far, 1)

    place.node.disconnect(str(place.other.name))

    assert (await place.heard())[1::3] == (ref, atoms.noconnection)
    assert await place.node.call(far, 2) == 2
    third = await make_node("third")
    assert await third.connect(str(place.node.name))


async def test_log_that_raises_lets_no_peer_end_a_process_of_the_node(place: Place, raising_logs: None) -> None:
    async with place.other.mailbox() as far:
        far.send_exit(place.node.whereis("net_kernel"), atoms.boom)  # type: ignore[arg-type]
        assert await place.other.ping(str(place.node.name))

    assert place.node.whereis("net_kernel") is not None


# ---- contexts


SECRET: ContextVar[Any] = ContextVar("secret", default=None)


async def test_task_of_a_callback_is_a_task_of_its_server(place: Place) -> None:
    target = await Worker.start(place.other)

    class Tasking(GenServer):
        def handle_cast(self, request: Any) -> None:
            self.task = asyncio.create_task(self.work())

        async def work(self) -> None:
            self.found = running.get()
            place.node.zen.monitor(target)

        def handle_call(self, request: Any, from_: Any) -> Any:
            return self.found is self._pyzen_actor

        def handle_info(self, message: Any) -> None:
            self.send("tester", message)

    pid = await Tasking.start(place.node)
    place.tester.cast(pid, 1)  # the mailbox arms the turn
    async with asyncio.timeout(5):
        while not place.other.zen.statistics().subscriptions:
            await asyncio.sleep(0.005)
    place.other.cast(target, atoms.boom)

    assert (await place.heard())[3] == target
    assert await place.node.call(pid, 1) is True


async def test_context_variable_of_one_server_is_not_seen_by_another(place: Place) -> None:
    class Setting(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            before = SECRET.get()
            SECRET.set(request)
            return before

    one, other = await Setting.start(place.node), await Setting.start(place.node)
    asked = [place.tester.send_request(pid, number) for number, pid in enumerate((one, other, one, other))]

    answers = dict([await place.heard() for _ in asked])

    assert [answers[ref] for ref in asked] == [None, None, 0, 1]
    assert SECRET.get() is None


async def test_mailbox_that_is_closed_by_another_task_ends(place: Place) -> None:
    stack = AsyncExitStack()

    async def open_it() -> Any:
        return await stack.enter_async_context(place.node.mailbox("elsewhere"))

    mailbox = await asyncio.create_task(open_it())

    await stack.aclose()

    assert place.node.whereis("elsewhere") is None
    with pytest.raises(ProcessExit):
        await mailbox.receive()


# ---- tasks


def old_factory(loop: asyncio.AbstractEventLoop, coroutine: Any) -> asyncio.Task[Any]:
    return asyncio.Task(coroutine, loop=loop)


async def test_task_factory_without_a_context_will_do(place: Place) -> None:
    asyncio.get_running_loop().set_task_factory(old_factory)
    try:

        async def body(process: Process) -> None:
            process.send("tester", process.pid)

        pid = place.node.spawn(body)
        assert await place.heard() == pid
    finally:
        asyncio.get_running_loop().set_task_factory(None)


async def test_process_that_can_not_begin_leaves_nothing_behind(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(process: Process) -> None:
        """Never begins."""

    def refuse(*args: Any, **options: Any) -> Any:
        raise Nasty

    monkeypatch.setattr(asyncio.get_running_loop(), "call_soon", refuse)
    with pytest.raises(Nasty):
        place.node.spawn(body, name="half")
    monkeypatch.undo()

    assert place.node.whereis("half") is None


async def test_stop_of_the_node_by_one_of_its_processes_does_not_wait_for_itself(make_node: MakeNode) -> None:
    node, stopped = await make_node(), asyncio.Event()

    class Commanded(GenServer):
        async def handle_cast(self, request: Any) -> None:
            await node.stop()
            stopped.set()

    node.cast(await Commanded.start(node), atoms.shut_down)

    async with asyncio.timeout(2):  # it would wait for five seconds
        await stopped.wait()


async def test_cancelled_task_that_a_callback_awaits_is_an_error_of_the_callback(place: Place) -> None:
    class Awaiting(GenServer):
        async def handle_cast(self, request: Any) -> None:
            task = asyncio.create_task(asyncio.sleep(60))
            task.cancel()
            await task

        def terminate(self, reason: Any) -> None:
            self.send("tester", atoms.cleaned)

    pid = await Awaiting.start(place.node)
    ref = place.tester.monitor(pid)
    place.node.cast(pid, 1)

    assert await place.heard() is atoms.cleaned
    _, found, _, _, reason = await place.heard()
    assert (found, reason[0][atoms.message]) == (ref, b"CancelledError")


async def test_stop_in_a_task_group_has_its_reply(place: Place) -> None:
    class Grouped(GenServer):
        async def handle_call(self, request: Any, from_: Any) -> Any:
            async def work() -> None:
                raise Stop(atoms.done, reply=atoms.bye)

            async with asyncio.TaskGroup() as group:
                group.create_task(work())

    assert await place.node.call(await Grouped.start(place.node), 1) is atoms.bye


# ---- one object


class Single(GenServer):
    only: Any = None

    def __new__(cls) -> Self:
        if cls.only is None:
            cls.only = super().__new__(cls)
        return cls.only  # type: ignore[no-any-return]

    async def init(self, *args: Any) -> None:
        self.args = args
        await asyncio.sleep(0.01)

    def handle_call(self, request: Any, from_: Any) -> Any:
        return self.args


async def test_second_start_of_an_object_that_lives_leaves_it_alone(place: Place) -> None:
    results = await asyncio.gather(Single.start(place.node, 1), Single.start(place.node, 2), return_exceptions=True)
    with pytest.raises(RuntimeError, match="before"):
        place.node.spawn(Single, 3)

    assert isinstance(results[1], RuntimeError)
    assert await place.node.call(results[0], 1) == (1,)  # type: ignore[arg-type]


# ---- numbers


@pytest.mark.parametrize("delay", [1j, "1", b"1", None, [], math.nan, 10**400])
async def test_delay_that_is_no_time_is_refused_at_the_caller(place: Place, delay: Any) -> None:
    class Delaying(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            for call in (
                lambda: self.after(delay, print),
                lambda: self.send_after(self.pid, 1, delay),
            ):
                with pytest.raises((TypeError, ValueError)):
                    call()
            return atoms.refused

    assert await place.node.call(await Delaying.start(place.node), 1) is atoms.refused
    await asyncio.sleep(0.01)  # the timers of the loop still work


@pytest.mark.parametrize("timeout", [1j, "5", math.nan, 10**400])
async def test_timeout_that_is_no_time_is_refused_at_the_caller(place: Place, timeout: Any) -> None:
    for call in (
        lambda: place.tester.receive(timeout=timeout),
        lambda: place.tester.call(place.bystander, 1, timeout),
        lambda: Worker.start(place.node, name="late", timeout=timeout),
    ):
        with pytest.raises((TypeError, ValueError)):
            await call()

    assert place.node.whereis("late") is None
    await asyncio.sleep(0.01)


# ---- children


async def restarted(place: Place, name: str) -> None:
    """End a child, and wait until it is there once more."""
    async with asyncio.timeout(5):
        while (first := place.node.whereis(name)) is None:
            await asyncio.sleep(0)
        place.tester.send_exit(first, atoms.kill)
        while place.node.whereis(name) in {None, first}:
            await asyncio.sleep(0)


def traced(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@traced
async def decorated(process: Process, word: Any) -> None:
    assert word is atoms.word
    await process.receive()


def make_worker(number: int) -> Worker:
    return Worker()


class Factory:
    def __call__(self) -> Worker:
        return Worker()


CHILDREN: dict[str, Any] = {
    "an instance": lambda: ChildSpec("c", Worker(), name="c"),
    "a decorated body": lambda: ChildSpec("c", decorated, args=(atoms.word,), name="c"),
    "a partial of a body": lambda: ChildSpec("c", functools.partial(decorated, word=atoms.word), name="c"),
    "a partial that makes one": lambda: ChildSpec("c", functools.partial(make_worker, 1), name="c"),
    "an object that makes one": lambda: ChildSpec("c", Factory(), name="c"),
    "an atom as id": lambda: ChildSpec(atoms["c"], Worker, name="c"),
}


@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN)
async def test_child_is_started_and_restarted(place: Place, child: Any) -> None:
    supervisor = await Supervisor.start(place.node, [child()])

    await restarted(place, "c")
    await restarted(place, "c")

    assert (await place.node.call(supervisor, atoms.which_children))[0][0] is atoms.c
    place.tester.send_exit(supervisor, atoms.shutdown)


async def test_nested_supervisor_that_is_an_instance_is_restarted_with_its_children(place: Place) -> None:
    inner = Supervisor([ChildSpec("c", Worker, name="c")])
    supervisor = await Supervisor.start(place.node, [ChildSpec("inner", inner, name="inner")])

    await restarted(place, "inner")
    await restarted(place, "c")

    place.tester.send_exit(supervisor, atoms.shutdown)


async def test_child_that_has_unlinked_itself_is_stopped(place: Place) -> None:
    parents: list[Any] = []

    class Loose(Worker):
        def handle_info(self, message: Any) -> None:
            self.unlink(parents[0])

    specs = [ChildSpec("a", Loose, name="a"), ChildSpec("b", Worker, name="b")]
    parents.append(await Supervisor.start(place.node, specs, "one_for_all"))
    first = place.node.whereis("a")
    assert first is not None
    place.node.send(first, atoms.unlink)
    assert await place.node.call(first, 1) == 1

    await restarted(place, "b")

    assert place.node.whereis("a") not in {None, first}
    place.tester.send_exit(parents[0], atoms.shutdown)


class Normal(Supervisor):
    def init(self, *args: Any) -> None:
        super().init(*args)
        self.after(0, self.leave)

    def leave(self) -> None:
        raise Stop


class Untidy(Normal):
    def terminate(self, reason: Any) -> None:
        """Clean up nothing."""


class Bare(Supervisor):
    def __init__(self) -> None:
        super().__init__([ChildSpec("c", Worker, name="c")])

    def init(self, *args: Any) -> None:
        """Do something else."""


@pytest.mark.parametrize("cls", [Normal, Untidy])
async def test_children_do_not_outlive_a_supervisor_that_ends_normally(place: Place, cls: Any) -> None:
    supervisor = place.node.spawn(cls, [ChildSpec("c", Worker, name="c")])
    ref = place.tester.monitor(supervisor)

    assert (await place.heard())[1::3] == (ref, atoms.normal)
    async with asyncio.timeout(5):
        while place.node.whereis("c") is not None:
            await asyncio.sleep(0)


async def test_supervisor_with_an_init_of_its_own_starts_its_children(place: Place) -> None:
    supervisor = await Bare.start(place.node)

    assert place.node.whereis("c") is not None
    place.tester.send_exit(supervisor, atoms.shutdown)


async def test_shutdown_past_all_bounds_is_refused() -> None:
    with pytest.raises(ConfigError, match="shutdown"):
        ChildSpec("c", Worker, shutdown=10**400)


async def test_registry_survives_a_key_whose_hash_raises_later(place: Place) -> None:
    class Key:
        broken = False

        def __hash__(self) -> int:
            if self.broken:
                raise Nasty
            return 1

    pid = await DynamicRegistry.start(place.node, lambda _key: Worker)
    registry, key = place.node.runtime.process(pid), Key()
    worker = registry.lookup_or_start(key)
    other = registry.lookup_or_start("other")
    key.broken = True

    place.node.cast(worker, atoms.done)
    place.node.cast(other, atoms.done)
    async with asyncio.timeout(5):
        while registry.lookup("other") is not None:
            await asyncio.sleep(0)

    assert place.node.runtime.actor(pid) is not None


# ---- what would be ignored


async def test_server_that_calls_itself_is_told_so(place: Place) -> None:
    class Selfish(GenServer):
        async def handle_call(self, request: Any, from_: Any) -> Any:
            for me in (self.pid, "selfish", ("selfish", self.node), atoms.selfish):
                with pytest.raises(ProcessExit, match="calls itself"):
                    await self.call(me, 1)
            return atoms.told

    assert await place.node.call(await Selfish.start(place.node, name="selfish"), 1) is atoms.told


async def test_timer_without_a_function_is_refused(place: Place) -> None:
    class Hasty(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            with pytest.raises(TypeError, match="function"):
                self.after(0.05, self.tick())  # type: ignore[arg-type, func-returns-value]
            return atoms.refused

        def tick(self) -> None:
            """Tick."""

    assert await place.node.call(await Hasty.start(place.node), 1) is atoms.refused


class Answering(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        self.from_ = from_
        return Stop(atoms.done, reply=atoms.bye) if request is atoms.stop else Continue(request)

    def handle_continue(self, argument: Any) -> None:
        self.reply(self.from_, (atoms.continued, argument))

    def handle_cast(self, request: Any) -> Any:
        return Stop(request) if request is not atoms.reply else Reply(1)


async def test_stop_that_is_returned_stops(place: Place) -> None:
    one, other = await Answering.start(place.node), await Answering.start(place.node)
    refs = [place.tester.monitor(one), place.tester.monitor(other)]

    assert await place.node.call(one, atoms.stop) is atoms.bye
    assert (await place.heard())[1::3] == (refs[0], atoms.done)
    place.node.cast(other, atoms.enough)
    assert (await place.heard())[1::3] == (refs[1], atoms.enough)


async def test_continue_from_a_call_is_no_reply(place: Place) -> None:
    assert await place.node.call(await Answering.start(place.node), 1) == (atoms.continued, 1)


async def test_reply_from_a_cast_is_an_error(place: Place) -> None:
    pid = await Answering.start(place.node)
    ref = place.tester.monitor(pid)
    place.node.cast(pid, atoms.reply)

    _, found, _, _, reason = await place.heard()
    assert (found, b"nobody to reply to" in reason[0][atoms.message]) == (ref, True)


async def test_match_that_is_async_is_refused(place: Place) -> None:
    async def match(message: Any) -> bool:
        return bool(message == 2)

    with pytest.raises(TypeError, match="plain function"):
        await place.tester.receive(match, timeout=0)  # type: ignore[arg-type]


async def test_get_state_that_is_async_is_answered_with_an_error(place: Place) -> None:
    class Slow(GenServer):
        async def get_state(self) -> Any:
            return 1

    tag = place.node.runtime.make_ref()
    place.tester.send(await Slow.start(place.node), (atoms.system, (place.tester.pid, tag), atoms.get_state))

    assert (await place.heard())[1][0] is atoms.error


async def test_server_that_has_ended_is_not_kept_by_its_timers(place: Place) -> None:
    class Timed(GenServer):
        def init(self) -> None:
            self.after(3600, self.tick)

        def tick(self) -> None:
            """Tick."""

        def handle_cast(self, request: Any) -> None:
            raise Stop

    pid = await Timed.start(place.node)
    kept = weakref.ref(place.node.runtime.process(pid))
    ref = place.tester.monitor(pid)
    place.node.cast(pid, 1)
    assert (await place.heard())[1] == ref
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)

    gc.collect()

    assert kept() is None
