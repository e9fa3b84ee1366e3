"""Proxy: what other nodes' Connectors talk to, under the name ``Elixir.ZenMonitor.Proxy``.

Duties: answers ``ping``; keeps one ERTS monitor per target, however many subscribers; turns each death into
certificates for the Connectors that asked, and wakes their Batchers; drops everything of a node whose link is lost,
before it sees the first signal of the next link (an Elixir Connector keeps its pid).

In: ``ping``; ``{process, ConnectorPid, Instructions}``; ``{subscribe, ConnectorPid, Targets}``; DOWNs of targets;
``{nodedown, Node}``. Out: nothing but monitors and ``pong``. Latency: none of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.answers import NOREPLY, Continue
from pyzen.brief import brief
from pyzen.etf import encoded_size
from pyzen.logs import get_logger
from pyzen.monitor_table import MONITOR
from pyzen.terms import Atom, ImproperList, Pid, Reference
from pyzen.throttle import Throttle
from pyzen.zen.names import (
    DOWN,
    NODEDOWN,
    NOPROC,
    PING,
    PONG,
    PROCESS,
    PROXY,
    SUBSCRIBE,
    UNSUBSCRIBE,
    is_reserved_name,
)
from pyzen.zen.server import Ticker, ZenServer
from pyzen.zen.tables import alive

if TYPE_CHECKING:
    from pyzen.zen.tables import Context

log = get_logger("pyzen.zen")

OBEY_SLICE: Final = 500
"""Instructions in one turn: about two milliseconds."""

REAP_SLICE: Final = 1000
"""Rows of ended Connectors removed in one turn."""

WAITING_LIMIT: Final = 2_000_000
"""Certificates that may wait for one Connector when it asks for more: about 300 MB."""

ROW_LIMIT: Final = 4_000_000
"""Subscriptions and certificates of all Connectors of one node; the largest clusters have half as many for each pair.

No field of `ZenConfig`, which any peer may set by ``Application:put_env``.
"""

WAITING_SIZE_LIMIT: Final = 256 * 1024 * 1024
"""Bytes, as encoded, of the reasons that wait for a node which does not read."""

LOOKS: Final = 16
"""How often it is looked whether nodes keep to that while the reasons of so many bytes come."""

CONNECTOR_LIMIT: Final = 1024
"""Processes of one node that subscribe: it has one Connector for us, and a new one for each that has ended."""

TARGET_LIMIT: Final = 4096
"""Bytes of a bad target that is certified: no pid and no ``{name, node}`` is longer."""


@final
class Proxy(ZenServer):
    """The process ``Elixir.ZenMonitor.Proxy``."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, PROXY)
        self._context = context
        self._nodes: set[Atom] = set()
        self._reaping = Ticker(self, self._reap)
        self._senseless: dict[Atom, Throttle] = {}
        self._unlooked = 0

    def init(self, *_args: Any) -> None:
        """Begin without rows: whoever watched through a predecessor has been told ``nodedown``."""
        self._context.forget_subscriptions()

    # ---- messages

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer ``ping``."""
        if request is not PING:
            return super().handle_call(request, from_)
        if from_[0].node is not self.node and not self.speaks_for(from_[0].node):
            return NOREPLY
        self._watch_node(from_[0].node)
        return PONG

    def handle_cast(self, request: Any) -> Any:
        """Take instructions."""
        match request:
            case (tag, Pid() as connector, (list() | ImproperList()) as items) if tag is PROCESS:
                return self._take_instructions(connector, _elements(items), None)
            case (tag, Pid() as connector, (list() | ImproperList()) as items) if tag is SUBSCRIBE:
                return self._take_instructions(connector, _elements(items), SUBSCRIBE)
        return super().handle_cast(request)

    def handle_continue(self, argument: Any) -> Any:
        """Go on with a long message of instructions, unless its link is lost meanwhile."""
        return self._obey(*argument) if self.speaks_for(argument[0].node) else None

    def handle_notice(self, message: tuple[Any, ...]) -> None:
        """Take the death of a target, and the loss of a link."""
        match message:
            case (tag, Reference() as ref, _, _, reason) if tag is DOWN:
                self._died(ref, reason)
            case (tag, Atom() as node) if tag is NODEDOWN:
                self._drop_node(node)

    # ---- instructions

    def _watch_node(self, node: Atom) -> None:
        """Hear of the loss of the link in order with its signals, from the first ping on."""
        if node is not self.node and node not in self._nodes:
            self._nodes.add(node)
            self._context.runtime.monitor_node(node, self.pid)

    def _take_instructions(self, connector: Pid, items: list[Any], word: Atom | None) -> Any:
        """Take instructions, or targets that the same word is for."""
        if self._context.runtime.link(connector.node) is None:
            self._context.count("instructions_outdated", len(items))  # the message outlived its link
            return None
        if not self.speaks_for(connector.node):
            return None
        if self._context.subscriptions.waiting(connector) > WAITING_LIMIT:
            return self._give_up(
                connector.node, f"more than {WAITING_LIMIT} certificates wait for it, and it asks for more"
            )
        self._watch_node(connector.node)
        is_new = bool(items) and self._context.subscriptions.meet(connector)
        if not self.bears(connector.node):
            return None
        if is_new:
            self._start_batcher(connector)
        return self._obey(connector, items, word, 0)

    def bears(self, node: Atom) -> bool:
        """Say whether what the Connectors of a node hold is within bounds, and part from that node if it is not."""
        connectors, rows, size = self._context.subscriptions.held(node)
        if connectors > CONNECTOR_LIMIT:
            self._give_up(node, f"more than {CONNECTOR_LIMIT} of its processes subscribe")
        elif rows > ROW_LIMIT:
            self._give_up(node, f"it holds more than {ROW_LIMIT} subscriptions and certificates")
        elif size > WAITING_SIZE_LIMIT:
            self._give_up(node, f"more than {WAITING_SIZE_LIMIT} bytes of reasons wait for it")
        else:
            return True
        return False

    def _give_up(self, node: Atom, reason: str) -> None:
        """Part from a node that holds too much: it gets ``nodedown`` for everything, and no subscribe is lost."""
        self._context.count("peers_given_up")
        log.warning("%s drops the link to %s: %s", self.node, node, reason)
        self._context.runtime.disconnect(node, reason)
        # Now rather than when the link is lost: what else it has sent is still in the queue, and finds nothing waiting.
        self._drop_node(node)

    def _start_batcher(self, connector: Pid) -> None:
        if batchers := alive(self._context.batchers):
            batchers.lookup_or_start(connector)

    def _obey(self, connector: Pid, items: list[Any], word: Atom | None, start: int) -> Any:
        """Obey the instructions from a place on, in slices, before anything of that link that came after them."""
        end = start + OBEY_SLICE
        slice_ = items[start:end]
        for item in slice_:
            self._obey_one(connector, item if word is None else (word, item))
        self._context.count("instructions_received", len(slice_))
        return Continue((connector, items, word, end)) if self.bears(connector.node) and end < len(items) else None

    def _obey_one(self, connector: Pid, instruction: Any) -> None:
        match instruction:
            case (tag, target) if tag is SUBSCRIBE:
                self._subscribe(connector, target)
            case (tag, target) if tag is UNSUBSCRIBE:
                self._unsubscribe(connector, target)
            case _:
                self._skip(connector, instruction)

    def _subscribe(self, connector: Pid, target: Any) -> None:
        if self._is_ours(target):
            if self._context.subscriptions.subscribe(connector, target) & MONITOR:
                self._context.subscriptions.watch(target, self.monitor(target))
        elif is_named(target) and is_reserved_name(target[0]):
            self._skip(connector, (SUBSCRIBE, target))
        else:
            self._certify_refused(connector, target)

    def _unsubscribe(self, connector: Pid, target: Any) -> None:
        if self._is_ours(target):
            ref = self._context.subscriptions.unsubscribe(connector, target)
            if ref is not None:
                self.demonitor(ref, flush=True)

    def _is_ours(self, target: Any) -> bool:
        """Say whether a target is a process or name of this node that can be monitored."""
        if isinstance(target, Pid):
            return target.node is self.node and target.creation == self._context.runtime.creation
        return is_named(target) and target[1] is self.node and not is_reserved_name(target[0])

    def _certify_refused(self, connector: Pid, target: Any) -> None:
        """Certify at once what can't be alive here."""
        size = encoded_size(target, maximum=TARGET_LIMIT)
        if size is None:
            self._skip(connector, (SUBSCRIBE, target))
            return
        self._context.count("targets_refused")
        # A bad target may be longer than its reason: its size closes the summary.
        if self._context.subscriptions.certify(connector, target, NOPROC, size):
            self._wake_batcher(connector)

    def _skip(self, connector: Pid, instruction: Any) -> None:
        """Ignore an instruction that makes no sense; one log line per node and ten seconds."""
        self._context.count("instructions_skipped")
        throttle = self._senseless.setdefault(connector.node, Throttle())
        if count := throttle.let(self._context.runtime.now()):
            text = "%s: instructions of %s that make no sense: %d, the last one %s"
            log.warning(text, self.node, connector.node, count, brief(instruction))

    # ---- deaths

    def _died(self, ref: Reference, reason: Any) -> None:
        reason, size = self._context.truncate(reason)
        for connector in self._context.subscriptions.died(ref, reason, size):
            self._wake_batcher(connector)
        self._unlooked += size
        if self._unlooked > WAITING_SIZE_LIMIT // LOOKS:
            self._unlooked = 0
            for node in [*self._nodes]:
                self.bears(node)

    def _wake_batcher(self, connector: Pid) -> None:
        if batchers := alive(self._context.batchers):
            batchers.batcher(connector).wake()

    # ---- the end of Connectors

    def _drop_node(self, node: Atom) -> None:
        self._nodes.discard(node)
        self._senseless.pop(node, None)
        self._context.runtime.demonitor_node(node, self.pid)
        batchers = alive(self._context.batchers)
        for connector in self._context.subscriptions.drop_node(node):
            if batchers is not None:
                batchers.discard(connector)
        self.reap()

    def reap(self) -> None:
        """Remove the rows of Connectors that ended, soon."""
        self._reaping.arm(0.0)

    def _reap(self) -> None:
        refs, more = self._context.subscriptions.reap(REAP_SLICE)
        for ref in refs:
            self.demonitor(ref, flush=True)
        if more:
            self._reaping.arm(0.0)


def is_named(target: Any) -> bool:
    """Say whether a target is ``{name, node}``."""
    return type(target) is tuple and len(target) == 2 and isinstance(target[0], Atom) and isinstance(target[1], Atom)


def _elements(items: list[Any] | ImproperList) -> list[Any]:
    """Return the elements of a list, of an improper one up to the break."""
    return items if isinstance(items, list) else list(items.elements)
