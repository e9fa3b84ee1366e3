"""Connectors: one Connector per remote node, started when it is first looked up; one that crashed gets a successor.

Duties: look-up and start are one step; a Connector whose epoch has ended is succeeded in the same step, with what it
wrote into the cache; one that crashed an interval later, knowing nothing.

In: the ends of Connectors, calls of operators (`pyzen.zen.calls`). Out: nothing. Latency: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast, final

from pyzen.actor.actor import EXIT
from pyzen.actor.registry import rows_of
from pyzen.terms import Atom, Pid
from pyzen.zen.calls import answer_registry
from pyzen.zen.connector import Connector
from pyzen.zen.server import ZenRegistry
from pyzen.zen.tables import Remote

if TYPE_CHECKING:
    from pyzen.zen.tables import Context


@final
class Connectors(ZenRegistry):
    """The process ``Elixir.ZenMonitor.Local.Connector``: one Connector per remote node; looking up starts it."""

    key_type: ClassVar = Atom

    def __init__(self, context: Context) -> None:
        super().__init__(context, self._make)
        self._context = context

    def init(self, *_args: Any) -> None:
        """Take over from a predecessor, whose Connectors ended with it."""
        remotes, monitors = self._context.remotes, self._context.monitors
        needed = set(monitors.nodes()) | {node for node, remote in remotes.items() if remote.waiters}
        # Somebody may have looked one up already, between the start of this process and now.
        for node in [node for node in remotes if node not in needed and self.lookup(node) is None]:
            del remotes[node]
        for node in needed:
            self.connector(node)

    def connector(self, node: Atom) -> Connector:
        """Return the Connector of a node; started when there is none."""
        return cast("Connector", self._context.runtime.process(self.lookup_or_start(node)))

    def live(self) -> list[Connector]:
        """Return all Connectors that live."""
        return rows_of(self).processes()

    def lookup_or_start(self, key: Atom) -> Pid:
        """Return the pid of a node's Connector; started when there is none."""
        pid = super().lookup_or_start(key)
        self._context.remotes[key].connector = pid
        return pid

    def _make(self, node: Atom) -> Connector:
        """Make a Connector for a node that has none, or whose own crashed: the new one holds and knows nothing."""
        remote = self._context.remotes.setdefault(node, Remote(node))
        remote.status, remote.attempts = "miss", 0
        self._context.fired(self._context.monitors.take_over(node))
        return Connector(self._context, remote)

    def succeed(self, remote: Remote) -> None:
        """Start the Connector of the next epoch. What its predecessor wrote into the cache stands."""
        remote.connector = rows_of(self).start(remote.node, Connector(self._context, remote))

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer as the original's registry does."""
        return answer_registry(self, request)

    def handle_notice(self, message: tuple[Any, ...]) -> None:
        """Take the end of a Connector; one that crashed gets a successor."""
        match message:
            case (tag, Pid() as pid, _reason) if tag is EXIT:
                node = rows_of(self).key_of(pid)
                remote = self._context.remotes.get(node)
                if remote is not None and remote.connector == pid:
                    self.after(self._context.config.connector_sweep_interval / 1000, self._replace, node)

    def _replace(self, node: Atom) -> None:
        if node in self._context.remotes and self._context.connectors is self:
            self.lookup_or_start(node)
