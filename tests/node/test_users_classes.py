"""Users' classes of every ordinary kind: each serves, hears of deaths, ends once, and harms nobody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import GenServer, Process, Supervisor, atoms
from pyzen.actor.actor import Actor
from pyzen.actor.process import BodyLoop, Inbox
from pyzen.actor.registry import DynamicRegistry
from pyzen.actor.server_loop import ServerLoop
from pyzen.actor.supervisor import ChildSpec
from pyzen.actor.user_classes import VERBS
from tests.node.conftest import Bystander, Place
from tests.node.users_classes import CASES, Case, Ordinary

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode


@pytest.mark.parametrize("case", CASES.values(), ids=[f"{name}: {case.what}" for name, case in CASES.items()])
async def test_ordinary_class_serves_hears_and_ends(place: Place, case: Case) -> None:
    """One story, since each class has to live through all of it in turn."""
    node, tester = place.node, place.tester
    pid = await case.cls.start(node, name="tried")
    own = tester.monitor(pid)

    assert await node.call("tried", atoms.get) == case.answer
    assert await node.call(pid, (atoms.count, 5)) is atoms.ok
    assert await place.heard() == (atoms.counted, 5)

    killed, lost = place.other.spawn(Bystander), place.other.spawn(Bystander)
    first, second = [await node.call(pid, (atoms.watch, one)) for one in (killed, lost)]
    tester.send_exit(killed, atoms.boom)
    assert await place.heard() == (atoms.saw, (atoms.DOWN, first, atoms.process, killed, atoms.boom))
    node.disconnect(place.other.name)
    assert await place.heard() == (atoms.saw, (atoms.DOWN, second, atoms.process, lost, atoms.noconnection))

    tester.send_exit(pid, atoms.enough)
    assert await place.heard() == (atoms.DOWN, own, atoms.process, pid, atoms.enough)
    assert node.whereis("tried") is None


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_ordinary_class_is_there_when_the_node_stops(make_node: MakeNode, case: Case) -> None:
    node = await make_node()
    await case.cls.start(node)

    async with asyncio.timeout(3):
        await node.stop()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_ordinary_class_is_restarted(place: Place, case: Case) -> None:
    supervisor = await Supervisor.start(place.node, [ChildSpec("tried", case.cls, name="tried")])
    first = place.node.whereis("tried")
    assert first is not None

    place.tester.send_exit(first, atoms.boom)
    async with asyncio.timeout(5):
        while place.node.whereis("tried") in {None, first}:
            await asyncio.sleep(0)

    assert await place.node.call("tried", atoms.get) == case.answer
    place.tester.send_exit(supervisor, atoms.shutdown)


# ---- names


KERNEL: list[str] = sorted(
    name
    for name in {name for cls in (Actor, ServerLoop, BodyLoop, Inbox) for name in dir(cls)} - VERBS
    if not name.startswith("__")
)
"""Every name that the kernel uses for a process."""


async def test_every_name_of_the_kernel_is_free_for_methods(place: Place) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("only the program calls it")

    cls = type("Helpful", (Ordinary,), {name: never for name in KERNEL if not hasattr(Ordinary, name)})
    pid = await cls.start(place.node)  # type: ignore[attr-defined]

    assert await place.node.call(pid, atoms.get) == 7


async def test_every_name_of_the_kernel_is_free_for_attributes(place: Place) -> None:
    class Full(Ordinary):
        def init(self) -> None:
            for name in KERNEL:
                if not hasattr(Ordinary, name):
                    setattr(self, name, 7)

    pid = await Full.start(place.node)

    assert await place.node.call(pid, atoms.get) == 7


def test_object_of_a_user_has_one_attribute_of_the_kernel() -> None:
    assert list(vars(Ordinary())) == ["_pyzen_actor"]


def test_verbs_are_those_that_were_always_taken() -> None:
    """The list is frozen: one name more would break a class that works today."""
    assert sorted(VERBS) == [
        "call", "cancel_timer", "cast", "demonitor", "exit", "link", "local_node", "monitor", "node", "pid", "reply",
        "send", "send_after", "send_exit", "send_request", "spawn", "spawn_link", "spawn_monitor", "trap_exit",
        "unlink",
    ]  # fmt: skip


@pytest.mark.parametrize("base", [GenServer, Process, Supervisor, DynamicRegistry])
@pytest.mark.parametrize("name", sorted(VERBS))
def test_class_that_defines_a_verb_is_refused_when_it_is_defined(base: type, name: str) -> None:
    with pytest.raises(TypeError, match=rf"Taking defines {name}: .* call, .* unlink"):
        type("Taking", (base,), {name: 7})


def test_class_that_gets_a_verb_from_a_mixin_is_refused() -> None:
    class Mailer:
        def send(self, text: str) -> None: ...

        def call(self, number: str) -> None: ...

    with pytest.raises(TypeError, match="defines call, send:"):

        class Taking(Mailer, GenServer):  # type: ignore[misc]
            pass


def test_mixin_behind_the_class_of_the_kernel_takes_nothing() -> None:
    class Mailer:
        def send(self, text: str) -> None: ...

    class Server(GenServer, Mailer):  # type: ignore[misc]
        pass

    assert Server.send is GenServer.send


async def test_class_that_was_not_looked_at_when_it_was_defined_is_refused_at_its_start(place: Place) -> None:
    class Silent:
        def __init_subclass__(cls) -> None:
            """Keep every other ``__init_subclass__`` from running."""

    class Taking(Silent, GenServer):
        def monitor(self) -> None:  # type: ignore[override]
            """Look at a screen."""

    with pytest.raises(TypeError, match="Taking defines monitor"):
        await Taking.start(place.node)
    with pytest.raises(TypeError, match="Taking defines monitor"):
        place.node.spawn(Taking)


# ---- arguments


class Adder(GenServer):
    def __init__(self) -> None:
        self.made = True

    def init(self, *numbers: int) -> None:
        self.sum = sum(numbers)

    def handle_call(self, request: Any, from_: Any) -> Any:
        return self.made, self.sum


@pytest.mark.parametrize("how", ["start", "spawn", "spawn of a process", "child"])
async def test_init_gets_the_arguments_and_the_constructor_nothing(place: Place, how: str) -> None:
    node = place.node
    match how:
        case "start":
            await Adder.start(node, 1, 2, name="adder")
        case "spawn":
            node.spawn(Adder, 1, 2, name="adder")
        case "spawn of a process":
            place.tester.spawn(Adder, 1, 2, name="adder")
        case _:
            await Supervisor.start(node, [ChildSpec("adder", Adder, args=(1, 2), name="adder")])

    assert await node.call("adder", atoms.get) == (True, 3)


async def test_main_gets_the_arguments_and_the_constructor_nothing(place: Place) -> None:
    class Body(Process):
        def __init__(self) -> None:
            self._task = self.arguments = 1

        async def main(self, *args: Any) -> None:
            self.send("tester", (args, self._task))

    place.node.spawn(Body, 1, 2)

    assert await place.heard() == ((1, 2), 1)


async def test_constructor_that_wants_arguments_is_told_where_they_go(place: Place) -> None:
    class Wanting(GenServer):
        def __init__(self, number: int) -> None:
            self.number = number

    with pytest.raises(TypeError) as caught:
        place.node.spawn(Wanting, 1)

    assert caught.value.__notes__ == ["__init__ gets nothing: the arguments of spawn and start go to init, or to main"]


async def test_constructor_that_raises_raises_at_the_caller(place: Place) -> None:
    class Failing(GenServer):
        def __init__(self) -> None:
            raise LookupError("no configuration")

    with pytest.raises(LookupError, match="no configuration"):
        place.node.spawn(Failing, name="failing")

    assert place.node.whereis("failing") is None


async def test_process_can_trap_exits_from_its_constructor_on(place: Place) -> None:
    class Trapping(Ordinary):
        def __init__(self) -> None:
            self.trap_exit = True

    pid = await Trapping.start(place.node)
    place.tester.send_exit(pid, atoms.boom)

    assert await place.heard() == (atoms.saw, (atoms.EXIT, place.tester.pid, atoms.boom))


async def test_verb_before_the_start_says_so() -> None:
    class Early(GenServer):
        def __init__(self) -> None:
            self.send("tester", 1)

    with pytest.raises(RuntimeError, match="has not been started: verbs can be used from init on"):
        Early()


async def test_instance_is_started_once(place: Place) -> None:
    server = Bystander()
    place.tester.spawn(server)

    with pytest.raises(RuntimeError, match="Bystander has been started before"):
        place.tester.spawn(server)


# ---- timers


async def test_timer_that_is_cancelled_when_it_is_due_is_never_called(place: Place) -> None:
    class Hesitant(Ordinary):
        def handle_cast(self, request: Any) -> None:
            """Both are due at once; the first cancels the second."""
            self.after(0.0, self.first)
            self.timer = self.after(0.0, self.count, 2)

        def first(self) -> None:
            self.timer.cancel()
            self.count(1)

    pid = await Hesitant.start(place.node)
    place.node.cast(pid, 1)
    assert await place.heard() == (atoms.counted, 1)

    place.node.send(pid, atoms.marker)
    assert await place.heard() == (atoms.saw, atoms.marker)


@pytest.mark.parametrize("verb", ["after", "send_after"])
async def test_delay_that_is_no_number_raises_at_the_caller(place: Place, verb: str) -> None:
    """It would hold up every other timer of the event loop."""

    class Timing(Ordinary):
        def answer(self) -> Any:
            delay = float("nan")
            with pytest.raises(ValueError, match="not NaN"):
                self.after(delay, self.count) if verb == "after" else self.send_after("tester", 1, delay)
            return atoms.raised

    pid = await Timing.start(place.node)

    assert await place.node.call(pid, atoms.get) is atoms.raised
    await asyncio.sleep(0.001)


# ---- supervisors


async def test_supervisor_of_a_user_keeps_its_names(place: Place) -> None:
    class Own(Supervisor):
        def __init__(self) -> None:
            self._children = self._pids = self._restarts = self._strategy = self._start = 7

        def child(self, child_id: str) -> Any:
            raise AssertionError("only the program calls it")

    await Own.start(place.node, [ChildSpec("tried", Bystander, name="tried")])

    assert await place.node.call("tried", 1) == 1


async def test_registry_of_a_user_keeps_its_names(place: Place) -> None:
    class Own(DynamicRegistry):
        def __init__(self) -> None:
            self._by_key = self._by_pid = self._factory = self.factory = 7

        def handle_call(self, request: Any, from_: Any) -> Any:
            return self.lookup_or_start(request)

    pid = await Own.start(place.node, lambda _key: Bystander)

    first = await place.node.call(pid, 1)
    assert await place.node.call(pid, 1) == first
    assert await place.node.call(first, 2) == 2
