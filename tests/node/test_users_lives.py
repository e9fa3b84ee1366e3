"""Objects that live more than once, or are copied: each life is a process of its own."""

from __future__ import annotations

import asyncio
import copy
import pickle
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import pytest

from pyzen import GenServer, Process, atoms
from pyzen.actor.registry import DynamicRegistry
from pyzen.actor.supervisor import ChildSpec, Supervisor

if TYPE_CHECKING:
    from tests.node.conftest import Place


@dataclass
class Box(GenServer):
    items: list[Any] = field(default_factory=list)

    def handle_call(self, request: Any, from_: Any) -> Any:
        self.items.append(request)
        return self.pid, list(self.items)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, replace], ids=["copy", "deepcopy", "replace"])
@pytest.mark.parametrize("is_running", [False, True], ids=["new", "running"])
async def test_copy_is_a_process_of_its_own(place: Place, copied: Any, is_running: bool) -> None:
    original = Box([1])
    if is_running:
        place.tester.spawn(original)

    twin = copied(original)
    pid = place.tester.spawn(twin)
    if not is_running:
        place.tester.spawn(original)

    assert pid != original.pid
    assert await place.node.call(pid, 2) == (pid, [1, 2])
    assert await place.node.call(original.pid, 3) == (original.pid, [1, 3] if copied is copy.deepcopy else [1, 2, 3])


async def test_copy_of_a_body_is_a_process_of_its_own(place: Place) -> None:
    async def body(process: Process) -> None:
        message = await process.receive()
        process.send(message, (process.pid, atoms.done))

    original = Process(body)
    twin = copy.copy(original)
    pids = [place.tester.spawn(original), place.tester.spawn(twin)]

    for pid in pids:
        place.node.send(pid, place.tester.pid)

    assert [await place.heard() for _ in pids] == [(pid, atoms.done) for pid in pids]


async def test_process_can_not_be_pickled(place: Place) -> None:
    with pytest.raises(TypeError, match="process"):
        pickle.dumps(Box([1]))


async def test_state_carried_over_to_the_next_life_is_the_state_alone(place: Place) -> None:
    saved: dict[str, Any] = {}

    class Carrying(GenServer):
        def init(self) -> None:
            self.__dict__.update(saved)
            self.lives = getattr(self, "lives", 0) + 1

        def handle_call(self, request: Any, from_: Any) -> Any:
            return self.pid, self.lives

        def terminate(self, reason: Any) -> None:
            saved.update(self.__dict__)

        def handle_cast(self, request: Any) -> None:
            self.exit(atoms.normal)

    first = await Carrying.start(place.node)
    ref = place.tester.monitor(first)
    place.node.cast(first, atoms.end)
    assert (await place.heard())[1] == ref

    second = await Carrying.start(place.node)

    assert await place.node.call(second, 1) == (second, 2)


# ---- one object, two lives


class Only:
    """A class with one instance, by ``__new__``."""

    only: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if cls.only is None:
            cls.only = super().__new__(cls, *args, **kwargs)
        return cls.only  # type: ignore[no-any-return]


class Worker(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


async def end(place: Place, pid: Any, reason: Any = atoms.shutdown) -> None:
    ref = place.tester.monitor(pid)
    place.tester.send_exit(pid, reason)
    assert (await place.heard())[1] == ref


async def test_supervisor_of_one_instance_starts_and_keeps_its_children_in_a_second_life(place: Place) -> None:
    class OnlySupervisor(Only, Supervisor):
        def __init__(self) -> None:
            super().__init__([ChildSpec("one", Worker, name="one")])

    first = await OnlySupervisor.start(place.node)
    child = place.node.whereis("one")
    await end(place, first)
    assert place.node.whereis("one") is None

    second = await OnlySupervisor.start(place.node)
    child = place.node.whereis("one")
    assert child is not None
    place.tester.send_exit(child, atoms.boom)
    async with asyncio.timeout(5):
        while place.node.whereis("one") in {None, child}:
            await asyncio.sleep(0)

    assert second != first
    await end(place, second)
    assert place.node.whereis("one") is None


async def test_registry_of_one_instance_starts_anew_in_a_second_life(place: Place) -> None:
    class OnlyRegistry(Only, DynamicRegistry):
        def __init__(self) -> None:
            super().__init__(lambda _key: Worker)

    first = await OnlyRegistry.start(place.node)
    registry = OnlyRegistry.only
    old = registry.lookup_or_start("key")
    await end(place, first, atoms.kill)

    second = await OnlyRegistry.start(place.node)

    assert registry.lookup("key") is None
    assert registry.keys() == []
    new = registry.lookup_or_start("key")
    assert new != old
    await end(place, second, atoms.kill)
    assert place.node.runtime.process(new) is None
