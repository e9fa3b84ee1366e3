"""``rex``: calls of functions by message, as old nodes, C nodes and ``rpc:block_call`` make them.

Messages in::

    {'$gen_call', From, {call | block_call, M, F, Args, GroupLeader}}    the reply is the result
    {'$gen_cast', {cast, M, F, Args, GroupLeader}}                       no answer
    {From, {call, M, F, Args, GroupLeader}}                              From ! {rex, Result}
    {From, {sbcast, Name, Message}}                                      From ! {rex, Node, Node}
    {Observer, features_request}                                         Observer ! {features_reply, Node, [erpc]}

Each call runs in a process of its own; ``block_call`` keeps the other messages waiting meanwhile, as its name says.

Source: ``lib/kernel/src/rpc.erl`` and ``global_group.erl``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from pyzen.actor.answers import NOREPLY
from pyzen.actor.gen_server import log_stray
from pyzen.actor.guarded import GuardedServer
from pyzen.actor.process import Process
from pyzen.actor.server_loop import server_loop
from pyzen.actor.verbs import actor_of
from pyzen.node.services.remote_call import apply, rpc_result
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.node.services.exports import Exports


@final
class Rex(GuardedServer):
    """Runs what peers ask for by message.

    Args:
        exports: What they may call.
    """

    async_dist = True

    def __init__(self, exports: Exports) -> None:
        super().__init__()
        self._exports = exports

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer ``call`` and ``block_call`` with the result of the function."""
        match request:
            case (atoms.call, module, function, list() as args, leader):
                self._start(module, function, args, leader, lambda result: self.reply(from_, result))
                return NOREPLY
            case (atoms.block_call, module, function, list() as args, _leader):
                return self._block(module, function, args)
        log_stray(actor_of(self), request)
        return atoms.ignored

    async def _block(self, module: Any, function: Any, args: list[Any]) -> Any:
        return rpc_result(await apply(self._exports, module, function, args))

    def handle_cast(self, request: Any) -> None:
        """Run a function whose result nobody wants."""
        match request:
            case (atoms.cast, module, function, list() as args, leader):
                self._start(module, function, args, leader, lambda _result: None)
            case _:
                log_stray(actor_of(self), request)

    def handle_info(self, message: Any) -> None:
        """Answer what old nodes ask by plain messages."""
        match message:
            case (Pid() as observer, atoms.features_request):
                self.send(observer, (atoms.features_reply, self.node, [atoms.erpc]), dial=False)
            case (Pid() as caller, (atoms.call, module, function, list() as args, leader)):
                self._start(module, function, args, leader, lambda result: self.send(caller, (atoms.rex, result)))
            case (Pid() as caller, (atoms.sbcast, name, sent)):
                self.send(caller, (atoms.rex, self.node, self._sbcast(name, sent)))
            case _:
                log_stray(actor_of(self), message)

    def _sbcast(self, name: Any, message: Any) -> Any:
        """Hand a message on to a name of this node: as one of the link that it came by."""
        runtime = actor_of(self).runtime
        if not isinstance(name, Atom) or runtime.whereis(name) is None:
            return atoms.nonexisting_name, name
        runtime.deliver(name, [message], server_loop(actor_of(self)).via or 0)
        return self.node

    def _start(self, module: Any, function: Any, args: list[Any], leader: Any, done: Callable[[Any], object]) -> None:
        async def body(_process: Process) -> None:
            done(rpc_result(await apply(self._exports, module, function, args)))

        process = Process(body)
        self.spawn(process)
        actor_of(process).group_leader = leader if isinstance(leader, Pid) else None
