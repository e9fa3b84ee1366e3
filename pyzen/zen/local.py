"""Local: watches the subscribers, and carries out what was decided about their references.

Duties: one reciprocal monitor per subscriber; the references of a dead one are removed; decided work (a lost node, a
certified target, a large dead subscriber) is carried out in slices, so that no turn is long.

In: ``{DOWN, _, process, Subscriber, _}``, ``batch_length``. Out: nothing but monitors. Latency: `tidy` begins in the
next turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.monitor_table import MORE
from pyzen.terms import Pid, atoms
from pyzen.zen.names import DOWN, LOCAL
from pyzen.zen.server import Ticker, ZenServer

if TYPE_CHECKING:
    from pyzen.zen.tables import Context

BATCH_LENGTH: Final = atoms.batch_length

SLICE: Final = 5000
"""Rows in one turn: two or three milliseconds."""

WATCH_SLICE: Final = 500
"""Subscribers monitored in one turn after a restart."""


@final
class Local(ZenServer):
    """The process ``Elixir.ZenMonitor.Local``."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, LOCAL)
        self._context = context
        self._settling = Ticker(self, self._settle)
        self._retiring = Ticker(self, self._retire)

    def init(self, *_args: Any) -> None:
        """Take over from a predecessor: monitor every subscriber anew, go on where it stopped."""
        self._context.monitors.unwatch_all()
        self._watch_from(0)
        self.tidy()

    def _watch_from(self, start: int) -> None:
        subscribers, rest = self._context.monitors.unwatched(start, WATCH_SLICE)
        for subscriber in subscribers:
            self.watch(subscriber)
        if rest is not None:
            self.after(0.0, self._watch_from, rest)

    def watch(self, subscriber: Pid) -> None:
        """Monitor a subscriber; called in the step that made its first reference."""
        self._context.monitors.watch(subscriber, self.monitor(subscriber))

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer ``batch_length``, as the original does."""
        return self._context.monitors.fired if request is BATCH_LENGTH else super().handle_call(request, from_)

    def handle_notice(self, message: tuple[Any, ...]) -> None:
        """Take the end of a subscriber."""
        match message:
            case (tag, _, _, Pid() as subscriber, _) if tag is DOWN:
                self._context.act(self._context.monitors.drop_subscriber(subscriber))
                self.tidy()

    def tidy(self) -> None:
        """Carry out what was decided, and let go of subscribers without references, soon."""
        self._settling.arm(0.0)
        # Not at once: a subscriber often monitors again when it has got a DOWN.
        self._retiring.arm(self._context.config.connector_sweep_interval / 1000)

    def _settle(self) -> None:
        flags = self._context.monitors.settle(SLICE)
        self._context.act(flags & ~MORE)
        if flags & MORE:
            self._settling.arm(0.0)

    def _retire(self) -> None:
        watches = self._context.monitors.retire(SLICE)
        for ref in watches:
            if ref is not None:
                self.demonitor(ref, flush=True)
        if watches:
            self._retiring.arm(0.0)
