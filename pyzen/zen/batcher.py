"""Batcher: tells one remote Connector of the deaths it asked for. One process per Connector.

Duties: every ``batcher_sweep_interval`` one dead summary, while certificates wait; ends with its Connector and takes
the Connector's rows along. The certificates wait in Tables until the link has taken the summary, in the same step.

In: DOWN of its Connector. Out: ``{dead, Node, [{Target, Reason}, ...]}`` to the Connector, sent without dialling.
Latency: up to one interval from a death to its summary.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast, final

from pyzen.actor.actor import EXIT
from pyzen.actor.answers import Stop
from pyzen.actor.reasons import SHUTDOWN
from pyzen.actor.registry import rows_of
from pyzen.actor.runtime import Sent
from pyzen.errors import LinkOverloaded
from pyzen.terms import Pid
from pyzen.zen.calls import answer_registry
from pyzen.zen.names import BATCHERS, DEAD, DOWN
from pyzen.zen.server import Ticker, ZenRegistry, ZenServer
from pyzen.zen.tables import alive

if TYPE_CHECKING:
    from pyzen.zen.tables import Context

SUMMARY_SIZE: Final = 1024 * 1024
"""A summary closes once its reasons encode to this many bytes."""

END_SLICE: Final = 100
"""Batchers of a node that has left which end in one turn: about a millisecond."""


@final
class Batcher(ZenServer):
    """The process for one remote Connector; started by `Batchers`."""

    _pyzen_serves_all: ClassVar[bool] = False  # all that it hears of its one peer stays in order

    def __init__(self, context: Context, connector: Pid) -> None:
        super().__init__(context, BATCHERS)
        self._context = context
        self._connector = connector
        self._sweeping = Ticker(self, self._sweep)

    def init(self, *_args: Any) -> None:
        """Watch the Connector; send what a predecessor left."""
        # Monitoring would dial: without a link the Connector counts as ended.
        if self._context.runtime.link(self._connector.node) is None:
            self._leave()
        self._watch = self.monitor(self._connector)
        if self._context.subscriptions.waiting(self._connector):
            self.wake()

    @property
    def interval(self) -> float:
        """Seconds between two sweeps."""
        return self._context.config.batcher_sweep_interval / 1000

    def wake(self) -> None:
        """Certificates wait: send them within an interval."""
        self._sweeping.arm(self.interval)

    def interval_changed(self) -> None:
        """Take a shorter interval into account at once."""
        self._sweeping.shorten(self.interval)

    def _sweep(self) -> None:
        link = self._context.runtime.link(self._connector.node)
        if link is not None and not link[1]:
            self._send_summary()
        elif proxy := alive(self._context.proxy):
            proxy.bears(self._connector.node)
        if self._context.subscriptions.waiting(self._connector):
            self.wake()

    def _send_summary(self) -> None:
        context, connector = self._context, self._connector
        chunk = context.config.batcher_chunk_size
        certificates = context.subscriptions.certificates(connector, chunk, SUMMARY_SIZE)
        if not certificates:
            return
        try:
            sent = self.tell(connector, (DEAD, self.node, certificates))
        except LinkOverloaded:
            return
        if sent is not Sent.NO_LINK:
            context.subscriptions.sent(connector, len(certificates))
            context.count("summaries_sent")
            context.count("certificates_sent", len(certificates))

    def handle_notice(self, message: tuple[Any, ...]) -> None:
        """Take the end of the Connector."""
        match message:
            case (tag, ref, _, _, _) if tag is DOWN and ref == self._watch:
                self._context.count("connectors_ended")
                self._leave()

    def _leave(self) -> None:
        """End with the Connector. Its rows go too, unless they are already those of its next link."""
        batchers = self._context.batchers
        if batchers is not None and batchers.lookup(self._connector) == self.pid:
            self._context.subscriptions.drop_connector(self._connector)
            if proxy := alive(self._context.proxy):
                proxy.reap()
        raise Stop


@final
class Batchers(ZenRegistry):
    """The process ``Elixir.ZenMonitor.Proxy.Batcher``: one Batcher per remote Connector; looking up starts it."""

    key_type: ClassVar = Pid

    def __init__(self, context: Context) -> None:
        super().__init__(context, lambda connector: Batcher(context, connector))
        self._context = context
        self._discarded: deque[Pid] = deque()
        self._ending = Ticker(self, self._end_discarded)

    def init(self, *_args: Any) -> None:
        """Take over from a predecessor, whose Batchers ended with it."""
        for connector in self._context.subscriptions.connectors():
            self.lookup_or_start(connector)

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer as the original's registry does."""
        return answer_registry(self, request)

    def batcher(self, connector: Pid) -> Batcher:
        """Return the Batcher of a Connector; started when there is none."""
        return cast("Batcher", self._context.runtime.process(self.lookup_or_start(connector)))

    def live(self) -> list[Batcher]:
        """Return all Batchers that live."""
        return rows_of(self).processes()

    def discard(self, connector: Pid) -> None:
        """End a Batcher whose rows are gone, soon; the next look-up starts a fresh one."""
        pid = rows_of(self).discard(connector)
        if pid is not None:
            self._discarded.append(pid)
            self._ending.arm(0.0)

    def _end_discarded(self) -> None:
        """End a slice of them: a node may leave a thousand behind."""
        for _ in range(min(END_SLICE, len(self._discarded))):
            actor = self._context.runtime.actor(self._discarded.popleft())
            if actor is not None:
                actor.end(SHUTDOWN)
        if self._discarded:
            self._ending.arm(0.0)

    def handle_notice(self, message: tuple[Any, ...]) -> None:
        """Take the end of a Batcher; one that crashed gets a successor."""
        connector = rows_of(self).key_of(message[1]) if message[0] is EXIT else None
        if connector is not None and self._context.subscriptions.knows(connector):
            self.after(self._context.config.batcher_sweep_interval / 1000, self._replace, connector)

    def _replace(self, connector: Pid) -> None:
        if self._context.subscriptions.knows(connector):
            self.lookup_or_start(connector)
