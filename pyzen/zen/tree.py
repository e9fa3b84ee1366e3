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
from pyzen.actor.verbs import actor_of
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
    LOCAL_PARTS,
    LOCAL_SUPERVISOR,
    LOCAL_TABLES,
    NAMES,
    PROXY,
    PROXY_SUPERVISOR,
    PROXY_TABLES,
    SUPERVISOR,
)
from pyzen.zen.proxy import Proxy
from pyzen.zen.server import Sturdy, ZenSupervisor
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

START_TURNS: Final = 100
"""Turns of the scheduler in which all processes start, with plenty to spare."""


@final
class Tree:
    """All processes of one node's ZenMonitor.

    Args:
        context: What they work on.
        on_change: Called when a part was stopped or started on purpose.
    """

    def __init__(self, context: Context, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._context = context
        self._runtime = context.runtime
        self._guardian: ZenSupervisor | None = None
        self._top: ZenSupervisor | None = None
        self._local: ZenSupervisor | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped; it may be on its way back from a failure."""
        return alive(self._guardian) is not None

    @property
    def is_local_stopped(self) -> bool:
        """Whether the Local half, or a part of it, was stopped on purpose: alone, or with everything else."""
        if not self.is_running:
            return True
        halves = _parts_of(self._top)
        local = halves.get(LOCAL_SUPERVISOR)
        if halves and (local is None or _is_stopped(local)):
            return True
        parts = _parts_of(self._local)
        return any(_is_stopped(part) for part in parts.values()) or (bool(parts) and len(parts) < len(LOCAL_PARTS))

    # ---- life

    def start(self) -> None:
        """Start all processes; the Proxy is registered when this returns.

        Raises:
            NameTaken: Something else has the name of one of them.
        """
        if self.is_running:
            return
        self._end_orphans()
        for name in NAMES:
            if self._runtime.whereis(name) is not None:
                raise NameTaken(str(name))
        self._guardian = guardian = self._guard()
        self._runtime.spawn(guardian)
        # Each level starts in the turn after the one above; an Elixir Connector pings as soon as there is a link.
        for _ in range(START_TURNS):
            if self._runtime.whereis(BATCHERS) is not None:
                break
            self._runtime.scheduler.run()

    def stop(self) -> None:
        """End all processes, the last started first: none of them has anything to clean up."""
        guardian, self._guardian = alive(self._guardian), None
        if guardian is not None:
            self._end(guardian)
            self._end_orphans()

    def _end_orphans(self) -> None:
        """End parts whose supervisor has ended in this moment: they were told to end, and have not come to it yet."""
        for name in reversed(NAMES):
            pid = self._runtime.whereis(name)
            process = None if pid is None else self._runtime.process(pid)
            if isinstance(process, Sturdy):
                actor_of(process).end(SHUTDOWN)

    def _end(self, supervisor: ZenSupervisor) -> None:
        for child in reversed(list(children_of(supervisor))):
            process = None if child.pid is None else self._runtime.process(child.pid)
            if isinstance(process, ZenSupervisor):
                self._end(process)
            elif process is not None:
                actor_of(process).end(SHUTDOWN)
        actor_of(supervisor).end(SHUTDOWN)

    # ---- what is started

    def _guard(self) -> ZenSupervisor:
        guardian = self._supervisor(None, (SUPERVISOR, self._make_top), max_restarts=0)
        children = children_of(guardian)
        children.never_gives_up = children.is_fixed = True
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
        self._local = self._supervisor(
            LOCAL_SUPERVISOR,
            (LOCAL_TABLES, lambda: Tables(self._context, LOCAL_TABLES)),
            (LOCAL, self._known("local", Local)),
            (CONNECTORS, self._known("connectors", Connectors)),
            (DISPATCHER, self._known("dispatcher", Dispatcher)),
        )
        return self._local

    def _make_proxy(self) -> ZenSupervisor:
        return self._supervisor(
            PROXY_SUPERVISOR,
            (PROXY_TABLES, lambda: Tables(self._context, PROXY_TABLES)),
            (PROXY, self._known("proxy", Proxy)),
            (BATCHERS, self._known("batchers", Batchers)),
            strategy="rest_for_one",
        )

    def _known(self, name: str, kind: Callable[[Context], Verbs]) -> Callable[[], Verbs]:
        """Return what makes a part, and lets the others know it under a name of the context."""

        def make() -> Verbs:
            part = kind(self._context)
            setattr(self._context, name, part)
            return part

        return make

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
        supervisor = ZenSupervisor(self._context, module, specs, strategy, max_restarts)
        children_of(supervisor).on_change = self._on_change
        return supervisor


def _parts_of(supervisor: ZenSupervisor | None) -> dict[Any, Child]:
    """Return the children of a supervisor by their ids; none while it is away, has not begun, or ends with them all."""
    supervisor = alive(supervisor)
    if supervisor is None:
        return {}
    children = children_of(supervisor)
    return {} if children.is_ending or not children.has_started else {child.spec.id: child for child in children}


def _is_stopped(child: Child) -> bool:
    """Say whether a child was stopped on purpose."""
    return child.pid is None and not child.is_restarting
