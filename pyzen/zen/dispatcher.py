"""Dispatcher: delivers fired references at the rate of demand.

Duty: every ``demand_interval`` at most ``demand_amount`` DOWNs, round robin over subscribers or (``fair=False``) in the
order of firing. Unused demand is not saved, late ticks are not made up. The rows wait in Tables: what a crash leaves
undelivered is delivered by the successor.

In: nothing. Out: ``{DOWN, Ref, process, Target, {zen_monitor, Reason}}`` to subscribers. Latency: up to one interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.monitor_table import IDLE
from pyzen.zen.names import DISPATCHER
from pyzen.zen.server import Ticker, ZenServer

if TYPE_CHECKING:
    from pyzen.zen.tables import Context

SLICE: Final = 1000
"""DOWNs in one turn: about two milliseconds."""


@final
class Dispatcher(ZenServer):
    """The process ``Elixir.ZenMonitor.Local.Dispatcher``."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, DISPATCHER)
        self._context = context
        self._ticker = Ticker(self, self._tick)
        self._demand = 0

    def init(self, *_args: Any) -> None:
        """Go on where a predecessor stopped."""
        if self._context.monitors.fired:
            self.wake()

    @property
    def interval(self) -> float:
        """Seconds between two ticks."""
        return self._context.config.demand_interval / 1000

    def wake(self) -> None:
        """References have fired: deliver with the next tick."""
        self._ticker.arm(self.interval)

    def interval_changed(self) -> None:
        """Take a shorter interval into account at once."""
        self._ticker.shorten(self.interval)

    def _tick(self) -> None:
        """Meet one tick's demand, in slices."""
        self._demand = self._context.config.demand_amount
        # First, so that the ticks stay an interval apart however long delivery takes.
        self._ticker.arm(self.interval)
        self._deliver()

    def _deliver(self) -> None:
        context = self._context
        limit, runtime = min(self._demand, SLICE), context.runtime
        delivered, dispatches = context.monitors.take(limit, context.config.fair, runtime.unread)
        runtime.deliver_many(dispatches)
        context.count("downs_delivered", delivered)
        self._demand -= delivered
        if not context.monitors.fired:
            self._demand = 0
            self._ticker.cancel()
        elif delivered and self._demand:
            self.after(0.0, self._deliver)
        if delivered:
            context.act(IDLE)
