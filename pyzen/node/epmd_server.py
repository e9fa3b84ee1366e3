"""An epmd: tells nodes of this machine where the others listen.

Serves where no real epmd is at hand, from a process of its own (``pyzen epmd``), or inside a node's loop on
request. A registration is a connection: it ends with it. Everything a client can grow is bounded, and what is
malformed is closed without a word, as a real epmd does.

Source: OTP, "Distribution Protocol", section "EPMD Protocol".
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from typing import TYPE_CHECKING, Final, assert_never, cast

from pyzen.dist.epmd import (
    Alive2Request,
    DumpRequest,
    KillRequest,
    NamesRequest,
    NamesResponse,
    NameTable,
    PortPlease2Request,
    Request,
    StopRequest,
    parse_request,
    serialize_port2_response,
)
from pyzen.errors import EpmdError
from pyzen.node.addresses import listening_socket, reason
from pyzen.node.lobby import Lobby

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["EpmdServer"]

LOOPBACK: Final = "127.0.0.1"
MAX_REGISTERED: Final = 1024
MAX_UNREGISTERED: Final = 1024
"""Connections that have registered no node: the oldest makes way past it."""

GRACE: Final = 2.0
"""Seconds in which none of them has to."""

BACKLOG: Final = 1024
IDLE_TIME: Final = 60.0  # as `epmd -packet_timeout`


class EpmdServer:
    """A name server on loopback, and on other addresses only where they are named.

    Belongs to one event loop. `start` before anything else; `stop` leaves neither socket nor timer behind.

    Attributes:
        port: Where it listens; 0 before `start`.

    Args:
        addresses: Further addresses to listen on, besides loopback. Only nodes of this machine can register.
        linger: Seconds after which a server without registered nodes ends; None to go on for ever.
        idle_time: Seconds after which a connection that has registered nothing is closed.
        clock: Seconds since the epoch; creations begin with it.
    """

    def __init__(
        self,
        *,
        addresses: Sequence[str] = (),
        linger: float | None = None,
        idle_time: float = IDLE_TIME,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.port = 0
        self.table = NameTable()
        self.idle_time = idle_time
        self._addresses = (LOOPBACK, *addresses)
        self._linger = linger
        self._clock = clock
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._lobby: Lobby[Connection] = Lobby(MAX_UNREGISTERED, GRACE, time.monotonic, Connection.end)
        self._ended = asyncio.Event()
        self._end_timer: asyncio.TimerHandle | None = None

    async def start(self, port: int) -> int:
        """Listen on ``port``; 0 means a free one.

        Returns:
            The port.

        Raises:
            EpmdError: If an address can't be listened on.
        """
        self.port = port
        try:
            for address in self._addresses:
                await self._listen(address)
        except EpmdError:
            await self.stop()
            raise
        self._watch_registrations()
        return self.port

    async def _listen(self, address: str) -> None:
        """Listen at one more address, on the port of the first."""
        loop = asyncio.get_running_loop()
        try:
            own = await listening_socket(address, self.port)
        except OSError as error:
            raise EpmdError(
                f"can't listen on port {self.port} of {address} ({reason(error)}): is another epmd there? "
                "see ERL_EPMD_PORT and ERL_EPMD_ADDRESS"
            ) from error
        self.port = own.getsockname()[1]
        self._servers.append(await loop.create_server(lambda: Connection(self), sock=own, backlog=BACKLOG))

    async def wait_ended(self) -> None:
        """Wait until the server has nothing more to do: told to end, or without nodes for too long.

        It goes on answering until `stop`. Cancellation changes nothing.
        """
        await self._ended.wait()

    async def stop(self) -> None:
        """Close all connections, registrations included, and stop listening. Idempotent."""
        if self._end_timer is not None:
            self._end_timer.cancel()
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        for connection in list(self._connections):
            connection.end()
        for server in servers:
            await server.wait_closed()

    # ---- for its connections

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False if there are too many."""
        if not self._lobby.admit(connection):
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Count a connection no more, and drop what it has registered."""
        self._connections.discard(connection)
        self._lobby.leave(connection)
        if connection.name is not None:
            self.table.unregister(connection.name)
            self._watch_registrations()

    def answer(self, request: Request, connection: Connection) -> bytes:
        """Return what to send; after it the connection ends, unless it has registered a node."""
        match request:
            case PortPlease2Request(name):
                return serialize_port2_response(self.table.lookup(name))
            case NamesRequest():
                names = tuple((node.name, node.port) for node in self.table)
                return NamesResponse(self.port, names).serialize()
            case Alive2Request():
                return self._register(request, connection)
            case DumpRequest():
                return self._dump() if connection.local else b""
            case KillRequest():
                return self._kill() if connection.local else b""
            case StopRequest():
                return b""
            case _:
                assert_never(request)

    def _register(self, request: Alive2Request, connection: Connection) -> bytes:
        if not connection.local or len(self.table) >= MAX_REGISTERED:
            return b""
        response = self.table.register(request.node, now=self._clock())
        if response.result == 0:
            connection.name = request.node.name
            self._lobby.leave(connection)
            self._watch_registrations()
        return response.serialize()

    def _dump(self) -> bytes:
        descriptors = {connection.name: connection.fileno() for connection in self._connections}
        active = [
            f"active name     <{node.name}> at port {node.port}, fd = {descriptors.get(node.name, -1)}\n\0"
            for node in self.table
        ]
        unused = [f"old/unused name <{node.name}>, port = {node.port}, fd = -1 \n\0" for node in self.table.unused()]
        return self.port.to_bytes(4, "big") + "".join(active + unused).encode()

    def _kill(self) -> bytes:
        if len(self.table):
            return b"NO"
        self._ended.set()
        return b"OK"

    def _watch_registrations(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
        if self._linger is not None and not len(self.table) and self._servers:
            self._end_timer = asyncio.get_running_loop().call_later(self._linger, self._ended.set)


class Connection(asyncio.Protocol):
    """One client of the server.

    Attributes:
        name: What it has registered, if anything.
        local: Whether the client is on this machine.
    """

    def __init__(self, server: EpmdServer) -> None:
        self.name: str | None = None
        self.local = False
        self._server = server
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 when closed."""
        own = self._transport and self._transport.get_extra_info("socket")
        return own.fileno() if own else -1

    def end(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new client in, unless there are too many."""
        stream = cast("asyncio.Transport", transport)  # of a class of its own under uvloop
        self._transport = stream
        self.local = is_local(transport.get_extra_info("peername"), transport.get_extra_info("sockname"))
        if not self._server.admit(self):
            stream.abort()
            return
        self._idle_timer = asyncio.get_running_loop().call_later(self._server.idle_time, self.end)

    def data_received(self, data: bytes) -> None:
        """Answer the request once it is complete; a registered node has nothing more to say."""
        assert self._transport is not None, "data follows the connection"
        if self.name is not None or self._transport.is_closing():
            self.end()
            return
        self._data += data
        try:
            request = parse_request(self._data)
        except EpmdError:
            self.end()
            return
        if request is not None:
            self._answer(self._transport, request)

    def _answer(self, transport: asyncio.Transport, request: Request) -> None:
        transport.write(self._server.answer(request, self))
        if self.name is None:
            transport.close()  # once the answer has left; the idle timer ends those who do not read it
        elif self._idle_timer is not None:
            self._idle_timer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the registration with its connection."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._server.forget(self)


def is_local(peer: tuple[str, int] | None, own: tuple[str, int] | None) -> bool:
    """Return whether a client is on this machine: on loopback, or at the address it has connected to."""
    if peer is None or own is None:
        return False
    return peer[0] == own[0] or ipaddress.ip_address(peer[0]).is_loopback
