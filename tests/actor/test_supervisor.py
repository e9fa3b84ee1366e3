from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.process import Process
from pyzen.actor.supervisor import ChildSpec, Strategy, Supervisor
from pyzen.errors import ConfigError
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.process import Mailbox
    from pyzen.node.router import Router


class Worker(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        return request


def children(*names: str) -> list[ChildSpec]:
    return [ChildSpec(name, Worker, name=name) for name in names]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0)


async def start(router: Router, strategy: Strategy, *names: str, max_restarts: int = 3) -> Supervisor:
    supervisor = Supervisor(children(*names), strategy, max_restarts)
    router.spawn(supervisor)
    await until(lambda: all(router.whereis(name) for name in names))
    return supervisor


@pytest.mark.parametrize(
    ("strategy", "restarted"),
    [("one_for_one", {"b"}), ("rest_for_one", {"b", "c"}), ("one_for_all", {"a", "b", "c"})],
)
async def test_strategy_says_who_is_restarted(
    router: Router, me: Mailbox, strategy: Strategy, restarted: set[str]
) -> None:
    await start(router, strategy, "a", "b", "c")
    before = {name: router.whereis(name) for name in "abc"}

    me.send_exit(before["b"], atoms.boom)  # type: ignore[arg-type]
    await until(lambda: all(router.whereis(n) not in {None, before[n]} for n in restarted))

    assert {name for name in "abc" if router.whereis(name) != before[name]} == restarted


async def test_too_many_restarts_end_the_supervisor_and_its_children(router: Router, me: Mailbox) -> None:
    supervisor = await start(router, "one_for_one", "a", "b", max_restarts=1)
    ref = me.monitor(supervisor.pid)

    first = router.whereis("a")
    me.send_exit(first, atoms.boom)  # type: ignore[arg-type]
    await until(lambda: router.whereis("a") not in {None, first})
    me.send_exit(router.whereis("a"), atoms.boom)  # type: ignore[arg-type]

    assert (await me.receive(timeout=2))[1:5:3] == (ref, atoms.shutdown)
    assert router.whereis("a") is None
    assert router.whereis("b") is None


async def test_transient_child_is_left_alone_after_an_orderly_exit(router: Router, me: Mailbox) -> None:
    supervisor = Supervisor([ChildSpec("a", Worker, restart="transient", name="a")])
    router.spawn(supervisor)
    await until(lambda: router.whereis("a") is not None)

    me.send_exit(router.whereis("a"), atoms.shutdown)  # type: ignore[arg-type]
    await until(lambda: supervisor.child("a") is None)

    assert router.whereis("a") is None


async def test_exit_signal_stops_children_in_reverse_order(router: Router, me: Mailbox) -> None:
    supervisor = await start(router, "one_for_one", "a", "b")
    downs = {me.monitor("a"): "a", me.monitor("b"): "b", me.monitor(supervisor.pid): "supervisor"}

    me.send_exit(supervisor.pid, atoms.shutdown)

    assert [downs[(await me.receive(timeout=2))[1]] for _ in range(3)] == ["b", "a", "supervisor"]


def test_two_children_of_one_id_are_refused() -> None:
    with pytest.raises(ConfigError):
        Supervisor(children("a", "a"))


# ---- what a child can be


async def body(process: Process, name: str) -> None:
    process.send(name, (atoms.began, process.pid))
    await process.receive(lambda message: message is atoms.stop)


class Looping(Process):
    async def main(self, *args: Any) -> None:
        await body(self, *args)


def factory() -> Looping:
    return Looping(body, "tester")


@pytest.mark.parametrize(
    "child",
    [
        ChildSpec("one", body, args=("tester",)),
        ChildSpec("one", Looping, args=("tester",)),
        ChildSpec("one", partial(body, name="tester")),
        ChildSpec("one", lambda: Process(body, "tester")),
    ],
    ids=["body", "class", "partial", "function that returns a process"],
)
async def test_child_is_started_anew_each_time(router: Router, me: Mailbox, child: ChildSpec) -> None:
    router.register("tester", me.pid)
    router.spawn(Supervisor, [child])
    _, first = await me.receive(timeout=2)

    me.send_exit(first, atoms.boom)

    assert (await me.receive(timeout=2))[1] != first


async def stubborn(process: Process) -> None:
    """Do not end when told to."""
    process.trap_exit = True
    async for message in process:
        process.send("tester", message)


async def stopped(router: Router, me: Mailbox, shutdown: float | None) -> Any:
    """Tell a supervisor to end; return the first that is heard of it."""
    router.register("tester", me.pid)
    supervisor = router.spawn(Supervisor, [ChildSpec("one", stubborn, shutdown=shutdown, name="one")])
    await until(lambda: router.whereis("one") is not None)
    child = router.whereis("one")
    assert child is not None
    await asyncio.sleep(0)  # it traps from its first step on
    me.monitor(child)
    me.send_exit(supervisor, atoms.shutdown)
    first = await me.receive(timeout=2)
    if first[0] is atoms.EXIT:
        me.send_exit(child, atoms.kill)
    return first


async def test_child_without_time_is_killed_at_once(router: Router, me: Mailbox) -> None:
    assert (await stopped(router, me, 0))[4] is atoms.killed


async def test_child_is_told_to_end_before_it_is_killed(router: Router, me: Mailbox) -> None:
    assert (await stopped(router, me, 0.01))[::2] == (atoms.EXIT, atoms.shutdown)
    assert (await me.receive(timeout=2))[4] is atoms.killed


async def test_child_with_all_the_time_is_waited_for(router: Router, me: Mailbox) -> None:
    assert (await stopped(router, me, None))[::2] == (atoms.EXIT, atoms.shutdown)
    assert (await me.receive(timeout=2))[4] is atoms.killed


async def test_supervisor_below_is_given_the_time_of_its_children(router: Router, me: Mailbox) -> None:

    async def cleaning(process: Process) -> None:
        process.trap_exit = True
        await process.receive()
        await asyncio.sleep(0.05)

    one = ChildSpec("one", cleaning, name="one")
    below = ChildSpec("below", Supervisor, args=([one],), shutdown=0.01, name="below")
    supervisor = router.spawn(Supervisor, [below])
    await until(lambda: router.whereis("one") is not None)
    await asyncio.sleep(0)  # it traps from its first step on
    me.monitor("below")

    me.send_exit(supervisor, atoms.shutdown)

    assert (await me.receive(timeout=2))[4] is atoms.shutdown
