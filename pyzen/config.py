"""Settings of a node: limits, epmd, ZenMonitor.

Knows nothing of the rest of the package. Every setting is checked when it is given, so that a bad one
raises at the call and changes nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Self

from pyzen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["EpmdConfig", "Limits", "ZenConfig"]

MIB: Final = 1024 * 1024
INTEGER_MAXIMUM: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on everything that a peer can grow, and one switch.

    Attributes:
        max_depth: Nesting of a term, in levels; at most 10 000. What is deeper is neither sent nor received. The
            default is what Python bears in a thread with 512 KiB of stack, whatever is done with a term. Its ``==``,
            ``repr``, ``json`` and ``pickle`` recurse in C, and no check of Python 3.13 ends that in time; that of
            ``hash`` none in any version. A term of 10 000 levels takes up to 3 MiB of stack, or the program dies.
        max_equal_hashes: Keys of one map to which Python gives the same hash, and keys that meet on the way to a place
            in a dict on average; numbers can be chosen so, and each look for one of them takes as long as there are
            others. A map whose long keys have one hash is a ``TermMap``, which does not compare them.
        max_term_size: Bytes of one encoded term.
        max_decoded_size: Bytes that the objects of one term take in Python, without those of its binaries: a list of
            empty lists takes 64 times its encoding.
        max_inflated_size: Bytes that a compressed term may grow to.
        max_atoms: Atoms alive in this interpreter that peers have made, past which those that have more than 4096 lose
            their link at the next one. For ``etf.decode``: atoms alive that no peer has made.
        max_peer_atoms: Atoms alive that one peer has made, whatever its links; one more ends the link. Half of
            ``max_atoms`` counts at most, less the fraction of it that other peers have, but 4096 do in any case. An
            atom that is alive already costs nothing.
        max_packet_size: Bytes that one packet may declare; a longer one closes the link at once.
        max_queued_bytes: Bytes per link that may wait for Python, unfinished fragments included.
        max_unsent_bytes: Bytes per link that may wait for the peer; past it ``send`` raises ``LinkOverloaded``.
        max_processes: Processes of this node, past which peers can start no more (``system_limit``); nor can one that
            has started as many as are left, so that a single peer comes to half of them.
        max_relations: Links and monitors at one time of one peer's processes with those of this node; one more ends
            the link.
        max_blocking_calls: Calls at one time of functions exported with ``blocking=True``, each of which has a thread;
            past it a call is answered ``system_limit``, and likewise one of a peer that has as many as are left.
        max_handshakes: Inbound connections at one time that have not proved to know the cookie, half of the process's
            descriptors at most. Past it the oldest of the address that has most of them makes way, unless it is
            younger than 2 s; then the newcomer is turned away.
        max_fragment_sequences: Messages in fragments that may be unfinished at one time, per link.
        setup_time: Seconds a handshake may take, as ``net_setuptime`` of OTP's kernel.
        atom_cache: Send atoms once per link and then by number, to peers that can; False sends them in clear.
    """

    max_depth: int = 2000
    max_equal_hashes: int = 100
    max_term_size: int = 512 * MIB
    max_decoded_size: int = 512 * MIB
    max_inflated_size: int = 64 * MIB
    max_atoms: int = 1_048_576
    max_peer_atoms: int = 262_144
    max_packet_size: int = 512 * MIB
    max_queued_bytes: int = 64 * MIB
    max_unsent_bytes: int = 256 * MIB
    max_processes: int = 262_144
    max_relations: int = 2_000_000
    max_blocking_calls: int = 512
    max_handshakes: int = 1024
    max_fragment_sequences: int = 4096
    setup_time: float = 7.0
    atom_cache: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.max_depth <= 10_000:
            raise ConfigError(f"max_depth must be from 1 to 10000, not {self.max_depth!r}")
        if not isinstance(self.atom_cache, bool):
            raise ConfigError(f"atom_cache must be True or False, not {self.atom_cache!r}")
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "atom_cache":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigError(f"{one.name} must be a positive number, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpmdConfig:
    """Where epmd is.

    Attributes:
        host: Host of the own epmd; peers are looked up at their own host.
        port: Port of every epmd; None reads ``ERL_EPMD_PORT`` and falls back to 4369.
        start: Start an epmd when none answers: ``epmd -daemon`` if on the path, else ``pyzen epmd --daemon``.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    start: bool = True

    def resolved_port(self) -> int:
        """Return the port in force.

        Raises:
            ConfigError: If ``ERL_EPMD_PORT`` is no port number.
        """
        text = str(self.port) if self.port is not None else os.environ.get("ERL_EPMD_PORT", "4369")
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise ConfigError(f"epmd port must be from 1 to 65535, not {text!r} (see ERL_EPMD_PORT)")
        return int(text)


@dataclass(slots=True, kw_only=True)
class ZenConfig:
    """Settings of ZenMonitor; names, units (ms) and defaults are the original's, the last five are ours.

    Assignments are checked: a value out of range raises ``ConfigError`` and changes nothing. Sizes count from
    the next sweep; an interval at once when shorter, else from the next tick. ``hibernation_threshold`` and
    ``batcher_lookup_timeout`` are kept without effect.

    Attributes:
        connector_sweep_interval: Between two sweeps of a Connector, in ms.
        connector_chunk_size: Instructions in one sweep at most.
        batcher_sweep_interval: Between two sweeps of a Batcher, in ms.
        batcher_chunk_size: Certificates in one dead summary at most.
        batcher_lookup_timeout: Without effect.
        demand_interval: Between two ticks of the Dispatcher, in ms.
        demand_amount: DOWNs delivered in one tick at most.
        hibernation_threshold: Without effect.
        max_binary_size: Bytes of a binary in a reason before it is cut.
        truncation_depth: Levels of a reason that are kept.
        auto_connect: Dial the node of a target that is not connected.
        incompatible: What a connected node without ZenMonitor means: ``"nodedown"``, or ``"erts"`` for an
            ordinary monitor.
        fair: Deliver round robin over subscribers instead of in the order of arrival.
        connector_idle_timeout: Until a Connector without link and references is retired, in ms.
        max_reason_size: Bytes of an encoded reason at most.
    """

    connector_sweep_interval: int = 100
    connector_chunk_size: int = 5000
    batcher_sweep_interval: int = 100
    batcher_chunk_size: int = 5000
    batcher_lookup_timeout: int = 30_000
    demand_interval: int = 100
    demand_amount: int = 1000
    hibernation_threshold: int = 1000
    max_binary_size: int = 1024
    truncation_depth: int = 3
    auto_connect: bool = True
    incompatible: Literal["nodedown", "erts"] = "nodedown"
    fair: bool = True
    connector_idle_timeout: int = 60_000
    max_reason_size: int = 65_536
    _watchers: list[Callable[[str], None]] = field(default_factory=list, init=False, repr=False, compare=False)

    BOOLEANS: ClassVar = frozenset({"auto_connect", "fair"})
    MINIMUM: ClassVar[Mapping[str, int]] = {"max_binary_size": 4}

    def __setattr__(self, name: str, value: object) -> None:
        check_setting(name, value)
        object.__setattr__(self, name, value)
        if name != "_watchers":
            for watcher in getattr(self, "_watchers", ()):
                watcher(name)

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call ``watcher(name)`` after each change of a setting."""
        self._watchers.append(watcher)

    def copy(self) -> Self:
        """Return a copy without watchers."""
        return type(self)(**{name: getattr(self, name) for name in setting_names()})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Return the defaults, overridden by ``PYZEN_<NAME>`` where set.

        Raises:
            ConfigError: If a variable can't be used; the message names it.
        """
        environment = os.environ if environment is None else environment
        config = cls()
        for name in setting_names():
            variable = f"PYZEN_{name.upper()}"
            if variable in environment:
                config.set_text(name, environment[variable], source=variable)
        return config

    def set_text(self, name: str, text: str, *, source: str) -> None:
        """Set ``name`` from the text of ``source`` (an environment variable, an option).

        Raises:
            ConfigError: If the text can't be used; the message names the source.
        """
        try:
            setattr(self, name, parse_setting(name, text))
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from error


def setting_names() -> list[str]:
    """Return the names of all settings of ``ZenConfig``, in their documented order."""
    return [one.name for one in fields(ZenConfig) if one.init]


def parse_setting(name: str, text: str) -> int | bool | str:
    """Parse the text of one setting; range is checked when it is assigned.

    Raises:
        ConfigError: If there is no such setting, or the text has not its form.
    """
    if name not in setting_names():
        raise unknown_setting(name)
    if name == "incompatible":
        return text
    if name in ZenConfig.BOOLEANS:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.lower() not in words:
            raise ConfigError(f"{name} must be true or false, not {text!r}")
        return words[text.lower()]
    try:
        return int(text)
    except ValueError:
        raise integer_expected(name, text) from None


def unknown_setting(name: str) -> ConfigError:
    """Return the error for a setting that there is not."""
    return ConfigError(f"there is no setting {name!r}; the settings are {', '.join(setting_names())}")


def check_setting(name: str, value: object) -> None:
    """Raise ``ConfigError``, which tells the range, unless ``value`` can be assigned to ``name``."""
    if name == "_watchers":
        return
    if name not in ZenConfig.__dataclass_fields__:
        raise unknown_setting(name)
    if name == "incompatible":
        if not isinstance(value, str) or value not in {"nodedown", "erts"}:
            raise ConfigError(f"incompatible must be 'nodedown' or 'erts', not {value!r}")
    elif name in ZenConfig.BOOLEANS:
        if not isinstance(value, bool):
            raise ConfigError(f"{name} must be True or False, not {value!r}")
    else:
        minimum = ZenConfig.MINIMUM.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= INTEGER_MAXIMUM:
            raise integer_expected(name, value)


def integer_expected(name: str, value: object) -> ConfigError:
    """Return the error for a value that is none of a setting's integers."""
    minimum = ZenConfig.MINIMUM.get(name, 1)
    return ConfigError(f"{name} must be an integer from {minimum} to {INTEGER_MAXIMUM}, not {value!r}")
