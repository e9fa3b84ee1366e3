"""Supervisor: starts children in order, restarts them by a strategy, gives up past an intensity.

In: exit signals of its children, the calls ``which_children`` and ``count_children``.

Source: OTP, "supervisor".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pyzen.actor.answers import NOREPLY
from pyzen.actor.child_spec import ChildSpec, Restart
from pyzen.actor.children import Children, Strategy, SupervisorLoop
from pyzen.actor.gen_server import GenServer, log_stray
from pyzen.actor.verbs import actor_of, next_life
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzen.actor.runtime import Loop

__all__ = ["ChildSpec", "Restart", "Strategy", "Supervisor"]


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

    _pyzen_loop: ClassVar[type[Loop]] = SupervisorLoop

    def __init__(
        self,
        children: Sequence[ChildSpec] = (),
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
    ) -> None:
        next_life(self)
        children_of(self).configure(children, strategy, max_restarts, max_seconds)

    def init(self, *args: Any) -> Any:
        """Take the arguments of the constructor, which gets none from ``spawn``. The children start afterwards."""
        if args:
            children_of(self).configure(*args)

    def child(self, child_id: str) -> Pid | None:
        """Return the pid of a child, None while it is down."""
        return children_of(self).pid(child_id)

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer ``which_children`` and ``count_children``."""
        if request is atoms.which_children:
            return children_of(self).shown()
        if request is atoms.count_children:
            return children_of(self).counts()
        log_stray(actor_of(self), (request, from_))
        return NOREPLY

    def handle_cast(self, request: Any) -> Any:
        """Ignore any cast: a supervisor never ends for what it does not know."""
        log_stray(actor_of(self), request)


def children_of(supervisor: Supervisor) -> Children:
    """Return what a supervisor keeps running."""
    loop = actor_of(supervisor).loop
    assert isinstance(loop, SupervisorLoop), "the loop of every supervisor"
    return loop.children
