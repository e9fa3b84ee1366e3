"""What the processes of ZenMonitor have in common: they survive stray messages and tick only for a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, final

from pyzen.actor.guarded import GuardedServer, GuardedSupervisor, came_by
from pyzen.actor.registry import DynamicRegistry
from pyzen.actor.server_loop import server_loop
from pyzen.actor.states import attributes_of, state_of
from pyzen.actor.verbs import actor_of
from pyzen.terms import elixir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyzen.actor.runtime import Runtime, TimerHandle
    from pyzen.actor.supervisor import ChildSpec, Strategy
    from pyzen.actor.verbs import Verbs
    from pyzen.terms import Atom, Pid


SHARED: Final = frozenset({"_context", "_counting"})
"""The attributes that all of these processes have."""


class Counting(Protocol):
    """Who counts what happens."""

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""


class Sturdy(GuardedServer):
    """A server never suspended by a busy link, and never ended by what a peer sends."""

    _counting: Counting

    def get_state(self) -> Any:
        """Leave out of ``sys:get_state`` what all of them share."""
        return state_of({name: value for name, value in attributes_of(self).items() if name not in SHARED})

    def refused(self, what: str, peer: Atom | None) -> None:
        """Count what a peer may not do."""
        self._counting.count("orders_refused")
        super().refused(what, peer)

    def speaks_for(self, node: Atom) -> bool:
        """Say whether the message being handled came by the link to ``node`` that is up; if not, count it."""
        if came_by(self, node):
            return True
        self._counting.count("messages_refused")
        return False

    def stray(self, message: Any) -> None:
        """Count a message that is ignored."""
        self._counting.count("stray_messages")
        super().stray(message)


class ZenServer(Sturdy):
    """A process of ZenMonitor.

    Args:
        counting: Who counts what happens.
        module: The module of the original that has this duty.
    """

    def __init__(self, counting: Counting, module: Atom) -> None:
        super().__init__()
        self._counting = counting
        self._pyzen_module = module


class ZenRegistry(Sturdy, DynamicRegistry):
    """A registry of processes of ZenMonitor.

    Attributes:
        key_type: What its keys are.
    """

    key_type: ClassVar[type[Atom] | type[Pid]]

    _pyzen_module: Atom | None = elixir.GenRegistry

    def __init__(self, counting: Counting, factory: Callable[[Any], Verbs]) -> None:
        super().__init__(factory)
        self._counting = counting


class ZenSupervisor(Sturdy, GuardedSupervisor):
    """A supervisor of ZenMonitor.

    Args:
        counting: Who counts what happens.
        module: The module of the original; None for what the original has not.
        children: As for `Supervisor`, and so on.
        strategy: Which children are restarted with a failed one.
        max_restarts: Restarts allowed within five seconds.
    """

    def __init__(
        self,
        counting: Counting,
        module: Atom | None,
        children: Sequence[ChildSpec],
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
    ) -> None:
        GuardedSupervisor.__init__(self, children, strategy, max_restarts)
        self._counting = counting
        self._pyzen_module = module


@final
class EpochLink:
    """The link that a process works with: the next one to the same node is another.

    Args:
        runtime: The node.
        node: The remote node.
    """

    __slots__ = ("_epoch", "_runtime", "node")

    def __init__(self, runtime: Runtime, node: Atom) -> None:
        self._runtime = runtime
        self.node = node
        self._epoch: int | None = None

    def take(self) -> None:
        """Work with the link that is up now, if there is one."""
        link = self._runtime.link(self.node)
        self._epoch = None if link is None else link[0]

    def carries(self, via: int | None) -> bool:
        """Say whether what came by the link of that epoch came by this one, which may be lost by now."""
        return via == self._epoch

    @property
    def is_up(self) -> bool:
        """Whether it is still the link to the node; if not, its loss is known or on the way to us."""
        link = self._runtime.link(self.node)
        return link is not None and link[0] == self._epoch

    @property
    def is_free(self) -> bool:
        """Whether it is up and can take more."""
        link = self._runtime.link(self.node)
        return link is not None and link[0] == self._epoch and not link[1]


@final
class Ticker:
    """One timer of a process, known by its handle: no message from outside can add another.

    Args:
        process: Whose callback it is; nothing fires once it ended.
        callback: Called without arguments, as a callback of the process.
    """

    __slots__ = ("_actor", "_armed_at", "_callback", "_due", "_handle")

    def __init__(self, process: Verbs, callback: Callable[[], object]) -> None:
        self._actor = actor_of(process)
        self._callback = callback
        self._handle: TimerHandle | None = None
        self._armed_at = 0.0
        self._due = 0.0

    def __repr__(self) -> str:
        return f"<Ticker {'armed' if self.armed else 'idle'}>"

    @property
    def armed(self) -> bool:
        """Whether it will fire."""
        return self._handle is not None

    def arm(self, delay: float) -> None:
        """Fire after ``delay`` seconds, or earlier if it was going to."""
        now = self._actor.runtime.now()
        if self._handle is not None and self._due <= now + delay:
            return
        self.cancel()
        self._armed_at, self._due = now, now + delay
        self._handle = server_loop(self._actor).after(delay, self._fire)

    def shorten(self, interval: float) -> None:
        """The interval has changed: fire at once or sooner if it is shorter, else as it was going to."""
        if self._handle is not None:
            self.arm(max(0.0, self._armed_at + interval - self._actor.runtime.now()))

    def cancel(self) -> None:
        """Don't fire."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._callback()
