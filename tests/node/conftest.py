"""Nodes of this process, with an epmd of their own."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pyzen.config import EpmdConfig
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class MakeNode(Protocol):
    async def __call__(self, alive: str = "n", **options: Any) -> Node: ...


@pytest.fixture
async def epmd() -> AsyncIterator[EpmdConfig]:
    server = EpmdServer()
    port = await server.start(0)
    yield EpmdConfig(port=port, start=False)
    await server.stop()


@pytest.fixture
async def make_node(epmd: EpmdConfig) -> AsyncIterator[MakeNode]:
    async with AsyncExitStack() as stack:

        async def make(alive: str = "n", **options: Any) -> Node:
            settings: dict[str, Any] = {"cookie": "secret", "epmd": epmd} | options
            return await stack.enter_async_context(Node(f"{alive}{secrets.token_hex(3)}@127.0.0.1", **settings))

        yield make
