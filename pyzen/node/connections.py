"""Connections: dials, inbound handshakes, and the one link that each peer has.

Per peer there is at most one of: a dial (its queue takes what is sent meanwhile), a link that is up. Two nodes that
dial each other at the same time end with one link: the greater name's attempt survives. A name proves nothing: any
number of inbound attempts may have that of a peer, and neither our dial nor its old link ends before one of them knows
the cookie. The new link waits for the old one's end.

Source: OTP, "Distribution Protocol", section "Distribution Handshake"; ``lib/kernel/src/net_kernel.erl``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, final

from pyzen.dist.flags import Flag, own_flags
from pyzen.dist.handshake import Acceptor, Handshake, Initiator, Outcome
from pyzen.dist.names import Verdict, check_name_form, check_node_name, simultaneous
from pyzen.errors import (
    AlreadyConnected,
    ConfigError,
    ConnectionLost,
    DistributionError,
    HandshakeError,
    NotAllowed,
    TLSError,
)
from pyzen.logs import get_logger
from pyzen.node.attempts import Channel, Dial
from pyzen.node.link import DialQueue, Link, LinkDriver
from pyzen.node.seats import Seats
from pyzen.tasks import start_task
from pyzen.terms import Atom, Pid, atoms
from pyzen.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pyzen.config import Limits
    from pyzen.node.link import First
    from pyzen.node.router import Router
    from pyzen.node.tls import TLSConfig

__all__ = ["Connections"]

log = get_logger("pyzen.dist")

GLOBAL_NAME_SERVER: Final = atoms.global_name_server

EVENTS: Final = ("links_up", "links_lost", "dials_failed", "connections_refused")
"""What is counted."""

MAX_DIALS: Final = 1024
"""Once so many dials are under way, sending starts no further one; `Node.connect` still does."""

ORDERLY: Final = frozenset({"closed", "stopped"})
"""The reasons of links that the peer has closed, or that end with this node."""


class Resolver(Protocol):
    """Finds where a node listens."""

    async def __call__(self, alive: str, host: str) -> tuple[str, int] | None:
        """Return address and port; None when the node is not registered there. Raises ``EpmdError``."""


@final
class Connections:
    """All links of one node; the `Links` of its router and the `LinkHandler` of its driver.

    Args:
        name: Own name.
        cookie: Gives the cookie for a peer.
        allow: Node or host names that may connect; None for all.
        resolve: Finds where a node listens.
        tls: How links are encrypted; None for plain ones.

    Attributes:
        links: Those that are up, by peer.
        counters: What has happened since the start, by the names in ``EVENTS``.
    """

    def __init__(
        self,
        name: Atom,
        driver: LinkDriver,
        limits: Limits,
        *,
        hidden: bool,
        cookie: Callable[[str], str],
        allow: frozenset[str] | None,
        resolve: Resolver,
        tls: TLSConfig | None = None,
    ) -> None:
        self.name = name
        self.links: dict[Atom, Link] = {}
        self._driver = driver
        self._limits = limits
        self._flags = own_flags(hidden=hidden)
        self._cookie = cookie
        self._allow = allow
        self._resolve = resolve
        self._tls = tls
        self.counters = Counter(dict.fromkeys(EVENTS, 0))
        self._dials: dict[Atom, Dial] = {}
        self._channels: dict[int, Channel] = {}
        self._accepting: dict[str, set[asyncio.Task[Any]]] = {}
        self._by_id: dict[int, Link] = {}
        self._ending: dict[int, tuple[Atom, asyncio.Future[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._challenges: set[int] = set()
        self._full = Throttle()
        self._seats = Seats(limits)
        self._stopping = False

    def start(self, router: Router, system: Pid) -> None:
        """Get to know the router, and the pid that node-level messages come from."""
        self._router = router
        self._system = system

    # ---- what the router asks

    def up(self, node: Atom) -> Link | None:
        """Return the link to ``node`` that is up."""
        return self.links.get(node)

    def queue(self, node: Atom) -> DialQueue | None:
        """Return the queue of a dial that is under way."""
        dial = self._dials.get(node)
        return None if dial is None else dial.queue

    def dial(self, node: Atom) -> DialQueue | None:
        """Start to dial; None when the name can't be dialled, or too many others are."""
        if len(self._dials) >= MAX_DIALS:
            self.counters["dials_failed"] += 1
            log.warning("%s does not dial %s: %d dials are under way", self.name, node, MAX_DIALS)
            return None
        try:
            return self.start_dial(node).queue
        except (HandshakeError, ConfigError) as error:
            log.debug("not dialled: %s", error)
            return None

    def start_dial(self, node: Atom) -> Dial:
        """Return the dial to ``node``, started when none is under way.

        Raises:
            ConfigError: ``node`` is no node name.
            HandshakeError: ``node`` has another name form than this node, or is this node.
        """
        dial = self._dials.get(node)
        if dial is None:
            self._check_peer(str(node))
            dial = self._dials[node] = Dial(DialQueue(self._limits))
            dial.task = self._spawn(self._dial(node, dial))
        return dial

    def _check_peer(self, peer: str) -> None:
        check_node_name(peer)
        check_name_form(str(self.name), peer)
        if self._stopping:
            raise HandshakeError("this node is stopping", peer=peer)
        if peer == str(self.name):
            raise HandshakeError("a node has no link with itself", peer=peer)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = start_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ---- what can be seen

    @property
    def busy_count(self) -> int:
        """How many links are above their high mark."""
        return sum(link.busy for link in self.links.values())

    @property
    def dial_count(self) -> int:
        """How many dials are under way."""
        return len(self._dials)

    @property
    def handshake_count(self) -> int:
        """How many connections are in their handshake."""
        return len(self._channels)

    # ---- dialling

    async def _dial(self, node: Atom, dial: Dial) -> None:
        """Dial until the link is up, or tell why it is not."""
        try:
            async with asyncio.timeout(2 * self._limits.setup_time):
                await self._attempt(node, dial)
        except DistributionError as error:
            await self._fail(node, dial, error)
        except (OSError, TimeoutError) as error:
            lost = ConnectionLost(f"{node} can't be reached: {error or 'time-out'}", peer=str(node))
            await self._fail(node, dial, lost)
        except Exception as error:  # whatever it is: a dial that is not over holds up all that wait for it
            await self._fail(node, dial, error)

    async def _attempt(self, node: Atom, dial: Dial) -> None:
        await self._ended(node)
        alive, host = check_node_name(str(node))
        address = await self._resolve(alive, host)
        if address is None:
            raise ConnectionLost(f"{node} is not registered with epmd on {host}: is it running?", peer=str(node))
        handshake = dial.handshake = Initiator(
            str(self.name),
            str(node),
            flags=self._flags,
            creation=self._router.creation,
            cookie=self._cookie,
            wanted=lambda: self._dials.get(node) is dial,
            challenges=self._challenges,
        )
        channel = self._dial_address(address, host)
        try:
            await channel.connected()
            channel.write(handshake.start())
            outcome = await self._shake(channel, handshake)
            await self._activate(channel, outcome, None)
        except BaseException:
            channel.close("handshake failed")
            raise

    def _dial_address(self, address: tuple[str, int], host: str) -> Channel:
        if self._tls is None:
            return self._open(self._driver.thread.dial(*address))
        try:
            return self._open(self._driver.thread.dial(*address, host))
        except ValueError as error:
            raise TLSError(f"TLS: {error}") from error

    async def _await_theirs(self, node: Atom, dial: Dial) -> None:
        """Wait for attempts of the peer that are under way, and for one that it says goes first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.setup_time):
                while not dial.done.done():
                    theirs = self._accepting.get(str(node), set())
                    if not theirs and dial.status != "nok":
                        return
                    await asyncio.wait([dial.done, *theirs], return_when=asyncio.FIRST_COMPLETED)

    async def _shake(self, channel: Channel, handshake: Handshake) -> Outcome:
        """Exchange frames until the handshake has ended; nobody else is answered its challenge meanwhile."""
        self._challenges.add(handshake.challenge)
        try:
            return await self._exchange(channel, handshake)
        finally:
            self._challenges.discard(handshake.challenge)

    async def _exchange(self, channel: Channel, handshake: Handshake) -> Outcome:
        while not handshake.ended:
            try:
                frame = await channel.read()
            except ConnectionLost as lost:
                if str(lost) == "closed":
                    handshake.eof()
                    break
                raise HandshakeError(f"the handshake ended early: {lost}", peer=handshake.peer) from lost
            channel.write(handshake.receive_frame(frame))
        if handshake.error is not None:
            raise handshake.error
        assert handshake.outcome is not None, "a handshake ends with an error or an outcome"
        return handshake.outcome

    async def _fail(self, node: Atom, dial: Dial, error: Exception) -> None:
        """End a dial without a link, unless an attempt of the peer takes its place: that cancels this."""
        dial.tried.set()
        await self._await_theirs(node, dial)
        if self._dials.get(node) is not dial:
            return
        del self._dials[node]
        self.counters["dials_failed"] += 1
        is_out_of_reach = isinstance(error, DistributionError) and not isinstance(error, HandshakeError)
        log.log(
            logging.INFO if is_out_of_reach else logging.WARNING, "no link to %s: %s", node, str(error) or repr(error)
        )
        if not dial.done.done():
            if is_out_of_reach:
                dial.done.set_result(False)
            else:
                dial.done.set_exception(error)
        self._router.dial_failed(node, str(error))
        dial.queue.writable()

    # ---- accepting

    def accepted(self, link_id: int, host: str, port: int) -> None:
        """An inbound connection: answer its handshake."""
        channel = self._open(link_id, host)
        self._spawn(self._accept(channel, f"{host}:{port}"))

    def turned_away(self, address: str, count: int) -> None:
        """Inbound connections were closed at once: too many others have not proved to know the cookie."""
        self.counters["connections_refused"] += count
        if unlogged := self._full.let(asyncio.get_running_loop().time(), count):
            text = "refused %d connections, one of them from %s: %d others are in their handshake"
            log.warning(text, unlogged, address, self.handshake_count)

    def deaf(self, reason: str) -> None:
        """No connection can be accepted for a while."""
        log.error("%s accepts no connections for now: %s", self.name, reason)

    async def _accept(self, channel: Channel, address: str) -> None:
        handshake = Acceptor(
            str(self.name),
            flags=self._flags,
            creation=self._router.creation,
            cookie=self._cookie,
            decide=lambda peer, flags: self._decide(peer, flags, channel),
            challenges=self._challenges,
        )
        try:
            outcome = await self._shake(channel, handshake)
            await self._activate(channel, outcome, handshake.last_frame)
        except Exception as error:  # a fault of ours refuses as well
            channel.close("handshake failed")
            self.counters["connections_refused"] += 1
            log.warning("refused a connection from %s: %s", handshake.peer or address, error)
        except BaseException:
            channel.close("handshake failed")
            raise
        finally:
            self._forget_attempt(handshake.peer)

    def _decide(self, peer: str, flags: Flag, channel: Channel) -> Verdict:
        """Answer a peer that wants to connect, by the rules of ``net_kernel``."""
        del flags
        if self._stopping or not self._allowed(peer):
            return "not_allowed"
        self._check_certificate(peer, channel)
        verdict = self._verdict(Atom(peer))
        if verdict != "alive":
            self._seats.check(peer, channel.host)
        task = asyncio.current_task()
        if verdict != "nok" and task is not None:
            self._accepting.setdefault(peer, set()).add(task)
        return verdict

    def _verdict(self, node: Atom) -> Verdict:
        if node in self.links:
            return "alive"
        dial = self._dials.get(node)
        if dial is None or dial.tried.is_set():
            return "ok"
        return simultaneous(str(self.name), str(node))

    def _allowed(self, peer: str) -> bool:
        return self._allow is None or peer in self._allow or peer.partition("@")[2] in self._allow

    def _check_certificate(self, peer: str, channel: Channel) -> None:
        """Raise ``NotAllowed`` if the peer takes a name that its certificate is not for."""
        tls = self._tls
        if tls is None or not tls.verify or not tls.verify_client_name:
            return
        host = peer.partition("@")[2]
        if not channel.is_certified(host):
            raise NotAllowed(f"{peer} has a certificate that is not for {host}", peer=peer)

    def _forget_attempt(self, peer: str | None) -> None:
        """The attempt of a peer that this task has answered is over."""
        theirs = self._accepting.get(peer or "", set())
        theirs.discard(cast("asyncio.Task[Any]", asyncio.current_task()))
        if not theirs:
            self._accepting.pop(peer or "", None)

    # ---- link up, link down

    def _open(self, link_id: int, host: str | None = None) -> Channel:
        channel = self._channels[link_id] = Channel(self._driver, link_id, host)
        return channel

    async def _activate(self, channel: Channel, outcome: Outcome, last_frame: bytes | None) -> None:
        """Make a finished handshake the link to its peer; an older link that the peer has called dead ends first.

        Raises:
            AlreadyConnected: Another attempt has made the link meanwhile.
            NotAllowed: There are as many links as there may be.
            ConnectionLost: The connection is gone: a link that nobody holds would never end.
        """
        channel.check()
        node = Atom(outcome.peer)
        if last_frame is not None:
            await self._let_ours_go_first(node)
        await self._ended(node)
        while (old := self.links.get(node)) is not None:
            if not outcome.replaces:
                raise AlreadyConnected(f"{node} is linked already", peer=str(node))
            self.end(old.id, f"{node} has connected anew", logging.INFO)
            await self._ended(node)
        channel.check()
        self._seats.check(outcome.peer, channel.host)  # others may have come in meanwhile
        self._link_up(channel, node, outcome, last_frame)

    async def _let_ours_go_first(self, node: Atom) -> None:
        """Wait for the end of the own attempt if the peer gives up its own for that, whose proof was on the way."""
        dial = self._dials.get(node)
        if dial is not None and dial.status == "ok_simultaneous" and str(self.name) > str(node):
            await dial.tried.wait()

    def _link_up(self, channel: Channel, node: Atom, outcome: Outcome, last_frame: bytes | None) -> None:
        """Activate in one step: last frame, greeting, what was queued; then tell the node."""
        self._channels.pop(channel.link_id, None)
        dial = self._dials.get(node)
        queued, unknown = ([], []) if dial is None else dial.queue.take(outcome.flags)
        self.links[node] = self._by_id[channel.link_id] = self._driver.activate(
            channel.link_id,
            node=self.name,
            creation=self._router.creation,
            peer=node,
            flags=int(outcome.flags),
            visible=outcome.visible,
            last_frame=last_frame,
            first=self._greeting(outcome) + queued,
        )
        self._dials.pop(node, None)  # not before: a dial that no link has come of fails
        self._seats.take(channel.link_id, channel.host)
        self.counters["links_up"] += 1
        log.info("%s is connected to %s%s", self.name, node, "" if outcome.visible else " (hidden)")
        self._router.link_up(node)
        for signal in unknown:
            self._router.refuse(signal, atoms.notsup)
        if dial is not None:
            dial.queue.writable()
            dial.tried.set()
            if dial.task is not asyncio.current_task():
                dial.task.cancel()
            if not dial.done.done():
                dial.done.set_result(True)

    def _greeting(self, outcome: Outcome) -> list[First]:
        """Tell a visible peer's global name server not to wait for us: without it ``global:sync`` hangs there."""
        if not outcome.visible:
            return []
        in_sync = (atoms["$gen_cast"], (atoms.in_sync, self.name, True))
        return [(self._system, GLOBAL_NAME_SERVER, in_sync)]

    def connected(self, link_id: int) -> None:
        """A dialled connection stands."""
        channel = self._channels.get(link_id)
        if channel is not None:
            channel.event(None)

    def frame(self, link_id: int, data: bytes) -> None:
        """A handshake frame came."""
        channel = self._channels.get(link_id)
        if channel is not None:
            channel.event(data)

    def down(self, link_id: int, reason: str) -> None:
        """A connection is gone: a handshake fails, or the link to a peer is lost."""
        channel = self._channels.pop(link_id, None)
        if channel is not None:
            channel.lost(reason)
            return
        link = self._by_id.get(link_id)
        if link is not None:
            self._lost(link, reason, logging.INFO if reason in ORDERLY else logging.WARNING)
        elif link_id in self._ending:
            _, ended = self._ending.pop(link_id)
            if not ended.done():
                ended.set_result(None)

    def _lost(self, link: Link, reason: str, level: int) -> None:
        del self.links[link.peer], self._by_id[link.id]
        self._seats.give(link.id)
        self.counters["links_lost"] += 1
        log.log(level, "%s lost the link to %s: %s", self.name, link.peer, reason)
        self._router.link_lost(link.peer)

    def disconnect(self, node: Atom, reason: str = "disconnected") -> bool:
        """End the link to ``node``; false when there is none."""
        link = self.links.get(node)
        if link is None:
            return False
        self.end(link.id, reason, logging.INFO)
        return True

    def end(self, link_id: int, reason: str, level: int = logging.WARNING) -> None:
        """End a link in this step: what is shared with the peer fires, and what is sent from now on dials.

        Its socket takes a moment longer; the next dial waits for that. An operator is told why, at this level.
        """
        link = self._by_id.get(link_id)
        if link is not None:
            self._ending[link_id] = link.peer, asyncio.get_running_loop().create_future()
            link.close(reason)
            self._driver.forget(link_id)
            self._lost(link, reason, level)

    async def _ended(self, node: Atom) -> None:
        """Wait until no socket of a former link to ``node`` is open any more, and all have heard of its loss."""
        while True:
            ended = next((ended for peer, ended in self._ending.values() if peer is node), None)
            loss = self._router.losses.under_way(node)
            if ended is not None:
                await asyncio.shield(ended)
            elif loss is not None:
                await loss.over.wait()
            else:
                return

    def peer_of(self, epoch: int) -> Atom | None:
        """Return the peer of the link with that epoch, None when it is gone."""
        link = self._by_id.get(epoch)
        return None if link is None else link.peer

    def guard(self, receiver: int | Atom) -> None:
        """Let messages to the process with this number or name say which link they came by."""
        self._driver.thread.guard(receiver)

    def unguard(self, receiver: int | Atom) -> None:
        """Undo `guard`."""
        self._driver.thread.unguard(receiver)

    def abort(self) -> list[asyncio.Task[None]]:
        """Refuse new links and cancel the attempts, whose tasks are returned."""
        self._stopping = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    async def stop(self) -> None:
        """Refuse new links and end the attempts; links end with the driver."""
        tasks = self.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        for node, dial in list(self._dials.items()):
            self._dials.pop(node, None)
            dial.queue.writable()
            if not dial.done.done():
                dial.done.set_result(False)
