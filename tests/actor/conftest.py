"""One node without links, on the test's own event loop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from pyzen.actor.process import Mailbox
from pyzen.actor.scheduler import Scheduler
from pyzen.node.router import Router
from pyzen.terms import Atom

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pyzen.node.outlet import Outlet


class NoLinks:
    """A node that can reach nobody."""

    dial_count = 0

    def up(self, node: Atom) -> Outlet | None:
        return None

    def queue(self, node: Atom) -> Outlet | None:
        return None

    def dial(self, node: Atom) -> Outlet | None:
        return None

    def disconnect(self, node: Atom, reason: str) -> bool:
        return False

    def peer_of(self, epoch: int) -> Atom | None:
        return None

    def guard(self, receiver: int | Atom) -> None:
        """No message comes by a link."""

    unguard = guard


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    loop = asyncio.get_running_loop()
    scheduler = Scheduler(loop.call_soon)
    router = Router(Atom("local@test"), 7, scheduler, NoLinks(), now=loop.time, call_later=loop.call_later)
    yield router
    for pid in router.processes():
        actor = router.actor(pid)
        if actor is not None:
            actor.end(Atom("shutdown"))
    await router.join(1.0)


@pytest.fixture
async def me(router: Router) -> AsyncIterator[Mailbox]:
    """The test as a process."""

    def opened(mailbox: Mailbox) -> None:
        router.spawn(mailbox)

    async with Mailbox(opened) as mailbox:
        yield mailbox


@pytest.fixture
def quiet() -> Iterator[None]:
    """Processes crash on purpose."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)
