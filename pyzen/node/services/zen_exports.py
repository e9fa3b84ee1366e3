"""ZenMonitor's settings and tables under the names that the original has, for an operator at iex.

A setting is read without and set with an argument, in milliseconds or counts as there; ``Application.put_env`` does
the same by the setting's name. The tables are views: they answer ``lookup`` of one key, and ``info``.

Source: the modules ``ZenMonitor.*`` of zen_monitor 2.1.0; Elixir, ``Application``; OTP, "ets".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.config import setting_names
from pyzen.errors import ConfigError
from pyzen.node.services.builtins import badarg, named
from pyzen.terms import Atom, Pid, atoms, elixir

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.runtime import Runtime
    from pyzen.node.services.exports import Exports
    from pyzen.zen.system import ZenSystem

__all__ = ["ZenExports"]

APPLICATION: Final = atoms.zen_monitor
OK: Final = atoms.ok
UNDEFINED: Final = atoms.undefined
SUBSCRIBERS: Final = elixir.ZenMonitor.Proxy.Tables.Subscribers

SETTINGS: Final = {
    ("Elixir.ZenMonitor.Local.Connector", "sweep_interval"): "connector_sweep_interval",
    ("Elixir.ZenMonitor.Local.Connector", "chunk_size"): "connector_chunk_size",
    ("Elixir.ZenMonitor.Proxy.Batcher", "sweep_interval"): "batcher_sweep_interval",
    ("Elixir.ZenMonitor.Proxy.Batcher", "chunk_size"): "batcher_chunk_size",
    ("Elixir.ZenMonitor.Proxy.Batcher", "lookup_timeout"): "batcher_lookup_timeout",
    ("Elixir.ZenMonitor.Local.Dispatcher", "demand_interval"): "demand_interval",
    ("Elixir.ZenMonitor.Local.Dispatcher", "demand_amount"): "demand_amount",
    ("Elixir.ZenMonitor.Local", "hibernation_threshold"): "hibernation_threshold",
    ("Elixir.ZenMonitor.Truncator", "max_binary_size"): "max_binary_size",
    ("Elixir.ZenMonitor.Truncator", "truncation_depth"): "truncation_depth",
}
"""Module and function -> the setting they read and set."""

UNSET: Final = object()


@final
class ZenExports:
    """What peers may read and change of one node's ZenMonitor."""

    def __init__(self, system: ZenSystem, runtime: Runtime) -> None:
        self._system = system
        self._runtime = runtime

    def export_to(self, exports: Exports) -> None:
        """Make all of it reachable."""
        for (module, function), name in SETTINGS.items():
            exports.add(module, function, self._knob(name))
        table: dict[tuple[str, str], Callable[..., Any]] = {
            ("Elixir.ZenMonitor.Local.Dispatcher", "maximum_mps"): self.maximum_mps,
            ("Elixir.ZenMonitor.Proxy", "ping"): lambda: atoms.pong,
            ("Elixir.ZenMonitor.Local", "batch_length"): lambda: self._system.statistics().fired,
            ("Elixir.ZenMonitor.Metrics", "message_queue_len"): self.message_queue_len,
            ("Elixir.ZenMonitor.Metrics", "table_size"): self.table_size,
            ("Elixir.ZenMonitor", "compatibility"): self.compatibility,
            ("Elixir.ZenMonitor", "compatibility_for_node"): self.compatibility_for_node,
            ("Elixir.ZenMonitor.Local.Connector", "compatibility"): self.compatibility_for_node,
            ("Elixir.ZenMonitor.Local.Connector", "cached_compatibility"): self.cached_compatibility,
            ("pyzen", "statistics"): self.statistics,
            ("Elixir.Application", "get_env"): self.get_env,
            ("Elixir.Application", "get_all_env"): self.get_all_env,
            ("Elixir.Application", "put_env"): self.put_env,
            ("Elixir.Application", "stop"): self.stop,
            ("Elixir.Application", "ensure_all_started"): self.ensure_all_started,
            ("application", "get_env"): self.erlang_get_env,
            ("application", "get_all_env"): self.get_all_env,
            ("application", "set_env"): self.put_env,
            ("application", "stop"): self.stop,
            ("application", "ensure_all_started"): self.ensure_all_started,
            ("ets", "lookup"): self.lookup,
            ("ets", "info"): self.info,
        }
        for (module, function), callable_ in table.items():
            exports.add(module, function, callable_)

    # ---- settings

    def _knob(self, name: str) -> Callable[..., Any]:
        def knob(value: Any = UNSET) -> Any:
            return getattr(self._system.config, name) if value is UNSET else self._set(name, value)

        return knob

    def _set(self, name: str, value: Any) -> Atom:
        """Set a setting. A value out of range is ``badarg`` and changes nothing."""
        try:
            setattr(self._system.config, name, str(value) if isinstance(value, Atom) else value)
        except ConfigError:
            raise badarg() from None
        return OK

    def maximum_mps(self) -> float:
        """Messages that the Dispatcher delivers in a second at most."""
        config = self._system.config
        return config.demand_amount * 1000 / config.demand_interval

    # ---- the application

    def get_env(self, application: Any, key: Any, default: Any = None) -> Any:
        """``Application.get_env/2`` and ``/3``."""
        if application is not APPLICATION or str(key) not in setting_names():
            return default
        value = getattr(self._system.config, str(key))
        return atoms[value] if isinstance(value, str) else value

    def get_all_env(self, application: Any) -> list[tuple[Atom, Any]]:
        """``Application.get_all_env/1``: every setting."""
        if application is not APPLICATION:
            return []
        return [(atoms[name], self.get_env(application, name)) for name in setting_names()]

    def erlang_get_env(self, application: Any, key: Any) -> Any:
        """``application:get_env/2``."""
        value = self.get_env(application, key, UNDEFINED)
        return value if value is UNDEFINED else (OK, value)

    def put_env(self, application: Any, key: Any, value: Any, _options: Any = ()) -> Atom:
        """``Application.put_env/3`` and ``/4``; a key that nobody knows is ``ok``, as there."""
        if application is not APPLICATION or str(key) not in setting_names():
            return OK
        return self._set(str(key), value)

    def stop(self, application: Any) -> Any:
        """``Application.stop/1``: ends the monitor system; references that have not fired never do."""
        if application is not APPLICATION or not self._system.is_running:
            return atoms.error, (atoms.not_started, application)
        self._system.stop()
        return OK

    def ensure_all_started(self, application: Any, _type: Any = None) -> Any:
        """``Application.ensure_all_started/1``: answers what it has started."""
        if application is not APPLICATION:
            return atoms.error, (application, ([ord(one) for one in "no such file or directory"], []))
        if self._system.is_running:
            return OK, []
        self._system.start()
        return OK, [APPLICATION]

    # ---- what it does

    def message_queue_len(self, process: Any) -> int | None:
        """``ZenMonitor.Metrics.message_queue_len/1`` of a pid or name of this node; None where there is none."""
        pid = self._runtime.whereis(process) if isinstance(process, Atom) else process
        if pid is None:
            return None
        if not isinstance(pid, Pid) or pid.node is not self._runtime.name:
            raise badarg()
        found = self._runtime.actor(pid)
        return None if found is None else found.message_queue_len

    def table_size(self, table: Any) -> int | None:
        """``ZenMonitor.Metrics.table_size/1``; None for a table that is not there."""
        if not isinstance(table, Atom):
            raise badarg()
        return self._system.table_sizes().get(table)

    def compatibility(self, target: Any) -> Atom:
        """``ZenMonitor.compatibility/1`` of a target's node."""
        try:
            return Atom(self._system.compatibility(target))
        except TypeError:
            raise badarg() from None

    def compatibility_for_node(self, peer: Any) -> Atom:
        """``ZenMonitor.compatibility_for_node/1``."""
        return Atom(self._system.compatibility_for_node(named(peer)))

    def cached_compatibility(self, peer: Any) -> Any:
        """``ZenMonitor.Local.Connector.cached_compatibility/1``."""
        match self._system.cached_compatibility(named(peer)):
            case (_, attempts):
                return atoms.expired, attempts
            case str() as word:
                return atoms[word]

    def statistics(self) -> dict[Atom, Any]:
        """``node.zen.statistics()`` as a map: the sizes by name, and ``counters``, a map of its own."""
        statistics = self._system.statistics()
        counters = {atoms[name]: count for name, count in statistics.counters.items()}
        return {**{atoms[name]: size for name, size in statistics.sizes().items()}, atoms.counters: counters}

    # ---- the tables

    def lookup(self, table: Any, key: Any) -> list[Any]:
        """``ets:lookup/2`` of the subscribers: ``{target, connector}`` while subscribed, nothing from the death on."""
        if table is not SUBSCRIBERS:
            raise badarg()
        match key:
            case (target, Pid() as connector) if self._system.is_subscribed(target, connector):
                return [(key,)]
        return []

    def info(self, table: Any, item: Any = None) -> Any:
        """``ets:info/1`` and ``/2``; a table that is not there is ``undefined``."""
        size = self.table_size(table)
        if size is None:
            return UNDEFINED
        items = {atoms.name: table, atoms.size: size, atoms.named_table: True, atoms.protection: atoms.public}
        if item is None:
            return list(items.items())
        try:
            return items[item]
        except (KeyError, TypeError):
            raise badarg() from None
