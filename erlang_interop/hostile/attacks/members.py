"""What a member of a cluster tells a node that has joined it."""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import Peer
from pyzen.terms import Atom, Pid

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Stage
    from tests.events import Event

SPAWN_REQUEST: Final = 29
SILENT: Final = "127.0.0.2"
"""A host of which the epmd does not answer."""


class Member(Peer):
    """A peer that tells of nodes that there are not, others each time."""

    names: Final = 20_000
    numbers = itertools.count(1)

    def _take(self, event: Event) -> None:
        if event[0] == SPAWN_REQUEST:
            self._tell(event)
        else:
            super()._take(event)

    def _tell(self, event: Event) -> None:
        """Answer a call by ``erpc``, whatever it calls, with names."""
        request, caller, arguments = event[2][1], event[2][2], event[4]
        own = Pid(self.name, 1000 + next(self.numbers), 0, self.creation)
        names = [Atom(f"x{next(self.numbers)}@{SILENT}") for _ in range(self.names)]
        self.writer.write(
            self.control(31, request, caller, 2, own)
            + self.control(28, own, caller, request, payload=(arguments[0], Atom("return"), names))
        )


@attack("join.MAX_NAMES, join.MAX_DIALS", 96, r"foe.* tells .* of 20000 nodes", longest=12.0)
async def nodes_that_there_are_not(stage: Stage) -> None:
    """20 000 nodes on a host that does not answer, others every five seconds, told of by one that was joined."""
    with socket.socket() as silent:
        silent.bind((SILENT, stage.epmd_port))
        silent.listen(100)
        peer = await stage.peer(kind=Member)
        await stage.begin()
        await peer.push(peer.call("hostile", "join", peer.name))
        await stage.told("never")
