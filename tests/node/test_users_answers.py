"""What callbacks answer: anything that can be awaited is, and what would silently never run is refused."""

from __future__ import annotations

import asyncio
import types
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import GenServer, ProcessExit, Reply, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.node.conftest import Place

pytestmark = pytest.mark.usefixtures("quiet")


async def answer(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def future(value: Any) -> asyncio.Future[Any]:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, value)
    return future


@types.coroutine
def old_style(value: Any) -> Generator[Any, Any, Any]:
    yield
    return value


class Promise:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        yield
        return self.value


def task(value: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(answer(value))


def thread(value: Any) -> asyncio.Future[Any]:
    return asyncio.get_running_loop().run_in_executor(None, lambda: value)


KINDS: dict[str, Callable[[Any], Any]] = {
    "coroutine": answer,
    "future": future,
    "task": task,
    "old style": old_style,
    "promise": Promise,
    "thread": thread,
    "gather": lambda value: asyncio.gather(answer(value)),
}


class Waiting(GenServer):
    def init(self, kind: Any) -> Any:
        self.kind = kind
        self.done: list[Any] = []
        return self.later(atoms.init)

    def later(self, word: Any) -> Any:
        async def note() -> None:
            await self.kind(word)
            self.done.append(word)

        return note() if self.kind is answer else self.noting(self.kind(word), word)

    def noting(self, made: Any, word: Any) -> Any:
        self.done.append(word)
        return made

    def handle_call(self, request: Any, from_: Any) -> Any:
        if request is atoms.done:
            return self.done
        return self.kind(request)

    def handle_cast(self, request: Any) -> Any:
        return self.later(request)

    def handle_info(self, message: Any) -> Any:
        return self.later(message)

    def terminate(self, reason: Any) -> Any:
        return self.later(reason)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_answer_that_can_be_awaited_is(place: Place, kind: Any) -> None:
    pid = await Waiting.start(place.node, kind)

    reply = await place.node.call(pid, atoms.hello)
    place.node.cast(pid, atoms.one)
    place.node.send(pid, atoms.two)

    assert reply == ([atoms.hello] if kind is KINDS["gather"] else atoms.hello)
    assert await place.node.call(pid, atoms.done) == [atoms.init, atoms.one, atoms.two]


async def test_message_waits_for_the_end_of_a_future(place: Place) -> None:
    waited: list[asyncio.Future[Any]] = []

    class Slow(GenServer):
        def handle_cast(self, request: Any) -> Any:
            waited.append(asyncio.get_running_loop().create_future())
            return waited[-1]

        def handle_call(self, request: Any, from_: Any) -> Any:
            return waited[0].result()

    pid = await Slow.start(place.node)
    place.node.cast(pid, 1)
    reply = asyncio.create_task(place.node.call(pid, 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    waited[0].set_result(atoms.late)

    assert await reply is atoms.late


async def test_future_that_fails_is_the_end_of_the_server(place: Place) -> None:
    class Failing(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(ProcessExit(atoms.boom))
            return failed

    pid = await Failing.start(place.node)

    with pytest.raises(ProcessExit) as raised:
        await place.node.call(pid, 1)

    assert raised.value.reason is atoms.boom


PROVOKE: dict[str, Callable[[Place, Any], object]] = {
    "init": lambda place, pid: None,
    "handle_cast": lambda place, pid: place.node.cast(pid, 1),
    "handle_info": lambda place, pid: place.node.send(pid, 1),
    "handle_call": lambda place, pid: place.tester.send_request(pid, 1),
    "terminate": lambda place, pid: place.node.cast(pid, atoms.bad),
}


@pytest.mark.parametrize("where", PROVOKE)
@pytest.mark.parametrize("is_async", [False, True], ids=["generator", "async generator"])
async def test_callback_with_a_yield_is_refused(place: Place, where: str, is_async: bool) -> None:
    """Nothing of its body would ever run."""

    def plain(self: Any, *args: Any) -> Any:
        yield

    async def awaiting(self: Any, *args: Any) -> Any:
        yield

    cls = type("Yielding", (GenServer,), {where: awaiting if is_async else plain})
    pid = place.node.spawn(cls)
    ref = place.tester.monitor(pid)

    PROVOKE[where](place, pid)

    _, _, _, _, reason = await place.tester.receive(lambda message: message[1] == ref, timeout=5)
    assert b"has a yield" in reason[0][atoms.message]


async def test_coroutine_that_two_servers_return_runs_in_the_first(place: Place) -> None:
    go = asyncio.Event()

    async def work() -> Any:
        await go.wait()
        return atoms.worked

    shared = work()

    class Sharing(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            return shared

    first, second = await Sharing.start(place.node), await Sharing.start(place.node)
    reply = asyncio.create_task(place.node.call(first, 1))
    await asyncio.sleep(0.01)
    with pytest.raises(ProcessExit):
        await place.node.call(second, 1)

    go.set()

    assert await reply is atoms.worked


async def test_reply_may_be_any_object_of_this_node(place: Place) -> None:
    class Giving(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            return Reply(future)

    assert await place.node.call(await Giving.start(place.node), 1) is future


@pytest.mark.parametrize("callback", ["handle_info", "handle_cast", "handle_call"])
async def test_callback_that_is_given_a_successor_counts_from_the_next_message(place: Place, callback: str) -> None:
    """As a machine of states does it: ``self.handle_info = self.connected``."""
    heard: list[Any] = []

    class Turning(GenServer):
        def first(self, message: Any, *_: Any) -> Any:
            heard.append((1, message))
            setattr(self, callback, self.second)

        def second(self, message: Any, *_: Any) -> Any:
            heard.append((2, message))

    setattr(Turning, callback, Turning.first)
    pid = await Turning.start(place.node)

    for number in range(3):
        if callback == "handle_info":
            place.node.send(pid, number)
        elif callback == "handle_cast":
            place.node.cast(pid, number)
        else:
            place.tester.send_request(pid, number)
    async with asyncio.timeout(5):
        while len(heard) < 3:
            await asyncio.sleep(0)

    assert heard == [(1, 0), (2, 1), (2, 2)]
