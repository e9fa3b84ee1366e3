"""Links: the native I/O thread and its events, one link that is up, the queue of one that is being dialled.

The only module of the node that knows the native link. Events are drained in one callback of the event loop, which
then lets the processes run.

Source: OTP, "Distribution Protocol"; flow control after ``erts/emulator/beam/dist.c`` (busy_dist_port).
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, final

from pyzen._native import (
    ACCEPTED,
    BUSY,
    CONNECTED,
    DEAF,
    DOWN,
    ENDED,
    FRAME,
    HIGH_MARK,
    MESSAGE,
    NO_LINK,
    NO_PAYLOAD,
    OVERHEAD,
    REFUSED,
    SENT,
    SIGNAL,
    TLS_FAULT,
    TURNED_AWAY,
    WRITABLE,
    Encoded,
    LinkThread,
    TLSContext,
    encode_message,
    guard_fd,
    release_fd,
)
from pyzen.actor.runtime import Sent
from pyzen.actor.signals import Demonitor, Monitor, Signal, SpawnRequest
from pyzen.dist.control import ControlDecoder, Op
from pyzen.dist.control_encoder import ControlEncoder
from pyzen.errors import (
    ConnectionLost,
    DistributionError,
    EncodeError,
    LinkOverloaded,
    RemoteProtocolError,
    TLSError,
)
from pyzen.logs import get_logger
from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.throttle import Throttle

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.scheduler import Scheduler
    from pyzen.config import Limits
    from pyzen.node.router import Router
    from pyzen.node.tls import TLSConfig

__all__ = [
    "DialQueue",
    "Link",
    "LinkDriver",
    "LinkHandler",
    "TLSContext",
    "down_error",
    "guard_fd",
    "release_fd",
    "tls_context",
]

log = get_logger("pyzen.dist")

First: TypeAlias = "tuple[Any, Any, Any] | tuple[Any, Any, Any, bool]"
"""A signal that goes out with the activation: the arguments of ``LinkThread.signal`` or ``send`` without the link."""

WATCHING: Final[dict[int, Any]] = {Op.MONITOR_P.value: Monitor, Op.DEMONITOR_P.value: Demonitor}
"""The signals that the native link makes itself: every call of a GenServer brings one of each."""

SENT_AS: Final = {SENT: Sent.SENT, BUSY: Sent.BUSY, NO_LINK: Sent.NO_LINK}
"""What the native link answers."""

FLUSH_INTERVAL: Final = 0.002
"""Seconds between two looks at what has not been written yet."""

UNENCODABLE: Final = atoms.unencodable
"""The reason that stands for one without an Erlang form: the signal is never lost."""


class LinkHandler(Protocol):
    """Who hears of links: the connections of the node."""

    def accepted(self, link_id: int, host: str, port: int) -> None:
        """An inbound connection, in handshake mode."""

    def turned_away(self, address: str, count: int) -> None:
        """Inbound connections for which there was no place, the first of them from this address."""

    def deaf(self, reason: str) -> None:
        """No connection can be accepted; told again after one could."""

    def connected(self, link_id: int) -> None:
        """An outbound connection, in handshake mode."""

    def frame(self, link_id: int, data: bytes) -> None:
        """A handshake frame that was asked for."""

    def down(self, link_id: int, reason: str) -> None:
        """A link or connection is gone; the last event of its id."""

    def end(self, link_id: int, reason: str) -> None:
        """A peer has broken the protocol: its link has to end."""


class Narrow:
    """What a way to a peer does with senders while too much waits on it.

    Attributes:
        busy: Above the high mark; senders wait until it is below the low one.
    """

    def __init__(self) -> None:
        self.busy = False
        self._waiting: set[Actor] = set()

    def suspend_while_busy(self, actor: Actor) -> None:
        """Suspend a process if this is busy; it is resumed when that is over."""
        if self.busy:
            self._waiting.add(actor)
            actor.suspend(self)

    def forget(self, actor: Actor) -> None:
        """Drop a process that no longer waits."""
        self._waiting.discard(actor)

    def writable(self) -> None:
        """Let the processes run that wait."""
        self.busy = False
        waiting, self._waiting = self._waiting, set()
        for actor in waiting:
            actor.resume(self)


@final
class Link(Narrow):
    """One link that is up; the `Outlet` of its peer.

    Attributes:
        epoch: Differs from that of every earlier link.
    """

    def __init__(self, thread: LinkThread, link_id: int, peer: Atom, flags: int, *, visible: bool) -> None:
        super().__init__()
        self.id = self.epoch = link_id
        self.peer = peer
        self.visible = visible
        self._thread = thread
        self._encoder = ControlEncoder(flags)
        self._unencodable = Throttle()

    def send(self, from_pid: Pid, to: Pid | Atom | Reference, message: Any, *, priority: bool = False) -> Sent:
        """Send a message. Raises ``EncodeError``, ``LinkOverloaded``."""
        sent = self._thread.send(self.id, from_pid, to, message, priority)
        if sent == BUSY:
            self.busy = True
        return SENT_AS[sent]

    def signal(self, signal: Signal) -> bool:
        """Send any other signal; false when the peer has no operation for it.

        None is lost while the link stands: past twice ``Limits.max_unsent_bytes`` the link ends.
        """
        encoded = self._encoder.encode(signal)
        if encoded is None:
            return False
        try:
            sent = self._thread.signal(self.id, *encoded)
        except EncodeError as error:
            if type(signal) is SpawnRequest:
                raise
            sent = self._thread.signal(self.id, *without_reason(*encoded))
            self._log_unencodable(error)
        except LinkOverloaded as error:
            if type(signal) is SpawnRequest:
                raise
            self.close(str(error))
            sent = NO_LINK
        if sent == BUSY:
            self.busy = True
        return True

    def _log_unencodable(self, error: EncodeError) -> None:
        if count := self._unencodable.let(time.monotonic()):
            text = "signals to %s that had a reason without an Erlang form: %d, the last one: %s"
            log.warning(text, self.peer, count, error)

    def close(self, reason: str) -> None:
        """Close the link; nothing of it is heard any more but the end of its socket."""
        self._thread.close(self.id, reason)


def without_reason(order_key: int, control: tuple[Any, ...], payload: Any = NO_PAYLOAD) -> First:
    """Return a signal with a reason that can be encoded."""
    if payload is NO_PAYLOAD:
        return order_key, (*control[:-1], UNENCODABLE), payload
    return order_key, control, UNENCODABLE


@final
class DialQueue(Narrow):
    """What is sent to a node while it is dialled; goes out with the activation, in order.

    Messages are encoded when they are sent. Signals stay what they are: which operation they become depends on the
    flags of the peer. Senders wait as at a link: until the dial has ended.
    """

    epoch = 0

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._items: list[Signal | First] = []
        self._bytes = 0
        self._max_bytes = limits.max_unsent_bytes
        self._max_depth = limits.max_depth

    def send(self, from_pid: Pid, to: Pid | Atom | Reference, message: Any, *, priority: bool = False) -> Sent:
        """Queue a message. Raises ``EncodeError``, ``LinkOverloaded``."""
        encoded = encode_message(message, self._max_depth)
        if self._bytes + len(encoded) + OVERHEAD > self._max_bytes:
            raise LinkOverloaded(f"more than {self._max_bytes} bytes wait for a node that is being dialled")
        self._add((from_pid, to, encoded, priority), len(encoded))
        return Sent.BUSY if self.busy else Sent.SENT

    def signal(self, signal: Signal) -> bool:
        """Queue any other signal; the arguments of a spawn request are encoded now. Raises ``EncodeError``."""
        if type(signal) is SpawnRequest:
            signal.args = encode_message(signal.args, self._max_depth)
        self._add(signal, 0)
        return True

    def _add(self, item: Signal | First, size: int) -> None:
        self._items.append(item)
        self._bytes += size + OVERHEAD
        self.busy = self._bytes > HIGH_MARK

    def take(self, flags: int) -> tuple[list[First], list[Signal]]:
        """Return everything queued, for a peer with these flags, and the signals that it has no operation for."""
        encoder, first, unknown = ControlEncoder(flags), [], []
        items, self._items = self._items, []
        for item in items:
            if not isinstance(item, Signal):
                first.append(item)
            elif (encoded := encoder.encode(item)) is None:
                unknown.append(item)
            else:
                first.append(self._encodable(*encoded))
        return first, unknown

    def _encodable(self, order_key: int, control: tuple[Any, ...], payload: Any = NO_PAYLOAD) -> First:
        """Return a signal whose reason is encoded already, or replaced when it can't be."""
        try:
            encode_message(control, self._max_depth)
            if payload is NO_PAYLOAD or isinstance(payload, Encoded):  # as the arguments of a spawn request are
                return order_key, control, payload
            return order_key, control, encode_message(payload, self._max_depth)
        except EncodeError:
            return without_reason(order_key, control, payload)


def tls_context(config: TLSConfig) -> TLSContext:
    """Return what the I/O thread needs for TLS.

    Raises:
        ConfigError: A file can't be used; the message names it.
    """

    def role(one: TLSConfig) -> tuple[str | None, str | None, str | None, bool, tuple[str, ...]]:
        certfile, keyfile, cafile = (
            None if path is None else os.fspath(path) for path in (one.certfile, one.keyfile, one.cafile)
        )
        return certfile, keyfile, cafile, one.verify, one.versions

    return TLSContext(server=role(config), client=role(config.client or config))


def down_error(reason: str) -> DistributionError:
    """Return the error for a connection that ended in its handshake."""
    return TLSError(reason) if reason.startswith(TLS_FAULT) else ConnectionLost(reason)


@final
class LinkDriver:
    """The I/O thread of one node, and the callback that drains its events.

    Messages go straight to the router; all other signals through the decoder of their link.
    """

    def __init__(
        self, limits: Limits, ticktime: float, loop: asyncio.AbstractEventLoop, tls: TLSContext | None = None
    ) -> None:
        self.thread = LinkThread(limits, ticktime, tls, WATCHING)
        self._loop = loop
        self._decoders: dict[int, ControlDecoder] = {}
        self._links: dict[int, Link] = {}
        self._watched = -1
        self._waking = False

    def start(self, router: Router, handler: LinkHandler) -> None:
        """Begin to drain events.

        Raises:
            NotImplementedError: The loop has no ``add_reader``.
        """
        self._router = router
        self._scheduler: Scheduler = router.scheduler
        self._handler = handler
        self._watched = self.thread.fileno()
        self._loop.add_reader(self._watched, self._drain)

    async def flush(self, timeout: float) -> None:
        """Wait until everything that was sent is on its way, for so many seconds at most."""
        deadline = self._loop.time() + timeout
        while self.thread.statistics()["unsent_bytes"] and self._loop.time() < deadline:  # noqa: ASYNC110 - native
            await asyncio.sleep(FLUSH_INTERVAL)

    def stop(self) -> None:
        """Abort all links, join the thread, hear the last events."""
        if self._watched >= 0:
            self._loop.remove_reader(self._watched)
            self._watched = -1
            self.thread.stop()
            while self._take():
                pass
        else:
            self.thread.stop()

    def activate(
        self,
        link_id: int,
        *,
        node: Atom,
        creation: int,
        peer: Atom,
        flags: int,
        visible: bool,
        last_frame: bytes | None,
        first: list[First],
    ) -> Link:
        """End a handshake: the link is up, and ``first`` is on its way."""
        link = Link(self.thread, link_id, peer, flags, visible=visible)
        self._links[link_id] = link
        self._decoders[link_id] = ControlDecoder(node, peer, link_id)
        self.thread.activate(
            link_id, node=node, creation=creation, peer=peer, flags=flags, last_frame=last_frame, first=first
        )
        return link

    def _drain(self) -> None:
        """Take one batch of events, then let the processes run; the rest waits for the next turn of the loop."""
        scheduler = self._scheduler
        scheduler.hold()
        try:
            more = self._take()
        finally:
            scheduler.run()
        if more and not self._waking and self._watched >= 0:
            self._waking = True
            self._loop.call_soon(self._drain_rest)

    def _drain_rest(self) -> None:
        self._waking = False
        if self._watched >= 0:
            self._drain()

    def _take(self) -> bool:
        events, more = self.thread.drain()
        deliver, decoders = self._router.deliver, self._decoders
        for op, link_id, first, second, payload in events:
            try:
                if op == MESSAGE:
                    if not link_id or link_id in decoders:  # what came behind a fault is not heard
                        deliver(first, second, link_id)
                elif op == SIGNAL:
                    self._signal(link_id, first)
                elif op > 0:
                    self._control(link_id, op, first, payload)
                elif op == REFUSED:
                    self._refused(link_id, first, second)
                elif op == ENDED:
                    return False
                else:
                    self._event(op, link_id, first, second, payload)
            except Exception as error:  # none should get here; one that does takes no other event along
                log.error("an event of link %d has failed: operation %d", link_id, op, exc_info=error)
        return more

    def _signal(self, link_id: int, signal: Signal) -> None:
        if link_id in self._decoders:
            self._router.route_inward(signal)

    def _control(self, link_id: int, op: int, control: tuple[Any, ...], payload: Any) -> None:
        signal = self._decoded(link_id, op, control, payload)
        if signal is not None:
            self._router.route_inward(signal)

    def _decoded(self, link_id: int, op: int, control: tuple[Any, ...], payload: Any) -> Signal | None:
        """Return the signal that a control message is; the link of a peer that breaks the protocol ends with it."""
        decoder = self._decoders.get(link_id)
        try:
            return None if decoder is None else decoder.decode(op, control, payload)
        except RemoteProtocolError as error:
            self._handler.end(link_id, str(error))
            return None

    def _refused(self, link_id: int, what: Any, limit: str) -> None:
        """Do without a message or a spawn request that breaks a limit."""
        if type(what) is tuple:
            request = self._decoded(link_id, what[0], what, [])
            if request is not None:
                log.warning("%s refuses a spawn request of %s: %s", self._router.name, request.peer, limit)
                self._router.refuse(request, atoms.system_limit)
        elif link_id in self._decoders:
            self._lost_message(link_id, self._router.receiver(what), limit)

    def _lost_message(self, link_id: int, receiver: Actor | None, limit: str) -> None:
        """Drop a message, as its receiver would by a crash. What is told to the node itself must not be missed."""
        if receiver is None:
            return
        name, peer = receiver.registered_name or receiver.pid, self._links[link_id].peer
        if receiver.guarded:
            self._handler.end(link_id, f"a message for {name}: {limit}")
        else:
            log.warning("%s refuses a message of %s for %s: %s", self._router.name, peer, name, limit)

    def _event(self, op: int, link_id: int, first: Any, second: Any, third: Any) -> None:
        if op == ACCEPTED:
            self._handler.accepted(link_id, first, second)
        elif op == TURNED_AWAY:
            self._handler.turned_away(f"{first}:{second}", third)
        elif op == DEAF:
            self._handler.deaf(first)
        elif op == CONNECTED:
            self._handler.connected(link_id)
        elif op == FRAME:
            self._handler.frame(link_id, first)
        elif op == WRITABLE:
            link = self._links.get(link_id)
            if link is not None:
                link.writable()
        elif op == DOWN:
            self.forget(link_id)
            self._handler.down(link_id, first)

    def forget(self, link_id: int) -> None:
        """Hear nothing more of a link; the processes that wait for it go on."""
        self._decoders.pop(link_id, None)
        link = self._links.pop(link_id, None)
        if link is not None:
            link.writable()
