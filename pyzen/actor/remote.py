"""Starting processes on other nodes, and calling functions there.

A request is answered by the peer with a reply (a pid, or why there is none); what the process does afterwards is
told by its exit signals and its DOWN, as for any other. A call is a process that ends with the result as its exit
reason.

Source: OTP, "Distribution Protocol", SPAWN_REQUEST and SPAWN_REPLY; ``lib/kernel/src/erpc.erl``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from pyzen.actor.process import Actor
from pyzen.actor.reasons import as_atom, settle
from pyzen.errors import CallTimeout, NodeDown, ProcessExit, RpcError
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyzen.terms import Atom, Reference

ERPC: Final = atoms.erpc
RETURN: Final = atoms["return"]
LINK: Final = atoms.link
MONITOR: Final = atoms.monitor


class Remote(Actor):
    """The part of a process that starts others elsewhere."""

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
            timeout: Seconds; a process that starts later is given up: with ``link`` it gets the exit signal
                ``abandoned``, as after cancellation.

        Returns:
            The pid, and the reference of the monitor.

        Raises:
            EncodeError: An argument has no Erlang form.
            NodeDown: The node can't be reached, or was lost.
            CallTimeout: No answer in time.
            ProcessExit: The node refuses; the reason is its word for why, such as ``system_limit``.
        """
        node, mfa = as_atom(peer), (as_atom(module), as_atom(function), len(args))
        started: asyncio.Future[Pid] = asyncio.get_running_loop().create_future()
        ref = self._alive().make_ref()

        def on_reply(pid: Pid) -> None:
            self._keep_spawned(ref, pid, link=link, monitor=monitor)
            settle(started, pid, None)

        options = [word for word, wanted in ((MONITOR, monitor), (LINK, link)) if wanted]
        self._request_spawn(ref, node, mfa, list(args), options, on_reply, lambda error: settle(started, None, error))
        try:
            async with asyncio.timeout(timeout):
                return await started, ref
        except TimeoutError:
            raise CallTimeout((atoms.timeout, node), f"{node} started nothing within {timeout} s") from None
        finally:
            if not self.ended and ref in self._spawns:
                self._forget_request(ref)

    def _keep_spawned(self, ref: Reference, pid: Pid, *, link: bool, monitor: bool) -> None:
        """Make what was asked for at the start a link and a monitor like any other."""
        del self._requests[ref]
        if monitor:
            self._relations.monitors[ref] = pid
        else:
            self._relations.remove_monitor(ref)
        if link:
            self._relations.add_link(pid)
            self._relate(pid.node)

    def _request_spawn(
        self,
        ref: Reference,
        node: Atom,
        mfa: tuple[Atom, Atom, int],
        args: list[Any],
        options: list[Any],
        on_reply: Callable[[Pid], object],
        on_error: Callable[[ProcessExit], object],
    ) -> None:
        """Ask for a process; ``on_error`` is called when there is none, or, as for its DOWN, when it has ended.

        Until the reply is there, the request stands among the monitors, so that it ends with the link.
        """
        runtime = self._alive()

        def failed(_reply: Any, error: ProcessExit | None) -> None:
            if error is not None:
                on_error(error)

        self._spawns[ref] = on_reply
        self._requests[ref] = failed
        self._relations.add_monitor(ref, (mfa[0], node), node)
        self._relate(node)
        try:
            runtime.route_spawn_request(ref, self.pid, node, self.leader, mfa, options, args)
        except Exception:
            self._forget_request(ref)
            raise

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
        node, called = as_atom(peer), (as_atom(module), as_atom(function))
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ref = self._alive().make_ref()

        def on_reply(pid: Pid) -> None:
            self._relations.monitors[ref] = pid

        self._request_spawn(
            ref,
            node,
            (ERPC, atoms.execute_call, 4),
            [ref, *called, list(args)],
            [MONITOR],
            on_reply,
            lambda error: settle(ended, error, None),
        )
        try:
            async with asyncio.timeout(timeout):
                return result_of(ref, await ended)
        except TimeoutError:
            text = f"no result of {module}:{function}/{len(args)} on {peer} within {timeout} s"
            raise CallTimeout((atoms.timeout, (*called, len(args))), text) from None
        finally:
            if not self.ended:
                self._forget_request(ref)


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
        raise end
    raise RpcError("exit", (atoms.signal, end.reason))
