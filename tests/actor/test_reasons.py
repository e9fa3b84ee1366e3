from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyzen.actor.answers import Stop
from pyzen.actor.reasons import (
    MAX_FRAMES,
    ExitRequest,
    as_atom,
    describe,
    end_of,
    exception_reason,
    exit_error,
)
from pyzen.errors import NodeDown, NoProcess, ProcessExit
from pyzen.terms import Atom, atoms


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def caught(error: Exception, depth: int = 0) -> Exception:
    """Return an exception that was raised ``depth`` calls down."""

    def fall(left: int) -> None:
        if left:
            fall(left - 1)
        else:
            raise error

    try:
        fall(depth)
    except Exception as found:
        return found
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "text"),
    [(ValueError("boom"), "ValueError: boom"), (ValueError(), "ValueError"), (Broken(), "Broken")],
)
def test_describe_says_type_and_text(error: Exception, text: str) -> None:
    assert describe(error) == text


def test_reason_is_a_runtime_error_of_elixir_with_a_stack() -> None:
    struct, stack = exception_reason(caught(ValueError("b\u00f6se")))

    assert struct == {
        atoms["__struct__"]: atoms["Elixir.RuntimeError"],
        atoms["__exception__"]: True,
        atoms.message: "ValueError: b\u00f6se".encode(),
    }
    module, function, arity, [(file_key, file), (line_key, line)] = stack[0]
    assert (str(module), function, arity) == (__name__, atoms.fall, 1)
    assert (file_key, "".join(map(chr, file))) == (atoms.file, "test_reasons.py")
    assert line_key is atoms.line
    assert line > 0


def test_text_that_is_no_unicode_is_replaced() -> None:
    struct, _ = exception_reason(ValueError("\ud800"))

    assert struct[atoms.message] == b"ValueError: ?"


def test_stack_is_innermost_first_and_bounded() -> None:
    _, stack = exception_reason(caught(ValueError(), depth=MAX_FRAMES + 5))

    assert [frame[1] for frame in stack] == [atoms.fall] * MAX_FRAMES


def test_exception_never_raised_has_no_stack() -> None:
    assert exception_reason(ValueError())[1] == []


@pytest.mark.parametrize(
    ("reason", "kind"),
    [(atoms.noproc, NoProcess), (atoms.noconnection, NodeDown), (atoms.killed, ProcessExit), ("noproc", ProcessExit)],
)
def test_exit_error_is_the_exception_of_a_reason(reason: object, kind: type[ProcessExit]) -> None:
    error = exit_error(reason)

    assert type(error) is kind
    assert error.reason == reason


async def test_cancellation_of_the_own_task_is_shutdown_and_any_other_an_error() -> None:
    stray = end_of(asyncio.CancelledError())
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError as error:
        own = end_of(error)
    task.uncancel()

    assert stray[1] is True
    assert stray[0][0][atoms.message] == b"CancelledError"
    assert own == (atoms.shutdown, False)


def test_names_may_be_strings_or_atoms() -> None:
    assert as_atom("name") is as_atom(Atom("name")) is Atom("name")


@pytest.mark.parametrize(
    ("error", "reason", "crashed"),
    [
        (ExitRequest(atoms.enough), atoms.enough, False),
        (Stop(atoms.enough), atoms.enough, False),
        (Stop(), atoms.normal, False),
        (BaseExceptionGroup("g", [ExceptionGroup("h", [Stop(atoms.enough)]), ValueError()]), atoms.enough, True),
        (BaseExceptionGroup("g", [ValueError(), ExitRequest(atoms.enough)]), atoms.enough, True),
        (BaseExceptionGroup("g", [ExceptionGroup("h", [Stop(atoms.enough)])]), atoms.enough, False),
        (ProcessExit(atoms.elsewhere), atoms.elsewhere, True),
        (SystemExit(), atoms.normal, False),
        (SystemExit(0), atoms.normal, False),
        (SystemExit(3), (atoms.system_exit, "3"), True),
        (KeyboardInterrupt(), atoms.killed, False),
    ],
)
def test_error_says_the_reason_and_whether_it_is_a_crash(error: BaseException, reason: Any, crashed: bool) -> None:
    assert end_of(error) == (reason, crashed)


@pytest.mark.parametrize("error", [ValueError("boom"), ExceptionGroup("g", [ValueError()]), GeneratorExit()])
def test_any_other_error_is_a_crash_with_a_struct(error: BaseException) -> None:
    (struct, _stack), crashed = end_of(error)

    assert struct[atoms["__exception__"]] is True
    assert crashed


def test_describe_cuts_what_all_watchers_get() -> None:
    assert len(describe(KeyError("x" * 1_000_000))) < 11_000
