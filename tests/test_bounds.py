from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from erlang_interop.benchmarks.bounds import Kind, Verdict, holds, judge, load, record
from erlang_interop.benchmarks.check import FORMS
from erlang_interop.benchmarks.codec import DECODE, ENCODE
from erlang_interop.benchmarks.messages import IN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from erlang_interop.benchmarks.measure import Row

KIND = Kind("short", "dev", "stand-in")


class Tries:
    """Gives out figures, one after another; remembers what was asked for."""

    def __init__(self, figures: Mapping[Row, Sequence[float | str]]) -> None:
        self._figures = {row: iter(values) for row, values in figures.items()}
        self.asked: list[list[str]] = []

    async def measure(self, rows: Sequence[Row]) -> dict[Row, float | str]:
        self.asked.append([row.key for row in rows])
        return {row: next(self._figures[row]) for row in rows if row in self._figures}


def test_a_ratio_holds_until_it_is_more_than_a_quarter_above_its_bound() -> None:
    assert holds(DECODE, 0.5, 0.4)
    assert not holds(DECODE, 0.501, 0.4)


def test_a_ratio_of_rates_holds_until_the_bound_is_more_than_a_quarter_above_it() -> None:
    assert holds(IN, 0.8, 1.0)
    assert not holds(IN, 0.799, 1.0)


def test_no_number_holds_nothing() -> None:
    assert not holds(DECODE, float("nan"), 0.4)
    assert not holds(IN, float("nan"), 0.4)


async def test_a_row_fails_that_is_too_slow_in_three_tries() -> None:
    tries = Tries({DECODE: [0.6, 0.51, 0.7, 0.1]})

    (verdict,) = await judge([DECODE], {"decode": 0.4}, tries.measure)

    assert not verdict.passed
    assert verdict.tries == [0.6, 0.51, 0.7]
    assert str(verdict) == "FAILED  decode: 0.60, 0.51, 0.70 (at most 0.50)"


async def test_a_row_passes_at_the_first_try_that_holds() -> None:
    tries = Tries({DECODE: [0.6, 0.5, 0.9], IN: [0.9]})

    verdicts = await judge([DECODE, IN], {"decode": 0.4, "in": 1.0}, tries.measure)

    assert all(verdict.passed for verdict in verdicts)
    assert tries.asked == [["decode", "in"], ["decode"]]
    assert str(verdicts[1]) == "passed  in: 0.90 (at least 0.80)"


async def test_a_row_that_is_not_measured_fails() -> None:
    tries = Tries({DECODE: ["failed: timeout", "failed: timeout", "failed: timeout"]})

    verdicts = await judge([DECODE, IN], {"decode": 0.4, "in": 1.0}, tries.measure)

    assert [verdict.passed for verdict in verdicts] == [False, False]
    assert [verdict.tries for verdict in verdicts] == [["failed: timeout"] * 3, ["not measured"] * 3]


async def test_a_row_without_a_bound_fails_unmeasured() -> None:
    tries = Tries({DECODE: [0.1]})

    (verdict,) = await judge([DECODE], {"encode": 0.4}, tries.measure)

    assert not verdict.passed
    assert tries.asked == []
    assert str(verdict) == "FAILED  decode: no bound is recorded"


def test_a_verdict_of_no_tries_has_not_passed() -> None:
    assert not Verdict(ENCODE, 1.0).passed


def test_bounds_are_those_of_the_same_form_build_and_rival(tmp_path: Path) -> None:
    path = tmp_path / "bounds.json"
    record(KIND, {"decode": 0.5}, {"cores": 2}, path)
    record(Kind("short", "release", "stand-in"), {"decode": 0.4}, {"cores": 2}, path)

    assert load(KIND, path) == {"decode": 0.5}
    assert load(Kind("full", "dev", "stand-in"), path) == {}
    assert load(Kind("short", "dev", "the real one"), path) == {}


def test_recorded_bounds_take_the_place_of_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "bounds.json"
    record(KIND, {"decode": 0.5, "encode": 1.0}, {"cores": 2}, path)

    record(KIND, {"decode": 0.4}, {"cores": 4}, path)

    assert load(KIND, path) == {"decode": 0.4}
    assert '"cores": 2' not in path.read_text()


@pytest.mark.parametrize(("form", "build"), [("short", "dev"), ("full", "release")])
def test_every_row_of_a_form_has_a_bound(form: str, build: str) -> None:
    bounds = load(Kind(form, build, "stand-in for ZenMonitor 2.1.0"))

    assert list(bounds) == [row.key for row in FORMS[form].rows]
    assert all(bound > 0 for bound in bounds.values())
