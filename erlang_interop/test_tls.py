"""TLS distribution (``inet_tls``) with real Erlang nodes, in both dialling directions."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from erlang_interop.tls import tls_flags, write_optfile
from pyzen.config import EpmdConfig, Limits
from pyzen.errors import HandshakeError, TLSError
from pyzen.node.node import Node
from pyzen.node.tls import TLSConfig
from pyzen.terms import Atom, atoms
from tests.certificates import HOST, Authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from erlang_interop.nodes import ErlangCluster, ErlNode

MEGABYTES = 5_000_000

VERSIONS = pytest.mark.parametrize("versions", [["1.2"], ["1.3"], ["1.2", "1.3"]], ids="-".join)


class MakeNode(Protocol):
    async def __call__(self, tls: TLSConfig | None, **options: Any) -> Node: ...


class MakeErlang(Protocol):
    async def __call__(self, config: TLSConfig, **options: Any) -> ErlNode: ...


pytestmark = pytest.mark.needs("ssl")


@pytest.fixture
def tmp_path(tls_folder: Path) -> Iterator[Path]:
    """A folder whose files nodes of the release find under the same paths as we do."""
    with tempfile.TemporaryDirectory(dir=tls_folder) as folder:
        yield Path(folder)


@pytest.fixture
async def python_node(cluster: ErlangCluster) -> AsyncIterator[MakeNode]:
    """``await python_node(tls, **options)`` starts a node of ours in the cluster."""
    async with AsyncExitStack() as stack:

        async def make(tls: TLSConfig | None, **options: Any) -> Node:
            epmd = EpmdConfig(port=cluster.epmd_port, start=False)
            settings: dict[str, Any] = {"cookie": cluster.cookie, "epmd": epmd, "zen": None, "tls": tls} | options
            return await stack.enter_async_context(Node(f"p{secrets.token_hex(5)}@{HOST}", **settings))

        yield make


@pytest.fixture
def secure_erl(cluster: ErlangCluster, tmp_path: Path) -> MakeErlang:
    """``await secure_erl(config, **options)`` starts an Erlang node with these settings for TLS."""

    async def make(config: TLSConfig, **options: Any) -> ErlNode:
        optfile = write_optfile(tmp_path / f"dist{secrets.token_hex(4)}.conf", config)
        return await cluster.erl(flags=tls_flags(optfile), **options)

    return make


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def part(node: Node, peer: ErlNode) -> None:
    """Disconnect, and wait until both ends know."""
    node.disconnect(peer.name)
    async with asyncio.timeout(10):
        while node.nodes() or await peer.eval("nodes(connected)") != "[]":
            await asyncio.sleep(0.01)


async def refused_by(node: Node, peer: ErlNode) -> str:
    """Let ``node`` dial; return why it has no link."""
    with pytest.raises(TLSError) as caught:
        await node.connect(peer.name)
    assert node.nodes() == []
    assert await peer.eval("nodes(connected)") == "[]"
    return str(caught.value)


async def refused_to(peer: ErlNode, node: Node, caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Let ``peer`` dial; the log of ``node`` has to say why there is no link."""
    caplog.clear()
    assert await peer.eval(f"net_kernel:connect_node('{node.name}')") == "false"
    await until(lambda: words in caplog.text)
    assert node.nodes() == []


# ---- links


@VERSIONS
async def test_we_dial_with_mutual_authentication(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, versions: Sequence[str]
) -> None:
    node, peer = await python_node(authority.config()), await secure_erl(authority.config(versions=tuple(versions)))

    assert await node.connect(peer.name)

    assert await node.ping(peer.name)
    assert await peer.eval("nodes()") == f"['{node.name}']"
    assert await node.rpc(peer.name, atoms.erlang, atoms.node) is Atom(peer.name)


@VERSIONS
async def test_they_dial_with_mutual_authentication(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, versions: Sequence[str]
) -> None:
    node, peer = await python_node(authority.config()), await secure_erl(authority.config(versions=tuple(versions)))

    assert await peer.eval(f"net_adm:ping('{node.name}')") == "pong"

    assert node.nodes() == [Atom(peer.name)]
    assert await node.ping(peer.name)


async def test_both_sides_live_by_the_same_file(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, tmp_path: Path
) -> None:
    config = authority.config()
    node = await python_node(TLSConfig.from_optfile(write_optfile(tmp_path / "own.conf", config)))
    peer = await secure_erl(config)

    assert await node.connect(peer.name)
    await part(node, peer)
    assert await peer.eval(f"net_adm:ping('{node.name}')") == "pong"


async def test_short_names_by_certificates_for_names(
    secure_erl: MakeErlang, authority: Authority, cluster: ErlangCluster
) -> None:
    epmd = EpmdConfig(port=cluster.epmd_port, start=False)
    tls = authority.config("localhost")
    peer = await secure_erl(tls, names="short")

    async with Node(f"p{secrets.token_hex(5)}@localhost", cookie=cluster.cookie, epmd=epmd, tls=tls) as node:
        assert await node.connect(peer.name)
        await part(node, peer)
        assert await peer.eval(f"net_adm:ping('{node.name}')") == "pong"


async def test_only_encrypted_without_verification(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, tmp_path: Path
) -> None:
    node = await python_node(authority.config(verify=False, cafile=None))
    peer = await secure_erl(Authority(tmp_path).config(verify=False, cafile=None))

    assert await node.connect(peer.name)
    await part(node, peer)
    assert await peer.eval(f"net_adm:ping('{node.name}')") == "pong"


@VERSIONS
async def test_large_messages_arrive_whole_both_ways(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, versions: Sequence[str]
) -> None:
    node, peer = await python_node(authority.config()), await secure_erl(authority.config(versions=tuple(versions)))
    await peer.eval("register(echo, spawn(fun F() -> receive {From, B} -> From ! {B, erlang:md5(B)}, F() end end))")
    payload = os.urandom(MEGABYTES)

    async with node.mailbox() as me:
        node.send((Atom("echo"), peer.name), (me.pid, payload))
        got, digest = await me.receive(timeout=20)

    assert got == payload
    assert await node.rpc(peer.name, atoms.erlang, atoms.md5, [payload]) == digest


async def test_link_outlives_a_blocked_interpreter(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority
) -> None:
    node = await python_node(authority.config(), ticktime=4)
    peer = await secure_erl(authority.config(), net_ticktime=4)
    await node.connect(peer.name)
    await peer.eval(
        "register(watcher, spawn(fun() -> net_kernel:monitor_nodes(true),"
        " receive {nodedown, N} -> receive {seen, F} -> F ! {down, N} end; {seen, F} -> F ! up end end))"
    )

    time.sleep(6)  # noqa: ASYNC251  # blocks on purpose

    assert await peer.eval("watcher ! {seen, self()}, receive X -> X end") == "up"
    assert await node.ping(peer.name)


async def test_link_outlives_a_blocked_peer_no_longer_than_the_ticktime(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority
) -> None:
    node, peer = await python_node(authority.config(), ticktime=2), await secure_erl(authority.config())
    await node.connect(peer.name)
    started = time.monotonic()
    peer.stop_signal()

    await until(lambda: node.nodes() == [])

    assert 1 < time.monotonic() - started < 5
    peer.cont_signal()


# ---- the wrong certificate


async def test_their_unknown_authority_is_refused_both_ways(
    python_node: MakeNode,
    secure_erl: MakeErlang,
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    node = await python_node(authority.config())
    peer = await secure_erl(Authority(tmp_path).config(cafile=authority.cafile))

    assert "the peer's certificate is from an unknown authority" in await refused_by(node, peer)
    await refused_to(peer, node, caplog, "the peer's certificate is from an unknown authority")


@VERSIONS
async def test_our_unknown_authority_is_refused_both_ways(
    python_node: MakeNode,
    secure_erl: MakeErlang,
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    versions: Sequence[str],
) -> None:
    node = await python_node(Authority(tmp_path).config(cafile=authority.cafile))
    peer = await secure_erl(authority.config(versions=tuple(versions)))

    assert "it does not know the authority of this node's certificate" in await refused_by(node, peer)
    await refused_to(peer, node, caplog, "it does not know the authority of this node's certificate")


async def test_their_expired_certificate_is_refused_both_ways(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    node, peer = await python_node(authority.config()), await secure_erl(authority.config(expired=True))

    assert "the peer's certificate has expired" in await refused_by(node, peer)
    await refused_to(peer, node, caplog, "the peer's certificate has expired")


async def test_our_expired_certificate_is_refused_both_ways(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    node, peer = await python_node(authority.config(expired=True)), await secure_erl(authority.config())

    assert "it finds this node's certificate expired" in await refused_by(node, peer)
    await refused_to(peer, node, caplog, "it finds this node's certificate expired")


async def test_their_certificate_for_another_host_is_refused_both_ways(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    node, peer = await python_node(authority.config()), await secure_erl(authority.config("example.org"))

    assert f"the peer's certificate is not for {HOST} but for" in await refused_by(node, peer)
    await refused_to(peer, node, caplog, f"{peer.name} has a certificate that is not for {HOST}")


async def test_our_certificate_for_another_host_is_refused_by_them(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    node, peer = await python_node(authority.config("example.org")), await secure_erl(authority.config())

    await refused_to(peer, node, caplog, "TLS: the peer refused")


async def test_their_lack_of_a_certificate_is_refused(
    python_node: MakeNode,
    cluster: ErlangCluster,
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    certfile, keyfile = authority.certificate()
    optfile = tmp_path / "anonymous.conf"
    server = f'{{certfile,"{certfile}"}},{{keyfile,"{keyfile}"}}'
    optfile.write_text(f"[{{server,[{server}]}},{{client,[{{verify,verify_none}}]}}].")
    node = await python_node(authority.config())
    peer = await cluster.erl(flags=tls_flags(optfile))

    await refused_to(peer, node, caplog, "the peer has shown no certificate")

    assert await node.connect(peer.name)


# ---- pinned certificates


@pytest.mark.parametrize("is_authority", [False, True])
async def test_their_own_certificate_may_be_pinned(
    python_node: MakeNode, secure_erl: MakeErlang, authority: Authority, tmp_path: Path, is_authority: bool
) -> None:
    own = Authority(tmp_path, HOST, marked=is_authority)
    node = await python_node(authority.config(cafile=own.cafile))
    peer = await secure_erl(TLSConfig(own.cafile, own.keyfile, authority.cafile))

    assert await node.connect(peer.name)
    await part(node, peer)
    assert await peer.eval(f"net_adm:ping('{node.name}')") == "pong"


# ---- nodes without TLS


async def test_plain_and_encrypted_nodes_do_not_meet(
    python_node: MakeNode, secure_erl: MakeErlang, cluster: ErlangCluster, authority: Authority
) -> None:
    limits = Limits(setup_time=1.0)
    plain, encrypted = await python_node(None), await python_node(authority.config(), limits=limits)
    plain_peer, encrypted_peer = await cluster.erl(), await secure_erl(authority.config())

    assert "it may not speak TLS" in await refused_by(encrypted, plain_peer)
    with pytest.raises(HandshakeError, match="it may want TLS"):
        await plain.connect(encrypted_peer.name)
    assert await plain_peer.eval(f"net_kernel:connect_node('{encrypted.name}')") == "false"
    assert await encrypted_peer.eval("nodes(connected)") == "[]"
    assert await encrypted.connect(encrypted_peer.name)


# ---- the command line


async def pyzen(cluster: ErlangCluster, *arguments: str) -> tuple[int | None, str, str]:
    """Run a command beside the nodes of a cluster."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "pyzen", *arguments, "--cookie", cluster.cookie],
        env={**os.environ, "ERL_EPMD_PORT": str(cluster.epmd_port)},
        stdout=pipe,
        stderr=pipe,
    )
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def test_commands_take_files_or_options_of_erlang(
    cluster: ErlangCluster, secure_erl: MakeErlang, authority: Authority, tmp_path: Path
) -> None:
    config = authority.config()
    peer = await secure_erl(config)
    optfile = write_optfile(tmp_path / "own.conf", config)
    files = ["--tls-certfile", str(config.certfile), "--tls-keyfile", str(config.keyfile)]

    with_files = await pyzen(cluster, "ping", peer.name, *files, "--tls-cafile", str(authority.cafile))
    with_options = await pyzen(cluster, "call", peer.name, "erlang", "node", "--tls-optfile", str(optfile))
    unverified = await pyzen(cluster, "ping", peer.name, *files, "--tls-no-verify")

    assert with_files == (0, "pong\n", "")
    assert with_options == (0, f"'{peer.name}'\n", "")
    assert unverified == (0, "pong\n", "")


async def test_ping_says_in_one_line_why_tls_fails(
    cluster: ErlangCluster, secure_erl: MakeErlang, authority: Authority, tmp_path: Path
) -> None:
    certfile, keyfile = authority.certificate()
    files = ["--tls-certfile", str(certfile), "--tls-keyfile", str(keyfile), "--tls-cafile", str(authority.cafile)]
    peer = await secure_erl(Authority(tmp_path).config(verify=False))

    code, out, errors = await pyzen(cluster, "ping", peer.name, *files)

    assert (code, out) == (1, "")
    assert errors == ("pyzen: TLS: the peer's certificate is from an unknown authority: cafile does not vouch for it\n")
