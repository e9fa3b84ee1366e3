"""Log events of peers as lines."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pyzen.node.services.log_events import MAX_TEXT, details_of, text_of_format, text_of_message
from pyzen.terms import ImproperList, Pid, TermMap, atoms

CRASH = {
    atoms.label: (atoms.proc_lib, atoms.crash),
    atoms.report: [
        [
            (atoms.initial_call, (atoms.m, atoms.f, [])),
            (atoms.pid, Pid("n@h", 5, 0, 1)),
            (atoms.registered_name, []),
            (atoms.error_info, (atoms.error, atoms.boom, [])),
        ],
        [],
    ],
}

TERMINATE = {
    atoms.label: (atoms.gen_server, atoms.terminate),
    atoms.state: bytes(MAX_TEXT),
    atoms.last_message: (atoms["$gen_cast"], 1),
    atoms.reason: (atoms.badarith, []),
    atoms.name: atoms.counter,
}

SUPERVISOR = {
    atoms.label: (atoms.supervisor, atoms.child_terminated),
    atoms.report: [(atoms.supervisor, (atoms.local, atoms.top)), (atoms.reason, atoms.boom)],
}


@pytest.mark.parametrize(
    ("control", "arguments", "line"),
    [
        ([ord(one) for one in "hello ~p~n"], [[1, 2]], "hello [1,2]"),
        (b"~s is ~w", [b"x", b"y"], "x is <<121>>"),
        (b"two~nlines", [], "two\\nlines"),
        (b"~p", [], 'FORMAT ERROR: <<"~p">> - []'),
        (b"~q", [1], 'FORMAT ERROR: <<"~q">> - [1]'),
        (1.5, [], "FORMAT ERROR: 1.5 - []"),
    ],
)
def test_a_format_is_written_on_one_line(control: Any, arguments: list[Any], line: str) -> None:
    assert text_of_format(control, arguments) == line


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (b"text", "text"),
        ([104, b"i", [33]], "hi!"),
        ([], ""),
        (ImproperList([104], b"i"), "hi"),
        (b"a\x1b[31m\r\n\xe2\x80\xae.", "a\\x1b[31m\\r\\n\\u202e."),
        (b"\xff", "<<255>>"),
        ((1, 2), "{1,2}"),
    ],
)
def test_a_text_is_one_line_without_control_characters(message: Any, line: str) -> None:
    assert text_of_message(message) == line


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ({atoms.what: atoms.lost, atoms.count: 3}, "what: lost, count: 3"),
        ([(atoms.what, b"x\ny"), atoms.more, [1, 2]], 'what: <<"x\\ny">>, more, [1,2]'),
        (TermMap([(atoms.a, 1)]), "a: 1"),
        ({atoms.label: (atoms.error_logger, atoms.error_report), atoms.report: [(atoms.a, 1), 2]}, "a: 1, 2"),
        ({atoms.label: atoms.x, atoms.format: b"~p of ~p", atoms.args: [1, 2]}, "1 of 2"),
        ({atoms["bad\nkey"]: 1}, "bad\\nkey: 1"),
        (
            CRASH,
            "crasher: initial_call: {m,f,[]}, pid: <n@h.5.0>, registered_name: [], error_info: {error,boom,[]}",
        ),
        (
            SUPERVISOR,
            "supervisor child_terminated: supervisor: {local,top}, reason: boom",
        ),
        ({atoms.label: 7, atoms.report: {atoms.a: 1}}, "7: a: 1"),
        ({atoms.label: (atoms.proc_lib, atoms.crash), atoms.report: 1}, "crash report: 1"),
    ],
)
def test_a_report_is_printed_in_erlangs_way(report: Any, line: str) -> None:
    assert text_of_message(report) == line


def test_what_is_large_in_a_report_does_not_hide_its_reason() -> None:
    line = text_of_message(TERMINATE)

    begin = "gen_server terminate: name: counter, reason: {badarith,[]}, last_message: {'$gen_cast',1}, state: <<0,0"
    assert line.startswith(begin)
    assert line.endswith("...")


HUGE: list[Any] = [
    bytes(50_000_000),
    b"x" * 50_000_000,
    [97] * 5_000_000,
    1 << 100_000_000,
    [(1, 2)] * 1_000_000,
    {number: number for number in range(1_000_000)},
    [(atoms.a, [{}] * 1_000_000)],
    {atoms.a: [[[[]] * 1000] * 1000]},
]


@pytest.mark.parametrize("message", HUGE, ids=range(len(HUGE)))
def test_whatever_is_in_an_event_its_line_is_short_and_soon_made(message: Any) -> None:
    began = time.perf_counter()

    lines = [text_of_message(message), text_of_format(b"~p ~w ~s", [message] * 3), text_of_format(message, [])]

    assert max(map(len, lines)) <= MAX_TEXT + 3
    assert time.perf_counter() - began < 1.0


def test_a_report_may_be_nested_as_deep_as_it_likes() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {atoms.report: deep, atoms.label: [(atoms.a, deep)]}

    assert len(text_of_message(deep)) <= MAX_TEXT + 3


def test_a_format_that_makes_much_of_little_is_cut() -> None:
    assert len(text_of_format(b"~9999c" * 100_000, [97] * 100_000)) <= MAX_TEXT + 3


def test_details_are_taken_from_the_metadata() -> None:
    meta = {
        atoms.pid: Pid("n@h", 5, 0, 1),
        atoms.mfa: (atoms["Elixir.A"], atoms["f\n"], 2),
        atoms.time: 1_700_000_000_123_456,
    }

    assert details_of(meta) == {"pid": "<n@h.5.0>", "mfa": "'Elixir.A':'f\\n'/2", "time": 1_700_000_000.123456}


@pytest.mark.parametrize(
    "meta", [{}, 1, {atoms.pid: 1, atoms.mfa: (1, 2, 3), atoms.time: 1.5}, {atoms.time: -1}, {atoms.time: 1 << 70}]
)
def test_details_that_are_not_there_are_none(meta: Any) -> None:
    assert details_of(meta) == {"pid": None, "mfa": None, "time": None}


def test_a_forged_pid_forges_no_line() -> None:
    assert details_of({atoms.pid: Pid("n\n@h", 5, 0, 1)})["pid"] == "<n\\n@h.5.0>"
