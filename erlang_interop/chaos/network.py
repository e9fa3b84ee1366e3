"""The network between the nodes: an epmd that announces ports of ours, and behind them pipes that can be broken.

Each node has a listener here. Who dials it is read from the first frame of the handshake, ``send_name``, so a fault
can be laid on one pair of nodes; it holds for the connections of the pair that are there and for those that come.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from typing import TYPE_CHECKING, Final

from pyzen.dist.epmd import PortPlease2Request, serialize_port2_response
from pyzen.dist.handshake_messages import NameMessage
from pyzen.errors import HandshakeError
from pyzen.node.epmd_server import Connection, EpmdServer

if TYPE_CHECKING:
    from pyzen.dist.epmd import Request

__all__ = ["FaultyNetwork", "Pair", "pair_of"]

LOOPBACK: Final = "127.0.0.1"
HIGH_MARK: Final = 1 << 20

Pair = frozenset[str]
"""Alive names of two nodes."""


def pair_of(one: str, other: str) -> Pair:
    """Return the pair of two nodes, named in full or by their first halves."""
    return frozenset((one.partition("@")[0], other.partition("@")[0]))


class FaultyNetwork(EpmdServer):
    """Knows where the nodes really listen, and tells everybody who asks a port of its own.

    Attributes:
        refused: Pairs whose new connections are closed at once.
        frozen: Pairs whose bytes, and ends, stay where they are.
        delays: Seconds that bytes of a pair take.
        pipes: The connections there are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[Pair] = set()
        self.frozen: set[Pair] = set()
        self.delays: dict[Pair, float] = {}
        self.pipes: set[Pipe] = set()
        self._listeners: dict[str, asyncio.Server] = {}

    async def listen(self, alive: str) -> None:
        """Begin to stand in for a node, which may come and go."""
        loop = asyncio.get_running_loop()
        self._listeners[alive] = await loop.create_server(lambda: Pipe(self, alive).dialler, LOOPBACK, 0)

    async def stop(self) -> None:
        """Close everything."""
        for listener in self._listeners.values():
            listener.close()
        for pipe in list(self.pipes):
            pipe.cut()
        await super().stop()

    def answer(self, request: Request, connection: Connection) -> bytes:
        """Answer as epmd, with our port for the node's."""
        if not isinstance(request, PortPlease2Request):
            return super().answer(request, connection)
        node, listener = self.table.lookup(request.name), self._listeners.get(request.name)
        if node is None or listener is None:
            return serialize_port2_response(node)
        return serialize_port2_response(dataclasses.replace(node, port=listener.sockets[0].getsockname()[1]))

    def address_of(self, alive: str) -> tuple[str, int]:
        """Return where a node seems to listen."""
        host, port = self._listeners[alive].sockets[0].getsockname()
        return host, port

    # ---- faults

    def cut(self, pair: Pair) -> int:
        """Reset the connections of a pair; return how many there were."""
        pipes = self._of(pair)
        for pipe in pipes:
            pipe.cut()
        return len(pipes)

    def refuse(self, pair: Pair) -> None:
        """Cut, and let no connection come up until `mend`."""
        self.refused.add(pair)
        self.cut(pair)

    def freeze(self, pair: Pair) -> None:
        """Let nothing through, in either direction, until `mend`; nothing is lost."""
        self.frozen.add(pair)
        self._adjust(pair)

    def delay(self, pair: Pair, seconds: float) -> None:
        """Let everything take longer until `mend`; order is kept."""
        self.delays[pair] = seconds

    def drop(self, pair: Pair, source: str) -> list[Pipe]:
        """Lose what ``source`` sends on the present connections, for as long as they last; return them."""
        pipes = self._of(pair)
        for pipe in pipes:
            pipe.drop(source.partition("@")[0])
        return pipes

    def mend(self, pair: Pair) -> None:
        """End refusal, frost and delay of a pair."""
        self.refused.discard(pair)
        self.frozen.discard(pair)
        self.delays.pop(pair, None)
        self._adjust(pair)

    def _of(self, pair: Pair) -> list[Pipe]:
        return [pipe for pipe in self.pipes if pipe.pair == pair]

    def _adjust(self, pair: Pair) -> None:
        for pipe in self._of(pair):
            pipe.adjust()


class Pipe:
    """One connection from a dialling node to a node, by way of us."""

    def __init__(self, network: FaultyNetwork, node: str) -> None:
        self.network = network
        self.node = node
        self.pair: Pair = frozenset((node,))
        self.dialler = Side(self)
        self.acceptor = Side(self)
        self.dialler.other, self.acceptor.other = self.acceptor, self.dialler
        self.is_cut = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether nothing may pass."""
        return self.pair in self.network.frozen

    @property
    def delay(self) -> float:
        """Seconds that bytes take."""
        return self.network.delays.get(self.pair, 0.0)

    def named(self, dialler: str) -> None:
        """The dialling node has said who it is: connect to the other one."""
        self.pair = pair_of(dialler, self.node)
        if self.pair in self.network.refused:
            self.cut()
        else:
            self._task = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        node = self.network.table.lookup(self.node)
        try:
            if node is None:
                raise ConnectionError("nobody is registered")
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self.acceptor, LOOPBACK, node.port)
        except OSError:
            self.cut()
        else:
            self.adjust()

    def cut(self) -> None:
        """Close both sides at once."""
        self.is_cut = True
        self.network.pipes.discard(self)
        for side in (self.dialler, self.acceptor):
            side.abort()

    def drop(self, source: str) -> None:
        """Lose what one of the nodes sends from now on."""
        side = self.acceptor if source == self.node else self.dialler
        side.dropping = True

    def adjust(self) -> None:
        """Read from each side, or don't, as things are now."""
        self.dialler.adjust()
        self.acceptor.adjust()


class Side(asyncio.Protocol):
    """One end of a pipe.

    Attributes:
        other: The other end.
        dropping: Whether what comes from here is lost.
    """

    other: Side

    def __init__(self, pipe: Pipe) -> None:
        self.dropping = False
        self._pipe = pipe
        self._transport: asyncio.Transport | None = None
        self._head: bytes | None = b""  # of the dialler, until its name is known
        self._late: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_full = False
        self._has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_MARK)
        if self is self._pipe.dialler:
            self._pipe.network.pipes.add(self._pipe)
        else:
            self._head = None
            first, self.other._head = self.other._head or b"", None
            transport.write(first)
            self._end_if_empty()
        if self._pipe.is_cut:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._introduce(data)
        elif not self.dropping:
            self.other.take(data, self._pipe.delay)

    def _introduce(self, data: bytes) -> None:
        assert self._head is not None
        self._head += data
        frame = self._head[2 : 2 + int.from_bytes(self._head[:2], "big")]
        try:
            dialler = NameMessage.parse(frame).name
        except HandshakeError:
            return  # not all of it yet
        assert self._transport is not None
        self._transport.pause_reading()  # until the other side is there
        self._pipe.named(dialler)

    def take(self, data: bytes, delay: float) -> None:
        """Send on what the other side has said, after a while."""
        now = asyncio.get_running_loop().time()
        if not delay and not self._late:
            self._write(data)
            return
        due = max(now + delay, self._late[-1][0] if self._late else 0.0)
        self._late.append((due, data))
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self._late:
            self._timer = asyncio.get_running_loop().call_at(self._late[0][0], self._send_late)

    def _send_late(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._late and (self._late[0][0] <= now or self._has_ended):
            self._write(self._late.popleft()[1])
        self._arm()
        self._end_if_empty()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def end(self) -> None:
        """The other side has closed: close once everything is sent."""
        self._has_ended = True
        self._end_if_empty()

    def _end_if_empty(self) -> None:
        if self._has_ended and not self._late and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, and forget what was to be sent."""
        self._late.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def adjust(self) -> None:
        """Read, or don't."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._pipe.is_frozen or self.other._is_full or self._head is not None:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._is_full = True
        self.other.adjust()

    def resume_writing(self) -> None:
        self._is_full = False
        self.other.adjust()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pipe.network.pipes.discard(self._pipe)
        if exc is None:
            self.other.end()
        else:
            self.other.abort()
