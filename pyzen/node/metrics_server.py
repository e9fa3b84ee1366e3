"""``GET /metrics``: a node's metrics over HTTP/1.1, and nothing else.

One answer per connection, then it is closed. There are `MAX_CONNECTIONS` at most, each for `REQUEST_TIME` and
`MAX_HEAD` bytes: past that the oldest makes way for a newcomer.

============================== ==========================================
request                        answer
============================== ==========================================
``GET`` or ``HEAD /metrics``   200, Prometheus' text format
another path                   404
another method                 405
no HTTP, or too large a head   400
another host, see `is_meant`   421
too slow, or no whole head     closed without an answer
too many within a second       503
============================== ==========================================

Source: RFC 9110, RFC 9112; Prometheus, "Text-based format", version 0.0.4.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, final
from urllib.parse import urlsplit

from pyzen.errors import ConfigError
from pyzen.logs import get_logger
from pyzen.node.addresses import listening_socket, reason
from pyzen.node.lobby import Lobby
from pyzen.tasks import start_task

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MetricsServer"]

log = get_logger("pyzen.node")

PATH: Final = "/metrics"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

MAX_HEAD: Final = 8192
"""Bytes of request line and headers."""

MAX_FIELDS: Final = 100
"""Headers."""

FRESH: Final = 0.25
"""Seconds for which the metrics are not read anew, however many ask."""

MAX_CONNECTIONS: Final = 64
GRACE: Final = 1.0
"""Seconds in which no connection has to make way for another."""

REQUEST_TIME: Final = 5.0
"""Seconds for a whole connection, the reading of the answer included."""

TOKEN: Final = r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
REQUEST_LINE: Final = re.compile(TOKEN + r" ([!-~]+) HTTP/1\.([01])")
FIELD: Final = re.compile(TOKEN + r":[^\0\r\n]*")


@final
class MetricsServer:
    """Serves the metrics of one node.

    Args:
        read: Returns the metrics' text; called in the event loop, once in ``FRESH`` seconds at most.
        request_time: See ``REQUEST_TIME``.

    Attributes:
        address: Host and port while it listens, else None.
    """

    def __init__(self, read: Callable[[], str], *, request_time: float = REQUEST_TIME) -> None:
        self.address: tuple[str, int] | None = None
        self._read = read
        self._request_time = request_time
        self._text = ""
        self._stale_at = 0.0
        self._server: asyncio.Server | None = None
        self._hosts: frozenset[str] | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._lobby: Lobby[asyncio.StreamWriter] = Lobby(MAX_CONNECTIONS, GRACE, time.monotonic, abort)

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 is a free one.

        Raises:
            ConfigError: The address can't be listened on.
        """
        try:
            own = await listening_socket(host, port)
        except OSError as error:
            raise ConfigError(f"can't listen on {host}:{port} for metrics: {reason(error)}") from error
        self._server = await asyncio.start_server(self._accepted, sock=own, limit=MAX_HEAD)
        self.address = self._server.sockets[0].getsockname()[:2]
        if ipaddress.ip_address(self.address[0]).is_loopback:
            self._hosts = LOOPBACK | {host.lower()}
        shown = f"[{self.address[0]}]" if ":" in self.address[0] else self.address[0]
        log.info("metrics are at http://%s:%d%s", shown, self.address[1], PATH)

    async def stop(self) -> None:
        """Stop listening and end all connections. Idempotent."""
        server, self._server, self.address = self._server, None, None
        if server is None:
            return
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Own the task of a connection: ``start_server`` would let go of it."""
        if not self._lobby.admit(writer):
            writer.write(answer(HTTPStatus.SERVICE_UNAVAILABLE))
            writer.close()
            return
        task = start_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; whatever happens, the connection ends in time."""
        try:
            async with asyncio.timeout(self._request_time):
                head = await read_head(reader)
                if head is not None:
                    writer.write(self._answer(head))
                    await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            pass
        finally:
            self._lobby.leave(writer)
            abort(writer)

    def _answer(self, head: bytes) -> bytes:
        found = parse_request(head)
        if found is None:
            return answer(HTTPStatus.BAD_REQUEST)
        method, path, host = found
        with_body = method != "HEAD"
        if self._hosts is not None and not is_meant(host, self._hosts):
            return answer(HTTPStatus.MISDIRECTED_REQUEST, with_body=with_body)
        if path != PATH:
            return answer(HTTPStatus.NOT_FOUND, with_body=with_body)
        if method not in {"GET", "HEAD"}:
            return answer(HTTPStatus.METHOD_NOT_ALLOWED, extra=("Allow: GET, HEAD",))
        return answer(HTTPStatus.OK, self._fresh_text(), with_body=with_body)

    def _fresh_text(self) -> str:
        """Return the metrics as they are now, or were just before."""
        now = time.monotonic()
        if now >= self._stale_at:
            self._text = self._read()
            self._stale_at = now + FRESH
        return self._text


async def read_head(reader: asyncio.StreamReader) -> bytes | None:
    """Read up to the empty line; empty for a head that is too large, None when the connection ends before."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return b""
    except asyncio.IncompleteReadError:
        return None


def abort(writer: asyncio.StreamWriter) -> None:
    """End a connection at once."""
    writer.transport.abort()


def is_meant(host: str | None, hosts: frozenset[str]) -> bool:
    """Say whether a request that came by loopback is meant for this machine.

    A page of the web can have its reader's browser ask the reader's own machine, under a name that belongs to whoever
    has made the page: then the name of the host tells.
    """
    return host is None or host.lower().removesuffix(".") in hosts


def parse_request(head: bytes) -> tuple[str, str, str | None] | None:
    """Return method, path and host of a request, None where it names no host; None if it is no request."""
    first, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n", MAX_FIELDS + 1)
    if len(fields) > MAX_FIELDS:
        return None
    line = REQUEST_LINE.fullmatch(first)
    names = [found[1].lower() for found in map(FIELD.fullmatch, fields) if found]
    # "A server MUST respond with a 400 to any HTTP/1.1 request that lacks a Host, or has more than one": 3.2.
    hosts = {"1": {1}, "0": {0, 1}}
    if line is None or len(names) < len(fields) or names.count("host") not in hosts[line[3]]:
        return None
    try:
        target = urlsplit(line[2])
        return line[1], target.path, target.hostname or host_of(fields)
    except ValueError:
        return None


def host_of(fields: list[str]) -> str | None:
    """Return what the field ``Host`` says, without the port. Raises ``ValueError``."""
    for field in fields:
        name, _, value = field.partition(":")
        if name.lower() == "host":
            return urlsplit(f"//{value.strip()}").hostname or ""
    return None


def answer(
    status: HTTPStatus, body: str | None = None, *, with_body: bool = True, extra: tuple[str, ...] = ()
) -> bytes:
    """Return a whole response.

    Args:
        status: Its status.
        body: The metrics; None for the words of the status.
        with_body: False for ``HEAD``, whose answer only tells how long the body would be.
        extra: More header lines.
    """
    content = (f"{status.value} {status.phrase}\n" if body is None else body).encode()
    kind = "text/plain; charset=utf-8" if body is None else CONTENT_TYPE
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *extra,
        "",
        "",
    )
    return "\r\n".join(lines).encode() + (content if with_body else b"")
