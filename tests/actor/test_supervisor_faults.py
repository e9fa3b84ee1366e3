"""Children that can't be started, that end at a bad moment, or that don't say what they are; values that can't be."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.child_spec import ChildSpec
from pyzen.actor.gen_server import GenServer
from pyzen.actor.process import Process
from pyzen.actor.supervisor import Supervisor
from pyzen.errors import ConfigError
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.process import Mailbox
    from pyzen.node.router import Router

pytestmark = pytest.mark.usefixtures("quiet")


class Worker(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


class Slow(Process):
    """Ends only when it is killed."""

    async def main(self) -> None:
        self.trap_exit = True
        while True:
            await self.receive()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0)


def count_down(failures: list[int], error: Any) -> type[Worker]:
    """Return a class whose first object is sound, and the next ``failures[0]`` can't be made."""
    made: list[int] = []

    class Fragile(Worker):
        def __init__(self) -> None:
            made.append(1)
            if len(made) > 1 and failures[0] > 0:
                failures[0] -= 1
                raise error

    return Fragile


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError], ids=lambda one: one.__name__)
@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
async def test_child_that_can_not_be_started_again_is_tried_within_the_intensity(
    router: Router, me: Mailbox, error: Any, strategy: Any
) -> None:
    fragile = count_down([2], error)
    specs = [ChildSpec("a", Worker, name="a"), ChildSpec("b", fragile, name="b"), ChildSpec("c", Worker, name="c")]
    supervisor = router.spawn(Supervisor, specs, strategy)
    await until(lambda: router.whereis(Atom("c")) is not None)
    before = router.whereis(Atom("b"))

    me.send_exit(before, atoms.boom)  # type: ignore[arg-type]
    await until(lambda: router.whereis(Atom("b")) not in {None, before})

    assert await me.call(supervisor, atoms.which_children)
    assert {child for child in "abc" if router.whereis(Atom(child)) is None} == set()


async def test_child_that_can_never_be_started_again_uses_the_intensity_up(router: Router, me: Mailbox) -> None:
    specs = [ChildSpec("a", Worker, name="a"), ChildSpec("b", count_down([99], ValueError), name="b")]
    supervisor = router.spawn(Supervisor, specs)
    ref = me.monitor(supervisor)
    await until(lambda: router.whereis(Atom("b")) is not None)

    me.send_exit(router.whereis(Atom("b")), atoms.boom)  # type: ignore[arg-type]

    assert (await me.receive(timeout=2))[1::3] == (ref, atoms.shutdown)
    assert router.whereis(Atom("a")) is None


async def test_child_whose_name_is_taken_meanwhile_is_started_when_it_is_free(router: Router, me: Mailbox) -> None:
    supervisor = router.spawn(Supervisor, [ChildSpec("a", Worker, name="a")], "one_for_one", 10**6)
    await until(lambda: router.whereis(Atom("a")) is not None)
    first = router.whereis(Atom("a"))
    actor = router.actor(first)  # type: ignore[arg-type]
    assert actor is not None
    actor.end(atoms.boom)
    router.register("a", me.pid)
    for _ in range(50):
        await asyncio.sleep(0)
    assert router.actor(supervisor) is not None

    router.unregister(Atom("a"))

    await until(lambda: router.whereis(Atom("a")) not in {None, first})


async def test_child_that_ends_while_a_later_one_is_stopped_is_restarted_too(router: Router, me: Mailbox) -> None:
    specs = [
        ChildSpec("a", Worker, name="a"),
        ChildSpec("b", Worker, name="b"),
        ChildSpec("c", Slow, name="c", shutdown=None),
    ]
    router.spawn(Supervisor, specs, "rest_for_one")
    await until(lambda: router.whereis(Atom("c")) is not None)
    before = {name: router.whereis(Atom(name)) for name in "abc"}
    await asyncio.sleep(0)
    me.send_exit(before["b"], atoms.boom)  # type: ignore[arg-type]  # now `c` has to stop, which takes its time
    await until(lambda: router.whereis(Atom("b")) is None)
    me.send_exit(before["a"], atoms.boom)  # type: ignore[arg-type]
    await until(lambda: router.whereis(Atom("a")) is None)

    me.send_exit(before["c"], atoms.kill)  # type: ignore[arg-type]
    await until(lambda: router.whereis(Atom("a")) not in {None, before["a"]})
    me.send_exit(router.whereis(Atom("c")), atoms.kill)  # type: ignore[arg-type]

    await until(lambda: all(router.whereis(Atom(name)) not in {None, before[name]} for name in "abc"))


@pytest.mark.parametrize("strategy", ["rest_for_one", "one_for_all"])
async def test_temporary_child_is_never_restarted_with_others(router: Router, me: Mailbox, strategy: Any) -> None:
    """Source: OTP, "supervisor", "Restart Strategy"."""
    specs = [ChildSpec("a", Worker, name="a"), ChildSpec("b", Worker, name="b", restart="temporary")]
    router.spawn(Supervisor, specs, strategy)
    await until(lambda: router.whereis(Atom("b")) is not None)
    first = router.whereis(Atom("a"))

    me.send_exit(first, atoms.boom)  # type: ignore[arg-type]
    await until(lambda: router.whereis(Atom("a")) not in {None, first})

    assert router.whereis(Atom("b")) is None


async def test_child_that_does_not_say_what_it_is_is_listed(router: Router, me: Mailbox) -> None:
    class Masked(Worker):
        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise ValueError

    supervisor = router.spawn(Supervisor, [ChildSpec("a", Masked)])

    assert (await me.call(supervisor, atoms.which_children))[0][2] is atoms.worker
    assert dict(await me.call(supervisor, atoms.count_children))[atoms.workers] == 1


async def test_supervisor_that_runs_is_not_configured_anew(router: Router, me: Mailbox) -> None:
    supervisor = Supervisor([ChildSpec("a", Worker, name="a")])
    pid = router.spawn(supervisor)
    await me.call(pid, atoms.which_children)

    with pytest.raises(RuntimeError, match="runs already"):
        supervisor.__init__([])  # type: ignore[misc]

    assert len(await me.call(pid, atoms.which_children)) == 1


# ---- values


def spec(values: dict[str, Any]) -> ChildSpec:
    sound: dict[str, Any] = {"id": "a", "target": Worker}
    return ChildSpec(**(sound | values))


def make_worker() -> Worker:
    return Worker()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": 7}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"id": None}, "id"),
        ({"restart": "always"}, "restart"),
        ({"restart": atoms.permanent}, "restart"),
        ({"restart": None}, "restart"),
        ({"restart": []}, "restart"),
        ({"shutdown": -1}, "shutdown"),
        ({"shutdown": math.nan}, "shutdown"),
        ({"shutdown": "brutal_kill"}, "shutdown"),
        ({"shutdown": True}, "shutdown"),
        ({"name": 7}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": ""}, "name"),
        ({"args": "abc"}, "args"),
        ({"args": 7}, "args"),
        ({"args": {"a": 1}}, "args"),
        ({"target": None}, "target"),
        ({"target": 7}, "target"),
        ({"target": int}, "target"),
    ],
    ids=str,
)
def test_child_spec_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spec(values)


@pytest.mark.parametrize(
    "values",
    [
        {"id": atoms.a}, {"shutdown": None}, {"shutdown": 0}, {"shutdown": 2.5}, {"shutdown": math.inf}, {"args": [1]},
        {"name": atoms.a}, {"target": make_worker}, {"target": Worker()}, {"target": Slow},
    ],
    ids=str,
)  # fmt: skip
def test_child_spec_takes(values: dict[str, Any]) -> None:
    assert spec(values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([[ChildSpec("a", Worker), ChildSpec("a", Worker)]], "two children"),
        ([[ChildSpec("a", Worker), ChildSpec(atoms.a, Worker)]], "two children"),
        ([[Worker]], "ChildSpec"),
        ([{"a": Worker}], "ChildSpec"),
        ([ChildSpec("a", Worker)], "list of ChildSpec"),
        ([7], "list of ChildSpec"),
        ([[], "simple_one_for_one"], "strategy"),
        ([[], atoms.one_for_all], "strategy"),
        ([[], ["one_for_all"]], "strategy"),
        ([[], "one_for_one", -1], "max_restarts"),
        ([[], "one_for_one", 1.5], "max_restarts"),
        ([[], "one_for_one", "3"], "max_restarts"),
        ([[], "one_for_one", 3, 0], "max_seconds"),
        ([[], "one_for_one", 3, math.nan], "max_seconds"),
        ([[], "one_for_one", 3, "5"], "max_seconds"),
    ],
    ids=str,
)
def test_supervisor_refuses(arguments: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Supervisor(*arguments)
