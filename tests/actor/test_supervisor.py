from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.supervisor import ChildSpec, DynamicRegistry, Strategy, Supervisor
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


async def test_registry_starts_a_process_once_per_key(router: Router) -> None:
    registry = DynamicRegistry(lambda _key: Worker())
    router.spawn(registry)

    first = registry.lookup_or_start("key")

    assert registry.lookup_or_start("key") == first == registry.lookup("key")


async def test_registry_starts_a_successor_in_the_step_that_finds_the_process_dead(router: Router, me: Mailbox) -> None:
    registry = DynamicRegistry(lambda _key: Worker())
    router.spawn(registry)
    first = registry.lookup_or_start("key")
    actor = router.actor(first)
    assert actor is not None
    actor.end(atoms.boom)

    second = registry.lookup_or_start("key")
    await until(lambda: registry.keys() == ["key"])

    assert second != first
    assert await me.call(second, atoms.hello) is atoms.hello
    assert registry.lookup("key") == second
