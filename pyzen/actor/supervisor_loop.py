"""SupervisorLoop: the loop of a supervisor, which hears of the ends of its children before anything else does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast, final

from pyzen.actor.actor import DOWN, EXIT
from pyzen.actor.children import TRY_AGAIN, Children
from pyzen.actor.reasons import NORMAL, is_orderly
from pyzen.actor.server_loop import ServerLoop
from pyzen.actor.stopping import time_of

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.loop import Loop
    from pyzen.actor.server_loop import Work
    from pyzen.terms import Pid

__all__ = ["SupervisorLoop"]


@final
class SupervisorLoop(ServerLoop):
    """The `Loop` of a supervisor.

    Attributes:
        children: What it keeps running, apart from the object that users may subclass.
    """

    __slots__ = ("children",)

    hears_first: ClassVar[bool] = True
    supervises: ClassVar[bool] = True

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor)
        actor.trap_exit = True
        self.children = Children(actor)

    def inherit(self, former: Loop) -> None:
        """Have the same children to keep."""
        if isinstance(former, SupervisorLoop):
            self.children.inherit(former.children)

    def time_to_stop(self) -> float:
        """Return the seconds that the children may take, one after the other."""
        return sum(time_of(child, self.actor.runtime) for child in self.children)

    def remains(self) -> Loop:
        """Keep what there were to keep: a next life inherits that."""
        left = cast("SupervisorLoop", super().remains())
        left.children = self.children
        left.children.forget_supervisor()
        return left

    def stop(self, reason: Any) -> None:
        """Children don't outlive their supervisor, whatever it ends with."""
        super().stop(reason)
        self.children.leave()

    def _has_begun(self) -> None:
        """Start the children, where a subclass has an ``init`` of its own."""
        self.children.start()
        super()._has_begun()

    def _stop(self, reason: Any) -> None:
        """Stop the children in order, then end; one that was suspended has to hear of their ends."""
        if self.is_paused:
            self.unpause()
        self.children.give_up(reason)

    def _notice(self, message: tuple[Any, ...]) -> Work:
        """Take the exit of a child; a tuple of that shape which a process sends means nothing."""
        if message[0] is EXIT:
            return self._exited, message[1:], None
        if message[0] is DOWN and self.children.is_stopping_by(message[1]):
            return self._exited, message[3:], None
        if message[0] is TRY_AGAIN:
            return self.children.when_free, (partial(self.children.try_again, message[1]),), None
        return super()._notice(message)

    def _exited(self, pid: Pid, reason: Any) -> None:
        if not self.children.exited(pid, reason) and self._is_told_to_stop(pid, reason):
            self._stop(reason)

    def _is_told_to_stop(self, pid: Pid, reason: Any) -> bool:
        """Say whether the exit of a process that is no child is an order.

        As OTP's, a supervisor ignores the exits of strangers. One that nobody has started by a link has no parent to
        obey: to that one ``shutdown`` of any process of its node is an order.
        """
        actor = self.actor
        if actor.is_root or actor.parent is not None or pid.node is not actor.runtime.name:
            return False
        return pid == actor.pid or (reason is not NORMAL and is_orderly(reason))
