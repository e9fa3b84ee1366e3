from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from pyzen.config import Limits
from pyzen.dist.flags import own_flags
from pyzen.dist.handshake import Initiator
from pyzen.errors import ConfigError, HandshakeError, NotAllowed, TLSError
from pyzen.node.epmd import Registration
from pyzen.node.link import tls_context
from pyzen.node.node import Node
from pyzen.node.tls import TLSConfig
from pyzen.terms import Atom, atoms
from tests.certificates import HOST, Authority, encrypted_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyzen.config import EpmdConfig
    from tests.node.conftest import MakeNode

BOTH = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def echoes(a: Node, b: Node, payload: Any) -> bool:
    """Send a message from one node to the other and back."""
    async with a.mailbox() as one, b.mailbox("echo") as other:
        a.send((Atom("echo"), b.name), (one.pid, payload))
        sender, got = await other.receive(timeout=10)
        other.send(sender, got)
        return bool(await one.receive(timeout=10) == payload)


async def refusal(a: Node, b: Node) -> str:
    """Dial; return why there is no link."""
    with pytest.raises(TLSError) as caught:
        await a.connect(b.name)
    assert a.nodes() == b.nodes() == []
    return str(caught.value)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait until the log says so: the two sides hear of a refusal at different times."""
    await until(lambda: words in caplog.text)


# ---- links


@BOTH
async def test_nodes_that_trust_each_other_are_linked(make_node: MakeNode, authority: Authority, version: str) -> None:
    a = await make_node("a", tls=authority.config(versions=(version,)))
    b = await make_node("b", tls=authority.config())

    assert await a.connect(b.name)

    assert await echoes(a, b, atoms.hello)
    assert a.nodes() == [b.name]
    assert b.nodes() == [a.name]


@BOTH
async def test_large_messages_arrive_whole_both_ways(make_node: MakeNode, authority: Authority, version: str) -> None:
    a = await make_node("a", tls=authority.config(versions=(version,)))
    b = await make_node("b", tls=authority.config())
    await a.connect(b.name)

    assert await echoes(a, b, bytes(range(256)) * 20_000)


async def test_certificate_for_a_name_of_dns(epmd: EpmdConfig, authority: Authority) -> None:
    tls = authority.config("localhost")
    settings: dict[str, Any] = {"epmd": epmd, "cookie": "secret", "tls": tls}

    async with Node("tlsa@localhost", **settings) as a, Node("tlsb@localhost", **settings) as b:
        assert await a.connect(b.name)


async def test_a_link_outlives_a_blocked_interpreter(make_node: MakeNode, authority: Authority) -> None:
    a = await make_node("a", tls=authority.config(), ticktime=1)
    b = await make_node("b", tls=authority.config(), ticktime=1)
    await a.connect(b.name)

    time.sleep(2.5)  # noqa: ASYNC251  # blocks on purpose

    assert await echoes(a, b, atoms.alive)


async def test_signals_queued_while_dialling_arrive(make_node: MakeNode, authority: Authority) -> None:
    a, b = await make_node("a", tls=authority.config()), await make_node("b", tls=authority.config())

    async with b.mailbox("target") as target:
        for number in range(100):
            a.send((Atom("target"), b.name), number)

        assert [await target.receive(timeout=5) for _ in range(100)] == list(range(100))


async def test_dials_at_the_same_time_end_with_one_link(make_node: MakeNode, authority: Authority) -> None:
    a, b = await make_node("a", tls=authority.config()), await make_node("b", tls=authority.config())

    assert all(await asyncio.gather(a.connect(b.name), b.connect(a.name)))

    await until(lambda: a.nodes() == [b.name] and b.nodes() == [a.name])
    assert await echoes(a, b, atoms.hello)


async def test_a_lost_link_is_dialled_again(make_node: MakeNode, authority: Authority) -> None:
    a, b = await make_node("a", tls=authority.config()), await make_node("b", tls=authority.config())
    await a.connect(b.name)
    a.disconnect(b.name)
    await until(lambda: not a.nodes() and not b.nodes())

    assert await b.connect(a.name)


# ---- ends


def linked(node: Node, tls: TLSConfig) -> socket.socket:
    """Link a peer that the test plays; returns the connection below TLS."""
    assert node.address is not None
    context = ssl.create_default_context(cafile=tls.cafile)
    context.load_cert_chain(str(tls.certfile), tls.keyfile)
    connection = context.wrap_socket(socket.create_connection(node.address, timeout=5), server_hostname=HOST)
    settings: dict[str, Any] = {"flags": own_flags(hidden=False), "creation": 9, "cookie": lambda _: "secret"}
    handshake = Initiator("raw@127.0.0.1", str(node.name), **settings)
    out = handshake.start()
    with connection, connection.makefile("rwb") as file:
        while not handshake.ended:
            file.writelines(len(frame).to_bytes(4, "big") + frame for frame in out)
            file.flush()
            out = handshake.receive_frame(file.read(int.from_bytes(file.read(4), "big")))
        below = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
    below.settimeout(5)
    return below


async def test_a_disconnected_peer_has_half_a_second_to_hang_up_first(
    make_node: MakeNode, authority: Authority
) -> None:
    node = await make_node("a", tls=authority.config())
    with await asyncio.to_thread(linked, node, authority.config()) as below:
        await until(lambda: node.nodes() != [])
        started = time.monotonic()

        node.disconnect("raw@127.0.0.1")
        while await asyncio.to_thread(below.recv, 4096):
            pass

    assert time.monotonic() - started > 0.4


# ---- certificates


async def test_expired_certificate_of_the_dialled_is_refused(make_node: MakeNode, authority: Authority) -> None:
    a, b = await make_node("a", tls=authority.config()), await make_node("b", tls=authority.config(expired=True))

    assert await refusal(a, b) == "TLS: the peer's certificate has expired"


@BOTH
async def test_expired_certificate_of_the_dialling_is_refused(
    make_node: MakeNode, authority: Authority, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    a = await make_node("a", tls=authority.config(expired=True))
    b = await make_node("b", tls=authority.config(versions=(version,)))

    assert "it finds this node's certificate expired" in await refusal(a, b)

    await logged(caplog, "TLS: the peer's certificate has expired")


async def test_certificate_for_another_host_is_refused(make_node: MakeNode, authority: Authority) -> None:
    a, b = await make_node("a", tls=authority.config()), await make_node("b", tls=authority.config("example.org"))

    assert await refusal(a, b) == f"TLS: the peer's certificate is not for {HOST} but for example.org"


async def test_unknown_authority_of_the_dialled_is_refused(
    make_node: MakeNode, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Authority(tmp_path)
    a, b = await make_node("a", tls=authority.config()), await make_node("b", tls=other.config())

    assert "the peer's certificate is from an unknown authority" in await refusal(a, b)

    await logged(caplog, "it does not know the authority of this node's certificate (alert UnknownCA)")


@BOTH
async def test_unknown_authority_of_the_dialling_is_refused(
    make_node: MakeNode, authority: Authority, tmp_path: Path, version: str
) -> None:
    stranger = Authority(tmp_path).config(cafile=authority.cafile)
    a, b = await make_node("a", tls=stranger), await make_node("b", tls=authority.config(versions=(version,)))

    assert "it does not know the authority of this node's certificate" in await refusal(a, b)


@BOTH
async def test_no_certificate_of_the_dialling_is_refused(
    make_node: MakeNode, authority: Authority, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = TLSConfig(None, cafile=authority.cafile)
    a = await make_node("a", tls=authority.config(client=client))
    b = await make_node("b", tls=authority.config(versions=(version,)))

    assert "this node" in await refusal(a, b)

    await logged(caplog, "the peer has shown no certificate")


async def test_name_of_the_dialling_has_to_be_certified(
    make_node: MakeNode, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await make_node("a", tls=authority.config("example.org")), await make_node("b", tls=authority.config())

    with pytest.raises(NotAllowed):
        await a.connect(b.name)

    await logged(caplog, f"{a.name} has a certificate that is not for {HOST}")
    assert b.nodes() == []


async def test_name_of_the_dialling_may_go_unchecked(make_node: MakeNode, authority: Authority) -> None:
    a = await make_node("a", tls=authority.config("example.org"))
    b = await make_node("b", tls=authority.config(verify_client_name=False))

    assert await a.connect(b.name)


async def test_without_verification_everybody_is_let_in(
    make_node: MakeNode, authority: Authority, tmp_path: Path
) -> None:
    a = await make_node("a", tls=authority.config("example.org", expired=True, verify=False))
    b = await make_node("b", tls=Authority(tmp_path).config("example.com", verify=False, cafile=None))

    assert await a.connect(b.name)
    a.disconnect(b.name)
    assert await b.connect(a.name)


# ---- pinned certificates


@pytest.mark.parametrize("is_authority", [False, True])
async def test_exactly_the_certificate_in_cafile_is_let_in(
    make_node: MakeNode, authority: Authority, tmp_path: Path, is_authority: bool
) -> None:
    own = Authority(tmp_path, HOST, marked=is_authority)
    a = await make_node("a", tls=TLSConfig(own.cafile, own.keyfile, authority.cafile))
    b = await make_node("b", tls=authority.config(cafile=own.cafile))

    assert await a.connect(b.name)
    a.disconnect(b.name)
    assert await b.connect(a.name)


async def test_another_certificate_of_the_same_authority_is_not(make_node: MakeNode, authority: Authority) -> None:
    pinned, _ = authority.certificate()
    a, b = await make_node("a", tls=authority.config(cafile=pinned)), await make_node("b", tls=authority.config())

    assert "unknown authority" in await refusal(a, b)
    assert "does not know the authority" in await refusal(b, a)


async def test_pinned_certificate_vouches_for_no_other(
    make_node: MakeNode, authority: Authority, tmp_path: Path
) -> None:
    pinned = Authority(tmp_path, HOST, marked=False)
    certfile, keyfile = pinned.certificate()
    a = await make_node("a", tls=authority.config(cafile=pinned.cafile))
    b = await make_node("b", tls=authority.config(certfile=certfile, keyfile=keyfile))

    assert "unknown authority" in await refusal(a, b)


async def test_pinned_certificate_ends_with_its_time(make_node: MakeNode, authority: Authority) -> None:
    certfile, keyfile = authority.certificate(expired=True)
    a = await make_node("a", tls=authority.config(cafile=certfile))
    b = await make_node("b", tls=authority.config(certfile=certfile, keyfile=keyfile))

    assert "has expired" in await refusal(a, b)


async def test_pinned_certificate_is_for_its_host(make_node: MakeNode, authority: Authority) -> None:
    certfile, keyfile = authority.certificate("example.org")
    a = await make_node("a", tls=authority.config(cafile=certfile))
    b = await make_node("b", tls=authority.config(certfile=certfile, keyfile=keyfile))

    assert f"not for {HOST}" in await refusal(a, b)


# ---- peers that speak something else


async def test_no_version_in_common(make_node: MakeNode, authority: Authority) -> None:
    a = await make_node("a", tls=authority.config(versions=("1.2",)))
    b = await make_node("b", tls=authority.config(versions=("1.3",)))

    assert "it wants another version of TLS" in await refusal(a, b)
    assert "version" in await refusal(b, a)


async def test_plain_node_is_refused_by_a_node_with_tls(
    make_node: MakeNode, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await make_node("a"), await make_node("b", tls=authority.config())

    with pytest.raises(HandshakeError, match="it may want TLS"):
        await a.connect(b.name)

    await logged(caplog, "TLS: the peer does not speak TLS")
    assert b.nodes() == []


async def test_node_with_tls_gives_a_plain_one_up(make_node: MakeNode, authority: Authority) -> None:
    a = await make_node("a", tls=authority.config(), limits=Limits(setup_time=0.3))
    b = await make_node("b")

    assert "it may not speak TLS" in await refusal(a, b)


async def test_node_with_tls_is_told_that_the_answer_is_no_tls(
    make_node: MakeNode, authority: Authority, epmd: EpmdConfig
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)  # unread bytes would make the kernel reset the connection, and the answer be lost
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        writer.close()

    a = await make_node("a", tls=authority.config())
    async with await asyncio.start_server(answer, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        registration = Registration("other", port, epmd)
        await registration.start()
        with pytest.raises(TLSError, match=r"^TLS: the peer does not speak TLS$"):
            await a.connect(f"other@{HOST}")
        await registration.stop()


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 100, b"GET / HTTP/1.1\r\n\r\n"])
async def test_garbage_is_closed_without_effect(make_node: MakeNode, authority: Authority, garbage: bytes) -> None:
    a, b = await make_node("a", tls=authority.config()), await make_node("b", tls=authority.config())
    assert b.address is not None

    reader, writer = await asyncio.open_connection(*b.address)
    writer.write(garbage)

    async with asyncio.timeout(5):
        await reader.read()
    writer.close()
    assert await a.connect(b.name)


async def test_handshake_that_stalls_ends_in_time_and_gives_its_place_back(
    make_node: MakeNode, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(setup_time=0.5, max_handshakes=1)
    a, b = await make_node("a", tls=authority.config()), await make_node("b", tls=authority.config(), limits=limits)
    assert b.address is not None
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(*b.address)
    writer.write(b"\x16")

    second, other = await asyncio.open_connection(*b.address)
    assert await second.read() == b""
    assert not reader.at_eof()
    assert await reader.read() == b""

    assert 0.5 < time.monotonic() - started < 2
    writer.close()
    other.close()
    await logged(caplog, "did not finish the TLS handshake in time")
    assert await a.connect(b.name)


async def test_node_stops_in_the_middle_of_a_handshake(make_node: MakeNode, authority: Authority) -> None:
    b = await make_node("b", tls=authority.config())
    assert b.address is not None
    reader, writer = await asyncio.open_connection(*b.address)
    writer.write(b"\x16")

    async with asyncio.timeout(3):
        await b.stop()

        with contextlib.suppress(ConnectionResetError):  # where the byte was not read any more
            assert await reader.read() == b""
    writer.close()


# ---- settings


async def test_files_are_read_when_the_node_starts(epmd: EpmdConfig, authority: Authority) -> None:
    certfile, keyfile = authority.certificate()
    content = keyfile.read_bytes()
    keyfile.unlink()
    node = Node(f"late@{HOST}", epmd=epmd, cookie="secret", tls=TLSConfig(certfile, keyfile, authority.cafile))
    with pytest.raises(ConfigError, match=f"keyfile {keyfile}: no such file or directory"):
        await node.start()

    keyfile.write_bytes(content)

    await node.start()
    await node.stop()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"certfile": "nowhere.pem"}, "certfile nowhere.pem: no such file or directory"),
        ({"certfile": "key"}, "holds no certificate in PEM"),
        ({"keyfile": "cert"}, "holds no private key in PEM"),
        ({"keyfile": "other key"}, "its key is not the key of the certificate in"),
        ({"keyfile": None}, "certfile .* holds no private key"),
        ({"keyfile": "pkcs8"}, "its key is encrypted"),
        ({"keyfile": "traditional"}, "its key is encrypted"),
        ({"cafile": "nowhere.pem"}, "cafile nowhere.pem: no such file or directory"),
        ({"cafile": "key"}, "cafile .* holds no certificate"),
        ({"cafile": "broken"}, "cafile .*: holds a certificate that can't be read"),
        ({"certfile": "broken"}, "certfile .*"),
    ],
)
async def test_bad_file_is_named(
    epmd: EpmdConfig, authority: Authority, tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    certfile, keyfile = authority.certificate()
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    files = {
        "cert": certfile,
        "key": keyfile,
        "other key": authority.certificate()[1],
        "pkcs8": encrypted_key(tmp_path / "pkcs8.pem", PrivateFormat.PKCS8),
        "traditional": encrypted_key(tmp_path / "traditional.pem", PrivateFormat.TraditionalOpenSSL),
        "broken": broken,
    }
    good = {"certfile": certfile, "keyfile": keyfile, "cafile": authority.cafile}
    tls = TLSConfig(**good | {name: files.get(file, file) for name, file in settings.items()})  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=words):
        await Node(f"n@{HOST}", epmd=epmd, cookie="secret", tls=tls).start()


def test_key_may_stand_in_the_file_of_the_certificate(authority: Authority) -> None:
    certfile, keyfile = authority.certificate()
    certfile.write_bytes(keyfile.read_bytes() + certfile.read_bytes())

    assert tls_context(TLSConfig(certfile, cafile=authority.cafile)) is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "TLS needs a cafile"),
        ({"cafile": "ca", "versions": ("1.1",)}, "versions are some of 1.2, 1.3"),
        ({"cafile": "ca", "versions": ()}, "versions are some of"),
        ({"cafile": "ca", "certfile": None, "keyfile": "key"}, "a keyfile needs the certfile"),
        (
            {"cafile": "ca", "client": TLSConfig("c", verify=False, client=TLSConfig("c", verify=False))},
            "no client settings of their own",
        ),
    ],
)
def test_contradicting_settings_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TLSConfig(**{"certfile": "cert"} | arguments)


def test_a_node_needs_a_certificate() -> None:
    with pytest.raises(ConfigError, match="TLS needs a certfile"):
        Node(f"n@{HOST}", cookie="secret", tls=TLSConfig(None, verify=False))


async def test_optfile_of_erlang_is_enough(make_node: MakeNode, authority: Authority, tmp_path: Path) -> None:
    certfile, keyfile = authority.certificate()
    identity = f'{{certfile,"{certfile}"}},{{keyfile,"{keyfile}"}},{{cacertfile,"{authority.cafile}"}}'
    optfile = tmp_path / "dist.conf"
    optfile.write_text(
        f"[{{server,[{identity},{{verify,verify_peer}},{{fail_if_no_peer_cert,true}}]}},\n"
        f" {{client,[{identity},{{verify,verify_peer}}]}}]."
    )
    a, b = await make_node("a", tls=TLSConfig.from_optfile(optfile)), await make_node("b", tls=authority.config())

    assert await a.connect(b.name)
    a.disconnect(b.name)
    assert await b.connect(a.name)
