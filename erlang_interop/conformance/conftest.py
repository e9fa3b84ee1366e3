"""Fixtures of the conformance cases; the docstring of the package tells how to use them."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.config import EpmdConfig
from pyzen.node.node import Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ErlangCluster, ErlNode


@pytest.fixture
async def start_ours(cluster: ErlangCluster) -> AsyncIterator[Callable[..., Awaitable[Node]]]:
    """``await start_ours(name=None, **options)`` starts a node of ours; options are those of ``Node``."""
    async with AsyncExitStack() as stack:

        async def start(name: str | None = None, **options: Any) -> Node:
            settings: dict[str, Any] = {
                "cookie": cluster.cookie,
                "epmd": EpmdConfig(port=cluster.epmd_port, start=False),
                "zen": None,
            } | options
            return await stack.enter_async_context(Node(name or f"p{secrets.token_hex(5)}@127.0.0.1", **settings))

        yield start


@pytest.fixture
async def ours(start_ours: Callable[..., Awaitable[Node]]) -> Node:
    """A node of ours, connected to nobody."""
    return await start_ours()


@pytest.fixture
def start_theirs(erl_node: Callable[..., Awaitable[ErlNode]]) -> Callable[..., Awaitable[ErlNode]]:
    """``await start_theirs(alive_name=None, **options)`` starts an Erlang node; see ``NodeOptions``."""
    return erl_node


@pytest.fixture
async def theirs(start_theirs: Callable[..., Awaitable[ErlNode]]) -> ErlNode:
    """An Erlang node of the release, connected to nobody."""
    return await start_theirs()
