"""Functions that block: each call has a thread, up to a bound."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.config import Limits
from pyzen.node.services.threads import NoThread, Threads
from pyzen.terms import atoms
from tests.node.services.conftest import Two

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode


async def test_thread_answers() -> None:
    assert await Threads(1).run(lambda: threading.current_thread().daemon) is True


async def test_all_run_side_by_side() -> None:
    threads, together = Threads(60), threading.Barrier(60)

    assert sorted(await asyncio.gather(*(threads.run(together.wait) for _ in range(60)))) == list(range(60))
    assert threads.count == 0


async def test_one_too_many_is_refused_until_another_has_ended() -> None:
    threads, gate = Threads(1), threading.Event()
    first = asyncio.ensure_future(threads.run(gate.wait))
    await asyncio.sleep(0)

    with pytest.raises(NoThread, match="1 functions that block are at work: see max_blocking_calls"):
        await threads.run(gate.wait)

    gate.set()
    assert await first
    assert await threads.run(lambda: 3) == 3


async def test_thread_serves_one_call_after_the_other_and_ends_with_the_node() -> None:
    threads = Threads(10)
    served = {await threads.run(threading.current_thread) for _ in range(20)}

    (thread,) = served
    assert thread.is_alive()
    threads.stop()
    thread.join(5)
    assert not thread.is_alive()


async def test_busy_thread_ends_after_its_call() -> None:
    threads, gate = Threads(10), threading.Event()

    def work() -> threading.Thread:
        gate.wait()
        return threading.current_thread()

    call = asyncio.ensure_future(threads.run(work))
    await asyncio.sleep(0)
    threads.stop()
    gate.set()

    thread = await call
    thread.join(5)
    assert not thread.is_alive()


async def test_call_that_is_cancelled_has_its_place_until_its_function_returns() -> None:
    threads, gate = Threads(1), threading.Event()
    first = asyncio.ensure_future(threads.run(gate.wait))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert threads.count == 1

    gate.set()

    async with asyncio.timeout(5):
        while threads.count:
            await asyncio.sleep(0.001)


async def test_functions_that_call_back_wait_for_each_other(two: Two) -> None:
    """As many as a pool of threads had, each calling a function that needs a thread, too: none of them ever ended."""
    loop, node = asyncio.get_running_loop(), two.callee
    node.export("calc", "inner", lambda number: number + 1, blocking=True)

    def outer(number: int) -> Any:
        request = (atoms.call, atoms.calc, atoms.inner, [number], atoms.user)
        return asyncio.run_coroutine_threadsafe(node.call("rex", request), loop).result(10)

    node.export("calc", "outer", outer, blocking=True)
    calls = (two.caller.rpc(node.name, "calc", "outer", [number]) for number in range(40))

    assert await asyncio.gather(*calls) == list(range(1, 41))


async def test_peer_is_told_that_there_is_no_thread(make_node: MakeNode, caplog: pytest.LogCaptureFixture) -> None:
    two = Two(await make_node("caller"), await make_node("callee", limits=Limits(max_blocking_calls=1)))
    entered, gate = threading.Event(), threading.Event()

    def wait() -> bool:
        entered.set()
        return gate.wait()

    two.callee.export("gate", "wait", wait, blocking=True)
    request: Any = (atoms.call, atoms.gate, atoms.wait, [], atoms.user)
    first = asyncio.ensure_future(two.caller.call(("rex", two.callee.name), request))
    while not entered.is_set():
        await asyncio.sleep(0.001)

    badrpc, (exit_, (reason, _stack)) = await two.caller.call(("rex", two.callee.name), request)

    assert (badrpc, exit_, reason) == (atoms.badrpc, atoms.EXIT, atoms.system_limit)
    assert "see max_blocking_calls" in caplog.text
    gate.set()
    assert await first is True
