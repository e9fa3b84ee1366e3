"""ZenMonitor's settings under the names that the original has: one function each, and the application's environment.

A setting is read without and set with an argument, in milliseconds or counts as there. A value out of range is
``badarg`` and changes nothing. What a peer may set has a narrower range, `PEER_RANGES`, than what the program may: no
peer lifts the bounds that hold for itself, nor puts off what others wait for.

``gen_module`` is there, too, and stays ``GenServer``: no code of Elixir runs here.

Source: the modules ``ZenMonitor.*`` of zen_monitor 2.1.0; Elixir, ``Application``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.config import ZenConfig, check_setting, setting_names
from pyzen.errors import ConfigError, RpcError
from pyzen.node.services.builtins import badarg
from pyzen.terms import Atom, atoms, elixir, struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PEER_RANGES", "SETTINGS", "ZenSettings"]

OK: Final = atoms.ok
GEN_MODULE: Final = "gen_module"
GEN_SERVER: Final = elixir.GenServer

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

PEER_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "connector_sweep_interval": (10, 10_000),
    "connector_chunk_size": (100, 10_000),
    "batcher_sweep_interval": (10, 10_000),
    "batcher_chunk_size": (100, 10_000),
    "demand_interval": (10, 10_000),
    "demand_amount": (100, 100_000),
    "max_binary_size": (64, 65_536),
    "truncation_depth": (1, 5),
    "connector_idle_timeout": (1000, 600_000),
    "max_reason_size": (1024, 65_536),
}
"""What a peer may set, from and to; for all but these it is what the program may."""

UNSET: Final = object()


@final
class ZenSettings:
    """The settings of one node, as peers name them.

    Args:
        config: What holds them.
    """

    def __init__(self, config: ZenConfig) -> None:
        self._config = config
        self._names = frozenset(setting_names())

    def functions(self) -> dict[tuple[str, str], Callable[..., Any]]:
        """Return the functions that read and set one setting each."""
        knobs = {place: self._knob(name) for place, name in SETTINGS.items()}
        return {**knobs, ("Elixir.ZenMonitor", GEN_MODULE): self._knob(GEN_MODULE)}

    def _knob(self, name: str) -> Callable[..., Any]:
        def knob(value: Any = UNSET) -> Any:
            return self.get(name) if value is UNSET else self.set(name, value)

        return knob

    def knows(self, key: Any) -> bool:
        """Say whether there is such a setting."""
        return isinstance(key, Atom) and (str(key) in self._names or str(key) == GEN_MODULE)

    def get(self, key: Atom | str) -> Any:
        """Return the value of a setting that there is."""
        if str(key) == GEN_MODULE:
            return GEN_SERVER
        value = getattr(self._config, str(key))
        return atoms[value] if isinstance(value, str) else value

    def set(self, key: Atom | str, value: Any) -> Atom:
        """Set a setting that there is, for a peer."""
        if str(key) == GEN_MODULE:
            if value is not GEN_SERVER:
                raise badarg()
            return OK
        name, value = str(key), str(value) if isinstance(value, Atom) else value
        try:
            check_setting(name, value)
        except ConfigError:
            raise badarg() from None
        lowest, highest = PEER_RANGES.get(name, (value, value))
        if not lowest <= value <= highest:
            raise refused(name, lowest, highest)
        setattr(self._config, name, value)
        return OK

    def reset(self, key: Atom) -> None:
        """Give a setting that there is its default."""
        if str(key) != GEN_MODULE:
            setattr(self._config, str(key), getattr(ZenConfig(), str(key)))

    def pairs(self) -> list[tuple[Atom, Any]]:
        """Return every setting that can be changed."""
        return [(atoms[name], self.get(name)) for name in setting_names()]


def refused(name: str, lowest: int, highest: int) -> RpcError:
    """Return the error for a value that a peer may not set."""
    text = f"{name}: a peer may set {lowest} to {highest}, only the program itself more or less"
    return RpcError("error", struct("ArgumentError", __exception__=True, message=text.encode()))
