"""Processes of ours that the cases let Erlang talk to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pyzen.actor.answers import NOREPLY
from pyzen.actor.gen_server import GenServer
from pyzen.node.node import Node
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from erlang_interop.nodes import ElixirNode, ErlNode
    from pyzen.actor.process import Process

__all__ = ["SOON", "Echo", "Listing", "StartElixir", "StartOurs", "StartTheirs", "connected", "idle", "until"]

StartOurs: TypeAlias = Callable[..., Awaitable[Node]]
StartTheirs: TypeAlias = "Callable[..., Awaitable[ErlNode]]"
StartElixir: TypeAlias = "Callable[..., Awaitable[ElixirNode]]"

Listing: TypeAlias = Literal["visible", "hidden"]
"""Which ``nodes()`` a node is in."""

SOON = 10.0
"""Seconds within which anything that is to happen has happened."""


class Echo(GenServer):
    """Answers calls with their request, plain messages ``{From, Term}`` with ``{echo, Term}``; keeps casts.

    The call ``hold`` is answered by the cast ``release``.
    """

    def init(self) -> None:
        self.casts: list[Any] = []

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        match request:
            case (atoms.exit, reason):
                self.exit(reason)
            case atoms.hold:
                self.held = from_
                return NOREPLY
            case atoms.silence:
                return NOREPLY
            case atoms.casts:
                return self.casts
        return request

    def handle_cast(self, request: Any) -> None:
        if request is atoms.release:
            self.reply(self.held, atoms.late)
        else:
            self.casts.append(request)

    def handle_info(self, message: Any) -> None:
        match message:
            case (Pid() as sender, term):
                self.send(sender, (atoms.echo, term))


async def idle(process: Process) -> None:
    """Be a process that does nothing."""
    await process.receive(lambda _message: False)


def connected(node: Node, listing: Listing | None = None) -> list[Atom]:
    """Return the nodes that a node of ours lists so; all that it is connected to, if that makes no difference."""
    listings = ("visible", "hidden") if listing is None else (listing,)
    return [peer for one in listings for peer in node.nodes(hidden=one == "hidden")]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds."""
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)
