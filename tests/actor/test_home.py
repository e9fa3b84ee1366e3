from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pyzen.actor.home import Home


def home_in(loop: asyncio.AbstractEventLoop) -> Home:
    async def make() -> Home:
        return Home()

    return loop.run_until_complete(make())


async def check(home: Home) -> None:
    home.check("it")


def test_its_own_loop_may_call_and_so_may_its_thread_without_one() -> None:
    with asyncio.Runner() as runner:
        home = home_in(runner.get_loop())

        runner.run(check(home))
        home.check("it")


def test_another_loop_of_its_thread_may_not() -> None:
    with asyncio.Runner() as runner:
        home = home_in(runner.get_loop())
        with asyncio.Runner() as other, pytest.raises(RuntimeError, match="it belongs to another event loop: "):
            other.run(check(home))

    with asyncio.Runner() as other, pytest.raises(RuntimeError, match="another event loop, which is closed: "):
        other.run(check(home))


def test_another_thread_may_not() -> None:
    home = Home()
    raised: list[Any] = []

    def elsewhere() -> None:
        with pytest.raises(RuntimeError, match=r"it belongs to another thread: use loop\.call_soon_threadsafe"):
            home.check("it")
        raised.append(True)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()

    assert raised == [True]


async def test_what_has_no_loop_may_be_called_in_any() -> None:
    """As a node in memory, under virtual time."""
    found: list[Home] = []
    await asyncio.to_thread(lambda: found.append(Home()))
    assert found[0].loop is None

    home = found[0]
    home.thread_id = threading.get_ident()
    home.check("it")
    assert home.is_running()
