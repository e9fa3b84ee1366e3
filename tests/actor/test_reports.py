"""One line per abnormal end, restart and supervisor that gives up; none for orderly ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.answers import Stop
from pyzen.actor.gen_server import GenServer
from pyzen.actor.supervisor import ChildSpec, Supervisor
from pyzen.logs import BURST
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.process import Mailbox, Process
    from pyzen.node.router import Router


class Counter(GenServer):
    def init(self, *_args: Any) -> None:
        self.count = 7

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        match request:
            case (atoms.stop, reason):
                raise Stop(reason)
            case atoms.crash:
                raise ValueError("the count is wrong")
            case atoms.wait:
                return self.wait()
        return super().handle_call(request, from_)

    async def wait(self) -> None:
        await asyncio.sleep(0)
        raise ValueError("the wait was in vain")


class Broken(GenServer):
    def init(self, *_args: Any) -> None:
        raise ValueError("it does not begin")


async def raising(_process: Process) -> None:
    raise ValueError("the body fails")


async def exiting(process: Process) -> None:
    process.exit(atoms.boom)


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pyzen")


async def ended(router: Router, me: Mailbox, target: Any, *requests: Any, signal: Any = None) -> None:
    """Start a process, send it calls and an exit signal, and wait for its end."""
    pid = router.spawn(target, name="tried")
    ref = me.monitor(pid)
    for request in requests:
        me.send_request(pid, request)
    if signal is not None:
        me.send_exit(pid, signal)
    await me.receive(lambda message: message[0] is atoms.DOWN and message[1] == ref, timeout=2)


ABNORMAL: dict[str, tuple[Any, tuple[Any, ...], Any, str]] = {
    "an error in a callback": (Counter, (atoms.crash,), None, "ValueError: the count is wrong"),
    "an error after an await": (Counter, (atoms.wait,), None, "ValueError: the wait was in vain"),
    "a stop": (Counter, ((atoms.stop, atoms.boom),), None, ":boom"),
    "an unknown call": (Counter, (atoms.nonsense,), None, "{:bad_call, :nonsense}"),
    "an error in init": (Broken, (), None, "ValueError: it does not begin"),
    "an error in a body": (raising, (), None, "ValueError: the body fails"),
    "an exit of a body": (exiting, (), None, ":boom"),
    "an exit signal": (Counter, (), atoms.boom, ":boom"),
    "a kill": (Counter, (), atoms.kill, ":killed"),
}


@pytest.mark.parametrize(("target", "requests", "signal", "reason"), ABNORMAL.values(), ids=ABNORMAL)
async def test_abnormal_end_is_told_once(
    router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture, target: Any, requests: Any, signal: Any, reason: str
) -> None:
    await ended(router, me, target, *requests, signal=signal)

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.name == "pyzen.actor"
    assert record.getMessage().startswith("process tried of local@test has ended: ")
    assert reason in record.getMessage()


@pytest.mark.parametrize("reason", [atoms.normal, atoms.shutdown, (atoms.shutdown, atoms.enough)])
async def test_orderly_end_is_no_news(
    router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture, reason: Any
) -> None:
    await ended(router, me, Counter, (atoms.stop, reason))

    assert caplog.records == []


async def test_line_has_the_last_message_and_the_state(
    router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    await ended(router, me, Counter, atoms.crash)

    (line,) = caplog.messages
    assert 'last message: {:"$gen_call", {#PID<' in line
    assert line.endswith("state: %{count: 7}")


async def test_line_has_the_fields_apart(router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    await ended(router, me, Counter, (atoms.stop, atoms.boom))

    (record,) = caplog.records
    fields = vars(record)
    assert (fields["node"], fields["mfa"], fields["reason"]) == ("local@test", f"{__name__}.Counter", ":boom")
    assert fields["pid"].startswith("#PID<")


async def test_line_has_a_bound(router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    class Large(GenServer):
        def init(self, *_args: Any) -> None:
            self.all = [b"x" * 1000] * 1000

    await ended(router, me, Large, [b"y" * 1000] * 1000)

    assert len(caplog.messages[0]) < 1200


async def test_error_of_the_program_comes_with_its_traceback(
    router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    await ended(router, me, Counter, atoms.crash)

    assert 'raise ValueError("the count is wrong")' in caplog.text


async def test_many_ends_are_few_lines(router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    pids = [router.spawn(Counter) for _ in range(1000)]
    for pid in pids:
        me.send_exit(pid, atoms.boom)
    await until(lambda: all(router.actor(pid) is None for pid in pids))

    assert len(caplog.records) == BURST


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def supervised(router: Router, me: Mailbox, reasons: list[Any], **settings: Any) -> Pid:
    """Start a supervisor, and end its child for each reason in turn."""
    supervisor = router.spawn(Supervisor([ChildSpec("one", Counter, name="one")], **settings), name="sup")
    for reason in reasons:
        await until(lambda: router.whereis("one") is not None)
        ref = me.monitor("one")
        me.send_exit(router.whereis("one"), reason)  # type: ignore[arg-type]
        await me.receive(lambda message, ref=ref: message[1] == ref, timeout=2)  # type: ignore[misc]
    return supervisor


async def test_restart_is_told_once(router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    await supervised(router, me, [atoms.shutdown])
    await until(lambda: router.whereis("one") is not None)

    assert caplog.messages == ["supervisor sup of local@test restarts one, which has ended: :shutdown"]


async def test_supervisor_that_gives_up_is_told_once(
    router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    await supervised(router, me, [atoms.shutdown, atoms.shutdown], max_restarts=1)
    await until(lambda: router.whereis("sup") is None)

    assert caplog.messages[1:] == [
        "supervisor sup of local@test gives up after 1 restarts in 5 s, the last one for: :shutdown"
    ]


async def test_stop_of_a_supervisor_is_no_news(router: Router, me: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    supervisor = await supervised(router, me, [])
    await until(lambda: router.whereis("one") is not None)
    me.send_exit(supervisor, atoms.shutdown)
    await until(lambda: router.whereis("sup") is None)

    assert caplog.records == []
