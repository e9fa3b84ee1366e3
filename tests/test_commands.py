from argparse import Namespace
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyzen.commands import cookie, visitor_name, why_not
from pyzen.dist.epmd import NodeEntry
from pyzen.dist.names import check_name_form, check_node_name
from pyzen.errors import ConfigError, EpmdError
from pyzen.node.epmd_server import EpmdServer


@pytest.fixture
async def epmd(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EpmdServer]:
    server = EpmdServer()
    monkeypatch.setenv("ERL_EPMD_PORT", str(await server.start(0)))
    yield server
    await server.stop()


@pytest.mark.parametrize("peer", ["a@127.0.0.1", "a@localhost", "a@host", "a@host.domain", "a@192.0.2.1"])
def test_visitor_name_is_one_that_may_dial_the_peer(peer: str) -> None:
    name = visitor_name(peer)

    check_node_name(name)
    check_name_form(name, peer)


def test_visitor_name_is_another_one_each_time() -> None:
    assert visitor_name("a@localhost") != visitor_name("a@localhost")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_visitor_name_is_on_the_loopback_of_the_peer(host: str) -> None:
    assert visitor_name(f"a@{host}").endswith(f"@{host}")


def test_visitor_name_refuses_a_peer_that_is_no_name() -> None:
    with pytest.raises(ConfigError):
        visitor_name("a")


def test_cookie_comes_from_the_file_that_is_given(tmp_path: Path) -> None:
    file = tmp_path / "cookie"
    file.write_text("secret\n")
    file.chmod(0o600)

    assert cookie(Namespace(cookie=None, cookie_file=file)) == "secret"
    assert cookie(Namespace(cookie="given", cookie_file=None)) == "given"
    assert cookie(Namespace(cookie=None, cookie_file=None)) is None


async def test_why_not_tells_that_nobody_has_the_name(epmd: EpmdServer) -> None:
    assert (await why_not("a@127.0.0.1", 1.0)).startswith("a@127.0.0.1 is not registered with epmd on 127.0.0.1")


async def test_why_not_tells_that_a_registered_node_does_not_answer(epmd: EpmdServer) -> None:
    epmd.table.register(NodeEntry("a", 1234), now=0)

    assert (await why_not("a@127.0.0.1", 1.5)).startswith("a@127.0.0.1 does not answer at 127.0.0.1:1234 within 1.5 s")


async def test_why_not_tells_that_there_is_no_epmd(epmd: EpmdServer) -> None:
    await epmd.stop()

    with pytest.raises(EpmdError, match="no epmd answers"):
        await why_not("a@127.0.0.1", 1.0)
