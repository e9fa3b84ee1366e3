"""DynamicRegistry: one process per key, started on its first look-up.

Messages in: ``('EXIT', pid, reason)`` of its processes.

Source: Discord, GenRegistry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

from pyzen.actor.actor import EXIT, Actor
from pyzen.actor.gen_server import GenServer, log_stray
from pyzen.actor.verbs import actor_of
from pyzen.errors import ConfigError
from pyzen.terms import Pid

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DynamicRegistry"]


@final
class Rows:
    """The processes of a registry, by key and by pid.

    Attributes:
        factory: Returns what is started for a key.
    """

    def __init__(self, registry: Actor) -> None:
        self._registry = registry
        self.factory: Callable[[Any], Any] | None = None
        self._by_key: dict[Any, Pid] = {}
        self._by_pid: dict[Pid, Any] = {}

    def lookup(self, key: Any) -> Pid | None:
        """Return the live process of ``key``."""
        pid = self._by_key.get(key)
        return pid if pid is not None and self._registry.runtime.actor(pid) is not None else None

    def lookup_or_start(self, key: Any) -> Pid:
        """Return the live process of ``key``, started when there is none. Raises ``ConfigError`` without a factory."""
        pid = self.lookup(key)
        if pid is not None:
            return pid
        if self.factory is None:
            raise ConfigError("the registry was given no factory: it can start nothing")
        return self.start(key, self.factory(key))

    def start(self, key: Any, target: Any) -> Pid:
        """Start the process of ``key``, whether it has one or not."""
        pid = self._registry.runtime.spawn(target, link=self._registry.pid)
        self._by_key[key] = pid
        self._by_pid[pid] = key
        return pid

    def discard(self, key: Any) -> Pid | None:
        """Let ``key`` have no process; returns the one it had."""
        return self._by_key.pop(key, None)

    def key_of(self, pid: Pid) -> Any:
        """Return the key that a process was started for, None where there is none."""
        return self._by_pid.get(pid)

    def exited(self, pid: Pid) -> None:
        """Remove an ended process, unless its key has a successor already."""
        key = self._by_pid.pop(pid, None)
        if key is not None and self._by_key.get(key) == pid:
            del self._by_key[key]

    def keys(self) -> list[Any]:
        """Return the keys that have a process."""
        return list(self._by_key)

    def processes(self) -> list[Any]:
        """Return the processes that live."""
        found = (self._registry.runtime.process(pid) for pid in self._by_key.values())
        return [process for process in found if process is not None]


class DynamicRegistry(GenServer):
    """Keeps one process per key, started on its first look-up; look-up and start are one step.

    The processes are linked with the registry and not restarted: the next look-up starts a fresh one.

    Args:
        factory: Returns what is started for a key, as for ``spawn``.
    """

    _pyzen_rows: Rows

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the object and its rows."""
        instance = super().__new__(cls, *args, **kwargs)
        actor = actor_of(instance)
        actor.trap_exit = True  # a process that ends takes only its own row
        object.__setattr__(instance, "_pyzen_rows", Rows(actor))
        return instance

    def __init__(self, factory: Callable[[Any], Any] | None = None) -> None:
        self._pyzen_rows.factory = factory

    def init(self, *args: Any) -> Any:
        """Begin; the factory may be given here."""
        if args:
            self._pyzen_rows.factory = args[0]

    def lookup(self, key: Any) -> Pid | None:
        """Return the live process of ``key``."""
        return self._pyzen_rows.lookup(key)

    def lookup_or_start(self, key: Any) -> Pid:
        """Return the live process of ``key``, started when there is none."""
        return self._pyzen_rows.lookup_or_start(key)

    def keys(self) -> list[Any]:
        """Return the keys that have a process."""
        return self._pyzen_rows.keys()

    def handle_info(self, message: Any) -> Any:
        """Take the exit of a process: its row goes, unless the key has a successor already."""
        match message:
            case (tag, Pid() as pid, _reason) if tag is EXIT:
                self._pyzen_rows.exited(pid)
            case _:
                log_stray(actor_of(self), message)
