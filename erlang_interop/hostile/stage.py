"""What an attack works with: peers that it plays itself, packet by packet, and the moment at which it begins."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import struct
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pyzen import etf
from pyzen._native import NO_PAYLOAD
from pyzen.config import EpmdConfig, Limits
from pyzen.dist.flags import own_flags
from pyzen.dist.handshake import Initiator
from pyzen.node.epmd import lookup
from pyzen.terms import Atom, Reference, atoms
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from erlang_interop.hostile.prey import Prey
    from erlang_interop.nodes import ErlangCluster
    from tests.events import Event

__all__ = ["CALL", "CAST", "HEADER", "Peer", "Stage", "framed", "term"]

CALL: Final = atoms["$gen_call"]
CAST: Final = atoms["$gen_cast"]
HEADER: Final = b"\x83D\0"
"""The head of a packet that fills no place of the atom cache."""

LOST: Final = (ConnectionError, asyncio.IncompleteReadError)
READ: Final = 1 << 20


def term(value: Any) -> bytes:
    """Return a term as it stands in a packet: without the version byte."""
    return etf.encode(value, limits=Limits(max_depth=10_000))[1:]


def framed(packet: bytes) -> bytes:
    """Return a packet with its length before it."""
    return struct.pack(">I", len(packet)) + packet


def is_reply(message: Any) -> bool:
    """Say whether a message is the answer to what `Peer.obeyed` asks."""
    return isinstance(message, tuple) and len(message) == 3 and message[0] is atoms.features_reply


class Peer(RawPeer):
    """A peer with the right cookie. It reads what it is sent, unless it is told not to.

    Attributes:
        is_lost: Whether the node has ended the link.
        replies: Messages that have come.
        results: How many calls by `call` have come to which end: ``return``, ``error``, ``exit``, ``system_limit``.
        returned: What the last of them has returned.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or f"foe{secrets.token_hex(4)}@127.0.0.1")
        self.is_lost = False
        self.replies = 0
        self.results: Counter[str] = Counter()
        self.returned: Any = None
        self._obeyed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)

    def read_on(self) -> None:
        """Begin to read."""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(*LOST):
            while data := await self.reader.read(READ):
                for event in self.session.receive_data(data):
                    self._take(event)
        self.is_lost = True
        self._obeyed.set()

    def _take(self, event: Event) -> None:
        match event:
            case (0, _, _, messages, _):
                self.replies += len(messages)
                if any(map(is_reply, messages)):
                    self._obeyed.set()
            case (28, _, _, _, (_, Atom() as outcome, value, *_)):
                self.results[str(outcome)] += 1
                self.returned = value
            case (31, _, (_, _, _, _, Atom() as refusal), _, _):
                self.results[str(refusal)] += 1

    # ---- packets

    def message(self, to: Any, message: Any) -> bytes:
        """Return the packet of a message to a pid or a name."""
        return self.raw(to, term(message))

    def raw(self, to: Any, payload: bytes) -> bytes:
        """Return the packet of a message whose term is given in bytes."""
        name = Atom(to) if isinstance(to, str) else to
        control = (6, self.pid, Atom(""), name) if isinstance(name, Atom) else (22, self.pid, name)
        return framed(HEADER + term(control) + payload)

    def control(self, *elements: Any, payload: Any = NO_PAYLOAD) -> bytes:
        """Return the packet of any control message."""
        rest = b"" if payload is NO_PAYLOAD else term(payload)
        return framed(HEADER + term(elements) + rest)

    def ref(self) -> Reference:
        """Return a reference that has not been used."""
        number = next(self._numbers)
        return Reference(self.name, self.creation, [number & 0x3FFFF, number >> 18, 1])

    def call(self, module: str, function: str, *arguments: Any) -> bytes:
        """Return the packet of a call as ``erpc`` makes it."""
        ref = self.ref()
        request = (29, ref, self.pid, self.pid, (atoms.erpc, atoms.execute_call, 4), [atoms.monitor])
        return self.control(*request, payload=[ref, Atom(module), Atom(function), list(arguments)])

    def gen_call(self, to: Any, request: Any) -> bytes:
        """Return the packet of a call of a server."""
        return self.message(to, (CALL, (self.pid, self.ref()), request))

    def rex(self, function: str, module: str, name: str, *arguments: Any) -> bytes:
        """Return the packet of a request of ``rex``: ``call``, ``cast`` and so on."""
        request = (Atom(function), Atom(module), Atom(name), list(arguments), self.pid)
        return self.message("rex", (CAST, request)) if function == "cast" else self.gen_call("rex", request)

    # ---- bytes

    async def push(self, data: bytes | Iterable[bytes]) -> bool:
        """Write packets, as fast as the node takes them; false when the link is lost."""
        try:
            for part in (data,) if isinstance(data, bytes) else data:
                if self.is_lost or self.writer.is_closing():
                    return False
                self.writer.write(part)
                await self.writer.drain()
        except LOST:
            self.is_lost = True
        return not self.is_lost

    async def obeyed(self) -> None:
        """Wait until the node has come to all that was sent, or the link has ended."""
        self._obeyed.clear()
        if await self.push(self.message("rex", (self.pid, atoms.features_request))):
            await self._obeyed.wait()

    async def ask(self, module: str, function: str, *arguments: Any) -> Any:
        """Call a function and return what it returns."""
        before = self.results.total()
        await self.push(self.call(module, function, *arguments))
        while self.results.total() == before and not self.is_lost:
            await asyncio.sleep(0.002)
        return self.returned

    async def end(self) -> None:
        """Close the connection, without waiting for what was sent."""
        if self._reading is not None:
            self._reading.cancel()
        if hasattr(self, "writer"):
            self.writer.transport.abort()


class Stage:
    """One attack's place.

    Attributes:
        prey: What is attacked.
        failures: What the attack itself has found wrong.
        epmd_port: Where the epmd is that the node has registered with.
    """

    def __init__(self, prey: Prey, node: Prey, cluster: ErlangCluster, begin: Callable[[], Awaitable[None]]) -> None:
        """Store what an attack needs.

        Args:
            prey: What is attacked.
            node: The node that peers connect to.
            cluster: Has its epmd and its cookie.
            begin: Called by `begin`.
        """
        self.prey = prey
        self.failures: list[str] = []
        self.epmd_port = cluster.epmd_port
        self._node = node
        self._cookie = cluster.cookie
        self._begin = begin
        self._peers: list[Peer] = []
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def name(self) -> Atom:
        """The node's name."""
        return Atom(self._node.name)

    @property
    def address(self) -> tuple[str, int]:
        """Where the node listens."""
        return "127.0.0.1", self._node.port

    async def begin(self) -> None:
        """Measure the quiet node, then begin: what comes from here on is the attack."""
        await self._begin()

    def expect(self, holds: bool, what: str) -> None:
        """Note what has to hold for the attack to be without effect."""
        if not holds:
            self.failures.append(what)

    async def told(self, pattern: str) -> None:
        """Wait until a line of the log says something; for as long as the attack may last."""
        while not any(re.search(pattern, line.text) for line in self.prey.lines()):
            await asyncio.sleep(0.1)

    async def peer(
        self,
        name: str | None = None,
        *,
        reads: bool = True,
        cookie: str | None = None,
        kind: type[Peer] = Peer,
        address: tuple[str, int] | None = None,
    ) -> Peer:
        """Connect a peer."""
        peer = kind(name)
        self._peers.append(peer)
        await peer.connect_to(address or self.address, self.name, self._cookie if cookie is None else cookie)
        if reads:
            peer.read_on()
        return peer

    async def registered(self) -> tuple[str, int]:
        """Return where the node listens, as its epmd says: ``address`` of ``pyzen node`` is that of its metrics."""
        found = await lookup(str(self.name).partition("@")[0], "127.0.0.1", EpmdConfig(port=self.epmd_port))
        return "127.0.0.1", 0 if found is None else found.port

    async def open(self, port: int | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and say nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._node.port if port is None else port)
        self._writers.append(writer)
        return reader, writer

    async def open_many(self, count: int, port: int | None = None) -> None:
        """Connect many times and say nothing, one after the other."""
        for _ in range(count):
            with suppress(ConnectionError):
                await self.open(port)

    async def register(self, name: str, port: int = 9999, epmd_port: int | None = None) -> bytes:
        """Register a name while the attack lasts, with the attacked epmd or another one; returns the answer."""
        reader, writer = await self.open(self.prey.port if epmd_port is None else epmd_port)
        alive = struct.pack(">BHBBHHH", 120, port, 77, 0, 6, 5, len(name)) + name.encode() + b"\0\0"
        writer.write(struct.pack(">H", len(alive)) + alive)
        return await reader.read(6)

    def initiator(self, name: str, *, cookie: str = "wrong") -> Initiator:
        """Return the handshake of a peer."""
        return Initiator(name, str(self.name), flags=own_flags(hidden=False), creation=9, cookie=lambda _: cookie)

    async def close(self) -> None:
        """End all connections."""
        for peer in self._peers:
            await peer.end()
        for writer in self._writers:
            writer.transport.abort()
