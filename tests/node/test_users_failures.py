"""Callbacks and bodies that fail: each ends its own process, once, with a DOWN, and harms nobody else."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import GenServer, Process, Stop, atoms
from pyzen.errors import ProcessExit
from tests.node.users_classes import Ordinary

if TYPE_CHECKING:
    from tests.node.conftest import Place


class Nasty(BaseException):
    """Neither an Exception, nor of the interpreter."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it can't be shown")


def overflow() -> None:
    overflow()


class Ended(Stop):
    """A stop of a user, whose constructor leaves out that of the kernel's."""

    def __init__(self) -> None:
        self.when = "now"


class Unreadable(Stop):
    def __init__(self) -> None:
        """Have no attributes at all."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("it can't be read")


class Text(str):
    def __format__(self, spec: str) -> str:
        raise Nasty

    __bool__ = __len__ = __format__  # type: ignore[assignment]


class OddText(Exception):
    def __str__(self) -> str:
        return Text("odd")


class VeryMute(Exception):
    def __str__(self) -> str:
        raise Nasty


class Code:
    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


ERRORS: dict[str, Any] = {
    "an Exception": lambda: ValueError("boom"),
    "a BaseException": Nasty,
    "one whose text can't be had": Mute,
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "SystemExit": lambda: SystemExit(3),
    "MemoryError": MemoryError,
    "an ExceptionGroup": lambda: ExceptionGroup("many", [ValueError(1)]),
    "a BaseExceptionGroup": lambda: BaseExceptionGroup("many", [Nasty()]),
    "an error of a call": lambda: ProcessExit(atoms.elsewhere),
    "a stop whose reply has no Erlang form": lambda: Stop(reply=object()),
    "a stop of a user": Ended,
    "a stop that can't be read": Unreadable,
    "one whose text is odd": OddText,
    "one whose text raises a BaseException": VeryMute,
    "SystemExit with an odd code": lambda: SystemExit(Code()),
}


class Failing(GenServer):
    """Fails where and how it is told to."""

    where: str
    error: Any

    def fail(self, where: str) -> Any:
        if self.where == where:
            raise self.error()

    def init(self) -> Any:
        self.fail("init")

    def handle_call(self, request: Any, from_: Any) -> Any:
        self.fail("handle_call")
        raise Stop(atoms.asked)

    def handle_cast(self, request: Any) -> Any:
        self.fail("handle_cast")

    def handle_info(self, message: Any) -> Any:
        self.fail("handle_info")
        return self.after(0.0, self.fail, "timer") if self.where == "timer" else None

    def terminate(self, reason: Any) -> Any:
        self.fail("terminate")


class AsyncFailing(Failing):
    """The same, from coroutines."""

    async def init(self) -> Any:
        self.fail("init")

    async def handle_call(self, request: Any, from_: Any) -> Any:
        return super().handle_call(request, from_)

    async def handle_cast(self, request: Any) -> Any:
        self.fail("handle_cast")

    async def terminate(self, reason: Any) -> Any:
        self.fail("terminate")


WHERE = ("init", "handle_call", "handle_cast", "handle_info", "timer", "terminate")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("base", [Failing, AsyncFailing], ids=["plain", "async"])
async def test_callback_that_fails_ends_its_process_alone(
    place: Place, quiet: None, base: type[Failing], where: str, error: Any
) -> None:
    cls = type("Tried", (base,), {"where": where, "error": staticmethod(error)})
    _, ref = place.node.spawn_monitor(cls, subscriber=place.tester.pid, name="tried")
    asking = asyncio.ensure_future(remote_call(place, "tried")) if where in {"handle_call", "terminate"} else None

    if where in {"handle_cast", "handle_info", "timer"}:
        place.node.cast("tried", 1) if where == "handle_cast" else place.node.send("tried", 1)

    down = await place.heard()
    assert down[:2] == (atoms.DOWN, ref)
    assert place.node.whereis("tried") is None
    if asking is not None:
        with pytest.raises(ProcessExit):
            await asking


async def remote_call(place: Place, name: str) -> Any:
    """Call from the other node, so that a reply has to be encoded."""
    await place.other.connect(place.node.name)
    return await place.other.call((name, place.node.name), atoms.get)


class Odd(Ordinary):
    """A class whose callbacks are no functions."""

    handle_info = terminate = 7  # type: ignore[assignment]


class Raising(Ordinary):
    """A class whose callback can't even be looked up."""

    @property
    def handle_info(self) -> Any:
        raise LookupError("not here")


@pytest.mark.parametrize("cls", [Odd, Raising])
async def test_callback_that_is_no_function_ends_its_process_alone(place: Place, quiet: None, cls: Any) -> None:
    _, ref = place.node.spawn_monitor(cls, subscriber=place.tester.pid, name="tried")

    place.node.send("tried", 1)

    assert (await place.heard())[:2] == (atoms.DOWN, ref)


def hostile(*_: Any, **__: Any) -> Any:
    raise Nasty


class HostileDict(dict):
    __iter__ = __len__ = items = keys = values = __repr__ = hostile


class HostileList(list):
    __iter__ = __len__ = __getitem__ = __repr__ = hostile


class HostileText(str):
    __len__ = __str__ = __iter__ = encode = __repr__ = hostile


class HostileNumber(int):
    __index__ = __int__ = __abs__ = bit_length = to_bytes = __repr__ = hostile


class HostileObject:
    __repr__ = __iter__ = __len__ = hostile


@pytest.mark.parametrize(
    "reason",
    [HostileDict(a=1), HostileList([1]), HostileText("text"), HostileNumber(5), HostileObject()],
    ids=lambda reason: type(reason).__name__,
)
async def test_reason_that_can_not_be_looked_at_is_told_to_all(place: Place, quiet: None, reason: Any) -> None:
    """The first watcher is on the other node, where the reason has to be encoded."""

    class Odd(GenServer):
        def handle_cast(self, request: Any) -> None:
            raise Stop([reason])

    pid = await Odd.start(place.node)
    async with place.other.mailbox() as far:
        refs = [far.monitor(pid), place.tester.monitor(pid)]
        await place.node.call(place.bystander, atoms.hello)
        await place.other.ping(place.node.name)

        place.node.cast(pid, 1)

        assert (await far.receive(timeout=5))[:2] == (atoms.DOWN, refs[0])
    assert (await place.heard())[:2] == (atoms.DOWN, refs[1])


class Disguised:
    """A message that says it is something else, as mocks do."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("not to be asked")


async def test_message_that_can_not_be_looked_at_harms_nobody(place: Place) -> None:
    class Taking(GenServer):
        def handle_info(self, message: Any) -> None:
            self.send("tester", type(message) is Disguised)

    place.node.send(place.node.spawn(Taking), Disguised())

    assert await place.heard() is True


async def test_log_that_fails_keeps_nobody_from_hearing(place: Place) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("the disk is full")

    class Crashing(GenServer):
        def handle_cast(self, request: Any) -> None:
            raise ValueError("boom")

    pid = await Crashing.start(place.node)
    ref = place.tester.monitor(pid)
    handler = Broken()
    logging.getLogger("pyzen.actor").addHandler(handler)
    try:
        place.node.cast(pid, 1)
        assert (await place.heard())[:2] == (atoms.DOWN, ref)
    finally:
        logging.getLogger("pyzen.actor").removeHandler(handler)


class Uncancellable(asyncio.Future[None]):
    """A future of a user that refuses to be cancelled, until it is let go."""

    refusing = True

    def cancel(self, msg: Any = None) -> bool:
        if self.refusing:
            raise RuntimeError("not to be cancelled")
        return super().cancel(msg)


@pytest.mark.parametrize("kind", ["callback", "body"])
async def test_coroutine_that_can_not_be_cancelled_ends_its_process_alone(place: Place, kind: str) -> None:
    future = Uncancellable()
    in_loop: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: in_loop.append(context))

    async def body(process: Process) -> None:
        await future

    class Waiting(GenServer):
        async def init(self) -> None:
            await future

    pid = place.node.spawn(body if kind == "body" else Waiting)
    ref = place.tester.monitor(pid)
    await asyncio.sleep(0)
    place.tester.send_exit(pid, atoms.boom)

    assert (await place.heard())[1::3] == (ref, atoms.boom)
    assert in_loop == []
    future.refusing = False
    future.set_result(None)


async def test_body_of_any_end_ends_once(place: Place, quiet: None) -> None:
    async def body(process: Process, error: Any) -> None:
        raise error()

    for error in ERRORS.values():
        _, ref = place.node.spawn_monitor(body, error, subscriber=place.tester.pid)
        assert (await place.heard())[:2] == (atoms.DOWN, ref)


async def test_exit_in_a_task_group_is_the_reason(place: Place) -> None:
    async def leave(process: Process) -> None:
        process.exit(atoms.enough)

    async def body(process: Process) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(leave(process))

    _, ref = place.node.spawn_monitor(body, subscriber=place.tester.pid)

    assert (await place.heard())[1::3] == (ref, atoms.enough)
