"""Calls between two nodes of ours: what the caller is told."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import current_process
from pyzen.errors import CallTimeout, EncodeError, RpcError
from pyzen.terms import Export, Fun, Pid, atoms

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode
    from tests.node.services.conftest import Two


def fail() -> None:
    raise ValueError("boom")


async def test_a_call_returns_the_result(two: Two) -> None:
    two.callee.export("calc", "add", lambda one, other: one + other)

    assert await two.caller.rpc(two.callee.name, "calc", "add", [1, 2]) == 3


async def test_a_coroutine_function_is_awaited(two: Two) -> None:
    async def later(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    two.callee.export("calc", "later", later)

    assert await two.caller.rpc(two.callee.name, "calc", "later", [{"a": 1.5}]) == {b"a": 1.5}


async def test_a_call_dials_a_node_that_is_not_connected(make_node: MakeNode) -> None:
    caller, callee = await make_node("caller"), await make_node("callee")
    callee.export("calc", "add", lambda one, other: one + other)

    assert await caller.rpc(callee.name, "calc", "add", [1, 2]) == 3


async def test_a_node_calls_itself_alike(two: Two) -> None:
    two.callee.export("calc", "one", lambda: 1)

    assert await two.callee.rpc(two.callee.name, "calc", "one") == 1


async def test_what_is_not_exported_is_undef(two: Two) -> None:
    with pytest.raises(RpcError) as caught:
        await two.caller.rpc(two.callee.name, "os", "getcwd", [1])

    assert (caught.value.kind, caught.value.reason) == ("error", atoms.undef)
    assert caught.value.stack == [(atoms.os, atoms.getcwd, [1], [])]


async def test_an_exception_tells_its_text_and_where(two: Two) -> None:
    two.callee.export("bad", "fail", fail)

    with pytest.raises(RpcError) as caught:
        await two.caller.rpc(two.callee.name, "bad", "fail")

    assert caught.value.kind == "error"
    assert caught.value.reason[atoms.message] == b"ValueError: boom"
    module, function, arity, location = caught.value.stack[0]
    assert (str(module), function, arity) == (__name__, atoms.fail, 0)
    assert location[0] == (atoms.file, [ord(one) for one in "test_remote_call.py"])
    assert len(caught.value.stack) == 1


@pytest.mark.parametrize("kind", ["throw", "exit", "error"])
async def test_a_function_may_choose_class_and_reason(two: Two, kind: str) -> None:
    def choose() -> None:
        raise RpcError(kind, (atoms.my, atoms.reason))

    two.callee.export("bad", "choose", choose)

    with pytest.raises(RpcError) as caught:
        await two.caller.rpc(two.callee.name, "bad", "choose")

    assert (caught.value.kind, caught.value.reason) == (kind, (atoms.my, atoms.reason))


@pytest.mark.parametrize(("code", "reason"), [(0, atoms.normal), ("why", (atoms.system_exit, b"why"))])
async def test_sys_exit_ends_the_call_and_not_the_node(two: Two, code: Any, reason: Any) -> None:
    two.callee.export("bad", "quit", lambda: sys.exit(code))

    with pytest.raises(RpcError) as caught:
        await two.caller.rpc(two.callee.name, "bad", "quit")

    assert (caught.value.kind, caught.value.reason) == ("exit", reason)


@pytest.mark.parametrize("value", [object(), float("nan"), {1: {2: object()}}])
async def test_a_result_without_an_erlang_form_is_an_error(two: Two, value: Any) -> None:
    two.callee.export("bad", "value", lambda: value)

    with pytest.raises(RpcError) as caught:
        await two.caller.rpc(two.callee.name, "bad", "value")

    assert caught.value.reason[atoms.message].startswith(b"EncodeError: ")


async def test_an_argument_without_an_erlang_form_raises_at_the_call(two: Two) -> None:
    with pytest.raises(EncodeError):
        await two.caller.rpc(two.callee.name, "calc", "add", [object()])


async def test_a_blocking_function_runs_in_a_thread_of_its_own(two: Two) -> None:
    def where() -> bool:
        with pytest.raises(RuntimeError):
            current_process()
        return threading.current_thread() is threading.main_thread()

    two.callee.export("slow", "where", where, blocking=True)

    assert await two.caller.rpc(two.callee.name, "slow", "where") is False


async def test_a_call_that_takes_too_long_goes_on_there(two: Two) -> None:
    released, done = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        await released.wait()
        done.set()

    two.callee.export("slow", "wait", wait)

    with pytest.raises(CallTimeout, match="slow:wait/0"):
        await two.caller.rpc(two.callee.name, "slow", "wait", timeout=0.05)
    released.set()
    await asyncio.wait_for(done.wait(), 5)


async def test_a_started_process_receives_and_tells_its_end(two: Two) -> None:
    async def echo() -> None:
        me = current_process()
        sender, message = await me.receive()
        me.send(sender, message)

    two.callee.export("actor", "echo", echo)
    async with two.caller.mailbox() as me:
        pid, ref = await me.spawn_request(two.callee.name, "actor", "echo", monitor=True)

        me.send(pid, (me.pid, atoms.hello))

        assert await me.receive(timeout=5) is atoms.hello
        assert await me.receive(timeout=5) == (atoms.DOWN, ref, atoms.process, pid, atoms.normal)


@pytest.mark.parametrize(
    ("kind", "reason"), [("throw", (atoms.nocatch, atoms.x)), ("error", atoms.x), ("exit", atoms.x)]
)
async def test_a_started_process_that_fails_ends_as_there(
    two: Two, kind: str, reason: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def choose() -> None:
        raise RpcError(kind, atoms.x)

    two.callee.export("bad", "choose", choose)
    async with two.caller.mailbox() as me:
        with caplog.at_level(logging.ERROR):
            await me.spawn_request(two.callee.name, "bad", "choose", monitor=True)
            told = (await me.receive(timeout=5))[4]

    assert (told if kind == "exit" else told[0]) == reason
    assert "(bad:choose/0)" in caplog.text


FUN = Fun("shell", 0, bytes(16), 0, 0, 0, Pid("a@h", 1, 0, 1), ())


async def test_a_started_apply_takes_exported_functions_and_no_code(two: Two) -> None:
    got: list[Any] = []
    two.callee.export("calc", "keep", got.append)
    async with two.caller.mailbox() as me:
        for args in ([Export("calc", "keep", 1), [1]], [atoms.calc, atoms.keep, [2]], [FUN, []]):
            await me.spawn_request(two.callee.name, "erlang", "apply", args, monitor=True)
        reasons = [(await me.receive(timeout=5))[4] for _ in range(3)]

    assert sorted(got) == [1, 2]
    assert reasons.count(atoms.normal) == 2
    assert [b"anonymous" in reason[0][atoms.message] for reason in reasons if reason is not atoms.normal] == [True]


async def test_a_started_apply_that_fails_is_logged_under_the_name_of_the_function(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    two.callee.export("bad", "fail", fail)
    async with two.caller.mailbox() as me:
        with caplog.at_level(logging.ERROR):
            await me.spawn_request(two.callee.name, "erlang", "apply", [Export("bad", "fail", 0), []], monitor=True)
            await me.receive(timeout=5)

    assert "(bad:fail/0)" in caplog.text


@pytest.mark.parametrize(
    "args",
    [
        [atoms.calc, atoms.add, [1, 2]],
        [Export("calc", "add", 2), [1, 2]],
        [atoms.erlang, atoms.apply, [Export("calc", "add", 2), [1, 2]]],
    ],
)
async def test_a_call_of_apply_is_one_of_the_function(two: Two, args: list[Any]) -> None:
    two.callee.export("calc", "add", lambda one, other: one + other)

    assert await two.caller.rpc(two.callee.name, "erlang", "apply", args) == 3
    request = (atoms.call, atoms.erlang, atoms.apply, args, atoms.user)
    assert await two.caller.call(("rex", two.callee.name), request) == 3


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ([atoms.calc, atoms.nothing, []], atoms.undef),
        ([Export("calc", "nothing", 0), []], atoms.undef),
        ([Export("calc", "add", 2), [1]], (atoms.badarity, (Export("calc", "add", 2), [1]))),
        ([1, []], (atoms.badfun, 1)),
        ([1, atoms.f, []], atoms.badarg),
        ([1], atoms.badarg),
        ([FUN, 1], atoms.badarg),
    ],
)
async def test_an_apply_of_what_can_not_be_called_has_the_reason_of_a_real_node(
    two: Two, args: list[Any], reason: Any
) -> None:
    with pytest.raises(RpcError) as caught:
        await two.caller.rpc(two.callee.name, "erlang", "apply", args)

    assert (caught.value.kind, caught.value.reason) == ("error", reason)


async def test_a_call_of_an_anonymous_fun_is_refused_with_a_reason(two: Two) -> None:
    with pytest.raises(RpcError, match="code of an anonymous function of shell is not"):
        await two.caller.rpc(two.callee.name, "erlang", "apply", [FUN, []])


@pytest.mark.parametrize("count", [256, 100_000])
async def test_more_arguments_than_a_function_of_erlang_has_are_refused(two: Two, count: int) -> None:
    two.callee.export("calc", "count", lambda *numbers: len(numbers))
    assert await two.caller.rpc(two.callee.name, "calc", "count", [1] * 255) == 255

    with pytest.raises(RpcError) as caught:
        await two.caller.rpc(two.callee.name, "calc", "count", [1] * count)

    assert (caught.value.kind, caught.value.reason) == ("error", atoms.system_limit)
