"""Children: what a supervisor knows of its children, and what follows when one of them ends.

Children that have to stop first are stopped one after the other, last one first; the next step waits for the exit.
What ends meanwhile is looked at afterwards. A child that can't be started again counts as one more failure.

Source: OTP, "supervisor".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final, get_args

from pyzen.actor.actor import DOWN, EXIT
from pyzen.actor.answers import Stop
from pyzen.actor.child_spec import ChildSpec, check_setting, is_one_of, is_seconds
from pyzen.actor.reasons import KILL, NORMAL, SHUTDOWN, as_atom
from pyzen.actor.server_loop import ServerLoop, server_loop
from pyzen.actor.signals import Exit2
from pyzen.actor.system import module_of
from pyzen.brief import brief
from pyzen.contained import get_logger
from pyzen.errors import ConfigError
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.runtime import Loop, TimerHandle
    from pyzen.actor.server_loop import Work
    from pyzen.terms import Pid, Reference

__all__ = ["Children", "Strategy", "SupervisorLoop"]

log = get_logger("pyzen.actor")

Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
STRATEGIES: Final = get_args(Strategy)

RETRY: Final = atoms.restarting
"""Why a child that could not be started has to be: no orderly reason."""


@final
class Children:
    """The children of one supervisor."""

    def __init__(self, supervisor: Actor) -> None:
        self._supervisor = supervisor
        self._has_started = False
        self._specs: list[ChildSpec] = []
        self._strategy: Strategy = "one_for_one"
        self._max_restarts = 3
        self._max_seconds = 5.0
        self._pids: dict[str, Pid] = {}
        self._restarts: deque[float] = deque()
        self._to_stop: list[ChildSpec] = []
        self._to_start: list[ChildSpec] = []
        self._failed: deque[tuple[ChildSpec, Any]] = deque()
        self._giving_up: Any = None
        self._waiting_for: Pid | None = None
        self._watch: Reference | None = None
        self._stopped: Pid | None = None
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
        """Say which children there are to be.

        Raises:
            ConfigError: A value can't be used.
            RuntimeError: The supervisor runs already.
        """
        if self._has_started:
            raise RuntimeError("the supervisor runs already: its children are not replaced")
        check_specs(specs)
        check_setting("strategy", strategy, is_one_of(strategy, STRATEGIES), f"one of {', '.join(STRATEGIES)}")
        check_setting("max_restarts", max_restarts, _is_count(max_restarts), "a number, 0 or more")
        check_setting("max_seconds", max_seconds, is_seconds(max_seconds) and max_seconds > 0, "seconds, more than 0")
        self._specs = list(specs)
        self._strategy = strategy
        self._max_restarts = max_restarts
        self._max_seconds = max_seconds

    def pid(self, child_id: str) -> Pid | None:
        """Return the pid of a child, None while it is down."""
        return self._pids.get(child_id)

    def start(self) -> None:
        """Start all of them, once."""
        if not self._has_started:
            self._has_started = True
            for child in self._specs:
                self._start(child)

    def inherit(self, former: Children) -> None:
        """Have the same settings as another supervisor."""
        self._specs, self._strategy = former._specs, former._strategy
        self._max_restarts, self._max_seconds = former._max_restarts, former._max_seconds

    def _start(self, child: ChildSpec) -> None:
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
        actor = None if pid is None else self._supervisor.runtime.actor(pid)
        kind = atoms.worker if actor is None or type(actor.loop) is not SupervisorLoop else atoms.supervisor
        modules = [] if actor is None else [module_of(actor.instance)]
        return as_atom(child.id), atoms.restarting if pid is None else pid, kind, modules

    # ---- ends

    def exited(self, pid: Pid, reason: Any) -> None:
        """Take an exit signal, of a child or of a stranger."""
        child = self._ended(pid)
        if child is None:
            if pid != self._stopped:
                self._exit_of_stranger(reason)
        elif self._waiting_for is None:
            self._child_failed(child, reason)
        elif self._waiting_for == pid:
            self._stop_next()
        else:
            self._failed.append((child, reason))

    def stopped(self, pid: Pid, reason: Any) -> None:
        """Take the DOWN of the child that was told to stop; its exit signal says nothing new."""
        self._stopped = pid
        self.exited(pid, reason)

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
        if child.wants_restart(reason):
            self._restart(child)

    def _restart(self, child: ChildSpec) -> None:
        """Stop and start what the strategy says; a temporary child is not started with others."""
        if not self._may_restart():
            self._give_up(SHUTDOWN)
            return
        group = self._group(child)
        self._to_start = [one for one in group if one.restart != "temporary"]
        self._to_stop = [one for one in group if one.id in self._pids]
        self._stop_next()

    def _group(self, child: ChildSpec) -> list[ChildSpec]:
        """Return the children that are restarted with this one, in the order of their start."""
        match self._strategy:
            case "one_for_one":
                return [child]
            case "rest_for_one":
                return self._specs[self._specs.index(child) :]
            case "one_for_all":
                return self._specs

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
        self._stop_waiting()
        while self._to_stop:
            child = self._to_stop.pop()
            pid = self._pids.get(child.id)
            if pid is not None:
                self._stop_child(pid, child.shutdown)
                return
        if self._giving_up is not None:
            raise Stop(self._giving_up)
        self._start_next()

    def _start_next(self) -> None:
        """Start what was stopped, then look at what ended meanwhile."""
        specs, self._to_start = self._to_start, []
        for child in specs:
            if not self._could_start(child):
                server_loop(self._supervisor).put(partial(self._try_again, child))
                break  # with the children after it, which are started with it
        while self._failed and self._waiting_for is None:
            child, reason = self._failed.popleft()
            if child.id not in self._pids:
                self._child_failed(child, reason)

    def _could_start(self, child: ChildSpec) -> bool:
        try:
            self._start(child)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever the constructor of a user's class raises
            log.error("child %s can't be started again", brief(child.id), exc_info=error)
            return False
        return True

    def _try_again(self, child: ChildSpec) -> None:
        """Restart a child that could not be started; OTP's ``try_again_restart``."""
        if self._waiting_for is not None:
            self._failed.append((child, RETRY))
        elif child.id not in self._pids:
            self._restart(child)

    def is_waiting_for(self, ref: Reference) -> bool:
        """Say whether a monitor is that of the child that is being stopped."""
        return ref == self._watch

    def _stop_waiting(self) -> None:
        if self._killer is not None:
            self._killer.cancel()
            self._killer = None
        if self._watch is not None:
            self._supervisor.demonitor(self._watch, flush=True)
            self._watch = None

    def _stop_child(self, pid: Pid, shutdown: float | None) -> None:
        self._waiting_for = pid
        self._watch = self._supervisor.monitor(pid)  # the child may have unlinked itself
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


@final
class SupervisorLoop(ServerLoop):
    """The `Loop` of a supervisor.

    Attributes:
        children: What it keeps running, apart from the object that users may subclass.
    """

    __slots__ = ("children",)

    hears_first = True

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor)
        actor.trap_exit = True
        self.children = Children(actor)

    def inherit(self, former: Loop) -> None:
        """Have the same children to keep."""
        if isinstance(former, SupervisorLoop):
            self.children.inherit(former.children)

    def stop(self, reason: Any) -> None:
        """Children don't outlive their supervisor, whatever it ends with."""
        super().stop(reason)
        self.children.leave()

    def _has_begun(self) -> None:
        """Start the children, where a subclass has an ``init`` of its own."""
        self.children.start()
        super()._has_begun()

    def _notice(self, message: tuple[Any, ...]) -> Work:
        """Take the exit of a child; a tuple of that shape which a process sends means nothing."""
        if message[0] is EXIT:
            return self.children.exited, message[1:], None
        if message[0] is DOWN and self.children.is_waiting_for(message[1]):
            return self.children.stopped, message[3:], None
        return super()._notice(message)


def check_specs(specs: Sequence[ChildSpec]) -> None:
    """Refuse what are no child specifications, or have one id twice. Raises ``ConfigError``."""
    if not isinstance(specs, Sequence):
        raise ConfigError(f"the children of a supervisor are a list of ChildSpec, not {brief(specs, 60)}")
    for spec in specs:
        if type(spec) is not ChildSpec:
            raise ConfigError(f"a child of a supervisor is a ChildSpec, not {brief(spec, 60)}")
    if len({str(child.id) for child in specs}) != len(specs):
        raise ConfigError("two children of a supervisor have the same id")


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
