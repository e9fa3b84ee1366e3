from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.node.services.output import Output, write
from pyzen.node.services.user import User
from pyzen.terms import atoms

if TYPE_CHECKING:
    from tests.node.services.conftest import Two

OK = atoms.ok
FORMAT = (atoms.io_lib, atoms.format)

SERVED = [
    ((atoms.put_chars, atoms.unicode, b"gr\xc3\xbc\xc3\x9fe\n"), OK, "gr\u00fc\u00dfe\n"),
    ((atoms.put_chars, atoms.latin1, b"\xfc"), OK, "\u00fc"),
    ((atoms.put_chars, b"\xfc"), OK, "\u00fc"),
    ((atoms.put_chars, atoms.unicode, *FORMAT, [b"~p~n", [1]]), OK, "1\n"),
    ((atoms.put_chars, *FORMAT, [b"~p~n", [1]]), OK, "1\n"),
    ((atoms.put_chars, atoms.unicode, *FORMAT, [b"~p~n", []]), (atoms.error, atoms.format), ""),
    ((atoms.put_chars, atoms.unicode, atoms.m, atoms.f, [1]), (atoms.error, (atoms.put_chars, atoms.put_chars)), ""),
    ((atoms.put_chars, atoms.unicode, 1.5), (atoms.error, atoms.put_chars), ""),
    ((atoms.requests, [(atoms.put_chars, atoms.unicode, b"a"), (atoms.put_chars, atoms.unicode, b"b")]), OK, "ab"),
    ((atoms.requests, [atoms.nonsense, (atoms.put_chars, atoms.unicode, b"b")]), (atoms.error, atoms.request), ""),
    ((atoms.get_line, atoms.unicode, b"> "), atoms.eof, ""),
    ((atoms.get_until, atoms.unicode, b"", atoms.m, atoms.f, []), atoms.eof, ""),
    ((atoms.get_geometry, atoms.columns), (atoms.error, atoms.enotsup), ""),
    ((atoms.setopts, []), OK, ""),
    (atoms.getopts, [(atoms.binary, False), (atoms.encoding, atoms.unicode)], ""),
    ((atoms.nonsense, 1), (atoms.error, atoms.request), ""),
]


@pytest.mark.parametrize(("request_", "reply", "written"), SERVED)
def test_every_request_has_its_reply(
    request_: Any, reply: Any, written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert User(Output()).serve(request_, write) == reply
    assert capsys.readouterr().out == written


def test_without_standard_output_the_log_has_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdout", None)

    with caplog.at_level(logging.INFO, "pyzen.io"):
        User(Output()).serve((atoms.put_chars, atoms.unicode, b"text\n"), write)

    assert caplog.messages == ["text"]


async def test_a_process_elsewhere_is_answered(two: Two, capsys: pytest.CaptureFixture[str]) -> None:
    async with two.caller.mailbox() as me:
        me.send((atoms.user, two.callee.name), (atoms.io_request, me.pid, 7, (atoms.put_chars, atoms.unicode, b"x")))

        assert await me.receive(timeout=5) == (atoms.io_reply, 7, OK)

    assert capsys.readouterr().out == "x"


async def test_lines_of_a_process_appear_in_order(two: Two, capsys: pytest.CaptureFixture[str]) -> None:
    async with two.callee.mailbox() as me:
        for number in range(3):
            me.puts(f"line {number}")
        me.send("user", (atoms.io_request, me.pid, 1, atoms.getopts))
        await me.receive(timeout=5)

    assert capsys.readouterr().out == "line 0\nline 1\nline 2\n"


SHOWN = [
    ("two\nlines\tand a tab\r\n", "two\nlines\tand a tab\r\n"),
    ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
    ("\x1b[2Jgone\x1b]0;title\x07", "\\x1b[2Jgone\\x1b]0;title\\x07"),
    ("over\rwritten\x08", "over\\rwritten\\x08"),
    ("gr\u00fc\u00dfe, \u65e9\u3044", "gr\u00fc\u00dfe, \u65e9\u3044"),
    ("\u202eturned", "\\u202eturned"),
]


@pytest.mark.parametrize(("text", "shown"), SHOWN)
async def test_a_peer_has_no_power_over_the_terminal(
    two: Two, capsys: pytest.CaptureFixture[str], text: str, shown: str
) -> None:
    async with two.caller.mailbox() as me:
        request = (atoms.put_chars, atoms.unicode, text)
        me.send((atoms.user, two.callee.name), (atoms.io_request, me.pid, 7, request))

        assert await me.receive(timeout=5) == (atoms.io_reply, 7, OK)
    assert capsys.readouterr().out == shown


async def test_what_the_program_prints_is_written_as_it_is(two: Two, capsys: pytest.CaptureFixture[str]) -> None:
    async with two.callee.mailbox() as me:
        me.puts("\x1b[2Jclear")
        assert await me.call("rex", atoms.nonsense) is atoms.ignored

    assert capsys.readouterr().out == "\x1b[2Jclear\n"
