"""Connections that never prove to know the cookie keep nobody out."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pyzen.config import Limits
from pyzen.errors import HandshakeError
from tests.node.conftest import MakeNode, epmd, make_node

if TYPE_CHECKING:
    import pytest

    from pyzen.node.node import Node

__all__ = ["epmd", "make_node"]

PLACES = 8


def measured(node: Node, name: str, **labels: str) -> float:
    (metric,) = [metric for metric in node.metrics.metrics() if metric.name == f"pyzen.node.{name}"]
    return metric.value(**labels)


def idle(node: Node, stack: ExitStack) -> socket.socket:
    assert node.address is not None
    return stack.enter_context(socket.create_connection(node.address))


async def full(make_node: MakeNode, stack: ExitStack) -> Node:
    """A node whose places are all taken by connections that say nothing."""
    node = await make_node("besieged", limits=Limits(max_handshakes=PLACES))
    for _ in range(PLACES):
        idle(node, stack)
    async with asyncio.timeout(5):
        while measured(node, "handshakes") < PLACES:
            await asyncio.sleep(0.01)
    return node


async def connected(newcomer: Node, node: Node) -> bool:
    try:
        return await newcomer.connect(node.name)
    except HandshakeError:
        return False


async def test_newcomers_find_a_place_as_soon_as_idle_ones_have_had_their_time(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is hurried: the oldest makes way when it is two seconds old."""
    newcomer = await make_node("newcomer")
    with ExitStack() as stack:
        node = await full(make_node, stack)
        assert not await connected(newcomer, node)

        async with asyncio.timeout(10):
            while not await connected(newcomer, node):
                await asyncio.sleep(0.1)

        assert "refused 1 connections, one of them from 127.0.0.1:" in caplog.text
        assert measured(node, "events", event="connections_refused") >= 2


async def test_those_that_are_proven_take_no_place(make_node: MakeNode) -> None:
    node = await make_node("popular", limits=Limits(max_handshakes=1))
    for number in range(5):
        peer = await make_node(f"peer{number}")
        assert await peer.connect(node.name)

    assert len(node.nodes()) == 5


async def test_many_nodes_that_dial_at_once_all_get_in(make_node: MakeNode) -> None:
    node = await make_node("popular")
    peers = [await make_node(f"peer{number}") for number in range(100)]

    assert all(await asyncio.gather(*(peer.connect(node.name) for peer in peers)))
    assert len(node.nodes()) == 100
