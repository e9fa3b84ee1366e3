"""``rex``: the name that peers ask for the features of this node.

Messages in: ``{Observer, features_request}`` at every nodeup of a visible node, answered
``{features_reply, Node, [erpc]}`` or, until spawn requests are served, with an empty list.

Source: ``lib/kernel/src/rpc.erl`` and ``global_group.erl``.
"""

from __future__ import annotations

from typing import Any, final

from pyzen.actor.gen_server import GenServer
from pyzen.terms import Pid, atoms


@final
class Rex(GenServer):
    """Answers what it knows, ignores the rest."""

    async_dist = True

    def handle_info(self, message: Any) -> None:
        """Answer ``features_request``."""
        match message:
            case (Pid() as observer, atoms.features_request):
                self.send(observer, (atoms.features_reply, self.node, []), dial=False)
            case _:
                self.stray(message)

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Refuse: nothing is exported yet."""
        self.stray(request)
        return atoms.badrpc, atoms.notsup

    def handle_cast(self, request: Any) -> None:
        """Ignore any cast."""
        self.stray(request)
