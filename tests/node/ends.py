"""The table of all the ways in which code of a process can end, with the exit reason of each."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from pyzen import Stop, atoms, etf
from pyzen.errors import ProcessExit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["ENDS", "End", "crashed", "is_reason"]


class Nasty(BaseException):
    """Neither an Exception nor of the interpreter, as the panics of extension modules in Rust."""


class End(NamedTuple):
    """One way to end.

    Attributes:
        how: What a process does, given itself.
        reason: Its exit reason; text for that of a crash, which has the error's text in a struct.
    """

    how: Callable[[Any], Awaitable[Any]]
    reason: Any


def crashed(reason: Any) -> str | None:
    """Return the text of the error that a process has ended with, None if it was none."""
    match reason:
        case ({atoms.message: bytes() as text}, list()):
            return text.decode()
    return None


def is_reason(expected: Any, reason: Any) -> bool:
    """Say whether an exit reason is as the table says; another node sees it as it is sent."""
    if isinstance(expected, str):
        return crashed(reason) == expected
    return bool(etf.decode(etf.encode(reason)) == etf.decode(etf.encode(expected)))


# ---- requests to end


async def leave(process: Any) -> None:
    process.exit(atoms.enough)


async def leave_later(process: Any) -> None:
    await asyncio.sleep(0)
    process.exit((atoms.enough, [1]))


async def leave_in_group(process: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(leave(process))


async def leave_in_groups(process: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))  # before the other, which may begin and end at once
        group.create_task(leave_in_group(process))


async def leave_beside_an_error(process: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(leave_later(process))
        group.create_task(fail_later())


async def fail_later() -> None:
    await asyncio.sleep(0)
    raise ValueError("boom")


async def leave_in_gathering(process: Any) -> None:
    await asyncio.gather(leave_later(process), asyncio.sleep(0))


async def leave_in_time(process: Any) -> None:
    async with asyncio.timeout(60):
        await leave(process)


async def leave_in_wait(process: Any) -> None:
    await asyncio.wait_for(leave(process), 60)


async def leave_while_ended(process: Any) -> None:
    try:
        raise ValueError("boom")
    finally:
        process.exit(atoms.enough)


# ---- errors


def raising(error: Callable[[], BaseException]) -> Callable[[Any], Awaitable[Any]]:
    async def fail(process: Any) -> NoReturn:
        raise error()

    return fail


async def fail_in_group(process: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(raising(lambda: ValueError("boom"))(process))  # type: ignore[arg-type]


async def quit_program(process: Any) -> None:
    sys.exit()


async def quit_with_code(process: Any) -> None:
    sys.exit(3)


async def run_out_of_time(process: Any) -> None:
    async with asyncio.timeout(0.001):
        await asyncio.sleep(60)


# ---- cancellation


async def cancel_itself(process: Any) -> None:
    current().cancel()
    await asyncio.sleep(60)


async def be_cancelled(process: Any) -> None:
    asyncio.get_running_loop().call_soon(current().cancel)
    await asyncio.sleep(60)


async def be_cancelled_in_group(process: Any) -> None:
    asyncio.get_running_loop().call_soon(current().cancel)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))


async def fail_when_cancelled(process: Any) -> None:
    try:
        await be_cancelled(process)
    finally:
        raise ValueError("boom")


async def leave_when_cancelled(process: Any) -> None:
    try:
        await be_cancelled(process)
    finally:
        process.exit(atoms.enough)


async def await_what_is_cancelled(process: Any) -> None:
    other = asyncio.ensure_future(asyncio.sleep(60))
    other.cancel()
    await other


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


ENDS: Final = {
    "exit": End(leave, atoms.enough),
    "exit later": End(leave_later, (atoms.enough, [1])),
    "exit in a task group": End(leave_in_group, atoms.enough),
    "exit in nested task groups": End(leave_in_groups, atoms.enough),
    "exit beside an Exception in a task group": End(leave_beside_an_error, (atoms.enough, [1])),
    "exit in a gathering": End(leave_in_gathering, (atoms.enough, [1])),
    "exit within a time": End(leave_in_time, atoms.enough),
    "exit awaited for a time": End(leave_in_wait, atoms.enough),
    "exit on the way out of an error": End(leave_while_ended, atoms.enough),
    "Stop": End(raising(lambda: Stop(atoms.enough)), atoms.enough),
    "an Exception": End(raising(lambda: ValueError("boom")), "ValueError: boom"),
    "a BaseException": End(raising(Nasty), "Nasty"),
    "an ExceptionGroup": End(
        raising(lambda: ExceptionGroup("g", [ValueError()])), "ExceptionGroup: g (1 sub-exception)"
    ),
    "a BaseExceptionGroup": End(
        raising(lambda: BaseExceptionGroup("g", [Nasty()])), "BaseExceptionGroup: g (1 sub-exception)"
    ),
    "an Exception in a task group": End(
        fail_in_group, "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)"
    ),
    "sys.exit": End(quit_program, atoms.normal),
    "sys.exit with a code": End(quit_with_code, (atoms.system_exit, "3")),
    "StopIteration": End(raising(StopIteration), "RuntimeError: coroutine raised StopIteration"),
    "StopAsyncIteration": End(raising(StopAsyncIteration), "StopAsyncIteration"),
    "GeneratorExit": End(raising(GeneratorExit), "GeneratorExit"),
    "TimeoutError": End(run_out_of_time, "TimeoutError"),
    "the end of a process called": End(raising(lambda: ProcessExit(atoms.elsewhere)), atoms.elsewhere),
    "a CancelledError of its own": End(raising(asyncio.CancelledError), "CancelledError"),
    "a CancelledError of what it awaits": End(await_what_is_cancelled, "CancelledError"),
    "cancelled by itself": End(cancel_itself, atoms.shutdown),
    "cancelled": End(be_cancelled, atoms.shutdown),
    "cancelled in a task group": End(be_cancelled_in_group, atoms.shutdown),
    "an Exception when cancelled": End(fail_when_cancelled, "ValueError: boom"),
    "exit when cancelled": End(leave_when_cancelled, atoms.enough),
}
