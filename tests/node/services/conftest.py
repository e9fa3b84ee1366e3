"""Two nodes of this process that are connected."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.node.conftest import MakeNode, epmd, make_node

if TYPE_CHECKING:
    from pyzen.node.node import Node

__all__ = ["epmd", "make_node"]


class Two(NamedTuple):
    """A caller, and who is called."""

    caller: Node
    callee: Node


@pytest.fixture
async def two(make_node: MakeNode) -> Two:
    nodes = Two(await make_node("caller"), await make_node("callee"))
    assert await nodes.caller.connect(nodes.callee.name)
    return nodes
