"""Every exported function is answered once, however it ends, and the process that has called it is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import atoms
from pyzen.errors import RpcError
from tests.node.ends import crashed, is_reason
from tests.node.export_ends import EXPORTS, ExportEnd, export_all

if TYPE_CHECKING:
    from tests.node.stage import Stage

pytestmark = pytest.mark.usefixtures("quiet")

CASES = [pytest.param(f"end_{number}", end, id=name) for number, (name, end) in enumerate(EXPORTS.items())]


@pytest.mark.parametrize(("function", "end"), CASES)
def test_call(stage: Stage, function: str, end: ExportEnd) -> None:
    """``erpc:call/4``."""

    async def scene() -> None:
        export_all(stage.node)
        calling = stage.other.rpc(stage.node.name, "ends", function)
        if end.kind == "return":
            assert await calling == end.value
            return
        with pytest.raises(RpcError) as raised:
            await calling
        kind, reason = raised.value.kind, raised.value.reason
        if end.kind == "signal":
            assert (kind, reason) == ("exit", (atoms.signal, end.value))
        else:
            assert kind == end.kind
            assert error_text(reason) == end.value if isinstance(end.value, str) else reason == end.value

    stage.play(scene())


def error_text(reason: Any) -> str:
    return str(reason[atoms.message].decode())


@pytest.mark.parametrize(("function", "end"), CASES)
def test_spawned(stage: Stage, function: str, end: ExportEnd) -> None:
    """``erlang:spawn_monitor/4``."""

    async def scene() -> None:
        export_all(stage.node)
        async with stage.other.mailbox() as me:
            me.trap_exit = True
            pid, ref = await me.spawn_request(stage.node.name, "ends", function, monitor=True, link=True)
            heard = sorted([await me.receive(timeout=5), await me.receive(timeout=5)], key=lambda one: str(one[0]))

            assert [one[:-1] for one in heard] == [(atoms.DOWN, ref, atoms.process, pid), (atoms.EXIT, pid)]
            assert is_spawned_reason(end, heard[0][-1]), heard
            assert heard[0][-1] == heard[1][-1]
            with pytest.raises(TimeoutError):
                await me.receive(timeout=0)

    stage.play(scene())


def is_spawned_reason(end: ExportEnd, reason: Any) -> bool:
    """Say whether a process that nobody called ended as it should."""
    match end.kind:
        case "return":
            return bool(reason is atoms.normal)
        case "throw":
            return bool(reason[0] == (atoms.nocatch, end.value))
        case "error" if not isinstance(end.value, str):
            return bool(reason[0] == end.value)
    return is_reason(end.value, reason)


@pytest.mark.parametrize(("function", "end"), CASES)
def test_message_to_rex(stage: Stage, function: str, end: ExportEnd) -> None:
    """``rpc:block_call/4``, and all calls of old nodes."""

    async def scene() -> None:
        export_all(stage.node)
        request: Any = (atoms.block_call, atoms.ends, atoms[function], [], None)
        answer = await stage.other.call((atoms.rex, stage.node.name), request)
        match end.kind, answer:
            case (("return" | "throw"), _):
                assert answer == end.value
            case (("exit" | "signal"), (atoms.badrpc, (atoms.EXIT, reason))):
                assert reason == end.value
            case "error", (atoms.badrpc, (atoms.EXIT, reason)):
                assert crashed(reason) == end.value if isinstance(end.value, str) else reason[0] == end.value
            case _:
                pytest.fail(f"answered {answer!r}")

    stage.play(scene())


@pytest.mark.parametrize("how", ["kill", "cancel"])
def test_process_of_a_call_that_is_ended_from_outside(stage: Stage, how: str) -> None:
    async def scene() -> None:
        begun: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def wait() -> None:
            begun.set_result(stage.node.runtime.running())
            await asyncio.Event().wait()

        stage.node.export("ends", "wait", wait)
        calling = asyncio.ensure_future(stage.other.rpc(stage.node.name, "ends", "wait"))
        actor = stage.node.runtime.actor(await begun)
        assert actor is not None
        if how == "kill":
            actor.end(atoms.killed)
        else:
            assert actor.loop.task is not None
            actor.loop.task.cancel()

        with pytest.raises(RpcError) as raised:
            await calling
        assert raised.value.reason == (atoms.signal, atoms.killed if how == "kill" else atoms.shutdown)

    stage.play(scene())
