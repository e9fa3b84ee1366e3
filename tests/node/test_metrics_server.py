from __future__ import annotations

import asyncio
import http.client
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pyzen.errors import ConfigError
from pyzen.node import metrics_server
from pyzen.node.metrics_server import MAX_CONNECTIONS, MAX_FIELDS, MAX_HEAD, MetricsServer
from tests.node.conftest import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOST = "127.0.0.1"
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
TEXT = "# HELP é x\n"
SHORT = 0.2  # seconds, for tests in which time runs out


class Served:
    """A server, and how clients see it."""

    def __init__(self, server: MetricsServer) -> None:
        self.server = server

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self.server.address is not None
        return await asyncio.open_connection(*self.server.address)

    async def ask(self, request: bytes, *parts: bytes) -> bytes:
        """Send a request, read until the server closes."""
        reader, writer = await self.connect()
        try:
            for part in (request, *parts):
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(5):
                return await reader.read()
        finally:
            writer.close()

    async def status(self, request: bytes) -> int:
        return int((await self.ask(request)).split(b" ", 2)[1])


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    server = MetricsServer(lambda: TEXT)
    await server.start(HOST, 0)
    yield Served(server)
    await server.stop()


@pytest.fixture
async def hasty() -> AsyncIterator[Served]:
    """A server that has no patience."""
    server = MetricsServer(lambda: TEXT, request_time=SHORT)
    await server.start(HOST, 0)
    yield Served(server)
    await server.stop()


async def test_get_answers_the_text_and_closes(served: Served) -> None:
    head, _, body = (await served.ask(GET)).partition(b"\r\n\r\n")

    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: text/plain; version=0.0.4; charset=utf-8",
        b"Content-Length: 12",
        b"Connection: close",
    ]
    assert body == TEXT.encode()


async def test_head_answers_as_get_without_the_text(served: Served) -> None:
    head, _, _ = (await served.ask(GET)).partition(b"\r\n\r\n")

    assert await served.ask(GET.replace(b"GET", b"HEAD")) == head + b"\r\n\r\n"


async def test_clients_of_the_standard_library_understand_it(served: Served) -> None:
    def ask() -> tuple[int, str | None, str]:
        assert served.server.address is not None
        client = http.client.HTTPConnection(*served.server.address, timeout=5)
        client.request("GET", "/metrics")
        response = client.getresponse()
        return response.status, response.getheader("Content-Type"), response.read().decode()

    status, kind, text = await asyncio.to_thread(ask)

    assert (status, text) == (200, TEXT)
    assert kind is not None
    assert kind.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET http://localhost:9/metrics HTTP/1.1\r\nHost: localhost:9\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"HEAD /metrics/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"POST /other HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
        (b"get /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost : h\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: h\0\r\n\r\n", 400),
        (b"GET /metrics HTTP/2\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /\xe9 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http://[/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    ],
)
async def test_requests_are_judged(served: Served, request_: bytes, status: int) -> None:
    assert await served.status(request_) == status


async def test_method_that_is_not_allowed_hears_which_are(served: Served) -> None:
    assert b"\r\nAllow: GET, HEAD\r\n" in await served.ask(GET.replace(b"GET", b"DELETE"))


async def test_head_of_a_missing_page_has_no_body(served: Served) -> None:
    assert (await served.ask(b"HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n")).endswith(b"\r\n\r\n")


async def test_request_may_come_byte_by_byte(served: Served) -> None:
    answer = await served.ask(*(GET[i : i + 1] for i in range(len(GET))))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(("size", "status"), [(MAX_HEAD, 200), (MAX_HEAD + 1, 400)])
async def test_head_has_a_largest_size(served: Served, size: int, status: int) -> None:
    start = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: "
    head = start + b"x" * (size - len(start))

    assert await served.status(head + b"\r\n\r\n") == status


async def test_head_without_an_end_is_cut_off_at_the_largest_size(served: Served) -> None:
    assert await served.status(b"x" * (MAX_HEAD + len(b"\r\n\r\n"))) == 400


async def test_client_that_ends_early_gets_no_answer(served: Served) -> None:
    reader, writer = await served.connect()

    writer.write(GET[:-1])
    writer.write_eof()

    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("sent", [b"", GET[:10]])
async def test_client_that_is_too_slow_is_cut_off(hasty: Served, sent: bytes) -> None:
    reader, writer = await hasty.connect()
    writer.write(sent)

    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(("count", "status"), [(MAX_FIELDS - 1, 200), (MAX_FIELDS, 400), (2000, 400)])
async def test_there_are_only_so_many_headers(served: Served, count: int, status: int) -> None:
    assert await served.status(GET.removesuffix(b"\r\n") + b"a:\r\n" * count + b"\r\n") == status


@pytest.mark.parametrize(("seconds", "reads"), [(60.0, 1), (0.0, 5)])
async def test_metrics_are_read_once_in_a_while(monkeypatch: pytest.MonkeyPatch, seconds: float, reads: int) -> None:
    monkeypatch.setattr(metrics_server, "FRESH", seconds)
    texts = [f"read {number}\n" for number in range(5)]
    left = iter(texts)
    server = MetricsServer(lambda: next(left))
    await server.start(HOST, 0)

    answers = [await Served(server).ask(GET) for _ in range(5)]

    assert [answer.rpartition(b"\r\n")[2].decode() for answer in answers] == (texts if reads == 5 else texts[:1] * 5)
    await server.stop()


async def test_client_that_does_not_read_is_cut_off() -> None:
    huge = "x" * 50_000_000
    server = MetricsServer(lambda: huge, request_time=SHORT)
    await server.start(HOST, 0)
    assert server.address is not None
    with socket.create_connection(server.address) as client:
        client.sendall(GET)
        await until(lambda: len(server._connections) == 1)

        await until(lambda: not server._connections)

    await server.stop()


async def test_many_clients_are_answered_side_by_side(served: Served) -> None:
    answers = await asyncio.gather(*(served.status(GET) for _ in range(MAX_CONNECTIONS)))

    assert answers == [200] * MAX_CONNECTIONS


HOSTS = [
    (b"localhost", 200), (b"LOCALHOST.:9100", 200), (b"127.0.0.1:80", 200), (b"[::1]:9", 200), (b"evil.example", 421),
    (b"localhost.evil.example:80", 421), (b"127.0.0.1.nip.io", 421), (b"", 421), (b"10.0.0.1", 421),
]  # fmt: skip


@pytest.mark.parametrize(("host", "status"), HOSTS)
async def test_page_of_the_web_reads_nothing_through_a_browser_here(served: Served, host: bytes, status: int) -> None:
    """The browser asks this machine under the name of the page's own host."""
    assert await served.status(b"GET /metrics HTTP/1.1\r\nHost: " + host + b"\r\n\r\n") == status


async def test_target_that_is_a_whole_address_counts(served: Served) -> None:
    request = b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"

    assert await served.status(request) == 421


async def test_idle_connections_make_way(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.server._lobby, "_grace", 0.0)
    idle = [await served.connect() for _ in range(MAX_CONNECTIONS)]
    await until(lambda: len(served.server._connections) == MAX_CONNECTIONS)

    assert await served.status(GET) == 200

    assert await idle[0][0].read() == b""
    for _, writer in idle:
        writer.close()


async def test_one_connection_too_many_is_turned_away_until_one_ends(served: Served) -> None:
    idle = [await served.connect() for _ in range(MAX_CONNECTIONS)]
    await until(lambda: len(served.server._connections) == MAX_CONNECTIONS)
    assert await served.status(GET) == 503

    idle[0][1].write(GET)
    assert (await idle[0][0].read()).startswith(b"HTTP/1.1 200 OK\r\n")
    await until(lambda: len(served.server._connections) < MAX_CONNECTIONS)

    assert await served.status(GET) == 200
    for _, writer in idle:
        writer.close()


async def test_stop_ends_connections_and_frees_the_port(served: Served) -> None:
    reader, writer = await served.connect()
    await until(lambda: len(served.server._connections) == 1)
    address = served.server.address
    assert address is not None

    await served.server.stop()
    await served.server.stop()

    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    assert served.server.address is None
    writer.close()


async def test_address_is_logged_as_a_browser_takes_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pyzen.node")
    server = MetricsServer(lambda: TEXT)

    await server.start("::1", 0)

    assert server.address is not None
    assert caplog.messages == [f"metrics are at http://[::1]:{server.address[1]}/metrics"]
    await server.stop()


async def test_host_that_is_none_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"can't listen on a\.\.b:0 for metrics: 'a\.\.b' is no name of a host"):
        await MetricsServer(lambda: TEXT).start("a..b", 0)


async def test_port_in_use_is_one_clear_error(served: Served) -> None:
    assert served.server.address is not None
    port = served.server.address[1]

    with pytest.raises(ConfigError, match=f"can't listen on {HOST}:{port} for metrics: Address already in use"):
        await MetricsServer(lambda: TEXT).start(HOST, port)
