"""Processes that are started for others: by a peer's SPAWN_REQUEST, or by a process of this node that asks likewise.

Source: OTP, "Distribution Protocol", SPAWN_REQUEST and SPAWN_REPLY; ``erts/emulator/beam/dist.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from pyzen.actor.reasons import KILLED
from pyzen.actor.signals import LINKED, MONITORED, SpawnReply
from pyzen.actor.verbs import actor_of
from pyzen.config import Limits
from pyzen.contained import contained
from pyzen.logs import get_logger
from pyzen.node.unread import MAX_UNREAD, Unread
from pyzen.shares import Shares
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.actor import Actor
    from pyzen.actor.verbs import Verbs
    from pyzen.node.router import Router

__all__ = ["Births"]

log = get_logger("pyzen.node")

TUNING: Final = frozenset(
    atoms[name]
    for name in (
        "async_dist", "fullsweep_after", "max_heap_size", "message_queue_data", "min_bin_vheap_size", "min_heap_size",
        "priority",
    )
)  # fmt: skip
"""Options about heaps and schedulers of ERTS: taken, without effect."""

MAX_OPTIONS: Final = 64
"""Options of one spawn request; there are fewer."""

Maker: TypeAlias = "Callable[[Atom, Atom, list[Any]], Verbs]"
"""Makes the process that applies a function."""


@final
class Births:
    """Starts processes on request, and answers: the receiver of spawn requests, as an actor is of other signals.

    Attributes:
        maker: What makes them; without one every request is refused with ``notsup``.
        max_processes: Processes of this node, past which a request is refused with ``system_limit``.
        shares: How many of them each node has asked for.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self.maker: Maker | None = None
        self.max_processes = Limits().max_processes
        self.shares = Shares()
        self._unread = Unread()

    def may_start(self, node: Atom) -> bool:
        """Say whether a node may cause one more birth; what the program starts itself is never refused."""
        return self.shares.may_take(node, self.max_processes - self._router.process_count())

    def charge(self, actor: Actor, node: Atom) -> None:
        """Let a process be one of a node's share, until it ends."""
        actor.born_of = node
        self.shares.take(node)

    def deliver(self, actor: Actor, messages: list[Any]) -> None:
        """Deliver messages to a process that a peer has started; it ends where too much waits unread."""
        if self._unread.bears(actor, messages):
            actor.enqueue_all(messages)
            return
        text = "%s ends a process that %s has started: more than %d bytes of messages wait for those"
        log.warning(text, self._router.name, actor.born_of, MAX_UNREAD)
        actor.end(KILLED)

    def forget(self, actor: Actor) -> None:
        """Count nothing of an ended process any more."""
        self._unread.forget(actor)
        self.shares.give(actor.born_of)

    def enqueue(self, request: Any) -> None:
        """Start a process, or say why not: the reply leaves before anything that the process sends."""
        if self._router.is_stopping:
            return  # the loss of the link, which is near, is the answer
        flags = flags_of(request.options)
        refusal = self._refusal(flags, request.from_pid.node)
        if refusal is not None or flags is None or self.maker is None:
            self._router.refuse(request, refusal or atoms.notsup)
            return
        from_pid, req_id = request.from_pid, request.req_id
        actor = actor_of(self.maker(request.mfa[0], request.mfa[1], request.args))
        pid = self._router.adopt(actor, from_pid if flags & LINKED else None)
        self.charge(actor, from_pid.node)
        actor.group_leader = request.leader
        actor.born_for(from_pid, req_id if flags & MONITORED else None, linked=bool(flags & LINKED))
        self._router.route(SpawnReply(from_pid, req_id, flags, pid))
        with contained:
            actor.begin()

    def _refusal(self, flags: int | None, node: Atom) -> Atom | None:
        if flags is None:
            return atoms.badopt
        if self.maker is None:
            return atoms.notsup
        return None if self.may_start(node) else atoms.system_limit


def flags_of(options: list[Any]) -> int | None:
    """Return the bits that the reply will have, None for an option that ERTS would not take either, or too many."""
    flags = 0
    if len(options) > MAX_OPTIONS:
        return None
    for option in options:
        match option:
            case atoms.link:
                flags |= LINKED
            case atoms.monitor | (atoms.monitor, list()):
                flags |= MONITORED
            case (Atom() as word, _) if word in TUNING:
                pass
            case _:
                return None
    return flags
