from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.process import Process
from pyzen.actor.spawning import actor_for
from pyzen.actor.verbs import actor_of


class Server(GenServer):
    pass


async def body(process: Process, number: int) -> None:
    """Do nothing."""


class Callable:
    async def __call__(self, process: Process, number: int) -> None:
        """Do nothing."""


@pytest.mark.parametrize("target", [body, partial(body), Callable()])
def test_body_becomes_a_process(target: Any) -> None:
    actor = actor_for(target, (1,))

    assert type(actor.instance) is Process
    assert actor.arguments == (target, 1)


def test_class_gets_the_arguments() -> None:
    actor = actor_for(Server, (1, 2))

    assert type(actor.instance) is Server
    assert actor.arguments == (1, 2)


def test_instance_and_actor_are_taken_as_they_are() -> None:
    server = Server(1)

    assert actor_for(server, ()) is actor_for(actor_of(server), ()) is actor_of(server)
    assert actor_of(server).arguments == (1,)


@pytest.mark.parametrize(("target", "args"), [(5, ()), ("body", ()), (dict, ()), (Server(), (1,))])
def test_what_can_not_be_started_raises(target: Any, args: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="an async function, or a Process or GenServer class is needed"):
        actor_for(target, args)
