"""The processes of ZenMonitor, and the supervisor above them, which never gives up.

::

    Guardian (one_for_one, waits before each restart)
    └── Supervisor (one_for_one)
        ├── Local.Supervisor (one_for_one)      Local.Tables, Local, Local.Connector, Local.Dispatcher
        └── Proxy.Supervisor (rest_for_one)     Proxy.Tables, Proxy, Proxy.Batcher

When ``Supervisor`` has given up or was killed, no process is left that would fire a reference: the guardian fires them
all, into the rows, and the Dispatcher of the next tree delivers. References that are made meanwhile wait for that tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.reasons import SHUTDOWN
from pyzen.actor.supervisor import ChildSpec, children_of
from pyzen.errors import NameTaken
from pyzen.inspection import inspect
from pyzen.logs import get_logger
from pyzen.zen.batcher import Batchers
from pyzen.zen.connectors import Connectors
from pyzen.zen.dispatcher import Dispatcher
from pyzen.zen.local import Local
from pyzen.zen.names import (
    BATCHERS,
    CONNECTORS,
    DISPATCHER,
    LOCAL,
    LOCAL_SUPERVISOR,
    LOCAL_TABLES,
    PROXY,
    PROXY_SUPERVISOR,
    PROXY_TABLES,
    SUPERVISOR,
)
from pyzen.zen.proxy import Proxy
from pyzen.zen.server import ZenSupervisor
from pyzen.zen.tables import Tables, alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.child import Child
    from pyzen.actor.children import Strategy
    from pyzen.actor.verbs import Verbs
    from pyzen.terms import Atom
    from pyzen.zen.tables import Context

__all__ = ["Tree"]

log = get_logger("pyzen.zen")

SUPERVISING: Final = frozenset({SUPERVISOR, LOCAL_SUPERVISOR, PROXY_SUPERVISOR, CONNECTORS, BATCHERS})
"""Those that have all the time they need to stop what they have started."""

STOP_TURNS: Final = 100
"""Turns of the scheduler in which all processes end, with plenty to spare."""


@final
class Tree:
    """All processes of one node's ZenMonitor.

    Args:
        context: What they work on.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._runtime = context.runtime
        self._guardian: ZenSupervisor | None = None
        self._stopping: ZenSupervisor | None = None
        self._top: ZenSupervisor | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped; it may be on its way back from a failure."""
        return alive(self._guardian) is not None

    @property
    def is_local_stopped(self) -> bool:
        """Whether the Local half was stopped on purpose: alone, or with everything else."""
        if not self.is_running:
            return True
        top = alive(self._top)
        if top is None or not children_of(top).has_started:
            return False
        local = children_of(top).find(LOCAL_SUPERVISOR)
        return local is None or (local.pid is None and not local.is_restarting)

    # ---- life

    def start(self) -> None:
        """Start all processes; the Proxy is registered when this returns.

        Raises:
            NameTaken: Something else is registered as ``Elixir.ZenMonitor.Supervisor``.
        """
        if self.is_running:
            return
        self._await_stop()
        if self._runtime.whereis(SUPERVISOR) is not None:
            raise NameTaken(str(SUPERVISOR))
        self._guardian = guardian = self._guard()
        self._runtime.spawn(guardian)
        # Each level starts in the turn after the one above; an Elixir Connector pings as soon as there is a link.
        while self._runtime.whereis(BATCHERS) is None and alive(guardian) is not None:
            self._runtime.scheduler.run()

    def _await_stop(self) -> None:
        """Let a predecessor end, which has the names until then. One that hangs never does."""
        for _ in range(STOP_TURNS):
            if alive(self._stopping) is None:
                break
            self._runtime.scheduler.run()
        self._stopping = None

    def stop(self) -> None:
        """Tell all processes to end, in order."""
        guardian, self._guardian = alive(self._guardian), None
        if guardian is not None:
            self._stopping = guardian
            guardian.send_exit(guardian.pid, SHUTDOWN)

    # ---- what is started

    def _guard(self) -> ZenSupervisor:
        guardian = self._supervisor(None, (SUPERVISOR, self._make_top), max_restarts=0)
        children = children_of(guardian)
        children.never_gives_up = True
        children.on_failure = self._failed
        return guardian

    def _failed(self, _child: Child, reason: Any) -> None:
        """Tell of the end of everything, and fire what is left."""
        count = self._context.fire_all("restarted")
        text = "all of ZenMonitor on %s has ended: %s; it starts anew, and %d references fire nodedown"
        log.error(text, self._runtime.name, inspect(reason), count)

    def _make_top(self) -> ZenSupervisor:
        halves = (LOCAL_SUPERVISOR, self._make_local), (PROXY_SUPERVISOR, self._make_proxy)
        self._top = self._supervisor(SUPERVISOR, *halves)
        return self._top

    def _make_local(self) -> ZenSupervisor:
        context = self._context

        def local() -> Local:
            context.local = Local(context)
            return context.local

        def connectors() -> Connectors:
            context.connectors = Connectors(context)
            return context.connectors

        def dispatcher() -> Dispatcher:
            context.dispatcher = Dispatcher(context)
            return context.dispatcher

        tables = LOCAL_TABLES, lambda: Tables(context, LOCAL_TABLES)
        return self._supervisor(
            LOCAL_SUPERVISOR, tables, (LOCAL, local), (CONNECTORS, connectors), (DISPATCHER, dispatcher)
        )

    def _make_proxy(self) -> ZenSupervisor:
        context = self._context

        def proxy() -> Proxy:
            context.proxy = Proxy(context)
            return context.proxy

        def batchers() -> Batchers:
            context.batchers = Batchers(context)
            return context.batchers

        tables = PROXY_TABLES, lambda: Tables(context, PROXY_TABLES)
        return self._supervisor(PROXY_SUPERVISOR, tables, (PROXY, proxy), (BATCHERS, batchers), strategy="rest_for_one")

    def _supervisor(
        self,
        module: Atom | None,
        *children: tuple[Atom, Callable[[], Verbs]],
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
    ) -> ZenSupervisor:
        """Return a supervisor of processes whose names are their ids, as in the original."""
        specs = [
            ChildSpec(name, start, name=name, shutdown=None if name in SUPERVISING else 5.0) for name, start in children
        ]
        return ZenSupervisor(self._context, module, specs, strategy, max_restarts)
