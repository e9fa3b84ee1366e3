"""ChildSpec: how a supervisor starts and keeps one child.

Source: OTP, "supervisor", "Child specification".
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final, get_args

from pyzen.actor.reasons import is_orderly
from pyzen.actor.verbs import Verbs
from pyzen.brief import brief
from pyzen.errors import ConfigError
from pyzen.terms import Atom

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.terms import Pid

__all__ = ["ChildSpec", "Restart", "check_setting", "is_one_of", "is_seconds"]

MAX_NAME: Final = 255

Restart: TypeAlias = Literal["permanent", "transient", "temporary"]


@final
@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How one child is started and kept.

    ::

        ChildSpec("counter", Counter, args=(0,), restart="transient", name="counter")

    Attributes:
        id: Names the child within its supervisor: 1 to 255 characters.
        target: What is started, as for ``spawn``: ``async def body(process, *args)``, or a `Process` or `GenServer`
            class. A plain function that returns a process is called anew for each start.
        args: Given to the body, or to ``main`` or ``init`` of the class.
        restart: ``permanent`` always, ``transient`` after an abnormal exit, ``temporary`` never.
        shutdown: Seconds the child has to end when told to; then it is killed. 0 kills it at once, None waits for ever.
            A supervisor has the times of its children beside.
        name: Registered name of the process.

    Raises:
        ConfigError: A value can't be used.
    """

    id: Atom | str
    target: Any
    args: Sequence[Any] = field(default=(), kw_only=True)
    restart: Restart = "permanent"
    shutdown: float | None = 5.0
    name: Atom | str | None = None

    def __post_init__(self) -> None:
        """Refuse what a start, perhaps days later, would fail for."""
        self._check("id", _is_name(self.id), "a text of 1 to 255 characters")
        self._check("target", _can_start(self.target), "an async function, or a Process or GenServer class")
        self._check("args", _is_sequence(self.args), "a tuple or a list")
        self._check("restart", is_one_of(self.restart, get_args(Restart)), f"one of {', '.join(get_args(Restart))}")
        self._check("shutdown", self.shutdown is None or is_seconds(self.shutdown), "None or seconds, 0 or more")
        self._check("name", self.name is None or _is_name(self.name), "None or a text of 1 to 255 characters")

    def _check(self, what: str, fits: bool, needed: str) -> None:
        check_setting(f"{what} of child {brief(self.id, 40)}", getattr(self, what), fits, needed)

    def start(self, supervisor: Actor) -> Pid:
        """Start a process, linked with the supervisor."""
        made = self._made()
        if made is not None:
            return supervisor.runtime.spawn(made, name=self.name, link=supervisor.pid)
        return supervisor.runtime.spawn(self.target, *self.args, name=self.name, link=supervisor.pid)

    def _made(self) -> Verbs | None:
        """Return the process that a plain function makes; None where the target itself is what is started."""
        target = self.target
        if isinstance(target, type | Verbs) or is_async(target) or not takes(target, self.args):
            return None
        made = target(*self.args)
        if inspect.iscoroutine(made):  # a body with any arguments, in a wrapper that does not say so
            made.close()
        return made if isinstance(made, Verbs) else None

    def wants_restart(self, reason: Any) -> bool:
        """Say whether an exit with ``reason`` calls for a restart."""
        match self.restart:
            case "permanent":
                return True
            case "temporary":
                return False
            case "transient":
                return not is_orderly(reason)


def is_async(target: Any) -> bool:
    """Say whether a function is ``async def``, within whatever wrappers."""
    target = inspect.unwrap(target)
    call = vars(type(target)).get("__call__")
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


def takes(target: Any, args: Sequence[Any]) -> bool:
    """Say whether a function can be called with these arguments, as far as it tells."""
    try:
        inspect.signature(target).bind(*args)
    except TypeError:
        return False
    except ValueError:  # it does not tell
        pass
    return True


def check_setting(what: str, value: object, fits: bool, needed: str) -> None:
    """Refuse a setting that does not fit. Raises ``ConfigError``."""
    if not fits:
        raise ConfigError(f"{what} is {brief(value, 60)}; it has to be {needed}")


def is_seconds(value: object) -> bool:
    """Say whether a value is a time that can be waited for; NaN is none."""
    if type(value) not in {int, float}:
        return False
    try:
        return float(value) >= 0  # type: ignore[arg-type]
    except OverflowError:
        return False


def _is_name(value: object) -> bool:
    return isinstance(value, Atom | str) and 0 < len(str(value)) <= MAX_NAME


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def is_one_of(value: object, words: tuple[str, ...]) -> bool:
    """Say whether a value is one of some words; it may be of any class."""
    return type(value) is str and value in words


def _can_start(target: object) -> bool:
    if isinstance(target, type):
        return issubclass(target, Verbs)
    return callable(target) or isinstance(target, Verbs)
