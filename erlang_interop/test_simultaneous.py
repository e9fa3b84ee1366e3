"""A node of ours and a real one dial each other at the same time: one link comes of it, which stays.

Ours is called ``z`` and a hexadecimal digit: the name of the other is the lesser one, or the greater.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import pytest

from pyzen.terms import Atom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.nodes import ErlNode
    from pyzen.node.node import Node

ROUNDS = 40
STEP = 0.0002
"""Seconds by which the own dial is later in each round: the two meet in every stage."""

QUIET = 0.05
"""Seconds in which a link that can't stay would be gone."""


@pytest.mark.parametrize("alive", ["a", "zz"])
async def test_two_that_dial_at_once_have_one_link(
    python_node: Callable[..., Awaitable[Node]], erl_node: Callable[..., Awaitable[ErlNode]], alive: str
) -> None:
    erlang, ours = await erl_node(f"{alive}{secrets.token_hex(5)}"), await python_node()
    peer, counters = Atom(erlang.name), ours._connections.counters

    for done in range(ROUNDS):
        theirs = asyncio.ensure_future(erlang.run("net_kernel", "connect_node", ours.name))
        await asyncio.sleep(STEP * done)
        assert [await ours.connect(peer), await theirs] == [True, True]
        await asyncio.sleep(QUIET)
        assert (ours.nodes(), counters["links_up"], counters["links_lost"]) == ([peer], done + 1, done)
        ours.disconnect(peer)
        while await erlang.run("erlang", "nodes"):
            await asyncio.sleep(STEP)
