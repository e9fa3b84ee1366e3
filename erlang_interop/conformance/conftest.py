"""Fixtures of the conformance cases; the docstring of the package tells how to use them."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from erlang_interop.tls import tls_flags, write_optfile
from pyzen.config import EpmdConfig
from pyzen.node.node import Node
from tests.certificates import HOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from erlang_interop.conformance.actors import Listing
    from erlang_interop.nodes import ErlangCluster, ErlNode
    from pyzen.node.tls import TLSConfig
    from tests.certificates import Authority

WAYS: Final = (
    pytest.param("tcp", id="tcp"),
    pytest.param("tls", id="tls", marks=pytest.mark.needs("ssl")),
    pytest.param("hidden", id="hidden"),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a case once over each way that it does not exclude."""
    if "way" in metafunc.fixturenames:
        excluded = {marker.args[0] for marker in metafunc.definition.iter_markers("not_applicable")}
        metafunc.parametrize("way", [one for one in WAYS if one.id not in excluded], indirect=True)


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    """How nodes meet: ``tcp`` and ``tls`` with all nodes visible, ``hidden`` over TCP with ours hidden."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def listing(way: str) -> Listing:
    """The list of nodes in which the two sides have each other."""
    return "hidden" if way == "hidden" else "visible"


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> TLSConfig:
    """What nodes of ours and theirs prove themselves with, with long names and with short ones."""
    return authority.config(HOST, "localhost")


@pytest.fixture(scope="session")
def optfile(certificate: TLSConfig, tls_folder: Path) -> Path:
    """The same, for nodes of theirs."""
    return write_optfile(tls_folder / "dist.conf", certificate)


@pytest.fixture
def tls(way: str, request: pytest.FixtureRequest) -> TLSConfig | None:
    """What nodes of ours are told."""
    return request.getfixturevalue("certificate") if way == "tls" else None


@pytest.fixture
def cluster(cluster: ErlangCluster, way: str, request: pytest.FixtureRequest) -> ErlangCluster:
    """Nodes that share a cookie and the way."""
    if way == "tls":
        cluster.flags = tls_flags(request.getfixturevalue("optfile"))
    return cluster


@pytest.fixture
async def start_ours(
    cluster: ErlangCluster, way: str, tls: TLSConfig | None
) -> AsyncIterator[Callable[..., Awaitable[Node]]]:
    """``await start_ours(name=None, **options)`` starts a node of ours; options are those of ``Node``."""
    async with AsyncExitStack() as stack:

        async def start(name: str | None = None, **options: Any) -> Node:
            settings: dict[str, Any] = {
                "cookie": cluster.cookie,
                "epmd": EpmdConfig(port=cluster.epmd_port, start=False),
                "hidden": way == "hidden",
                "tls": tls,
                "zen": None,
            } | options
            return await stack.enter_async_context(Node(name or f"p{secrets.token_hex(5)}@{HOST}", **settings))

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
