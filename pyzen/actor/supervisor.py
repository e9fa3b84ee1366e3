"""Supervisor: starts children in order, restarts them by a strategy, gives up past an intensity.

In: the ends of its children; the calls in `pyzen.actor.supervisor_calls`. Anything else is logged and means nothing:
a supervisor never ends for what it does not know.

Source: OTP, "supervisor".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pyzen.actor.answers import NOREPLY
from pyzen.actor.child_spec import ChildSpec, Restart
from pyzen.actor.children import Children, Settings, Strategy
from pyzen.actor.gen_server import GenServer, log_stray
from pyzen.actor.server_loop import server_loop
from pyzen.actor.supervisor_calls import answer
from pyzen.actor.supervisor_loop import SupervisorLoop
from pyzen.actor.verbs import actor_of, next_life

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzen.actor.loop import Loop
    from pyzen.terms import Pid

__all__ = ["ChildSpec", "Restart", "Strategy", "Supervisor", "children_of"]


class Supervisor(GenServer):
    """A process that keeps its children running.

    It ends with ``shutdown`` when its parent does, when ``sys:terminate`` says so, and past the intensity; one that
    was started without a link also for the exit signal ``shutdown`` of any process of its node. Then its children are
    stopped first, the last one first, each within its ``shutdown`` time. Other exits of strangers mean nothing.

    ::

        node.spawn(Supervisor, [ChildSpec("counter", Counter, args=(0,))], "one_for_one")

    Args:
        children: In the order of their start.
        strategy: Which children are restarted with a failed one: itself, it and later ones, or all.
        max_restarts: Restarts allowed within ``max_seconds``; one more ends the supervisor with ``shutdown``.
        max_seconds: Seconds.

    Raises:
        ConfigError: A value can't be used.
    """

    async_dist: ClassVar[bool] = True  # who keeps others running is not stopped by a caller that reads nothing

    _pyzen_loop: ClassVar[type[Loop]] = SupervisorLoop

    def __init__(
        self,
        children: Sequence[ChildSpec] = (),
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
    ) -> None:
        next_life(self)
        children_of(self).configure(Settings(children, strategy, max_restarts, max_seconds))

    def init(self, *args: Any) -> Any:
        """Take the arguments of the constructor, which gets none from ``spawn``. The children start afterwards."""
        if args:
            children_of(self).configure(Settings(*args))

    def child(self, child_id: str) -> Pid | None:
        """Return the pid of a child, None while it is down."""
        return children_of(self).pid(child_id)

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer the calls that any supervisor knows."""
        if not answer(children_of(self), request, partial(server_loop(actor_of(self)).reply, from_)):
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
