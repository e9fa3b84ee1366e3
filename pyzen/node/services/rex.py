"""``rex``: calls of functions by message, as old nodes, C nodes and ``rpc:block_call`` make them.

Messages in::

    {'$gen_call', From, {call | block_call, M, F, Args, GroupLeader}}    the reply is the result
    {'$gen_cast', {cast, M, F, Args, GroupLeader}}                       no answer
    {From, {call, M, F, Args, GroupLeader}}                              From ! {rex, Result}
    {From, {sbcast, Name, Message}}                                      From ! {rex, Node, Node}
    {Observer, features_request}                                         Observer ! {features_reply, Node, [erpc]}

Each call runs in a process of its own, whose end is an answer, too. The functions of ``block_call`` run one after the
other; other messages don't wait for them. Those that wait are forgotten when the link that they came by is lost.

A call past the share of its node in ``Limits.max_processes``, or in the `MAX_BLOCKED` that may wait, is answered
``{badrpc, {'EXIT', system_limit}}``.

Source: ``lib/kernel/src/rpc.erl`` and ``global_group.erl``.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, final

from pyzen.actor.answers import NOREPLY
from pyzen.actor.gen_server import log_stray
from pyzen.actor.guarded import GuardedServer
from pyzen.actor.server_loop import server_loop
from pyzen.actor.verbs import actor_of
from pyzen.logs import get_logger
from pyzen.node.services.remote_call import FunctionCall, rpc_result
from pyzen.shares import Shares
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.node.births import Births
    from pyzen.node.services.exports import Exports
    from pyzen.node.services.remote_call import Outcome
    from pyzen.terms import Reference

log = get_logger("pyzen.node")

MAX_BLOCKED: Final = 10_000
"""Calls that may wait for the ``block_call`` before them."""

MFA: TypeAlias = "tuple[Any, Any, list[Any]]"
Done: TypeAlias = "Callable[[Any], object]"


class Call(NamedTuple):
    """A function that is to be called for somebody.

    Attributes:
        via: The link that it came by, 0 for a process of this node.
        node: The node at its other end.
    """

    via: int
    node: Atom
    mfa: MFA
    leader: Any
    done: Done


@final
class Rex(GuardedServer):
    """Runs what peers ask for by message.

    Args:
        exports: What they may call.
        births: Says whether they may start a process.
    """

    def __init__(self, exports: Exports, births: Births) -> None:
        super().__init__()
        self._exports = exports
        self._births = births
        self._calls: dict[Reference, Done] = {}
        self._blocking: Reference | None = None
        self._blocked: deque[Call] = deque()
        self._waiting = Shares()
        self._peers: set[Atom] = set()

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer ``call`` and ``block_call`` with the result of the function."""
        match request:
            case (atoms.call, module, function, list() as args, leader):
                self._start(self._call((module, function, args), leader, partial(self.reply, from_)))
                return NOREPLY
            case (atoms.block_call, module, function, list() as args, leader):
                self._block(self._call((module, function, args), leader, partial(self.reply, from_)))
                return NOREPLY
        log_stray(actor_of(self), request)
        return atoms.ignored

    def get_state(self) -> Any:
        """Show how many calls there are; what they are is their callers' own."""
        return {atoms.calls: len(self._calls), atoms.blocked: len(self._blocked)}

    def handle_cast(self, request: Any) -> None:
        """Run a function whose result nobody wants."""
        match request:
            case (atoms.cast, module, function, list() as args, leader):
                self._start(self._call((module, function, args), leader, lambda _result: None))
            case _:
                log_stray(actor_of(self), request)

    def handle_info(self, message: Any) -> None:
        """Answer what old nodes ask by plain messages."""
        match message:
            case (Pid() as observer, atoms.features_request):
                self.send(observer, (atoms.features_reply, self.node, [atoms.erpc]), dial=False)
            case (Pid() as caller, (atoms.call, module, function, list() as args, leader)):
                self._start(self._call((module, function, args), leader, partial(self._answer, caller)))
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

    def handle_notice(self, message: tuple[Any, ...]) -> None:
        """Take the end of a call, and the loss of a link."""
        match message:
            case (atoms.nodedown, node):
                self._forget_blocked(node)
            case (atoms.DOWN, ref, _, _, reason):
                self._ended(ref, reason)

    def _ended(self, ref: Reference, reason: Any) -> None:
        """Tell who waits for a function that can answer no more why."""
        done = self._calls.pop(ref, None)
        if done is not None:
            done((atoms.badrpc, (atoms.EXIT, reason)))
        if ref == self._blocking:
            self._blocking = None
            self._start_blocked()

    def _answer(self, caller: Pid, result: Any) -> None:
        """Answer as ``rex`` itself, to a caller that has sent no reference."""
        self.send(caller, (atoms.rex, result))

    def _call(self, mfa: MFA, leader: Any, done: Done) -> Call | None:
        """Return the call that a message asks for, None where its link is lost meanwhile."""
        runtime, via = actor_of(self).runtime, server_loop(actor_of(self)).via or 0
        node = runtime.peer_of(via) if via else self.node
        return None if node is None else Call(via, node, mfa, leader, done)

    def _refuse(self, call: Call) -> None:
        """Refuse a call for want of room."""
        log.warning("%s has no room for another call of %s: see max_processes of its limits", self.node, call.node)
        call.done((atoms.badrpc, (atoms.EXIT, atoms.system_limit)))

    def _block(self, call: Call | None) -> None:
        """Let a ``block_call`` wait for its turn, as long as its link is up."""
        if call is None:
            return
        if not self._waiting.may_take(call.node, MAX_BLOCKED - len(self._blocked)):
            self._refuse(call)
            return
        if call.via and call.node not in self._peers:
            self._peers.add(call.node)
            actor_of(self).runtime.monitor_node(call.node, self.pid)
        self._waiting.take(call.node)
        self._blocked.append(call)
        self._start_blocked()

    def _forget_blocked(self, peer: Atom) -> None:
        """Forget the calls that came by a link which is lost: nobody waits for them."""
        runtime = actor_of(self).runtime
        self._peers.discard(peer)
        runtime.demonitor_node(peer, self.pid)
        waiting, self._blocked = self._blocked, deque()
        for call in waiting:
            if call.via and runtime.peer_of(call.via) is None:
                self._waiting.give(call.node)
            else:
                self._blocked.append(call)

    def _start_blocked(self) -> None:
        """Start the next ``block_call``, unless one runs."""
        while self._blocking is None and self._blocked:
            call = self._blocked.popleft()
            self._waiting.give(call.node)
            self._blocking = self._start(call)

    def _start(self, call: Call | None) -> Reference | None:
        """Start the process of a call; while the node stops the loss of the link is the answer."""
        if call is None or actor_of(self).runtime.is_stopping:
            return None
        if not self._births.may_start(call.node):
            self._refuse(call)
            return None

        process = RexCall(self._exports, call.mfa, self._calls)
        self._births.charge(actor_of(process), call.node)
        _, process.ref = self.spawn_monitor(process)
        self._calls[process.ref] = call.done
        actor_of(process).group_leader = call.leader if isinstance(call.leader, Pid) else None
        return process.ref


@final
class RexCall(FunctionCall):
    """The process of one call.

    Args:
        exports: What it may call.
        mfa: Module, function and arguments.
        calls: What takes the results of those that run, by their references.

    Attributes:
        ref: The reference of this one.
    """

    ref: Reference

    def __init__(self, exports: Exports, mfa: MFA, calls: dict[Reference, Done]) -> None:
        super().__init__(exports, mfa)
        self._calls = calls

    def ended_with(self, outcome: Outcome) -> None:
        """Answer, if somebody still waits."""
        done = self._calls.pop(self.ref, None)
        if done is not None:
            done(rpc_result(outcome))
