"""Processes that are started for others: by a peer's SPAWN_REQUEST, or by a process of this node that asks likewise.

Source: OTP, "Distribution Protocol", SPAWN_REQUEST and SPAWN_REPLY; ``erts/emulator/beam/dist.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from pyzen.config import Limits
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.process import Actor
    from pyzen.node.router import Router
    from pyzen.terms import Pid, Reference

__all__ = ["ABANDONED", "LINKED", "MONITORED", "Births"]

LINKED: Final = 1
"""The bit of a reply that says that the link is there."""

MONITORED: Final = 2
"""The bit of a reply that says that the monitor is there; its reference is that of the request."""

ABANDONED: Final = atoms.abandoned
"""What a linked process is told whose parent no longer waited for it."""

TUNING: Final = frozenset(
    atoms[name]
    for name in (
        "async_dist", "fullsweep_after", "max_heap_size", "message_queue_data", "min_bin_vheap_size", "min_heap_size",
        "priority",
    )
)  # fmt: skip
"""Options about heaps and schedulers of ERTS: taken, without effect."""

Maker: TypeAlias = "Callable[[Atom, Atom, list[Any]], Actor]"
"""Makes the process that applies a function."""


@final
class Births:
    """Starts processes on request, and answers.

    Attributes:
        maker: What makes them; without one every request is refused with ``notsup``.
        max_processes: Processes of this node, past which a request is refused with ``system_limit``.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self.maker: Maker | None = None
        self.max_processes = Limits().max_processes

    def requested(
        self,
        req_id: Reference,
        from_pid: Pid,
        leader: Pid,
        mfa: tuple[Atom, Atom, int],
        options: list[Any],
        args: list[Any],
    ) -> None:
        """Start a process, or say why not: the reply leaves before anything that the process sends."""
        flags = flags_of(options)
        refusal = self._refusal(flags)
        if refusal is not None or flags is None or self.maker is None:
            self._router.route_spawn_reply(req_id, from_pid, 0, refusal or atoms.notsup)
            return
        process = self.maker(mfa[0], mfa[1], args)
        self._router.adopt(process, from_pid if flags & LINKED else None)
        process.group_leader = leader
        process.born_for(from_pid, req_id if flags & MONITORED else None, linked=bool(flags & LINKED))
        self._router.route_spawn_reply(req_id, from_pid, flags, process.pid)
        process.start_running()

    def _refusal(self, flags: int | None) -> Atom | None:
        if flags is None:
            return atoms.badopt
        if self.maker is None:
            return atoms.notsup
        return atoms.system_limit if self._router.process_count() >= self.max_processes else None


def flags_of(options: list[Any]) -> int | None:
    """Return the bits that the reply will have, None for an option that ERTS would not take either."""
    flags = 0
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
