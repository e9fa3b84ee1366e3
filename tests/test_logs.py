"""What the package's loggers write, and what they leave out."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pyzen.logs import BURST, Lazy, escaped, get_logger
from pyzen.terms import Atom

log = get_logger("pyzen.tests")

FORGED = "oops\nERROR root: all is lost\x1b[31m\u202e"
"""It would begin a line of its own, turn the terminal red, and turn the text around."""


@pytest.mark.parametrize("argument", [FORGED, Atom(FORGED), ValueError(FORGED), (FORGED,), Lazy(lambda: FORGED)])
@pytest.mark.parametrize("text", ["%s", "%r"])
def test_what_a_peer_says_stays_on_its_line(caplog: pytest.LogCaptureFixture, argument: Any, text: str) -> None:
    log.error(text, argument)

    (record,) = caplog.records
    assert record.getMessage().isprintable()


def test_text_that_can_be_printed_is_as_it_is() -> None:
    assert escaped("früh, 早い, \U0001f600") == "früh, 早い, \U0001f600"


def test_numbers_are_formatted_as_numbers(caplog: pytest.LogCaptureFixture) -> None:
    log.error("%d %.1f %5d|", 1, 2.25, 3)

    assert caplog.messages == ["1 2.2     3|"]


class Unreadable:
    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize("argument", [Unreadable(), Lazy(lambda: str(1 / 0))])
def test_argument_that_can_not_be_read_costs_no_line(caplog: pytest.LogCaptureFixture, argument: Any) -> None:
    log.error("one %s two", argument)

    assert caplog.messages == ["one <unreadable> two"]


def test_lines_of_one_kind_have_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1000):
        log.error("the peer %s is odd", number)

    assert len(caplog.messages) == BURST


def test_another_kind_is_written_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1000):
        log.error("the peer %s is odd", number)
    log.warning("the peer %s is odd", 1)
    log.error("the link to %s is lost", 1)

    assert len(caplog.messages) == BURST + 2


def test_what_was_left_out_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for number in range(BURST + 7):
        log.error("the peer %s is odd", number)

    now[0] += 11
    log.error("the peer %s is odd", 1)

    assert caplog.messages[-1] == "the peer 1 is odd (7 more of this kind left out)"


def test_what_is_left_out_is_not_made() -> None:
    made = []

    def make() -> str:
        made.append(1)
        return ""

    for _ in range(100):
        log.error("%s", Lazy(make))

    assert len(made) == BURST


def test_what_nobody_asked_for_is_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise a program that begins to look at a level would not see its first lines."""
    caplog.set_level(logging.ERROR, "pyzen.tests")
    for _ in range(100):
        log.info("quiet")
    caplog.set_level(logging.INFO, "pyzen.tests")

    log.info("quiet")

    assert caplog.messages == ["quiet"]


def test_debugging_has_no_bound(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pyzen.tests")
    for number in range(BURST + 10):
        log.debug("step %d", number)

    assert len(caplog.messages) == BURST + 10


def test_handler_that_raises_harms_nobody() -> None:
    class Odd(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise SystemExit

    handler, logger = Odd(), logging.getLogger("pyzen.tests")
    logger.addHandler(handler)
    try:
        log.error("still here")
    finally:
        logger.removeHandler(handler)


def lines_of(caplog: pytest.LogCaptureFixture, error: BaseException) -> list[str]:
    try:
        raise error
    except BaseException as raised:
        log.error("it failed", exc_info=raised)
    (record,) = caplog.records
    return logging.Formatter().format(record).splitlines()


def test_error_of_the_program_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    lines = lines_of(caplog, ValueError("the count is wrong"))

    assert lines[:2] == ["it failed", "Traceback (most recent call last):"]
    assert lines[-2:] == ["    raise error", "ValueError: the count is wrong"]


@pytest.mark.parametrize("error", [ValueError(FORGED), KeyError(FORGED), ValueError(Atom(FORGED)), OSError(5, FORGED)])
def test_text_of_an_error_stays_on_its_line(caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    lines = lines_of(caplog, error)

    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("ERROR") for line in lines)


@pytest.mark.parametrize("error", [KeyError(b"x" * 10**7), ValueError("x" * 10**7), ValueError([1] * 10**6, 2)])
def test_text_of_an_error_is_cut(caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    assert len(lines_of(caplog, error)[-1]) < 600


def test_what_led_to_an_error_is_told(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("the count is wrong")
    error.__cause__ = KeyError("count")

    lines = lines_of(caplog, error)

    assert (
        lines.index("KeyError: 'count'") < lines.index("which led to") < lines.index("ValueError: the count is wrong")
    )


def test_line_says_where_it_was_written(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("here")

    (record,) = caplog.records
    assert (record.funcName, record.filename) == ("test_line_says_where_it_was_written", "test_logs.py")
