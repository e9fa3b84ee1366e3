"""The original's processes by their modules: ``child_spec``, ``start_link``, and ``GenRegistry`` of its registries.

A child spec is data and is answered as there. ``start_link`` of a process that has a name answers that it has been
started already; a Connector or a Batcher beside the one of its key would be nobody's, so that is refused. The
functions of GenRegistry take the name of one of the two registries.

Source: the modules ``ZenMonitor.*`` of zen_monitor 2.1.0; Elixir, ``GenServer``, ``Supervisor``; Discord, GenRegistry.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.node.services.builtins import badarg
from pyzen.terms import Atom, atoms
from pyzen.zen.calls import REFUSED, answer_registry
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
from pyzen.zen.tables import alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.runtime import Runtime
    from pyzen.node.services.ets import Ets
    from pyzen.zen.server import ZenRegistry
    from pyzen.zen.system import ZenSystem

__all__ = ["ZenProcesses"]

SUPERVISORS: Final = (SUPERVISOR, LOCAL_SUPERVISOR, PROXY_SUPERVISOR)
NAMED: Final = (LOCAL, DISPATCHER, LOCAL_TABLES, PROXY_TABLES, *SUPERVISORS)
"""Processes with a name whose ``start_link`` takes an argument or none; that of the Proxy takes one."""

GEN_REGISTRY: Final = "Elixir.GenRegistry"
START_LINK: Final = atoms.start_link
NO_ARGUMENTS: Final[list[Any]] = []


@final
class ZenProcesses:
    """The processes of one node's ZenMonitor.

    Args:
        system: That ZenMonitor.
        runtime: The node.
        ets: The tables; those of the registries are what GenRegistry reads.
    """

    def __init__(self, system: ZenSystem, runtime: Runtime, ets: Ets) -> None:
        self._system = system
        self._runtime = runtime
        self._ets = ets

    def functions(self) -> dict[tuple[str, str], Callable[..., Any]]:
        """Return the functions that peers may call."""
        specs = {(str(one), "child_spec"): partial(child_spec, one) for one in (*NAMED, PROXY, CONNECTORS, BATCHERS)}
        starts: dict[tuple[str, str], Callable[..., Any]] = {
            (str(name), "start_link"): self._starting(name) for name in NAMED
        }
        return {
            **specs,
            **starts,
            (str(PROXY), "start_link"): lambda _args: self._start_link(PROXY),
            (str(CONNECTORS), "start_link"): lambda _remote: REFUSED,
            (str(BATCHERS), "start_link"): lambda _subscriber: REFUSED,
            (GEN_REGISTRY, "count"): lambda table: self._ets.info(table, atoms["size"]),
            (GEN_REGISTRY, "lookup"): self.lookup,
            (GEN_REGISTRY, "lookup_or_start"): self.lookup_or_start,
            (GEN_REGISTRY, "sample"): self.sample,
            (GEN_REGISTRY, "start"): self.start,
            (GEN_REGISTRY, "stop"): lambda table, key: answer_registry(self._registry(table), (atoms.stop, key)),
            (GEN_REGISTRY, "to_list"): self._ets.tab2list,
        }

    def _starting(self, name: Atom) -> Callable[..., Any]:
        return lambda _options=(): self._start_link(name)

    def _start_link(self, name: Atom) -> Any:
        pid = self._runtime.whereis(name)
        return REFUSED if pid is None else (atoms.error, (atoms.already_started, pid))

    # ---- GenRegistry

    def lookup(self, table: Any, key: Any) -> Any:
        """``GenRegistry.lookup/2``."""
        rows = self._ets.lookup(table, key)
        return (atoms.ok, rows[0][1]) if rows else (atoms.error, atoms.not_found)

    def lookup_or_start(self, table: Any, key: Any, args: Any = NO_ARGUMENTS, _timeout: Any = None) -> Any:
        """``GenRegistry.lookup_or_start/2`` to ``/4``."""
        return answer_registry(self._registry(table), (atoms.lookup_or_start, key, args))

    def start(self, table: Any, key: Any, args: Any = NO_ARGUMENTS, _timeout: Any = None) -> Any:
        """``GenRegistry.start/2`` to ``/4``."""
        return answer_registry(self._registry(table), (atoms.start, key, args))

    def sample(self, table: Any) -> Any:
        """``GenRegistry.sample/1``."""
        key = self._ets.first(table)
        return next(iter(self._ets.lookup(table, key)), None)

    def _registry(self, table: Any) -> ZenRegistry:
        context = self._system.context
        found: ZenRegistry | None = None
        if table is CONNECTORS:
            found = alive(context.connectors)
        elif table is BATCHERS:
            found = alive(context.batchers)
        if found is None:
            raise badarg()
        return found


def child_spec(module: Atom, argument: Any) -> dict[Atom, Any]:
    """Return what ``child_spec/1`` of a module answers."""
    spec = {atoms.id: module, atoms.start: (module, START_LINK, [argument])}
    return {**spec, atoms.type: atoms.supervisor} if module in SUPERVISORS else spec
