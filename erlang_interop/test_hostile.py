"""The attacks in short, and that a node which misbehaves does not pass."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from erlang_interop.hostile import attacks, report
from erlang_interop.hostile.attack import ATTACKS, Attack
from erlang_interop.hostile.prey import Line, line_of
from erlang_interop.hostile.run import balance, opened
from erlang_interop.hostile.verdict import Outcome, told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.hostile.stage import Stage

SHORT = ["idle-sockets", "colliding-integers", "counts-of-four-thousand-million", "sixty-that-block"]
QUIET = 0.3

assert attacks.__all__


def harm(function: str, argument: Any) -> Callable[[Stage], Awaitable[None]]:
    """Return an attack that calls one of the functions by which the attacked node misbehaves."""

    async def play(stage: Stage) -> None:
        peer = await stage.peer()
        await stage.begin()
        await peer.push(peer.call("hostile", function, argument))
        await peer.obeyed()

    return play


async def part(stage: Stage) -> None:
    """Have the node leave the honest peer, which is an Elixir node that `_judge` names with an n."""
    peer = await stage.peer()
    nodes = await peer.ask("erlang", "nodes")
    await stage.begin()
    for node in nodes:
        if node != peer.name:
            await peer.ask("hostile", "part", node)


async def deaf(stage: Stage) -> None:
    """Have the node hear nothing any more, from behind what is measured on."""
    peer = await stage.peer()
    await stage.begin()
    await peer.push(peer.call("hostile", "deafen", 7000))
    await peer.obeyed()


async def wrong(stage: Stage) -> None:
    await stage.begin()
    stage.expect(False, "one is more than two")


MISBEHAVIOUR: dict[str, tuple[Callable[[Stage], Awaitable[None]], str]] = {
    "blocked": (harm("hold", 600), "the worst answer took"),
    "blocked for long": (harm("hold", 4000), "newcomer"),
    "memory": (harm("grow", 200), "MiB more, 64 are allowed"),
    "log": (harm("shout", 100), "100 lines of one kind: WARNING shouted %d"),
    "silence": (harm("rest", 1), "no line of the log says /a line/"),
    "loss": (part, "the honest peer lost its link 1 times"),
    "invented": (harm("murder", 5), "2 invented [('erts', 5), ('zen', 5)]"),
    "endless": (deaf, "the end took"),
    "found by the attack": (wrong, "one is more than two"),
}


async def test_a_few_attacks_pass_and_nothing_else_does() -> None:
    async with opened(sys.executable, QUIET) as run:
        for name in SHORT:
            outcome = await run.play(ATTACKS[name])
            assert outcome.passed, report.line(ATTACKS[name], outcome)

        for name, (play, failure) in MISBEHAVIOUR.items():
            attack = Attack(name, play, "nothing", 64, "a line" if name == "silence" else None)
            outcome = await run.play(attack)
            assert any(failure in one for one in outcome.failures), (name, outcome.failures)


@pytest.mark.parametrize(
    ("counts", "pattern", "wrong"),
    [
        ((21,), None, []),
        ((22,), None, ["22 lines of one kind: kind 0"]),
        ((21, 21), None, []),
        ((1, 1), "text 1", []),
        ((1,), "text 1", ["no line of the log says /text 1/"]),
    ],
)
def test_log_may_say_something_and_not_too_much(counts: tuple[int, ...], pattern: str | None, wrong: list[str]) -> None:
    lines = [Line("INFO", f"kind {kind}", f"text {kind}") for kind, count in enumerate(counts) for _ in range(count)]

    assert list(told(lines, pattern, 21)) == wrong


def test_line_that_goes_on_is_told() -> None:
    assert list(told([Line("INFO", "kind", "a\nb")], None, 1)) == ["a line that can't be printed: 'a\\nb'"]


def test_lines_of_both_forms_are_read() -> None:
    record = '{"level": "INFO", "kind": "%s went (%d more of this kind left out)", "text": "x went (3 more)"}'

    assert line_of(record) == Line("INFO", "INFO %s went", "x went (3 more)")
    assert line_of("WARNING a@h refuses 17 messages") == Line(
        "WARNING", "WARNING * refuses * messages", "WARNING a@h refuses 17 messages"
    )
    assert line_of('{"ready": 7}') is None
    assert line_of("") is None


def test_balance_names_what_is_missing_invented_and_doubled() -> None:
    expected, heard = [("erts", 0), ("zen", 0)], [("erts", 0), ("erts", 0), ("erts", 5)]

    assert balance(expected, heard) == "1 lost [('zen', 0)], 1 invented [('erts', 5)], twice [('erts', 0)]"


def test_records_of_runs_make_one_page(tmp_path: Path) -> None:
    path, names = tmp_path / "record.json", ["idle-sockets", "huge-integers"]
    bad = Outcome("huge-integers", failures=["it | has died"])
    report.save(path, "before", bad)
    for name in names:
        report.save(path, "now", Outcome(name, worst=0.012, memory=3))

    page = report.page({name: ATTACKS[name] for name in names}, report.read(path))

    assert "| **FAIL**, 0 ms, 0 MiB: it / has died | pass, 12 ms, 3 MiB |" in page
    assert "| not run | pass, 12 ms, 3 MiB |" in page
    assert "before: 0 of 1 pass; now: 2 of 2 pass." in page


def test_every_attack_says_what_it_does_and_what_holds() -> None:
    assert len(ATTACKS) >= 40
    for one in ATTACKS.values():
        assert one.about.endswith("."), one.name
        assert one.bound, one.name
        assert asyncio.iscoroutinefunction(one.play), one.name


def test_every_bound_is_attacked() -> None:
    page = (Path(__file__).parent.parent / "docs" / "limits.md").read_text()
    bounds = set(re.findall(r"^\| [^|]+ \| `(\w+\.\w+)`", page, re.MULTILINE))
    attacked = " ".join(one.bound for one in ATTACKS.values())

    assert len(bounds) > 20
    assert {bound for bound in bounds if bound not in attacked} == set()
