"""Settings of a node, its start and its stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.errors import (
    ConfigError,
)
from pyzen.node.node import Node
from pyzen.node.tls import TLSConfig
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.config import EpmdConfig
    from tests.node.conftest import MakeNode


class Echo(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        return request


# ---- settings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tls": TLSConfig(None, verify=False)}, "certfile"),
        ({"exports": ["no_such_module"]}, "no_such_module"),
        ({"ticktime": 0}, "ticktime"),
        ({"ticktime": -1.0}, "ticktime"),
        ({"cookie": ""}, "cookie"),
    ],
)
def test_setting_that_can_not_be_used_raises_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Node("a@127.0.0.1", **{"cookie": "secret", **options})


async def test_taken_port_is_told(make_node: MakeNode) -> None:
    a = await make_node("a")
    assert a.address is not None

    with pytest.raises(ConfigError, match=f"can't listen on 127.0.0.1:{a.address[1]}: Address already in use"):
        await make_node("b", listen=a.address)


async def test_host_that_there_can_not_be_is_refused_instead_of_listening_everywhere(epmd: EpmdConfig) -> None:
    with pytest.raises(ConfigError, match=r"x@a\.\.b can't be a node: 'a\.\.b' is no name of a host"):
        await Node("x@a..b", cookie="secret", epmd=epmd).start()


async def test_dial_to_a_host_that_there_can_not_be_ends(make_node: MakeNode) -> None:
    assert not await (await make_node()).connect("x@a..b")


@pytest.mark.parametrize(
    ("host", "listens"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("no-such-host.invalid", "0.0.0.0")],
)
async def test_listens_on_the_loopback_for_a_loopback_host_only(epmd: EpmdConfig, host: str, listens: str) -> None:
    async with Node(f"a@{host}", cookie="secret", epmd=epmd) as node:
        assert node.address is not None
        assert node.address[0] == listens


async def test_embedded_epmd_comes_and_goes_with_the_node() -> None:
    node = Node("a@127.0.0.1", cookie="secret", epmd="embedded")

    for _ in range(2):
        async with node:
            assert not await node.connect("b@127.0.0.1")


async def test_failed_start_leaves_the_name_free(make_node: MakeNode, epmd: EpmdConfig) -> None:
    a = await make_node("a")
    node = Node("b@127.0.0.1", cookie="secret", epmd=epmd, listen=a.address)
    with pytest.raises(ConfigError):
        await node.start()

    async with Node("b@127.0.0.1", cookie="secret", epmd=epmd) as second:
        assert await a.ping(second.name)


# ---- life


async def test_start_twice_raises(make_node: MakeNode) -> None:
    a = await make_node("a")

    with pytest.raises(RuntimeError, match="running already"):
        await a.start()


async def test_stop_twice_is_like_once(make_node: MakeNode) -> None:
    a = await make_node("a")

    await a.stop()
    await a.stop()

    assert repr(a) == f"<Node {a.name} not running>"


async def test_node_starts_again_after_a_stop(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    await a.stop()

    await a.start()

    assert await a.ping(b.name)
    assert "running" in repr(a)


async def test_stop_before_start_does_nothing(epmd: EpmdConfig) -> None:
    await Node("a@127.0.0.1", cookie="secret", epmd=epmd).stop()


async def test_stop_ends_processes_with_shutdown(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    pid = b.spawn(Echo)
    async with a.mailbox() as me:
        ref = me.monitor(pid)
        assert await me.call(pid, 1) == 1

        await b.stop()

        down = await me.receive(timeout=5)
    assert down[:4] == (atoms.DOWN, ref, atoms.process, pid)
    assert down[4] in {atoms.shutdown, atoms.noconnection}


@pytest.mark.parametrize(
    "verb",
    [
        lambda node: node.nodes(),
        lambda node: node.spawn(Echo),
        lambda node: node.send("worker", 1),
        lambda node: node.cast("worker", 1),
        lambda node: node.mailbox(),
        lambda node: node.make_ref(),
        lambda node: node.whereis("worker"),
        lambda node: node.registered(),
        lambda node: node.disconnect("b@127.0.0.1"),
        lambda node: node.runtime,
    ],
)
async def test_verbs_of_a_node_that_does_not_run_raise(verb: Callable[[Node], Any], epmd: EpmdConfig) -> None:
    node = Node("a@127.0.0.1", cookie="secret", epmd=epmd)

    with pytest.raises(RuntimeError, match="not running"):
        verb(node)


@pytest.mark.parametrize("verb", ["connect", "join", "ping"])
async def test_awaited_verbs_of_a_node_that_does_not_run_raise(verb: str, epmd: EpmdConfig) -> None:
    node = Node("a@127.0.0.1", cookie="secret", epmd=epmd)

    with pytest.raises(RuntimeError, match="not running"):
        await getattr(node, verb)("b@127.0.0.1")
