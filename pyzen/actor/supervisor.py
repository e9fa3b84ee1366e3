"""Supervisor: starts children in order, restarts them by a strategy, gives up past an intensity.

Messages in: ``('EXIT', pid, reason)`` of its children, the calls ``which_children`` and ``count_children``.
Children that have to stop first are stopped one after the other, last one first; the next step waits for the exit.

Source: OTP, "supervisor".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

from pyzen.actor.gen_server import GenServer, Stop
from pyzen.actor.process import EXIT
from pyzen.actor.reasons import KILL, NORMAL, SHUTDOWN
from pyzen.actor.system import module_of
from pyzen.errors import ConfigError
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyzen.actor.process import Actor, TimerHandle

Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
Restart: TypeAlias = Literal["permanent", "transient", "temporary"]


@final
@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How one child is started and kept.

    Attributes:
        id: Names the child within its supervisor.
        factory: Makes a fresh process for each start.
        restart: ``permanent`` always, ``transient`` after an abnormal exit, ``temporary`` never.
        shutdown: Seconds the child has to end when told to; then it is killed.
        name: Registered name of the process.
    """

    id: str
    factory: Callable[[], Actor]
    restart: Restart = "permanent"
    shutdown: float = 5.0
    name: Atom | str | None = None

    def wants_restart(self, reason: Any) -> bool:
        """Say whether an exit with ``reason`` calls for a restart."""
        match self.restart:
            case "permanent":
                return True
            case "temporary":
                return False
            case "transient":
                return not is_orderly(reason)


def is_orderly(reason: Any) -> bool:
    """Say whether an exit reason is ``normal``, ``shutdown`` or ``{shutdown, _}``."""
    return reason is NORMAL or reason is SHUTDOWN or (type(reason) is tuple and reason[:1] == (SHUTDOWN,))


class Supervisor(GenServer):
    """A process that keeps its children running.

    Args:
        children: In the order of their start.
        strategy: Which children are restarted with a failed one: itself, it and later ones, or all.
        max_restarts: Restarts allowed within ``max_seconds``; one more ends the supervisor with ``shutdown``.
    """

    def __init__(
        self,
        children: Sequence[ChildSpec],
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
    ) -> None:
        super().__init__()
        if len({child.id for child in children}) != len(children):
            raise ConfigError("two children of a supervisor have the same id")
        self._children = list(children)
        self._strategy = strategy
        self._max_restarts = max_restarts
        self._max_seconds = max_seconds
        self._pids: dict[str, Pid] = {}
        self._restarts: deque[float] = deque()
        self._to_stop: list[ChildSpec] = []
        self._to_start: list[ChildSpec] = []
        self._giving_up: Any = None
        self._killer: TimerHandle | None = None
        self.trap_exit = True

    def init(self, *_args: Any) -> None:
        """Start the children."""
        self._start(self._children)

    def child(self, child_id: str) -> Pid | None:
        """Return the pid of a child, None while it is down."""
        return self._pids.get(child_id)

    def _start(self, children: Sequence[ChildSpec]) -> None:
        for child in children:
            self._pids[child.id] = self.spawn_link(child.factory(), name=child.name)

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer ``which_children`` and ``count_children``."""
        if request is atoms.which_children:
            return [self._shown(child) for child in reversed(self._children)]
        if request is atoms.count_children:
            kinds = [self._shown(child)[2] for child in self._children]
            supervisors = kinds.count(atoms.supervisor)
            return [
                (atoms.specs, len(kinds)),
                (atoms.active, len(self._pids)),
                (atoms.supervisors, supervisors),
                (atoms.workers, len(kinds) - supervisors),
            ]
        return super().handle_call(request, from_)

    def _shown(self, child: ChildSpec) -> tuple[Any, Any, Atom, list[Atom]]:
        """Return ``{Id, Child, Type, Modules}``."""
        pid = self._pids.get(child.id)
        process = None if pid is None else self._runtime.process(pid)
        kind = atoms.supervisor if isinstance(process, Supervisor) else atoms.worker
        modules = [] if process is None else [module_of(process)]
        return atoms[child.id], atoms.restarting if pid is None else pid, kind, modules

    def handle_info(self, message: Any) -> None:
        """Take the exit of a child."""
        match message:
            case (tag, pid, reason) if tag is EXIT:
                child = self._ended(pid)
                if child is None:
                    self._exit_of_stranger(reason)
                elif self._to_stop or self._killer is not None:
                    self._stop_next()
                else:
                    self._child_failed(child, reason)
            case _:
                self.stray(message)

    def _exit_of_stranger(self, reason: Any) -> None:
        """An exit signal of a process that is no child: whoever sends it wants the supervisor to end."""
        if reason is not NORMAL:
            self._give_up(reason)

    def _ended(self, pid: Pid) -> ChildSpec | None:
        for child in self._children:
            if self._pids.get(child.id) == pid:
                del self._pids[child.id]
                return child
        return None

    def _child_failed(self, child: ChildSpec, reason: Any) -> None:
        if not child.wants_restart(reason):
            return
        if not self._may_restart():
            self._give_up(SHUTDOWN)
            return
        position = self._children.index(child)
        group = {
            "one_for_one": [child],
            "rest_for_one": self._children[position:],
            "one_for_all": self._children,
        }[self._strategy]
        self._to_start = list(group)
        self._to_stop = [one for one in group if one.id in self._pids]
        self._stop_next()

    def _may_restart(self) -> bool:
        now = self._runtime.now()
        self._restarts.append(now)
        while self._restarts and self._restarts[0] < now - self._max_seconds:
            self._restarts.popleft()
        return len(self._restarts) <= self._max_restarts

    def _give_up(self, reason: Any) -> None:
        self._giving_up = reason
        self._to_start = []
        self._to_stop = [child for child in self._children if child.id in self._pids]
        self._stop_next()

    def _stop_next(self) -> None:
        """Tell the last child of the list to stop; without one left, go on with what was waiting for that."""
        if self._killer is not None:
            self._killer.cancel()
            self._killer = None
        while self._to_stop:
            child = self._to_stop.pop()
            pid = self._pids.get(child.id)
            if pid is not None:
                self.send_exit(pid, SHUTDOWN)
                self._killer = self.after(child.shutdown, self.send_exit, pid, KILL)
                return
        if self._giving_up is not None:
            raise Stop(self._giving_up)
        children, self._to_start = self._to_start, []
        self._start(children)

    def terminate(self, reason: Any) -> None:
        """Stop children that are left, last one first, without waiting."""
        for child in reversed(self._children):
            pid = self._pids.pop(child.id, None)
            if pid is not None:
                self.send_exit(pid, SHUTDOWN)


class DynamicRegistry(GenServer):
    """Keeps one process per key, started on its first look-up; look-up and start are one step.

    The processes are linked with the registry and not restarted: the next look-up starts a fresh one.
    """

    def __init__(self, factory: Callable[[Any], Actor]) -> None:
        super().__init__()
        self._factory = factory
        self._by_key: dict[Any, Pid] = {}
        self._by_pid: dict[Pid, Any] = {}
        self.trap_exit = True  # a process that ends takes only its own row

    def lookup(self, key: Any) -> Pid | None:
        """Return the live process of ``key``."""
        pid = self._by_key.get(key)
        return pid if pid is not None and self._runtime.process(pid) is not None else None

    def lookup_or_start(self, key: Any) -> Pid:
        """Return the live process of ``key``, started when there is none."""
        pid = self.lookup(key)
        if pid is None:
            pid = self.spawn_link(self._factory(key))
            self._by_key[key] = pid
            self._by_pid[pid] = key
        return pid

    def keys(self) -> list[Any]:
        """Return the keys that have a process."""
        return list(self._by_key)

    def handle_info(self, message: Any) -> None:
        """Take the exit of a process: its row goes, unless the key has a successor already."""
        match message:
            case (tag, pid, _reason) if tag is EXIT:
                key = self._by_pid.pop(pid, None)
                if key is not None and self._by_key.get(key) == pid:
                    del self._by_key[key]
            case _:
                self.stray(message)
