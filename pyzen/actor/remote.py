"""Starting processes on other nodes, and calling functions there.

A request is answered by the peer with a reply (a pid, or why there is none); what the process does afterwards is
told by its exit signals and its DOWN, as for any other. A call is a process that ends with the result as its exit
reason.

Source: OTP, "Distribution Protocol", SPAWN_REQUEST and SPAWN_REPLY; ``lib/kernel/src/erpc.erl``.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from pyzen.actor.reasons import as_atom, exit_error, settle
from pyzen.actor.signals import SpawnRequest
from pyzen.actor.verbs import Verbs
from pyzen.errors import CallTimeout, NodeDown, ProcessExit, RpcError
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyzen.actor.actor import Actor
    from pyzen.actor.signals import SpawnReply
    from pyzen.terms import Atom, Reference

__all__ = ["Remote", "keep_spawned", "request_spawn", "result_of"]

ERPC: Final = atoms.erpc
RETURN: Final = atoms["return"]
LINK: Final = atoms.link
MONITOR: Final = atoms.monitor


class Remote(Verbs):
    """The verbs that reach for other nodes' functions: all kinds of processes have them."""

    async def spawn_request(
        self,
        peer: Atom | str,
        module: Atom | str,
        function: Atom | str,
        args: Sequence[Any] = (),
        *,
        link: bool = False,
        monitor: bool = False,
        timeout: float | None = 5.0,
    ) -> tuple[Pid, Reference]:
        """Start a process on another node; it applies a function and has this process's group leader.

        Args:
            peer: The node; dialled when it is not connected.
            module: Of the function; one that is not there ends the process with ``undef``, after this has returned.
            function: Its name.
            args: Its arguments.
            link: Link the process with this one from its first moment.
            monitor: Monitor it from its first moment.
            timeout: Seconds, from where no busy link suspends this process; a process that starts later is given up:
                with ``link`` it gets the exit signal ``abandoned``, as after cancellation.

        Returns:
            The pid, and the reference of the monitor.

        Raises:
            EncodeError: An argument has no Erlang form.
            NodeDown: The node can't be reached, or was lost.
            CallTimeout: No answer in time.
            ProcessExit: The node refuses; the reason is its word for why, such as ``system_limit``.
        """
        actor = self._pyzen_actor
        node, mfa = as_atom(peer), (as_atom(module), as_atom(function), len(args))
        await actor.until_released()
        started: asyncio.Future[Pid] = asyncio.get_running_loop().create_future()
        ref = actor.alive().make_ref()

        keep = partial(keep_spawned, actor, link=link, monitor=monitor)
        options = [word for word, wanted in ((MONITOR, monitor), (LINK, link)) if wanted]
        request = SpawnRequest(node, ref, actor.pid, actor.leader, mfa, options, list(args))
        request_spawn(actor, request, partial(_spawned, started, keep), partial(settle, started, None))
        try:
            await actor.until_released()
            async with asyncio.timeout(timeout):
                return await started, ref
        except TimeoutError:
            raise CallTimeout((atoms.timeout, node), f"{node} started nothing within {timeout} s") from None
        finally:
            if not actor.ended and ref in actor.spawns:
                actor.forget_request(ref)
            del started  # its error knows this frame, and must not be known by it: a cycle

    async def erpc(
        self,
        peer: Atom | str,
        module: Atom | str,
        function: Atom | str,
        args: Sequence[Any] = (),
        timeout: float | None = 5.0,
    ) -> Any:
        """Call a function on another node and return its result.

        Raises:
            RpcError: The function raised, exited or threw; kind ``erpc`` where the call itself failed.
            NodeDown: The node can't be reached, or was lost.
            CallTimeout: No result in time; the function goes on there, as after cancellation.
            EncodeError: An argument has no Erlang form.
        """
        actor = self._pyzen_actor
        node, called = as_atom(peer), (as_atom(module), as_atom(function))
        await actor.until_released()
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ref = actor.alive().make_ref()

        def on_reply(reply: SpawnReply) -> None:
            actor.relations.monitors[ref] = reply.result

        mfa = (ERPC, atoms.execute_call, 4)
        request = SpawnRequest(node, ref, actor.pid, actor.leader, mfa, [MONITOR], [ref, *called, list(args)])
        request_spawn(actor, request, on_reply, lambda error: settle(ended, error, None))
        try:
            await actor.until_released()
            async with asyncio.timeout(timeout):
                return result_of(ref, await ended)
        except TimeoutError:
            text = f"no result of {module}:{function}/{len(args)} on {peer} within {timeout} s"
            raise CallTimeout((atoms.timeout, (*called, len(args))), text) from None
        finally:
            if not actor.ended:
                actor.forget_request(ref)


def _spawned(started: asyncio.Future[Pid], keep: Callable[[SpawnReply], Pid], reply: SpawnReply) -> None:
    """Take the pid of a process that was asked for."""
    settle(started, keep(reply), None)


def keep_spawned(actor: Actor, reply: SpawnReply, *, link: bool, monitor: bool) -> Pid:
    """Make what was asked for at the start a link and a monitor like any other."""
    ref, pid = reply.req_id, cast("Pid", reply.result)
    del actor.requests[ref]
    if monitor:
        actor.relations.monitors[ref] = pid
    else:
        actor.relations.remove_monitor(ref)
    if link:
        actor.receive_link(pid, is_lost=reply.is_late(actor))
    return pid


def request_spawn(
    actor: Actor,
    request: SpawnRequest,
    on_reply: Callable[[SpawnReply], object],
    on_error: Callable[[ProcessExit], object],
) -> None:
    """Ask for a process; ``on_error`` is called when there is none, or, as for its DOWN, when it has ended.

    Until the reply is there, the request stands among the monitors, so that it ends with the link.
    """
    runtime, ref = actor.alive(), request.req_id

    def failed(_reply: Any, error: ProcessExit | None) -> None:
        if error is not None:
            on_error(error)

    actor.spawns[ref] = on_reply
    actor.requests[ref] = failed
    actor.add_monitor(ref, (request.mfa[0], request.to))
    try:
        runtime.route(request)
    except Exception:
        actor.forget_request(ref)
        raise
    actor.sent_to(request.to)


def result_of(ref: Reference, end: ProcessExit) -> Any:
    """Return the result that the end of a called process tells, or raise what it says.

    Source: OTP, ``erpc:call/5``, "exceptions"; ``erpc.erl``, ``call_result``.
    """
    match end.reason:
        case (found, kind, value) if found == ref and kind is RETURN:
            return value
        case (found, atoms.throw, value) if found == ref:
            raise RpcError("throw", value)
        case (found, atoms.exit, reason) if found == ref:
            raise RpcError("exit", reason)
        case (found, atoms.error, reason, list() as stack) if found == ref:
            raise RpcError("error", reason, stack)
        case (found, atoms.error, (atoms.erpc, reason)) if found == ref:
            raise RpcError("erpc", reason)
        case (atoms.spawn_reply, reason):
            raise RpcError("erpc", reason)
    if isinstance(end, NodeDown):
        raise exit_error(end.reason)
    raise RpcError("exit", (atoms.signal, end.reason))
