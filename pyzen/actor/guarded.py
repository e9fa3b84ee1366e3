"""GuardedServer: a process of the node itself, which peers may ask, and neither end nor stop.

An authenticated peer may send anything to any process. A process of the node itself serves all peers at once, so what
one of them sends must count for that one only. Here a message says which link it came by, what the kernel tells comes
by a callback of its own, and exit signals and ``sys`` orders of peers are refused: counted, and logged once a peer.

Stricter than OTP, where a connected node may do all of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pyzen.actor.answers import NOREPLY
from pyzen.actor.gen_server import GenServer, log_stray
from pyzen.actor.mailbox import Sourced
from pyzen.actor.runtime import SENT, Sent
from pyzen.actor.server_loop import server_loop
from pyzen.actor.supervisor import Supervisor, children_of
from pyzen.actor.supervisor_calls import REFUSED, answer
from pyzen.actor.verbs import Verbs, actor_of
from pyzen.logs import get_logger
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from pyzen.terms import Atom

__all__ = ["GuardedServer", "GuardedSupervisor", "Immune", "came_by"]

log = get_logger("pyzen.actor")

MAX_PEERS: Final = 1000
"""Peers whose refusals are logged; those of any more are counted only."""


class Immune(Verbs):
    """A process of the node itself, which peers can't end; mixed into its class."""

    _pyzen_immune: ClassVar[bool] = True
    _pyzen_refused: frozenset[Atom] = frozenset()

    def refused(self, what: str, peer: Atom | None) -> None:
        """Note that a peer has tried to end or to stop this process; None if its link is gone already."""
        if peer is not None and peer not in self._pyzen_refused and len(self._pyzen_refused) < MAX_PEERS:
            self._pyzen_refused |= {peer}
            actor = actor_of(self)
            name = actor.registered_name or actor.pid
            log.warning("%r refuses %s of %s; further ones are not logged", name, what, peer)


class GuardedServer(Immune, GenServer):
    """A server of the node itself.

    ``handle_info`` gets what processes send. ``handle_notice`` gets what the kernel tells: DOWNs, exits, node events,
    replies to requests, in order with all else.
    """

    async_dist: ClassVar[bool] = True  # a peer that reads nothing must not stop what serves all

    _pyzen_guarded: ClassVar[bool] = True
    _pyzen_serves_all: ClassVar[bool] = True  # its peers take turns, as `FairMailqueue` says

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Ignore a call that is not ours; the caller runs into its own timeout."""
        self.stray((request, from_))
        return NOREPLY

    def handle_cast(self, request: Any) -> Any:
        """Ignore a cast that is not ours."""
        self.stray(request)

    def handle_info(self, message: Any) -> Any:
        """Ignore a message that is not ours."""
        self.stray(message)

    def handle_notice(self, message: tuple[Any, ...]) -> Any:
        """Ignore what is told of something that is no longer of interest."""

    def tell(self, dest: Pid | tuple[Atom, Atom], message: Any) -> Sent:
        """Send to a guarded process without dialling; at home with a mark that no other process can set.

        A peer can make a process of this node send a message, by a call with a forged ``From``.

        Raises:
            LinkOverloaded: Too much waits for that node already.
        """
        runtime = actor_of(self).runtime
        to, node = (dest.number, dest.node) if isinstance(dest, Pid) else dest
        if node is not runtime.name:
            return runtime.send(self.pid, dest, message, dial=False)
        runtime.deliver(to, [Sourced(message, 0)])
        return SENT

    def stray(self, message: Any) -> None:
        """Ignore a message; one log line per ten seconds."""
        log_stray(actor_of(self), message)


class GuardedSupervisor(GuardedServer, Supervisor):
    """A supervisor of the node itself.

    Its calls are an operator's, who may make them from any node. A child is not deleted for one: nobody could start it
    again from there.
    """

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer as any supervisor does."""
        if server_loop(actor_of(self)).via and is_deletion(request):
            return REFUSED
        if not answer(children_of(self), request, partial(server_loop(actor_of(self)).reply, from_)):
            self.stray((request, from_))
        return NOREPLY


def is_deletion(request: Any) -> bool:
    """Say whether a call asks a supervisor to forget a child."""
    return type(request) is tuple and len(request) == 2 and request[0] is atoms.delete_child


def came_by(server: GuardedServer, node: Atom) -> bool:
    """Say whether the message that is being handled came by the link to ``node`` that is up now."""
    actor = actor_of(server)
    link = actor.runtime.link(node)
    return link is not None and link[0] == server_loop(actor).via
