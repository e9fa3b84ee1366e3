"""ZenMonitor's settings and tables under the names that the original has, for an operator at iex.

A setting is read without and set with an argument, in milliseconds or counts as there; ``Application.put_env`` does
the same by the setting's name. The tables are views: they answer ``lookup`` of one key, and ``info``.

Source: the modules ``ZenMonitor.*`` of zen_monitor 2.1.0; Elixir, ``Application``; OTP, "ets".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.config import setting_names
from pyzen.errors import ConfigError
from pyzen.node.services.builtins import badarg
from pyzen.terms import Atom, Pid, atoms, elixir

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def __init__(self, system: ZenSystem) -> None:
        self._system = system

    def export_to(self, exports: Exports) -> None:
        """Make all of it reachable."""
        for (module, function), name in SETTINGS.items():
            exports.add(module, function, self._knob(name))
        table: dict[tuple[str, str], Callable[..., Any]] = {
            ("Elixir.ZenMonitor.Local.Dispatcher", "maximum_mps"): self.maximum_mps,
            ("Elixir.ZenMonitor.Proxy", "ping"): lambda: atoms.pong,
            ("Elixir.Application", "get_env"): self.get_env,
            ("Elixir.Application", "put_env"): self.put_env,
            ("Elixir.Application", "stop"): self.stop,
            ("Elixir.Application", "ensure_all_started"): self.ensure_all_started,
            ("application", "get_env"): self.erlang_get_env,
            ("application", "set_env"): self.put_env,
            ("ets", "lookup"): self.lookup,
            ("ets", "info"): self.info,
        }
        for (module, function), callable_ in table.items():
            exports.add(module, function, callable_)

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
        size = self._system.table_sizes().get(table)
        if size is None:
            return UNDEFINED
        items = {atoms.name: table, atoms.size: size, atoms.named_table: True, atoms.protection: atoms.public}
        if item is None:
            return list(items.items())
        try:
            return items[item]
        except (KeyError, TypeError):
            raise badarg() from None
