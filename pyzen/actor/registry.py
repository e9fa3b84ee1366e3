"""DynamicRegistry: one process per key, started on its first look-up.

In: exit signals of its processes.

Source: Discord, GenRegistry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast, final

from pyzen.actor.actor import EXIT
from pyzen.actor.gen_server import GenServer
from pyzen.actor.server_loop import ServerLoop
from pyzen.actor.verbs import actor_of, next_life
from pyzen.contained import contained
from pyzen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.actor import Actor
    from pyzen.actor.loop import Loop
    from pyzen.actor.server_loop import Work
    from pyzen.terms import Pid

__all__ = ["DynamicRegistry", "rows_of"]


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
        pid = self._registry.alive().spawn(target, link=self._registry.pid)
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
        if pid in self._by_pid:
            key = self._by_pid.pop(pid)
            with contained:  # a key is the user's, and so is its hash
                if self._by_key.get(key) == pid:
                    del self._by_key[key]

    def keys(self) -> list[Any]:
        """Return the keys that have a process."""
        return list(self._by_key)

    def forget_registry(self) -> None:
        """Lead to the registry no more, which has ended, as its processes do."""
        del self._registry
        self._by_key.clear()
        self._by_pid.clear()

    def processes(self) -> list[Any]:
        """Return the processes that live."""
        found = (self._registry.runtime.process(pid) for pid in self._by_key.values())
        return [process for process in found if process is not None]


@final
class RegistryLoop(ServerLoop):
    """The `Loop` of a registry.

    Attributes:
        rows: Its processes, apart from the object that users may subclass.
    """

    __slots__ = ("rows",)

    supervises: ClassVar[bool] = True

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor)
        actor.trap_exit = True  # a process that ends takes only its own row
        self.rows = Rows(actor)

    def inherit(self, former: Loop) -> None:
        """Have the same factory."""
        if isinstance(former, RegistryLoop):
            self.rows.factory = former.rows.factory

    def remains(self) -> Loop:
        """Keep the factory: a next life inherits that."""
        left = cast("RegistryLoop", super().remains())
        left.rows = self.rows
        left.rows.forget_registry()
        return left

    def _notice(self, message: tuple[Any, ...]) -> Work:
        """Take the exit of a process: its row goes, unless the key has a successor already."""
        return (self._exited, (message,), None) if message[0] is EXIT else super()._notice(message)

    def _exited(self, message: tuple[Any, ...]) -> None:
        if self.actor.guarded:
            self.actor.instance.handle_notice(message)  # which may ask for the key once more
        self.rows.exited(message[1])


class DynamicRegistry(GenServer):
    """Keeps one process per key, started on its first look-up; look-up and start are one step.

    The processes are linked with the registry and not restarted: the next look-up starts a fresh one.

    Args:
        factory: Returns what is started for a key, as for ``spawn``.
    """

    _pyzen_loop: ClassVar[type[Loop]] = RegistryLoop

    def __init__(self, factory: Callable[[Any], Any] | None = None) -> None:
        next_life(self)
        rows_of(self).factory = factory

    def init(self, *args: Any) -> Any:
        """Begin; the factory may be given here."""
        if args:
            rows_of(self).factory = args[0]

    def lookup(self, key: Any) -> Pid | None:
        """Return the live process of ``key``."""
        return rows_of(self).lookup(key)

    def lookup_or_start(self, key: Any) -> Pid:
        """Return the live process of ``key``, started when there is none. Raises ``ProcessExit`` once it has ended."""
        actor_of(self).alive()
        return rows_of(self).lookup_or_start(key)

    def keys(self) -> list[Any]:
        """Return the keys that have a process."""
        return rows_of(self).keys()


def rows_of(registry: DynamicRegistry) -> Rows:
    """Return the processes of a registry."""
    loop = actor_of(registry).loop
    assert isinstance(loop, RegistryLoop), "the loop of every registry"
    return loop.rows
