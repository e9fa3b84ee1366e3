from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.answers import Stop
from pyzen.actor.process import current_process
from pyzen.actor.reasons import ExitRequest
from pyzen.config import Limits
from pyzen.errors import NodeDown
from pyzen.terms import atoms
from tests.node.conftest import until
from tests.node.services.conftest import Two

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode


def add(one: int, other: int) -> int:
    return one + other


@pytest.mark.parametrize("kind", ["call", "block_call"])
async def test_a_call_is_answered_with_the_result(two: Two, kind: str) -> None:
    two.callee.export("calc", "add", add)
    request = (atoms[kind], atoms.calc, atoms.add, [1, 2], atoms.user)

    assert await two.caller.call(("rex", two.callee.name), request) == 3


@pytest.mark.parametrize("kind", ["call", "block_call"])
async def test_a_call_that_fails_is_a_badrpc(two: Two, kind: str) -> None:
    request: Any = (atoms[kind], atoms.calc, atoms.nothing, [], atoms.user)

    badrpc, (exit_, (reason, _stack)) = await two.caller.call(("rex", two.callee.name), request)

    assert (badrpc, exit_, reason) == (atoms.badrpc, atoms.EXIT, atoms.undef)


async def test_another_call_is_ignored(two: Two) -> None:
    assert await two.caller.call(("rex", two.callee.name), atoms.nonsense) is atoms.ignored


async def test_a_cast_runs_the_function(two: Two) -> None:
    rung = asyncio.Event()
    two.callee.export("bell", "ring", rung.set)

    two.caller.cast(("rex", two.callee.name), (atoms.cast, atoms.bell, atoms.ring, [], atoms.user))

    await asyncio.wait_for(rung.wait(), 5)


async def test_a_call_by_a_plain_message_is_answered_by_one(two: Two) -> None:
    two.callee.export("calc", "add", add)
    async with two.caller.mailbox() as me:
        me.send(("rex", two.callee.name), (me.pid, (atoms.call, atoms.calc, atoms.add, [1, 2], me.pid)))

        assert await me.receive(timeout=5) == (atoms.rex, 3)


async def test_sbcast_tells_where_it_arrived(two: Two) -> None:
    async with two.caller.mailbox() as me, two.callee.mailbox("here") as other:
        for name in (atoms.here, atoms.nowhere):
            me.send(("rex", two.callee.name), (me.pid, (atoms.sbcast, name, atoms.news)))

        replies: list[Any] = [await me.receive(timeout=5) for _ in range(2)]
        assert await other.receive(timeout=5) is atoms.news

    node = two.callee.name
    assert replies == [(atoms.rex, node, node), (atoms.rex, node, (atoms.nonexisting_name, atoms.nowhere))]


async def test_features_are_told(two: Two) -> None:
    async with two.caller.mailbox() as me:
        me.send(("rex", two.callee.name), (me.pid, atoms.features_request))

        assert await me.receive(timeout=5) == (atoms.features_reply, two.callee.name, [atoms.erpc])


def raising(error: BaseException) -> Any:
    def function() -> Any:
        raise error

    async def coroutine() -> Any:
        raise error

    return function, coroutine


class Odd(BaseException):
    """No ``except Exception`` sees it."""


ENDS: dict[str, tuple[BaseException, Any]] = {
    "cancelled": (asyncio.CancelledError(), None),
    "sys.exit": (SystemExit(), atoms.normal),
    "stop": (Stop(atoms.enough), atoms.enough),
    "group": (BaseExceptionGroup("", [ExitRequest(atoms.enough)]), atoms.enough),
    "exit": (ExitRequest(object()), None),
    "odd": (Odd(), None),
    "stop iteration": (StopIteration(), None),
}


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("kind", ["call", "block_call"])
@pytest.mark.parametrize(("error", "reason"), ENDS.values(), ids=ENDS)
async def test_a_call_is_answered_however_the_function_ends(
    two: Two, kind: str, error: BaseException, reason: Any, is_async: bool
) -> None:
    two.callee.export("odd", "end", raising(error)[is_async])
    request: Any = (atoms[kind], atoms.odd, atoms.end, [], atoms.user)

    badrpc, (exit_, told) = await two.caller.call(("rex", two.callee.name), request)

    assert (badrpc, exit_) == (atoms.badrpc, atoms.EXIT)
    assert reason is None or told is reason
    two.callee.export("calc", "add", add)
    assert await two.caller.rpc(two.callee.name, "calc", "add", [1, 2]) == 3
    assert await two.caller.call(("rex", two.callee.name), (atoms[kind], atoms.calc, atoms.add, [1, 2], None)) == 3


NO_MODULES: list[Any] = [[], [1], {}, {atoms.a: 1}, 5, b"calc", (atoms.calc, 1), 1.5]


@pytest.mark.parametrize("kind", ["call", "block_call"])
@pytest.mark.parametrize("module", NO_MODULES, ids=repr)
async def test_a_call_of_what_is_no_module_is_answered(two: Two, kind: str, module: Any) -> None:
    two.callee.export("calc", "add", add)
    request: Any = (atoms[kind], module, module, [1], atoms.user)

    badrpc, (exit_, (reason, _stack)) = await two.caller.call(("rex", two.callee.name), request)

    assert (badrpc, exit_, reason) == (atoms.badrpc, atoms.EXIT, atoms.undef)
    assert await two.caller.call(("rex", two.callee.name), (atoms[kind], atoms.calc, atoms.add, [1, 2], None)) == 3


@pytest.mark.parametrize("kind", ["call", "block_call"])
async def test_a_call_whose_process_is_killed_is_answered(two: Two, kind: str) -> None:
    async def end() -> None:
        process = current_process()
        process.send_exit(process.pid, atoms.kill)
        await asyncio.Event().wait()

    two.callee.export("calc", "end", end)
    two.callee.export("calc", "add", add)

    ended = await two.caller.call(("rex", two.callee.name), (atoms[kind], atoms.calc, atoms.end, [], None))

    assert ended == (atoms.badrpc, (atoms.EXIT, atoms.killed))
    assert await two.caller.call(("rex", two.callee.name), (atoms[kind], atoms.calc, atoms.add, [1, 2], None)) == 3


async def test_block_calls_run_one_after_the_other(two: Two) -> None:
    running = most = 0

    async def work() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return most

    two.callee.export("calc", "work", work)
    request: Any = (atoms.block_call, atoms.calc, atoms.work, [], None)

    await asyncio.gather(*(two.caller.call(("rex", two.callee.name), request) for _ in range(10)))

    assert most == 1


async def test_nothing_else_waits_for_a_block_call(two: Two) -> None:
    let_go = asyncio.Event()
    two.callee.export("calc", "wait", let_go.wait)
    two.callee.export("calc", "add", add)
    blocked = asyncio.create_task(
        two.caller.call(("rex", two.callee.name), (atoms.block_call, atoms.calc, atoms.wait, [], None))
    )
    await asyncio.sleep(0)

    assert await two.caller.call(("rex", two.callee.name), (atoms.call, atoms.calc, atoms.add, [1, 2], None)) == 3

    let_go.set()
    assert await blocked is True


# ---- too many

NO_ROOM = (atoms.badrpc, (atoms.EXIT, atoms.system_limit))


@pytest.fixture
async def full(make_node: MakeNode) -> Two:
    """The callee has as many processes as peers may bring it to."""
    nodes = Two(await make_node("caller"), await make_node("callee", limits=Limits(max_processes=1)))
    assert await nodes.caller.connect(nodes.callee.name)
    nodes.callee.export("calc", "add", add)
    return nodes


@pytest.mark.parametrize("kind", ["call", "block_call"])
async def test_a_call_that_finds_no_room_is_refused(full: Two, kind: str) -> None:
    request = (atoms[kind], atoms.calc, atoms.add, [1, 2], atoms.user)

    assert await full.caller.call(("rex", full.callee.name), request) == NO_ROOM


async def test_a_call_by_a_plain_message_that_finds_no_room_is_refused(full: Two) -> None:
    async with full.caller.mailbox() as me:
        me.send(("rex", full.callee.name), (me.pid, (atoms.call, atoms.calc, atoms.add, [1, 2], me.pid)))

        assert await me.receive(timeout=5) == (atoms.rex, NO_ROOM)


async def test_casts_that_find_no_room_are_dropped(full: Two, caplog: pytest.LogCaptureFixture) -> None:
    before = full.callee.runtime.process_count()
    for _ in range(1000):
        full.caller.cast(("rex", full.callee.name), (atoms.cast, atoms.calc, atoms.add, [1, 2], atoms.user))
    assert await full.caller.call(("rex", full.callee.name), atoms.nonsense) is atoms.ignored

    assert full.callee.runtime.process_count() == before
    assert 0 < sum("no room" in record.getMessage() for record in caplog.records) < 25


async def test_block_calls_that_wait_have_a_bound(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyzen.node.services.rex.MAX_BLOCKED", 4)  # of which one peer gets half
    gate = asyncio.Event()
    two.callee.export("gate", "wait", gate.wait)
    request: Any = (atoms.block_call, atoms.gate, atoms.wait, [], atoms.user)
    calls = [asyncio.ensure_future(two.caller.call(("rex", two.callee.name), request)) for _ in range(4)]

    done, _ = await asyncio.wait(calls, timeout=5, return_when=asyncio.FIRST_COMPLETED)

    assert [call.result() for call in done] == [NO_ROOM]
    gate.set()
    assert sorted(map(str, await asyncio.gather(*calls))) == sorted([str(NO_ROOM), *["True"] * 3])


async def test_block_calls_of_a_lost_link_are_forgotten(make_node: MakeNode) -> None:
    lost, other, callee = await make_node("lost"), await make_node("other"), await make_node("callee")
    gate, ran = asyncio.Event(), []

    async def work(name: Any) -> bool:
        ran.append(name)
        await gate.wait()
        return True

    callee.export("gate", "work", work)
    calls = [
        asyncio.ensure_future(
            node.call(("rex", callee.name), (atoms.block_call, atoms.gate, atoms.work, [node.name], None))
        )
        for node in (callee, lost, lost, other)
    ]
    rex = callee.runtime.process(callee.whereis(atoms.rex))  # type: ignore[arg-type]
    await until(lambda: rex.get_state()[atoms.blocked] == 3)

    lost.disconnect(callee.name)
    await until(lambda: rex.get_state()[atoms.blocked] == 1)

    gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert ran == [callee.name, other.name]
    assert [type(result) for result in results] == [bool, NodeDown, NodeDown, bool]


async def test_block_calls_of_the_next_link_wait_on(two: Two) -> None:
    gate = asyncio.Event()
    two.callee.export("gate", "wait", gate.wait)
    request: Any = (atoms.block_call, atoms.gate, atoms.wait, [], None)
    rex = two.callee.runtime.process(two.callee.whereis(atoms.rex))  # type: ignore[arg-type]

    def call() -> asyncio.Future[Any]:
        return asyncio.ensure_future(two.caller.call(("rex", two.callee.name), request))

    for _ in range(2):
        calls = [call(), call()]
        await until(lambda: rex.get_state()[atoms.blocked] >= 1)
        two.caller.disconnect(two.callee.name)
        await until(lambda: rex.get_state()[atoms.blocked] == 0)
        await asyncio.wait(calls)
    last = call()
    await until(lambda: rex.get_state()[atoms.blocked] == 1)
    gate.set()

    assert await last is True
