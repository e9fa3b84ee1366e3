from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.registry import DynamicRegistry
from pyzen.errors import ConfigError
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.process import Mailbox
    from pyzen.node.router import Router


class Worker(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        return request


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0)


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


async def test_registry_takes_its_factory_as_an_argument(router: Router, me: Mailbox) -> None:
    registry = router.process(router.spawn(DynamicRegistry, lambda _key: Worker))
    router.scheduler.run()

    assert await me.call(registry.lookup_or_start("key"), 1) == 1


async def test_registry_without_a_factory_can_start_nothing(router: Router) -> None:
    registry = router.process(router.spawn(DynamicRegistry))

    with pytest.raises(ConfigError, match="no factory"):
        registry.lookup_or_start("key")
