"""Supervisor: starts children in order, restarts them by a strategy, gives up past an intensity.

Messages in: ``('EXIT', pid, reason)`` of its children, the calls ``which_children`` and ``count_children``.
Children that have to stop first are stopped one after the other, last one first; the next step waits for the exit.

Source: OTP, "supervisor".
"""

from __future__ import annotations

import inspect
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, final

from pyzen.actor.actor import EXIT, Actor
from pyzen.actor.answers import Stop
from pyzen.actor.gen_server import GenServer, log_stray, server_loop
from pyzen.actor.reasons import KILL, NORMAL, SHUTDOWN
from pyzen.actor.signals import Exit2
from pyzen.actor.system import module_of
from pyzen.actor.verbs import Verbs, actor_of
from pyzen.errors import ConfigError
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzen.actor.runtime import TimerHandle

__all__ = ["ChildSpec", "Restart", "Strategy", "Supervisor", "is_orderly"]

Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
Restart: TypeAlias = Literal["permanent", "transient", "temporary"]


@final
@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How one child is started and kept.

    ::

        ChildSpec("counter", Counter, args=(0,), restart="transient", name="counter")

    Attributes:
        id: Names the child within its supervisor.
        target: What is started, as for ``spawn``: ``async def body(process, *args)``, or a `Process` or `GenServer`
            class. A plain function that returns a process is called anew for each start.
        args: Given to the body, or to ``main`` or ``init`` of the class.
        restart: ``permanent`` always, ``transient`` after an abnormal exit, ``temporary`` never.
        shutdown: Seconds the child has to end when told to; then it is killed. 0 kills it at once, None waits for ever.
        name: Registered name of the process.
    """

    id: str
    target: Any
    args: Sequence[Any] = field(default=(), kw_only=True)
    restart: Restart = "permanent"
    shutdown: float | None = 5.0
    name: Atom | str | None = None

    def start(self, supervisor: Actor) -> Pid:
        """Start a process, linked with the supervisor."""
        target = self.target
        if inspect.isfunction(target) or inspect.ismethod(target):
            made = None if inspect.iscoroutinefunction(target) else target(*self.args)
            if isinstance(made, Verbs):
                return supervisor.runtime.spawn(made, name=self.name, link=supervisor.pid)
        return supervisor.runtime.spawn(target, *self.args, name=self.name, link=supervisor.pid)

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
    word = reason[0] if type(reason) is tuple and reason else reason
    return word is SHUTDOWN or reason is NORMAL


@final
class Children:
    """The children of one supervisor, apart from the object that users may subclass."""

    def __init__(self, supervisor: Actor) -> None:
        self._supervisor = supervisor
        self._specs: list[ChildSpec] = []
        self._strategy: Strategy = "one_for_one"
        self._max_restarts = 3
        self._max_seconds = 5.0
        self._pids: dict[str, Pid] = {}
        self._restarts: deque[float] = deque()
        self._to_stop: list[ChildSpec] = []
        self._to_start: list[ChildSpec] = []
        self._giving_up: Any = None
        self._waiting_for: Pid | None = None
        self._killer: TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Children {[child.id for child in self._specs]}>"

    def configure(
        self,
        specs: Sequence[ChildSpec] = (),
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
    ) -> None:
        """Say which children there are to be. Raises ``ConfigError``."""
        if len({child.id for child in specs}) != len(specs):
            raise ConfigError("two children of a supervisor have the same id")
        self._specs = list(specs)
        self._strategy = strategy
        self._max_restarts = max_restarts
        self._max_seconds = max_seconds

    def pid(self, child_id: str) -> Pid | None:
        """Return the pid of a child, None while it is down."""
        return self._pids.get(child_id)

    def start(self) -> None:
        """Start all of them."""
        self._start(self._specs)

    def _start(self, specs: Sequence[ChildSpec]) -> None:
        for child in specs:
            self._pids[child.id] = child.start(self._supervisor)

    # ---- what is shown

    def shown(self) -> list[Any]:
        """Return what ``which_children`` answers."""
        return [self._shown(child) for child in reversed(self._specs)]

    def counts(self) -> list[Any]:
        """Return what ``count_children`` answers."""
        kinds = [self._shown(child)[2] for child in self._specs]
        supervisors = kinds.count(atoms.supervisor)
        return [
            (atoms.specs, len(kinds)),
            (atoms.active, len(self._pids)),
            (atoms.supervisors, supervisors),
            (atoms.workers, len(kinds) - supervisors),
        ]

    def _shown(self, child: ChildSpec) -> tuple[Any, Any, Atom, list[Atom]]:
        """Return ``{Id, Child, Type, Modules}``."""
        pid = self._pids.get(child.id)
        process = None if pid is None else self._supervisor.runtime.process(pid)
        kind = atoms.supervisor if isinstance(process, Supervisor) else atoms.worker
        modules = [] if process is None else [module_of(process)]
        return atoms[child.id], atoms.restarting if pid is None else pid, kind, modules

    # ---- ends

    def exited(self, pid: Pid, reason: Any) -> None:
        """Take an exit signal, of a child or of a stranger."""
        child = self._ended(pid)
        if child is None:
            self._exit_of_stranger(reason)
        elif self._waiting_for is None:
            self._child_failed(child, reason)
        elif self._waiting_for == pid:
            self._stop_next()

    def _exit_of_stranger(self, reason: Any) -> None:
        """An exit signal of a process that is no child: its sender wants the supervisor to end."""
        if reason is not NORMAL:
            self._give_up(reason)

    def _ended(self, pid: Pid) -> ChildSpec | None:
        for child in self._specs:
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
        position = self._specs.index(child)
        group = {
            "one_for_one": [child],
            "rest_for_one": self._specs[position:],
            "one_for_all": self._specs,
        }[self._strategy]
        self._to_start = list(group)
        self._to_stop = [one for one in group if one.id in self._pids]
        self._stop_next()

    def _may_restart(self) -> bool:
        now = self._supervisor.runtime.now()
        self._restarts.append(now)
        while self._restarts and self._restarts[0] < now - self._max_seconds:
            self._restarts.popleft()
        return len(self._restarts) <= self._max_restarts

    def _give_up(self, reason: Any) -> None:
        self._giving_up = reason
        self._to_start = []
        self._to_stop = [child for child in self._specs if child.id in self._pids]
        self._stop_next()

    def _stop_next(self) -> None:
        """Tell the last child of the list to stop; without one left, go on with what was waiting for that."""
        self._waiting_for = None
        if self._killer is not None:
            self._killer.cancel()
            self._killer = None
        while self._to_stop:
            child = self._to_stop.pop()
            pid = self._pids.get(child.id)
            if pid is not None:
                self._stop_child(pid, child.shutdown)
                return
        if self._giving_up is not None:
            raise Stop(self._giving_up)
        specs, self._to_start = self._to_start, []
        self._start(specs)

    def _stop_child(self, pid: Pid, shutdown: float | None) -> None:
        self._waiting_for = pid
        self._send_exit(pid, SHUTDOWN if shutdown != 0 else KILL)
        if shutdown:
            self._killer = server_loop(self._supervisor).after(shutdown, self._send_exit, pid, KILL)

    def _send_exit(self, pid: Pid, reason: Any) -> None:
        self._supervisor.runtime.route(Exit2(pid, self._supervisor.pid, reason))

    def leave(self) -> None:
        """Tell all that are left to stop, last one first, without waiting."""
        for child in reversed(self._specs):
            pid = self._pids.pop(child.id, None)
            if pid is not None:
                self._send_exit(pid, SHUTDOWN)


class Supervisor(GenServer):
    """A process that keeps its children running.

    ::

        node.spawn(Supervisor, [ChildSpec("counter", Counter, args=(0,))], "one_for_one")

    Args:
        children: In the order of their start.
        strategy: Which children are restarted with a failed one: itself, it and later ones, or all.
        max_restarts: Restarts allowed within ``max_seconds``; one more ends the supervisor with ``shutdown``.
        max_seconds: Seconds.

    Raises:
        ConfigError: Two children have the same id.
    """

    _pyzen_children: Children

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the object, and what keeps its children."""
        instance = super().__new__(cls, *args, **kwargs)
        children = Children(actor_of(instance))
        actor_of(instance).trap_exit = True
        object.__setattr__(instance, "_pyzen_children", children)
        return instance

    def __init__(
        self,
        children: Sequence[ChildSpec] = (),
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
    ) -> None:
        self._pyzen_children.configure(children, strategy, max_restarts, max_seconds)

    def init(self, *args: Any) -> Any:
        """Start the children; the arguments are those of the constructor, which gets none from ``spawn``."""
        if args:
            self._pyzen_children.configure(*args)
        self._pyzen_children.start()

    def child(self, child_id: str) -> Pid | None:
        """Return the pid of a child, None while it is down."""
        return self._pyzen_children.pid(child_id)

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer ``which_children`` and ``count_children``."""
        if request is atoms.which_children:
            return self._pyzen_children.shown()
        if request is atoms.count_children:
            return self._pyzen_children.counts()
        return super().handle_call(request, from_)

    def handle_info(self, message: Any) -> Any:
        """Take the exit of a child."""
        match message:
            case (tag, Pid() as pid, reason) if tag is EXIT:
                self._pyzen_children.exited(pid, reason)
            case _:
                log_stray(actor_of(self), message)

    def terminate(self, reason: Any) -> Any:
        """Stop children that are left, last one first, without waiting."""
        self._pyzen_children.leave()
