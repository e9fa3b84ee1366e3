"""Fallback: ERTS monitors for the targets of a node without ZenMonitor, as ``incompatible="erts"`` asks for.

Part of a Connector, whose own the monitors are: they end with it, and the Connector that takes over makes new ones.

Duties: one monitor per target that would fire because its node is connected but incompatible; takes it back when the
last reference goes; fires all references of the target with the monitor's reason. While a monitor stands, new
references join it, whatever the node or the setting has become; the rows know which targets these are.

In: DOWNs of targets. Out: nothing but monitors. Latency: up to one ``connector_sweep_interval`` before a monitor is
made or taken back, at most ``connector_chunk_size`` of them in one sweep.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.answers import Stop
from pyzen.actor.verbs import actor_of
from pyzen.zen.names import NOCONNECTION, NODEDOWN
from pyzen.zen.server import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.terms import Reference
    from pyzen.zen.server import EpochLink, ZenServer
    from pyzen.zen.tables import Context

SLICE: Final = 250
"""Monitors made or taken back in one turn: about two milliseconds."""


@final
class Fallback:
    """The ERTS monitors of one Connector.

    Args:
        connector: Whose they are.
        context: The rows.
        link: What they go over.
        is_needed: Says whether the node is incompatible now, so that targets need monitors.
    """

    def __init__(self, connector: ZenServer, context: Context, link: EpochLink, is_needed: Callable[[], bool]) -> None:
        self._connector = connector
        self._context = context
        self._link = link
        self._is_needed = is_needed
        self._budget = 0
        self._working = Ticker(connector, self._work)

    @property
    def stands(self) -> bool:
        """Whether any target is watched by a monitor."""
        return self._context.monitors.covered(self._link.node) > 0

    @property
    def has_spare(self) -> bool:
        """Whether there are monitors to take back."""
        return self._context.monitors.spare(self._link.node) > 0

    def sweep(self) -> None:
        """Take back what nobody needs any more, then make what is needed, in slices."""
        self._budget = self._context.config.connector_chunk_size
        self._work()

    def _work(self) -> None:
        if not self._link.is_free:
            return  # the next sweep goes on
        limit = min(self._budget, SLICE)
        done = self._take_back(limit)
        if self._is_needed():
            done += self._cover(limit - done)
        self._budget -= done
        if done and self._budget:
            self._working.arm(0.0)

    def _take_back(self, limit: int) -> int:
        spare = self._context.monitors.uncover(self._link.node, limit)
        for ref in spare:
            self._connector.demonitor(ref, flush=True)
        return len(spare)

    def _cover(self, limit: int) -> int:
        """Monitor targets: no Proxy holds any, so all that is pending are subscribes."""
        monitors, node = self._context.monitors, self._link.node
        refs = [self._connector.monitor(target) for _, target in monitors.instructions(node, limit)]
        monitors.cover(node, refs)
        self._context.count("erts_monitors_made", len(refs))
        return len(refs)

    def down(self, ref: Reference, reason: Any) -> None:
        """Fire what a monitor stands for; one that was taken back stands for nothing."""
        reason = NODEDOWN if reason is NOCONNECTION else self._context.truncate(reason)[0]
        fired = self._context.monitors.erts_down(ref, reason)
        self._context.count("erts_downs_received", min(fired, 1))
        self._context.fired(fired)

    def leave(self) -> None:
        """Take back every monitor of the Connector, whose references have fired, and end it."""
        self._working.cancel()  # what is spare from now on is the successor's
        monitors = actor_of(self._connector).relations.monitors
        for ref in list(islice(monitors, SLICE)):
            self._connector.demonitor(ref, flush=True)
        if not monitors:
            raise Stop
        self._connector.after(0.0, self.leave)
