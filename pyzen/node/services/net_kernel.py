"""``net_kernel``: answers the ping of other nodes.

Messages in: the call ``{is_auth, Node}``, answered ``yes``; anything else gets ``ignored`` as from OTP's own.
A ping that is not answered ``yes`` makes the peer disconnect. Over a link the I/O thread answers ``is_auth`` by
itself, so that no peer waits for a blocked interpreter; the rest comes here, and the calls of a runtime without links.

Source: ``lib/kernel/src/net_kernel.erl``; ``net_adm:ping/1``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from pyzen.actor.gen_server import log_stray
from pyzen.actor.guarded import GuardedServer
from pyzen.actor.verbs import actor_of
from pyzen.terms import atoms

if TYPE_CHECKING:
    from pyzen.terms import Pid


@final
class NetKernel(GuardedServer):
    """Says ``yes`` to who asks whether it is known here: the handshake has proved that."""

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer ``is_auth``."""
        match request:
            case (atoms.is_auth, _node):
                return atoms.yes
        log_stray(actor_of(self), request)
        return atoms.ignored

    def handle_cast(self, request: Any) -> None:
        """Ignore any cast."""
        log_stray(actor_of(self), request)
