"""What is refused when a class is defined, or at the latest when a process of it is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.process import Process
from pyzen.actor.supervisor import Supervisor

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox
    from pyzen.node.router import Router


def test_field_with_the_name_of_a_verb_is_refused_at_definition() -> None:
    with pytest.raises(TypeError, match="defines call, node"):

        @dataclass
        class Fields(GenServer):
            call: int  # type: ignore[assignment]
            node: str  # type: ignore[assignment]
            other: int


def test_attrs_field_with_the_name_of_a_verb_is_refused_at_definition() -> None:
    with pytest.raises(TypeError, match="defines monitor"):

        @attrs.define
        class Fields(GenServer):
            monitor: int  # type: ignore[assignment]


@pytest.mark.parametrize("decorate", [dataclass, attrs.define, attrs.define(slots=False)], ids=str)
def test_field_of_a_mixin_is_refused_at_definition(decorate: Any) -> None:
    @decorate
    class Mixin:
        link: int

    with pytest.raises(TypeError, match="defines link"):
        type("Mixed", (Mixin, GenServer), {})


async def test_annotation_of_a_mixin_for_type_checkers_is_fine(router: Router, me: Mailbox) -> None:
    class Mixin:
        pid: Any

        def handle_call(self, request: Any, from_: Any) -> Any:
            return self.pid

    class Mixed(Mixin, GenServer):
        pass

    pid = router.spawn(Mixed)

    assert await me.call(pid, 1) == pid


@pytest.mark.parametrize("bases", [(GenServer, Process), (Process, GenServer), (Process, Supervisor)])
def test_class_of_two_kinds_is_refused_at_definition(bases: tuple[type, ...]) -> None:
    with pytest.raises(TypeError, match=r"two kinds|layout|MRO"):
        type("Both", bases, {})


async def test_class_of_no_module_is_a_class(router: Router, me: Mailbox) -> None:
    cls = type("Homeless", (GenServer,), {"__module__": None, "handle_call": lambda self, request, from_: request})

    assert await me.call(router.spawn(cls), 1) == 1


class Swallowing(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return None


class Empty(GenServer):
    def __new__(cls) -> Any:
        return None


class Swallowed(GenServer, metaclass=Swallowing):
    pass


@pytest.mark.parametrize("cls", [Empty, Swallowed])
async def test_class_that_makes_no_process_is_refused(router: Router, cls: Any) -> None:
    with pytest.raises(TypeError, match="None, which is no process"):
        router.spawn(cls)


async def test_constructor_that_takes_the_name_starts_nothing(router: Router, me: Mailbox) -> None:
    class Greedy(GenServer):
        def __init__(self) -> None:
            router.register("wanted", me.pid)

    before = router.processes()

    with pytest.raises(Exception, match="wanted"):
        router.spawn(Greedy, name="wanted")

    assert router.processes() == before
