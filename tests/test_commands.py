import asyncio
import http.client
import logging
import re
import socket
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from pyzen import commands
from pyzen.actor.gen_server import GenServer
from pyzen.cli import make_parser
from pyzen.commands import cookie, listening, tls, visitor_name, why_not
from pyzen.config import EpmdConfig
from pyzen.dist.epmd import NodeEntry
from pyzen.dist.names import check_name_form, check_node_name
from pyzen.errors import ConfigError, ConnectionLost, CookieMismatch, DistributionError, EpmdError, NodeDown, RpcError
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node
from pyzen.node.tls import TLSConfig
from pyzen.terms import Atom, atoms
from tests.node.callee import Callee

MakePeer = Callable[..., Awaitable[Node]]


@pytest.fixture
async def epmd(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EpmdServer]:
    server = EpmdServer()
    monkeypatch.setenv("ERL_EPMD_PORT", str(await server.start(0)))
    yield server
    await server.stop()


@pytest.fixture
async def make_peer(epmd: EpmdServer) -> AsyncIterator[MakePeer]:
    async with AsyncExitStack() as stack:

        async def make(name: str = "peer@127.0.0.1", **options: Any) -> Node:
            settings: dict[str, Any] = {"cookie": "secret", "epmd": EpmdConfig(port=epmd.port, start=False)} | options
            return await stack.enter_async_context(Node(name, **settings))

        yield make


def options(*arguments: str) -> Namespace:
    return make_parser().parse_args(arguments)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


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


def tls_of(**given: str | bool) -> TLSConfig | None:
    names = ("tls_certfile", "tls_keyfile", "tls_cafile", "tls_optfile")
    return tls(Namespace(**{**dict.fromkeys(names), "tls_no_verify": False, **given}))


def test_tls_comes_from_the_files_that_are_given() -> None:
    assert tls_of() is None
    assert tls_of(tls_certfile="c", tls_keyfile="k", tls_cafile="ca") == TLSConfig("c", "k", "ca")
    assert tls_of(tls_certfile="c", tls_no_verify=True) == TLSConfig("c", verify=False)


def test_tls_comes_from_a_file_of_erlang(tmp_path: Path) -> None:
    file = tmp_path / "dist.conf"
    file.write_text('[{server,[{certfile,"c"}]},{client,[{verify,verify_none}]}].')

    assert tls_of(tls_optfile=str(file)) == TLSConfig.from_optfile(file)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tls_certfile": "c"}, "needs a cafile"),
        ({"tls_optfile": "f", "tls_cafile": "ca"}, "leave the other --tls options out"),
        ({"tls_optfile": "f", "tls_no_verify": True}, "leave the other --tls options out"),
        ({"tls_optfile": "/nowhere/f"}, "/nowhere/f: no such file or directory"),
    ],
)
def test_tls_options_that_contradict_are_refused(given: dict[str, str | bool], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        tls_of(**given)


async def test_why_not_tells_that_nobody_has_the_name(epmd: EpmdServer) -> None:
    assert (await why_not("a@127.0.0.1", 1.0)).startswith("a@127.0.0.1 is not registered with epmd on 127.0.0.1")


async def test_why_not_tells_that_a_registered_node_does_not_answer(epmd: EpmdServer) -> None:
    epmd.table.register(NodeEntry("a", 1234), now=0)

    assert (await why_not("a@127.0.0.1", 1.5)).startswith("a@127.0.0.1 does not answer at 127.0.0.1:1234 within 1.5 s")


async def test_why_not_tells_that_there_is_no_epmd(epmd: EpmdServer) -> None:
    await epmd.stop()

    with pytest.raises(EpmdError, match="no epmd answers"):
        await why_not("a@127.0.0.1", 1.0)


# ---- ping


async def test_ping_prints_pong(make_peer: MakePeer, capsys: pytest.CaptureFixture[str]) -> None:
    peer = await make_peer()

    assert await commands.ping(options("ping", str(peer.name), "--cookie", "secret")) == 0

    assert capsys.readouterr().out == "pong\n"


async def test_ping_leaves_nothing_behind(make_peer: MakePeer, epmd: EpmdServer) -> None:
    peer = await make_peer()

    await commands.ping(options("ping", str(peer.name), "--cookie", "secret"))

    await until(lambda: peer.nodes(hidden=True) == [])
    await until(lambda: len(epmd.table) == 1)


async def test_ping_of_nobody_says_so(make_peer: MakePeer) -> None:
    await make_peer()

    with pytest.raises(ConnectionLost, match=r"nobody@127\.0\.0\.1 is not registered with epmd"):
        await commands.ping(options("ping", "nobody@127.0.0.1", "--cookie", "secret"))


async def test_ping_with_a_wrong_cookie_says_so(make_peer: MakePeer) -> None:
    peer = await make_peer()

    with pytest.raises(CookieMismatch, match="--cookie"):
        await commands.ping(options("ping", str(peer.name), "--cookie", "wrong"))


async def test_ping_of_a_node_that_does_not_answer_says_so(epmd: EpmdServer) -> None:
    mute, me = Callee("mute@127.0.0.1"), Atom("me@127.0.0.1")
    await mute.start(epmd)
    arguments = options("ping", mute.name, "--cookie", "secret", "--timeout", "0.3", "--name", str(me))
    ping = asyncio.create_task(commands.ping(arguments))
    peer, _ = await mute.answer(me)

    with pytest.raises(ConnectionLost, match="connected but does not answer"):
        await ping
    mute.server.close()
    await peer.close()
    await mute.server.wait_closed()


async def test_name_is_that_which_is_given(make_peer: MakePeer) -> None:
    peer = await make_peer(allow=["me@127.0.0.1"])

    assert await commands.ping(options("ping", str(peer.name), "--cookie", "secret", "--name", "me@127.0.0.1")) == 0


# ---- call


async def test_call_prints_the_result_in_erlangs_syntax(
    make_peer: MakePeer, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = await make_peer()
    peer.export("lists", "reverse", lambda elements: elements[::-1])

    code = await commands.call(
        options("call", str(peer.name), "lists", "reverse", '[{a, 1.5}, <<"x">>]', "--cookie", "secret")
    )

    assert code == 0
    assert capsys.readouterr().out == '[<<"x">>,{a,1.5}]\n'


async def test_call_that_fails_there_tells_the_reason(make_peer: MakePeer) -> None:
    def fail(reason: Any) -> None:
        raise RpcError("error", reason)

    peer = await make_peer()
    peer.export("erlang", "error", fail)

    with pytest.raises(DistributionError, match=re.escape("erlang:error/1 failed there: error {boom,1}")):
        await commands.call(options("call", str(peer.name), "erlang", "error", "{boom, 1}", "--cookie", "secret"))


async def test_call_of_nobody_says_so(make_peer: MakePeer) -> None:
    await make_peer()

    with pytest.raises(ConnectionLost, match="not registered"):
        await commands.call(options("call", "nobody@127.0.0.1", "lists", "seq", "1", "2", "--cookie", "secret"))


# ---- monitor


class Dying(GenServer):
    """Ends with what it is told."""

    def handle_cast(self, request: Any) -> None:
        self.exit(request)


async def test_monitor_prints_each_down_and_ends_with_the_last(
    make_peer: MakePeer, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = await make_peer()
    for name in ("one", "two"):
        peer.spawn(Dying, name=name)
    watching = asyncio.ensure_future(
        commands.monitor(options("monitor", str(peer.name), "one", "two", "--cookie", "secret"))
    )
    await until(lambda: peer.zen.statistics().watches == 2)

    peer.cast("two", (atoms.boom, [1, atoms.x]))
    await until(lambda: peer.zen.statistics().watches == 1)
    peer.cast("one", atoms.shutdown)

    assert await watching == 0
    assert capsys.readouterr().out == "two down {boom,[1,x]}\none down shutdown\n"


async def test_monitor_of_a_name_that_nobody_has_prints_noproc(
    make_peer: MakePeer, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = await make_peer()

    assert await commands.monitor(options("monitor", str(peer.name), "nobody", "--cookie", "secret")) == 0

    assert capsys.readouterr().out == "nobody down noproc\n"


async def test_monitor_of_a_node_without_zen_monitor_says_so(make_peer: MakePeer) -> None:
    peer = await make_peer(zen=None)

    with pytest.raises(DistributionError, match="has no ZenMonitor: start zen_monitor there"):
        await commands.monitor(options("monitor", str(peer.name), "worker", "--cookie", "secret"))


# ---- node


class Running:
    """A ``pyzen node`` under way, and what it has printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.capsys = capsys
        self.printed = ""
        self.task = asyncio.ensure_future(commands.run_node(options("node", "--cookie", "secret", *arguments)))

    async def ready(self) -> str:
        def printed() -> bool:
            self.printed += self.capsys.readouterr().out
            return self.task.done() or self.printed.endswith("\n")

        await until(printed)
        if self.task.done():
            await self.task
        return self.printed

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


async def test_node_tells_when_others_can_reach_it(make_peer: MakePeer, capsys: pytest.CaptureFixture[str]) -> None:
    peer = await make_peer()
    running = Running(capsys, "--name", "n@127.0.0.1")

    line = await running.ready()

    assert re.fullmatch(r"ready n@127\.0\.0\.1 127\.0\.0\.1:\d+\n", line)
    assert await peer.ping("n@127.0.0.1")
    await running.stop()


async def test_node_that_is_stopped_is_gone(make_peer: MakePeer, capsys: pytest.CaptureFixture[str]) -> None:
    peer = await make_peer()
    running = Running(capsys, "--name", "n@127.0.0.1")
    await running.ready()

    await running.stop()

    assert not await peer.ping("n@127.0.0.1")


async def test_node_listens_where_it_is_told(make_peer: MakePeer, capsys: pytest.CaptureFixture[str]) -> None:
    running = Running(capsys, "--name", "n@127.0.0.1", "--listen", "[::1]:0")

    assert " [::1]:" in await running.ready()

    await running.stop()


@pytest.mark.parametrize("how", ["--connect", "--join"])
async def test_node_connects_to_the_peers_given(
    make_peer: MakePeer, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    one, two = await make_peer("one@127.0.0.1"), await make_peer("two@127.0.0.1")

    running = Running(capsys, "--name", "n@127.0.0.1", how, str(one.name), how, str(two.name))

    await until(lambda: len(one.nodes()) == len(two.nodes()) == 1)
    await running.stop()


async def test_hidden_node_is_hidden(make_peer: MakePeer, capsys: pytest.CaptureFixture[str]) -> None:
    peer = await make_peer()

    running = Running(capsys, "--name", "n@127.0.0.1", "--hidden", "--connect", str(peer.name))

    await until(lambda: len(peer.nodes(hidden=True)) == 1)
    assert peer.nodes() == []
    await running.stop()


@pytest.mark.parametrize(("how", "error"), [("--connect", ConnectionLost), ("--join", NodeDown)])
async def test_node_ends_when_a_peer_given_is_out_of_reach(
    make_peer: MakePeer, capsys: pytest.CaptureFixture[str], how: str, error: type[Exception]
) -> None:
    await make_peer()
    running = Running(capsys, "--name", "n@127.0.0.1", how, "nobody@127.0.0.1")

    with pytest.raises(error, match=r"nobody@127\.0\.0\.1"):
        await running.task


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def scrape(port: int) -> list[Metric]:
    """Return what Prometheus would see."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    client.request("GET", "/metrics")
    return list(text_string_to_metric_families(client.getresponse().read().decode()))


async def test_node_serves_its_metrics_where_it_is_told(
    make_peer: MakePeer, capsys: pytest.CaptureFixture[str], port: int
) -> None:
    peer = await make_peer()
    running = Running(capsys, "--name", "n@127.0.0.1", "--connect", str(peer.name), "--metrics", str(port))
    assert re.fullmatch(r"ready n@127\.0\.0\.1 127\.0\.0\.1:\d+\n", await running.ready())
    await until(lambda: bool(peer.nodes()))

    families = await asyncio.to_thread(scrape, port)

    samples = {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}
    assert samples["pyzen_node_links", "visible"] == 1
    assert samples["zen_monitor_local_monitor_total",] == 0
    await running.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(scrape, port)


async def test_node_logs_where_its_metrics_are(
    make_peer: MakePeer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, port: int
) -> None:
    await make_peer()
    caplog.set_level(logging.INFO, "pyzen.node")

    running = Running(capsys, "--name", "n@127.0.0.1", "--metrics", f"127.0.0.1:{port}")
    await running.ready()

    assert f"metrics are at http://127.0.0.1:{port}/metrics" in caplog.messages
    await running.stop()


async def test_node_takes_settings_from_options_before_the_environment(
    make_peer: MakePeer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = await make_peer()
    monkeypatch.setenv("PYZEN_DEMAND_AMOUNT", "5")
    monkeypatch.setenv("PYZEN_BATCHER_CHUNK_SIZE", "6")
    running = Running(capsys, "--name", "n@127.0.0.1", "--zen", "demand_amount=7", "--zen", "demand_interval=70")
    await running.ready()

    names = ("demand_amount", "demand_interval", "batcher_chunk_size", "connector_chunk_size")
    found = [await peer.rpc("n@127.0.0.1", "application", "get_env", [atoms.zen_monitor, Atom(n)]) for n in names]

    assert found == [(atoms.ok, 7), (atoms.ok, 70), (atoms.ok, 6), (atoms.ok, 5000)]
    await running.stop()


async def test_exports_that_can_not_be_imported_are_named() -> None:
    with pytest.raises(ConfigError, match="no_such_module"):
        await commands.run_node(
            options("node", "--name", "n@127.0.0.1", "--cookie", "c", "--exports", "no_such_module")
        )


async def test_listening_is_told_so_that_it_can_be_dialled(make_peer: MakePeer) -> None:
    peer = await make_peer(listen=("::1", 0))
    assert peer.address is not None

    assert listening(peer) == f"[::1]:{peer.address[1]}"
