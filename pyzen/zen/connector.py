"""Connector: everything between this node and one remote node's Proxy. One process per epoch.

========== ============================== ==================================================================
phase      event                          what follows
========== ============================== ==================================================================
idle       sweep, link up                 ping -> pinging (miss, expired or unavailable entry)
           sweep, no link                 dial -> dialling (for a live reference or a `connect`), else fire
           sweep, incompatible            fire, or fall back to ERTS monitors
dialling   nodeup                         ping -> pinging
           dial failed, 7 s are over      unavailable, dial back-off -> idle
pinging    ``pong``                       monitor the Proxy, compatible -> open
           other answer, DOWN, 5 s        incompatible (link lost: unavailable) -> idle
open       sweep                          one message of instructions
           ``{dead, Node, Certificates}`` their references fire
           nodedown, DOWN of the Proxy    everything fires -> closed; a successor is idle
closed     -                              ERTS monitors are taken back, the process ends
========== ============================== ==================================================================

An epoch is opened by ``pong`` and closed once; whatever names a closed one finds no process any more, for each epoch
has a pid of its own. What outlives it is in Tables: the cache entry, the dial back-off, and the references, none of
them held by a Proxy. The own node's Connector never dials and loses no link.

In: see above. Out, all from this pid: ``ping``, the monitor by name, ``{process, Pid, Instructions}``, in this order.
Latency: up to one ``connector_sweep_interval`` from a monitor to its subscribe.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

from pyzen.actor.answers import Continue, Stop
from pyzen.actor.requests import GEN_CAST
from pyzen.actor.runtime import Sent
from pyzen.actor.scheduler import BUDGET
from pyzen.actor.server_loop import server_loop
from pyzen.actor.verbs import actor_of
from pyzen.errors import LinkOverloaded
from pyzen.monitor_table import MORE
from pyzen.terms import Atom, ImproperList, Reference
from pyzen.zen.calls import answer_connector
from pyzen.zen.fallback import Fallback
from pyzen.zen.names import (
    CONNECTORS,
    DEAD,
    DIAL_FAILED,
    DOWN,
    NOCONNECTION,
    NODEDOWN,
    NODEUP,
    NOPROC,
    PING,
    PONG,
    PROBE,
    PROCESS,
    PROXY,
    SUBSCRIBE,
)
from pyzen.zen.server import EpochLink, Ticker, ZenServer
from pyzen.zen.tables import alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.runtime import TimerHandle
    from pyzen.terms import Pid
    from pyzen.zen.names import Compatibility, Loss
    from pyzen.zen.tables import Context, Remote

PING_TIMEOUT: Final = 5.0
DIAL_TIMEOUT: Final = 7.0

CERTIFY_SLICE: Final = 5000
"""Certificates in one turn: two or three milliseconds."""


class Phase(Enum):
    """Where a Connector stands."""

    IDLE = "idle"
    DIALLING = "dialling"
    PINGING = "pinging"
    OPEN = "open"
    CLOSED = "closed"


@final
class Connector(ZenServer):
    """The process for one epoch of one remote node; started by `Connectors`."""

    _pyzen_serves_all: ClassVar[bool] = False  # all that it hears of its one peer stays in order

    def __init__(self, context: Context, remote: Remote) -> None:
        super().__init__(context, CONNECTORS)
        self._context = context
        self._remote = remote
        self._peer = remote.node
        self._phase = Phase.IDLE
        self._link = EpochLink(context.runtime, remote.node)
        self._fallback = Fallback(self, context, self._link, self._is_falling_back)
        self._attempt = 1
        self._ping_ref: Reference | None = None
        self._proxy_ref: Reference | None = None
        self._deadline: TimerHandle | None = None
        self._probed = False
        self._probe_answered = False
        self._sweeping = Ticker(self, self._sweep)
        self._retiring = Ticker(self, self._retire)

    def init(self, *_args: Any) -> None:
        """Hear of the link from now on, and look at what there is to do."""
        if self._peer is not self.node:
            self._context.runtime.monitor_node(self._peer, self.pid)
            self._note_missed_loss()
        self._link.take()
        self._rest()

    def _note_missed_loss(self) -> None:
        """The link was lost after the predecessor ended and before this began: nobody was told."""
        if self._remote.status == "incompatible" and self._context.runtime.link(self._peer) is None:
            self._remote.status = "unavailable"

    # ---- what others ask for

    @property
    def interval(self) -> float:
        """Seconds between two sweeps."""
        return self._context.config.connector_sweep_interval / 1000

    def wake(self) -> None:
        """There is something to send or to fire: sweep within an interval."""
        self._sweeping.arm(self.interval)

    def interval_changed(self) -> None:
        """Take a shorter interval into account at once."""
        if self._phase is Phase.OPEN:
            self._sweeping.shorten(self.interval)

    def settle_loss(self) -> None:
        """Take the news of a lost link now, after all that came before it."""
        actor = actor_of(self)
        while self._outlives_link() and actor.run(BUDGET):
            pass

    def _outlives_link(self) -> bool:
        return (self._phase is Phase.OPEN or self._fallback.stands) and not self._link.is_up

    def connect(self, done: Callable[[Compatibility], None]) -> None:
        """Find out whether the remote is compatible, without waiting for a sweep; one attempt for many callers."""
        if self._phase is Phase.OPEN:
            done("compatible")
            return
        if self._remote.status == "incompatible" and not self._remote.is_expired(self._context.runtime.now()):
            done("incompatible")
            return
        self._remote.waiters.append(done)
        self.after(0.0, self._serve_waiters)

    def _serve_waiters(self) -> None:
        if self._phase is Phase.IDLE and self._remote.waiters:
            self._settle()
            self._rest()

    # ---- sweep

    def _sweep(self) -> None:
        if self._phase is Phase.OPEN:
            self._send_instructions()
            self._fallback.sweep()
        elif self._phase is Phase.IDLE:
            self._settle()
        self._rest()

    def _rest(self) -> None:
        """Arm the timer that the present situation needs, if any."""
        if self._phase is Phase.OPEN:
            if self._has_work() or self._remote.ended_connectors:
                self.wake()
        elif self._phase is Phase.IDLE:
            self._rest_idle()

    def _rest_idle(self) -> None:
        remote, runtime = self._remote, self._context.runtime
        if self._has_work():
            self.wake()
        elif runtime.link(self._peer) is None:
            self._retiring.arm(self._context.config.connector_idle_timeout / 1000)
        elif remote.status == "incompatible":
            self._sweeping.arm(max(self.interval, remote.until - runtime.now()))
        else:
            self.wake()

    def _has_work(self) -> bool:
        monitors = self._context.monitors
        return bool(monitors.pending(self._peer) or self._fallback.has_spare or self._remote.waiters)

    def _settle(self) -> None:
        """Decide what an idle remote is: by a ping, by a dial, or by what is known."""
        remote, now = self._remote, self._context.runtime.now()
        if self._fallback.stands and not self._link.is_up:
            self._unlinked()  # the news is on the way
        elif self._context.runtime.link(self._peer) is None:
            self._settle_unlinked(now)
        elif remote.status == "incompatible" and not remote.is_expired(now):
            self._meet_incompatible()
        else:
            self._ping(remote.attempts + 1 if remote.status == "incompatible" else 1)

    def _settle_unlinked(self, now: float) -> None:
        remote = self._remote
        # An incompatible node had a link: the news of its loss is on the way.
        was_lost = remote.status == "incompatible" or (remote.status, remote.last_loss) == ("unavailable", "lost")
        if self._may_dial(now):
            remote.status = "unavailable"
            self._dial()
        else:
            self._be_unavailable("lost" if was_lost else "never connected")
            self._fire()

    def _may_dial(self, now: float) -> bool:
        if not self._context.config.auto_connect:
            return False
        return bool(self._remote.waiters or (self._context.monitors.live(self._peer) and now >= self._remote.dial_at))

    def _meet_incompatible(self) -> None:
        """The node is connected and has no compatible Proxy."""
        self._fallback.sweep()
        if not self._is_falling_back():
            self._fire_uncovered()
        self._remote.answer("incompatible")

    def _is_falling_back(self) -> bool:
        is_incompatible = self._phase is Phase.IDLE and self._remote.status == "incompatible"
        return is_incompatible and self._context.config.incompatible == "erts"

    def _fire_uncovered(self) -> None:
        """Fire everything but what an ERTS monitor stands for; of that much, a chunk."""
        if self._fallback.stands:
            limit = self._context.config.connector_chunk_size
            self._nodedown(self._context.monitors.lose_uncovered(self._peer, limit))
        else:
            self._fire()

    def _fire(self) -> None:
        """Every live reference fires with ``nodedown``; pending instructions are dropped."""
        self._nodedown(self._context.monitors.lose(self._peer))

    def _nodedown(self, count: int) -> None:
        """Let so many references that have fired be delivered, and note why they did."""
        self._context.act(MORE)  # also where only instructions were pending, rows have to go
        self._context.lost(self._remote, count)

    # ---- dialling

    def _dial(self) -> None:
        self._phase = Phase.DIALLING
        self._deadline = self.after(DIAL_TIMEOUT, self._dial_failed)
        self._context.runtime.dial(self._peer, self.pid)

    def _dial_failed(self) -> None:
        if self._phase is not Phase.DIALLING:
            return
        remote = self._remote
        remote.failed_dials += 1
        remote.dial_at = self._context.runtime.now() + self._context.penalty(remote.failed_dials)
        self._be_unavailable("never connected")

    def _be_unavailable(self, cause: Loss) -> None:
        """There is no link."""
        self._decided()
        self._remote.status, self._remote.last_loss = "unavailable", cause
        self._remote.answer("incompatible")
        self._rest()

    def _decided(self) -> None:
        """Neither ping nor dial is under way any more."""
        self._phase, self._ping_ref = Phase.IDLE, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # ---- pinging

    def _ping(self, attempt: int) -> None:
        try:
            self._ping_ref = self.send_request((PROXY, self._peer), PING)
        except LinkOverloaded:
            return  # the next sweep tries again
        self._phase = Phase.PINGING
        self._attempt = attempt
        self._link.take()
        self._deadline = self.after(PING_TIMEOUT, self._ping_timed_out, self._ping_ref)

    def _ping_timed_out(self, request: Reference) -> None:
        if request == self._ping_ref:
            actor_of(self).forget_request(request)
            self._be_incompatible("ping timeout", self._attempt)

    def _be_incompatible(self, cause: Loss, attempt: int) -> None:
        """There is a link, and no compatible Proxy behind it."""
        self._decided()
        self._note_incompatible(cause, attempt)
        self._remote.answer("incompatible")
        self._rest()

    def _note_incompatible(self, cause: Loss, attempt: int) -> None:
        remote = self._remote
        remote.status, remote.last_loss, remote.attempts = "incompatible", cause, attempt
        penalty = self._context.penalty(attempt)
        remote.until = self._context.runtime.now() + penalty
        remote.log.incompatible(self.node, cause, penalty)

    def _answered(self, answer: Any) -> None:
        if answer is not PONG:
            self._be_incompatible("incompatible answer", self._attempt)
        elif not self._link.is_up:
            self._be_unavailable("lost")
        else:
            self._open()

    def _ping_failed(self, reason: Any) -> None:
        if reason is NOCONNECTION:
            self._be_unavailable("lost")
        else:
            self._be_incompatible("no proxy" if reason is NOPROC else "proxy ended", self._attempt)

    # ---- open

    def _open(self) -> None:
        self._decided()
        self._phase = Phase.OPEN
        self._proxy_ref = self.monitor((PROXY, self._peer))
        remote = self._remote
        remote.status, remote.attempts, remote.failed_dials, remote.dial_at = "compatible", 0, 0, 0.0
        self._retiring.cancel()
        remote.log.compatible(self.node)
        remote.answer("compatible")
        self._rest()

    def _send_instructions(self) -> None:
        """Send one message of what is pending, unless the link is full or lost."""
        if not self._link.is_free:
            return
        try:
            self._disown_ended_connectors()
            self._send_chunk()
        except LinkOverloaded:
            self._context.count("sweeps_skipped")

    def _disown_ended_connectors(self) -> None:
        """Let the Proxy find earlier Connectors dead, whose rows its predecessor may have left."""
        ended = self._remote.ended_connectors
        while ended and self._cast((PROCESS, ended[-1], [self._probe()])):
            ended.pop()

    def _send_chunk(self) -> None:
        context = self._context
        head = [] if self._probed else [self._probe()]
        limit = context.config.connector_chunk_size - len(head)
        instructions = context.monitors.instructions(self._peer, limit) if limit else []
        if not instructions and not (head and context.monitors.pending(self._peer)):
            return
        if self._cast((PROCESS, self.pid, head + instructions)):
            self._probed = True
            context.monitors.handed(self._peer, len(instructions))
            context.count("instructions_sent", len(instructions))

    def _probe(self) -> tuple[Atom, Any]:
        return SUBSCRIBE, (PROBE, self._peer)

    def _cast(self, request: Any) -> bool:
        return self.tell((PROXY, self._peer), (GEN_CAST, request)) is not Sent.NO_LINK

    def _certified(self, certificates: list[Any], start: int) -> Continue | None:
        """Fire what a dead summary names, in slices, before anything that came after it."""
        rest = start + CERTIFY_SLICE
        piece = certificates if start == 0 and rest >= len(certificates) else certificates[start:rest]
        piece = self._without_probe(piece)
        fired, ignored = self._context.monitors.certify(self._peer, piece)
        self._context.count("certificates_received", len(piece))
        self._context.count("certificates_ignored", ignored)
        self._context.fired(fired)
        if rest < len(certificates):
            return Continue((certificates, rest))
        self._rest()
        return None

    def handle_continue(self, argument: Any) -> Any:
        """Go on with a long dead summary."""
        return self._certified(*argument)

    # ---- the end of an epoch

    def _lost(self) -> None:
        """The link of the epoch is lost."""
        self._remote.status, self._remote.last_loss = "unavailable", "lost"
        self._close()

    def _proxy_ended(self, reason: Any) -> None:
        if reason is NOCONNECTION:
            self._lost()
        else:
            self._note_incompatible("proxy ended", 1)
            self._remote.ended_connectors.append(self.pid)
            self._close()

    def _close(self) -> None:
        """Fire everything in one step and end; a successor with another pid goes on."""
        self._fire()
        if connectors := alive(self._context.connectors):
            connectors.succeed(self._remote)
        self._phase = Phase.CLOSED
        self._fallback.leave()

    def _retire(self) -> None:
        """End when the node has had neither link nor references for a while; its cache entry goes too."""
        if self._phase is Phase.IDLE and self._context.runtime.link(self._peer) is None and not self._has_work():
            self._context.remotes.pop(self._peer, None)
            raise Stop

    # ---- messages

    def handle_info(self, message: Any) -> Any:
        """Take certificates."""
        match message:
            case (tag, node, certificates) if tag is DEAD:
                return self._dead(node, certificates)
        return self.stray(message)

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer what an operator asks."""
        answer = answer_connector(self, self._context, self._remote, (request, from_))
        return super().handle_call(request, from_) if answer is None else answer

    def handle_notice(self, message: tuple[Any, ...]) -> None:
        """Take answers, deaths, and the fate of link and Proxy."""
        if self._phase is Phase.CLOSED:
            return
        match message:
            case (tag, ref, _, _, reason) if tag is DOWN:
                self._down(ref, reason)
            case (Reference() as ref, answer):
                if ref == self._ping_ref:
                    self._answered(answer)
            case (tag, node) if tag is NODEUP and node is self._peer:
                self._linked()
            case (tag, node) if tag is NODEDOWN and node is self._peer:
                self._unlinked()
            case (tag, node, _) if tag is DIAL_FAILED and node is self._peer:
                self._dial_failed()

    def stray(self, message: Any) -> None:
        """Count and ignore a message; the original counts those of its Connectors by themselves."""
        self._context.count("unhandled_info")
        super().stray(message)

    def _dead(self, node: Any, certificates: Any) -> Continue | None:
        if self._phase is Phase.CLOSED:
            return None
        if isinstance(certificates, ImproperList):
            certificates = list(certificates.elements)
        is_theirs = node is self._peer and self._link.carries(server_loop(actor_of(self)).via)
        if is_theirs and self._phase is Phase.OPEN and isinstance(certificates, list):
            return self._certified(certificates, 0)
        self._context.count("summaries_refused")
        self.stray((DEAD, node, certificates))
        return None

    def _without_probe(self, certificates: list[Any]) -> list[Any]:
        """Leave out the certificate of the probe, which comes once, among the first."""
        if self._probe_answered:
            return certificates
        probe = ((PROBE, self._peer), NOPROC)
        rest = [certificate for certificate in certificates if certificate != probe]
        self._probe_answered = len(rest) < len(certificates)
        return rest

    def _down(self, ref: Any, reason: Any) -> None:
        if self._ping_ref is not None and ref == self._ping_ref:
            self._ping_failed(reason)
        elif self._proxy_ref is not None and ref == self._proxy_ref:
            self._proxy_ended(reason)
        elif isinstance(ref, Reference) and (reason is not NOCONNECTION or self._link.is_up):
            self._fallback.down(ref, reason)  # of a lost link we hear once more, and all fire at once and in order

    def _linked(self) -> None:
        """A link is up: what was known of dials no longer counts."""
        remote = self._remote
        remote.failed_dials, remote.dial_at = 0, 0.0
        if self._phase is Phase.DIALLING:
            self._decided()
            self._settle()
        elif self._phase is Phase.IDLE and remote.waiters:
            self._settle()
        self._rest()

    def _unlinked(self) -> None:
        """A link is lost. A ping under way hears of it itself; a dial under way is for the next link."""
        if self._phase is Phase.OPEN:
            self._lost()
            return
        if self._fallback.stands:
            self._remote.last_loss = "lost"
            self._fire()
        if self._phase is Phase.IDLE:
            self._remote.status = "unavailable"
            self._rest()
