"""``GET /metrics``: a node's metrics over HTTP/1.1, and nothing else.

One answer per connection, then it is closed. Whoever connects can hold `MAX_CONNECTIONS` connections, each for
`REQUEST_TIME` and `MAX_HEAD` bytes: past that they are turned away.

============================== ==========================================
request                        answer
============================== ==========================================
``GET`` or ``HEAD /metrics``   200, Prometheus' text format
another path                   404
another method                 405
no HTTP, or too large a head   400
too slow, or no whole head     closed without an answer
too many at one time           503
============================== ==========================================

Source: RFC 9110, RFC 9112; Prometheus, "Text-based format", version 0.0.4.
"""

from __future__ import annotations

import asyncio
import os
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, final
from urllib.parse import urlsplit

from pyzen.errors import ConfigError
from pyzen.logs import get_logger
from pyzen.node.addresses import resolve_host
from pyzen.tasks import start_task

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MetricsServer"]

log = get_logger("pyzen.node")

PATH: Final = "/metrics"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

MAX_HEAD: Final = 8192
"""Bytes of request line and headers."""

MAX_CONNECTIONS: Final = 16
REQUEST_TIME: Final = 5.0
"""Seconds for a whole connection, the reading of the answer included."""

TOKEN: Final = r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
REQUEST_LINE: Final = re.compile(TOKEN + r" ([!-~]+) HTTP/1\.([01])")
FIELD: Final = re.compile(TOKEN + r":[^\0\r\n]*")


@final
class MetricsServer:
    """Serves the metrics of one node.

    Args:
        read: Returns the metrics' text; called in the event loop for each request.
        request_time: See ``REQUEST_TIME``.

    Attributes:
        address: Host and port while it listens, else None.
    """

    def __init__(self, read: Callable[[], str], *, request_time: float = REQUEST_TIME) -> None:
        self.address: tuple[str, int] | None = None
        self._read = read
        self._request_time = request_time
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 is a free one.

        Raises:
            ConfigError: The address can't be listened on.
        """
        try:
            address = await resolve_host(host)
            self._server = await asyncio.start_server(self._accepted, address, port, limit=MAX_HEAD)
        except OSError as error:
            raise ConfigError(f"can't listen on {host}:{port} for metrics: {words(error)}") from error
        self.address = self._server.sockets[0].getsockname()[:2]
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
        if len(self._connections) >= MAX_CONNECTIONS:
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
            writer.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        found = parse_request(head)
        if found is None:
            return answer(HTTPStatus.BAD_REQUEST)
        method, path = found
        with_body = method != "HEAD"
        if path != PATH:
            return answer(HTTPStatus.NOT_FOUND, with_body=with_body)
        if method not in {"GET", "HEAD"}:
            return answer(HTTPStatus.METHOD_NOT_ALLOWED, extra=("Allow: GET, HEAD",))
        return answer(HTTPStatus.OK, self._read(), with_body=with_body)


def words(error: OSError) -> str:
    """Return why an address can't be listened on, without what asyncio says around it."""
    if error.errno is not None and error.errno > 0:  # those of name resolution are negative
        return os.strerror(error.errno)
    return error.strerror or str(error)


async def read_head(reader: asyncio.StreamReader) -> bytes | None:
    """Read up to the empty line; empty for a head that is too large, None when the connection ends before."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return b""
    except asyncio.IncompleteReadError:
        return None


def parse_request(head: bytes) -> tuple[str, str] | None:
    """Return method and path of a request; None if it is none."""
    first, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    line = REQUEST_LINE.fullmatch(first)
    names = [found[1].lower() for found in map(FIELD.fullmatch, fields) if found]
    # "A server MUST respond with a 400 to any HTTP/1.1 request that lacks a Host, or has more than one": 3.2.
    hosts = {"1": {1}, "0": {0, 1}}
    if line is None or len(names) < len(fields) or names.count("host") not in hosts[line[3]]:
        return None
    try:
        return line[1], urlsplit(line[2]).path
    except ValueError:
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
