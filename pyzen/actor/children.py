"""Children: what a supervisor keeps running, and what follows when one of them ends.

Children that have to stop first are stopped one after the other, last one first; the next step waits for that, and
so does whatever comes meanwhile: another end, a call. A child that can't be started again counts as one more failure.

Source: OTP, "supervisor".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final, get_args

from pyzen.actor.answers import Stop
from pyzen.actor.child import Child
from pyzen.actor.child_spec import ChildSpec, check_setting, is_one_of, is_seconds
from pyzen.actor.intensity import BackOff, Intensity
from pyzen.actor.mailbox import told
from pyzen.actor.reasons import SHUTDOWN
from pyzen.actor.reports import told_give_up, told_no_start, told_restart
from pyzen.actor.server_loop import server_loop
from pyzen.actor.stopping import Stopping, send_exit
from pyzen.brief import brief
from pyzen.contained import contained
from pyzen.errors import ConfigError
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyzen.actor.actor import Actor
    from pyzen.terms import Pid, Reference

__all__ = ["TRY_AGAIN", "Children", "Settings", "Strategy"]

Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
STRATEGIES: Final = get_args(Strategy)


TRY_AGAIN: Final = atoms.try_again_restart
"""What a supervisor tells itself of a child that could not be started."""


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """How a supervisor keeps its children.

    Attributes:
        specs: In the order of their start.
        strategy: Which children are restarted with a failed one.
        max_restarts: Restarts allowed within ``max_seconds``.
        max_seconds: Seconds.

    Raises:
        ConfigError: A value can't be used.
    """

    specs: Sequence[ChildSpec] = ()
    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    max_seconds: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what can't be used, before the supervisor needs it."""
        check_specs(self.specs)
        fits = is_one_of(self.strategy, STRATEGIES)
        check_setting("strategy", self.strategy, fits, f"one of {', '.join(STRATEGIES)}")
        check_setting("max_restarts", self.max_restarts, _is_count(self.max_restarts), "a number, 0 or more")
        fits = is_seconds(self.max_seconds) and self.max_seconds > 0
        check_setting("max_seconds", self.max_seconds, fits, "seconds, more than 0")


@final
class Children:
    """The children of one supervisor.

    Attributes:
        has_started: They were started, all that could be.
        is_ending: The supervisor stops them all before it ends itself.
        is_fixed: No call stops, starts, adds or deletes a child.
        never_gives_up: Past the allowed restarts a child is restarted after a wait.
        on_change: Told when a call has stopped, started or deleted a child, and when the supervisor has ended.
        on_failure: Told of each child that has ended and is to be restarted, before anything else is done about it.
    """

    def __init__(self, supervisor: Actor) -> None:
        self._supervisor = supervisor
        self._settings = Settings()
        self._intensity = Intensity(3, 5.0)
        self.has_started = self.is_ending = False
        self._rows: dict[str, Child] = {}
        self._by_pid: dict[Pid, Child] = {}
        self._stopping: Stopping | None = None
        self._later: deque[Callable[[], object]] = deque()
        self._is_catching_up = False
        self._back_off = BackOff()
        self.is_fixed = False
        self.never_gives_up = False
        self.on_change: Callable[[], None] = _nothing
        self.on_failure: Callable[[Child, Any], None] | None = None

    def __repr__(self) -> str:
        return f"<Children {list(self._rows)}>"

    def configure(self, settings: Settings) -> None:
        """Say which children there are to be. Raises ``RuntimeError`` when the supervisor runs already."""
        if self.has_started:
            raise RuntimeError("the supervisor runs already: its children are not replaced")
        self._settings = settings

    def inherit(self, former: Children) -> None:
        """Have the same settings as another supervisor."""
        self._settings = former._settings
        self.is_fixed, self.never_gives_up = former.is_fixed, former.never_gives_up
        self.on_change, self.on_failure = former.on_change, former.on_failure

    def start(self) -> None:
        """Start all of them, once."""
        if self.has_started:
            return
        self.has_started = True
        self._intensity = Intensity(self._settings.max_restarts, self._settings.max_seconds)
        for spec in self._settings.specs:
            self.add(spec)

    # ---- the rows

    def __iter__(self) -> Iterator[Child]:
        """Yield all of them, running or not, in the order of their start."""
        return iter(self._rows.values())

    def find(self, child_id: object) -> Child | None:
        """Return a child by its id, running or not."""
        return self._rows.get(str(child_id)) if isinstance(child_id, Atom | str) else None

    def pid(self, child_id: str) -> Pid | None:
        """Return the pid of a child, None while it is down."""
        child = self.find(child_id)
        return None if child is None else child.pid

    def add(self, spec: ChildSpec) -> Child:
        """Start one more child, the last one. Raises what the start raises; then there is none."""
        child = Child(spec)
        self._start(child)
        self._rows[str(spec.id)] = child
        return child

    def remove(self, child: Child) -> None:
        """Forget a child that does not run."""
        self._rows.pop(str(child.spec.id), None)
        self.on_change()

    def _start(self, child: Child) -> None:
        self._by_pid[child.start(self._supervisor)] = child

    def _end(self, child: Child) -> None:
        """Note the end of a child; nothing is left of a temporary one."""
        if child.pid is not None:
            self._by_pid.pop(child.pid, None)
        child.ended()
        if child.spec.restart == "temporary":
            self.remove(child)

    # ---- what happens

    def exited(self, pid: Pid, reason: Any) -> bool:
        """Take the exit of a process; false when it is none of the children."""
        child = self._by_pid.get(pid)
        if child is None:
            return False
        self._end(child)
        stopping = self._stopping
        if stopping is not None and stopping.waits_for(pid):
            stopping.go_on()
        else:
            child.is_restarting = child.spec.wants_restart(reason)
            self.when_free(partial(self._failed, child, reason))
        return True

    def is_stopping_by(self, ref: Reference) -> bool:
        """Say whether a monitor is the one of the child that is being stopped."""
        return self._stopping is not None and self._stopping.watches(ref)

    def when_free(self, step: Callable[[], object]) -> None:
        """Do something now, or when nothing is being stopped any more, in the order asked."""
        self._later.append(step)
        self._catch_up()

    def _catch_up(self) -> None:
        if self._is_catching_up:
            return
        self._is_catching_up = True
        try:
            while self._later and self._stopping is None:
                self._later.popleft()()
        finally:
            self._is_catching_up = False

    def stop(self, children: Iterable[Child], then: Callable[[], object]) -> None:
        """Stop children, the last one first, then do something; called only while nothing is being stopped."""
        self._stopping = Stopping(self._supervisor, children, partial(self._stopped, then))
        self._stopping.go_on()

    def _stopped(self, then: Callable[[], object]) -> None:
        self._stopping = None
        then()
        self._catch_up()

    def terminate(self, child: Child, then: Callable[[], object]) -> None:
        """Stop a child for good, then do something."""
        child.is_restarting = False

        def ended() -> None:
            if child.spec.restart == "temporary":
                self.remove(child)
            self.on_change()
            then()

        self.stop([child], ended)

    def restart(self, child: Child) -> Pid | None:
        """Start a child that has been stopped. Raises what the start raises."""
        self._start(child)
        self.on_change()
        return child.pid

    # ---- failures

    def _failed(self, child: Child, reason: Any) -> None:
        """A child has ended by itself: restart it as its specification says, unless that was done with another."""
        if not child.is_restarting or not self._knows(child) or self._supervisor.runtime.is_stopping:
            return
        with contained:
            if self.on_failure is not None:
                self.on_failure(child, reason)
        self._restart_soon(child, reason)

    def _knows(self, child: Child) -> bool:
        return self._rows.get(str(child.spec.id)) is child

    def _restart_soon(self, child: Child, reason: Any) -> None:
        child.is_restarting = True
        now = self._supervisor.runtime.now()
        if self._intensity.allows(now):
            self._restart_now(child, reason)
        elif self.never_gives_up:
            retry = partial(self._retry, child, reason)
            server_loop(self._supervisor).after(self._back_off.next(now), self.when_free, retry)
        else:
            told_give_up(self._supervisor, self._settings.max_restarts, self._settings.max_seconds, reason)
            self.give_up(SHUTDOWN)

    def _retry(self, child: Child, reason: Any) -> None:
        """Restart a child after a wait, unless somebody has stopped, started or deleted it meanwhile."""
        if child.is_restarting and self._knows(child):
            self._restart_now(child, reason)

    def _restart_now(self, child: Child, reason: Any) -> None:
        """Stop and start what the strategy says; a temporary child is not started with others."""
        told_restart(self._supervisor, child.spec.id, reason)
        group = self._group(child)
        to_start = [one for one in group if one.spec.restart != "temporary"]
        self.stop([one for one in group if one.pid is not None], partial(self._start_group, to_start))

    def _group(self, child: Child) -> list[Child]:
        """Return the children that are restarted with this one, in the order of their start."""
        rows = list(self._rows.values())
        match self._settings.strategy:
            case "one_for_one":
                return [child]
            case "rest_for_one":
                return rows[rows.index(child) :]
            case "one_for_all":
                return rows

    def _start_group(self, children: Sequence[Child]) -> None:
        """Start what was stopped, up to the first that can't be: those after it are started with it."""
        for child in children:
            child.is_restarting = False
        for child in children:
            if not self._could_start(child):
                child.is_restarting = True
                self._supervisor.enqueue(told((TRY_AGAIN, child)))  # behind the calls that wait, as in OTP
                return

    def _could_start(self, child: Child) -> bool:
        try:
            self._start(child)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever the constructor of a user's class raises
            told_no_start(self._supervisor, child.spec.id, error)
            return False
        return True

    def try_again(self, child: Child) -> None:
        """Restart a child that could not be started, as one more failure."""
        if child.is_restarting and self._knows(child):
            self._restart_soon(child, TRY_AGAIN)

    # ---- the end

    def give_up(self, reason: Any) -> None:
        """Stop all children in order, then end the supervisor; what waits is never done."""
        self.is_ending = True
        if self._stopping is not None:
            self._stopping.forget()
        self._later.clear()
        self.stop([child for child in self if child.pid is not None], partial(_stop, reason))

    def leave(self) -> None:
        """Tell all that are left to stop, last one first, without waiting."""
        for child in reversed(self._rows.values()):
            if child.pid is not None:
                send_exit(self._supervisor, child.pid, SHUTDOWN)
        self.on_change()

    def forget_supervisor(self) -> None:
        """Lead to the supervisor no more, which has ended; what it was to keep stays."""
        del self._supervisor
        self._stopping = None
        self._later.clear()


def _nothing() -> None:
    """Be told of a change that nobody wants to hear of."""


def _stop(reason: Any) -> None:
    raise Stop(reason)


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
