"""ZenMonitor under the names that the original has, for an operator at iex: all that peers may call of it.

The functions by theme: settings in `zen_settings`, the original's own in `zen_functions`, its processes in
`zen_processes`, tables in `ets`, the application in `applications`. Here are its metrics, and ours.

Source: the modules ``ZenMonitor.*`` of zen_monitor 2.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from pyzen.node.services.applications import Applications
from pyzen.node.services.builtins import badarg
from pyzen.node.services.ets import Ets
from pyzen.node.services.zen_functions import ZenFunctions, function_clause
from pyzen.node.services.zen_processes import ZenProcesses
from pyzen.node.services.zen_settings import SETTINGS, ZenSettings
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.runtime import Runtime
    from pyzen.node.services.exports import Exports
    from pyzen.zen.system import ZenSystem

__all__ = ["SETTINGS", "ZenExports"]


@final
class ZenExports:
    """What peers may read and change of one node's ZenMonitor."""

    def __init__(self, system: ZenSystem, runtime: Runtime) -> None:
        self._system = system
        self._runtime = runtime
        self._ets = Ets(system, runtime)

    def export_to(self, exports: Exports) -> None:
        """Make all of it reachable."""
        for (module, function), callable_ in self.functions().items():
            exports.add(module, function, callable_)

    def functions(self) -> dict[tuple[str, str], Callable[..., Any]]:
        """Return all of it by module and function."""
        settings = ZenSettings(self._system.config)
        return {
            **settings.functions(),
            **ZenFunctions(self._system, self._runtime).functions(),
            **ZenProcesses(self._system, self._runtime, self._ets).functions(),
            **Applications(self._system, settings).functions(),
            **self._ets.functions(),
            ("Elixir.ZenMonitor.Metrics", "message_queue_len"): self.message_queue_len,
            ("Elixir.ZenMonitor.Metrics", "register"): lambda: atoms.ok,  # they always are
            ("Elixir.ZenMonitor.Metrics", "table_size"): self._ets.size,
            ("pyzen", "statistics"): self.statistics,
        }

    def message_queue_len(self, process: Any) -> int | None:
        """``ZenMonitor.Metrics.message_queue_len/1`` of a pid or name of this node; None where there is none."""
        pid = self._runtime.whereis(process) if isinstance(process, Atom) else process
        if pid is None:
            return None
        if not isinstance(pid, Pid):
            raise function_clause()
        if pid.node is not self._runtime.name:
            raise badarg()
        found = self._runtime.actor(pid)
        return None if found is None else found.message_queue_len

    def statistics(self) -> dict[Atom, Any]:
        """``node.zen.statistics()`` as a map: the sizes by name, and ``counters``, a map of its own."""
        statistics = self._system.statistics()
        counters = {atoms[name]: count for name, count in statistics.counters.items()}
        return {**{atoms[name]: size for name, size in statistics.sizes().items()}, atoms.counters: counters}
