"""Connections without the cookie, or with one and nothing to say."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import LOST
from pyzen.errors import PyzenError

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Stage


@attack("Limits.max_handshakes", 16)
async def idle_sockets(stage: Stage) -> None:
    """64 connections that say nothing."""
    await stage.begin()
    await stage.open_many(64)
    await asyncio.sleep(2)


@attack("Limits.max_handshakes", 64, "refused .* connections, one of them from 127.0.0.1")
async def two_thousand_idle_sockets(stage: Stage) -> None:
    """2000 connections that say nothing, and a new one for each that is closed, for four seconds."""
    await stage.begin()
    await stage.open_many(2000)
    with suppress(TimeoutError):
        async with asyncio.timeout(4):
            while True:
                await stage.open_many(20)
                await asyncio.sleep(0.02)


@attack("Limits.max_handshakes", 16, "cookie")
async def wrong_cookies(stage: Stage) -> None:
    """300 handshakes with a wrong cookie, each under a new name."""
    await stage.begin()
    for _ in range(300):
        with suppress(PyzenError, *LOST):
            await stage.peer(cookie="wrong", reads=False)
