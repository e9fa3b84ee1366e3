"""Every process ends once, however its code ends: each watcher hears of it once, and nothing is left."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import Continue, GenServer, Stop, atoms
from tests.node.ends import ENDS, End, is_reason
from tests.node.stage import Stage, Watched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyzen.actor.process import Mailbox, Process
    from pyzen.terms import Pid

pytestmark = pytest.mark.usefixtures("quiet")


# ---- bodies


async def body(process: Process, end: End) -> None:
    await process.receive()
    await end.how(process)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_body(stage: Stage, end: End) -> None:
    async def scene() -> None:
        async with Watched(stage, stage.node.spawn(body, end, name="tried")) as watched:
            stage.node.send("tried", atoms.go)
            await watched.end_once(end.reason)

    stage.play(scene())


async def returns(process: Process, *_: Any) -> None:
    """Do nothing."""


@pytest.mark.parametrize("end", [End(returns, atoms.normal), *ENDS.values()], ids=["returns", *ENDS])
def test_body_that_ends_without_waiting_has_not_begun_when_it_is_monitored(stage: Stage, end: End) -> None:
    async def scene() -> None:
        async with stage.node.mailbox() as me:
            pid, ref = stage.node.spawn_monitor(end.how, subscriber=me.pid, name="tried")
            assert stage.node.whereis("tried") == pid

            _, heard, _, _, reason = await me.receive(timeout=5)

            assert heard == ref
            assert is_reason(end.reason, reason), reason

    stage.play(scene())


async def wait_for_ever(process: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("sent", [atoms.boom, atoms.kill])
def test_body_that_gets_an_exit_signal(stage: Stage, sent: Any) -> None:
    async def scene() -> None:
        async with Watched(stage, stage.node.spawn(wait_for_ever, name="tried")) as watched:
            watched.watchers[1].mailbox.send_exit(watched.pid, sent)
            await watched.end_once(atoms.killed if sent is atoms.kill else sent)

    stage.play(scene())


# ---- callbacks


class Tried(GenServer):
    """Ends where and how it is told to."""

    trap_exits = False

    async def init(self, where: str, end: End) -> Any:
        self.where, self.end = where, end
        await self.end_at("init")

    async def end_at(self, where: str) -> Any:
        if where == self.where:
            await self.end.how(self)

    async def handle_call(self, request: Any, from_: Any) -> Any:
        await self.end_at("handle_call")

    async def handle_cast(self, request: Any) -> Any:
        await self.end_at("handle_cast")
        if self.where == "handle_continue":
            return Continue(1)
        if self.where == "terminate":
            raise Stop(atoms.asked)
        return self.after(0.0, self.end_at, "timer")

    async def handle_info(self, message: Any) -> Any:
        await self.end_at("handle_info")

    async def handle_continue(self, argument: Any) -> Any:
        await self.end_at("handle_continue")

    async def terminate(self, reason: Any) -> Any:
        await self.end_at("terminate")


WHERE = ("handle_call", "handle_cast", "handle_info", "handle_continue", "timer", "terminate")


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("where", WHERE)
def test_callback(stage: Stage, where: str, end: End) -> None:
    reason = atoms.asked if where == "terminate" and end.reason is atoms.shutdown else end.reason

    async def scene() -> None:
        pid = await Tried.start(stage.node, where, end, name="tried")
        async with Watched(stage, pid) as watched:
            if where == "handle_call":
                watched.watchers[0].mailbox.send(
                    pid, (atoms["$gen_call"], (stage.node._caller.pid, stage.node.make_ref()), 1)
                )
            elif where == "handle_info":
                stage.node.send(pid, 1)
            else:
                stage.node.cast(pid, 1)
            await watched.end_once(reason)

    stage.play(scene())


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_init(stage: Stage, end: End) -> None:
    async def scene() -> None:
        async with stage.node.mailbox() as me:
            _, ref = stage.node.spawn_monitor(Tried, "init", end, subscriber=me.pid, name="tried")

            _, heard, _, _, reason = await me.receive(timeout=5)

            assert heard == ref
            assert is_reason(end.reason, reason), reason
            assert stage.node.whereis("tried") is None

    stage.play(scene())


class PlainTried(Tried):
    """The same, where a callback is a plain function."""

    def handle_cast(self, request: Any) -> Any:
        run_plain(self.end.how(self))


def run_plain(coroutine: Any) -> None:
    """Run a coroutine that never waits."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


PLAIN_ENDS = [
    name for name, end in ENDS.items() if end.how.__name__ in {"leave", "fail", "quit_program", "quit_with_code"}
]


@pytest.mark.parametrize("name", PLAIN_ENDS)
def test_plain_callback(stage: Stage, name: str) -> None:
    async def scene() -> None:
        async with Watched(stage, await PlainTried.start(stage.node, "", ENDS[name], name="tried")) as watched:
            stage.node.cast("tried", 1)
            await watched.end_once(ENDS[name].reason)

    stage.play(scene())


# ---- cancelled before the first step


async def start_body(stage: Stage) -> Pid:
    return stage.node.spawn(wait_for_ever, name="tried")


async def start_callback(stage: Stage) -> Pid:
    return await begin_callback(stage, "handle_cast", wait_for_ever)


async def start_terminate(stage: Stage) -> Pid:
    return await begin_callback(stage, "terminate", wait_for_ever, atoms.asked)


async def begin_callback(stage: Stage, where: str, how: Any, stop: Any = None) -> Pid:
    pid = await Unbegun.start(stage.node, where, End(how, None), stop, name="tried")
    stage.node.cast(pid, 1)
    stage.node.runtime.scheduler.run()  # makes the task of the callback, which begins in the next turn of the loop
    return pid


class Unbegun(GenServer):
    def init(self, where: str, end: End, stop: Any) -> None:
        self.end, self.stop = end, stop

    def handle_cast(self, request: Any) -> Any:
        if self.stop is not None:
            raise Stop(self.stop)
        return self.end.how(self)

    def terminate(self, reason: Any) -> Any:
        return None if self.stop is None else self.end.how(self)


async def start_init(stage: Stage) -> Pid:
    pid = stage.node.spawn(Tried, "init", End(wait_for_ever, None), name="tried")
    stage.node.runtime.scheduler.run()
    return pid


def cancel_task_of(stage: Stage, pid: Pid) -> None:
    actor = stage.node.runtime.actor(pid)
    assert actor is not None
    assert actor.loop.task is not None
    actor.loop.task.cancel()


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (start_body, atoms.shutdown),
        (start_init, atoms.shutdown),
        (start_callback, atoms.shutdown),
        (start_terminate, atoms.asked),
    ],
)
def test_task_that_is_cancelled_before_its_first_step(
    stage: Stage, start: Callable[[Stage], Awaitable[Pid]], reason: Any
) -> None:
    async def scene() -> None:
        async with stage.node.mailbox() as me:
            pid = await start(stage)
            ref = me.monitor(pid)

            cancel_task_of(stage, pid)

            assert (await me.receive(timeout=5))[1::3] == (ref, reason)
            assert stage.node.whereis("tried") is None

    stage.play(scene())


# ---- what is meant for the program


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


async def interrupted_later(*_: Any) -> None:
    await asyncio.sleep(0)
    raise KeyboardInterrupt


class Interrupted(GenServer):
    """Is at work, in a callback or on its way out, when the program is interrupted."""

    def init(self, where: str, how: Callable[..., Any]) -> None:
        self.where, self.how = where, how

    def handle_cast(self, request: Any) -> Any:
        if self.where == "terminate":
            raise Stop(atoms.asked)
        return self.how()

    def terminate(self, reason: Any) -> Any:
        return self.how() if self.where == "terminate" else None


@pytest.mark.parametrize("how", [interrupted, interrupted_later])
@pytest.mark.parametrize("where", ["body", "callback", "terminate"])
def test_interrupt_ends_the_process_that_runs_and_the_program(stage: Stage, where: str, how: Any) -> None:
    async def begin() -> tuple[Mailbox, Pid]:
        if where == "body":
            pid = stage.node.spawn(body, End(interrupted_later, None), name="tried")
        else:
            pid = await Interrupted.start(stage.node, where, how, name="tried")
        return await stage.node.mailbox().__aenter__(), pid

    async def interrupt() -> None:
        asyncio.get_running_loop().call_later(0.01, stage.node.cast, pid, 1)
        await asyncio.sleep(0.1)

    async def hear(me: Mailbox, ref: Any) -> None:
        assert (await me.receive(timeout=5))[1::3] == (ref, atoms.killed)
        await me.__aexit__(None, None, None)

    me, pid = stage.run(begin())
    ref = me.monitor(pid)

    with pytest.raises(KeyboardInterrupt):
        stage.run(interrupt())

    stage.run(hear(me, ref))
    assert stage.node.whereis("tried") is None


async def quit_in_a_group(process: Process, end: End) -> None:
    await process.receive()
    async with asyncio.TaskGroup() as group:
        group.create_task(quit_later())


async def quit_later() -> None:
    await asyncio.sleep(0)
    sys.exit(3)


def test_sys_exit_in_a_task_of_a_user_is_asyncio_s(stage: Stage) -> None:
    """It ends the program, and the process that waits for the task."""

    async def begin() -> Mailbox:
        stage.node.spawn(quit_in_a_group, None, name="tried")
        return await stage.node.mailbox().__aenter__()

    async def trigger() -> None:
        asyncio.get_running_loop().call_later(0.01, stage.node.send, "tried", 1)
        await asyncio.sleep(0.1)

    async def hear(me: Mailbox, ref: Any) -> None:
        assert (await me.receive(timeout=5))[1::3] == (ref, (atoms.system_exit, "3"))
        await me.__aexit__(None, None, None)

    me = stage.run(begin())
    ref = me.monitor("tried")
    with pytest.raises(SystemExit):
        stage.run(trigger())

    stage.run(hear(me, ref))
