from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.link.peer import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def make_node() -> Iterator[Callable[..., Node]]:
    nodes = []

    def make(ticktime: float = 60.0, **limits: Any) -> Node:
        nodes.append(Node(ticktime, **limits))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node()
