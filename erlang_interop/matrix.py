"""The table case by release: what a run over several OTP releases has shown, for a terminal and for the documents.

A case that runs over several ways has one row as well: a cell says "ok" when all of its ways are, and else tells them
apart. Ways in which a case has no meaning stand in a column of their own, with the reason.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pytest

    from erlang_interop.releases import Release

__all__ = ["Case", "Matrix", "Run", "run_of"]

NOT_RUN: Final = "26"
"""Between the oldest and the newest release, but nothing that can be fetched has it."""

INTRODUCTION: Final = """\
# Conformance

Written by `make matrix`: every case runs once per release, a node of ours against real nodes of that release, the
release's own epmd included. A case with a column "ways" runs once for each of them, too:

- tcp: all nodes are visible and connect over plain TCP
- tls: they are visible and connect over TLS, each end showing a certificate that the other one verifies
- hidden: our node is hidden, theirs are visible, over plain TCP; what a hidden node may expect differs in places, and
  the cases say where

"ok" means all ways of the case. What is "not available" needs something that this release, or this build of it, does
not have; what is "not applicable" has no meaning over that way.

"""

COUNTED: Final = ("ok", "failed", "not available")


@dataclass(frozen=True, order=True, slots=True)
class Case:
    """A case of a theme.

    Attributes:
        theme: Heading of the file it is in.
        name: What it shows.
    """

    theme: str
    name: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a case.

    Attributes:
        case: What runs.
        number: The release asked for.
        way: How the nodes meet; empty where there is only one.
    """

    case: Case
    number: str
    way: str = ""


@dataclass(slots=True)
class Matrix:
    """Outcomes by case, release and way.

    Attributes:
        numbers: The releases asked for.
        cases: Cases in the order they ran, each with its outcome by release and way: ``ok``, ``failed``, or why not.
        excluded: The ways in which a case has no meaning, with the reason.
    """

    numbers: Sequence[str]
    cases: dict[Case, dict[str, dict[str, str]]] = field(default_factory=dict)
    excluded: dict[Case, dict[str, str]] = field(default_factory=dict)
    _versions: dict[str, Release] = field(default_factory=dict)

    def ran(self, number: str, release: Release) -> None:
        """Take note of what a release turned out to be."""
        self._versions[number] = release

    def add(self, run: Run, report: pytest.TestReport) -> None:
        """Take note of one phase of a test."""
        outcomes = self.cases.setdefault(run.case, {}).setdefault(run.number, {})
        if report.failed:
            outcomes[run.way] = "failed"
        elif report.skipped:
            outcomes[run.way] = _reason(report)
        elif report.when == "call":
            outcomes[run.way] = "ok"

    def exclude(self, case: Case, way: str, reason: str) -> None:
        """Take note of a way in which a case has no meaning."""
        self.excluded.setdefault(case, {})[way] = reason

    def text(self) -> str:
        """Return the table for a terminal."""
        notes = _Notes()
        rows = [["", "", *(self._version(number) for number in self.numbers)]]
        for theme, cases in self._themes():
            rows.append([f"-- {theme}"])
            for case in cases:
                cells = [self._cell(case, number, notes) for number in self.numbers]
                rows.append([case.name, self._ways(case, notes), *cells])
        return "\n".join([*_aligned(rows), "", *notes.lines(), *self._sums()])

    def markdown(self) -> str:
        """Return the document."""
        columns = sorted([*self.numbers, NOT_RUN])
        notes = _Notes()
        lines = [f"{INTRODUCTION}{self._support()}\n", *self._releases(columns)]
        for theme, cases in self._themes():
            lines += ["", f"## {theme}", "", *self._theme(cases, columns, notes)]
        return "\n".join([*lines, "", *(f"{line}\n" for line in notes.lines())])

    def _theme(self, cases: Sequence[Case], columns: Sequence[str], notes: _Notes) -> Iterator[str]:
        in_ways = any(self._ways(case, notes) for case in cases)
        yield from _head(["case", *(["ways"] if in_ways else []), *(f"OTP {number}" for number in columns)])
        for case in cases:
            ways = [self._ways(case, notes)] if in_ways else []
            yield _row([case.name, *ways, *(self._cell(case, number, notes) for number in columns)])

    def _ways(self, case: Case, notes: _Notes) -> str:
        """Return the ways that a case runs over, and those that make no sense; empty where there is only one."""
        seen = dict.fromkeys(way for outcomes in self.cases[case].values() for way in outcomes if way)
        excluded = [
            f"{way} {notes.mark(f'not applicable: {reason}')}" for way, reason in self.excluded.get(case, {}).items()
        ]
        return "; ".join([" ".join(seen), *excluded]) if seen else ""

    def _cell(self, case: Case, number: str, notes: _Notes) -> str:
        """Return what a release has shown: one outcome for all ways, or each with its ways."""
        by_outcome: dict[str, list[str]] = {}
        for way, outcome in self.cases[case].get(number, {}).items():
            by_outcome.setdefault(outcome, []).append(way)
        if not by_outcome:
            return "not run"
        if len(by_outcome) == 1:
            return notes.mark(*by_outcome)
        return "; ".join(f"{' '.join(ways)} {notes.mark(outcome)}" for outcome, ways in by_outcome.items())

    def _support(self) -> str:
        """Return the sentence of what was run and what was not."""
        ran = ", ".join(number for number in self.numbers if number in self._versions) or "none of them"
        absent = [number for number in self.numbers if number not in self._versions]
        return f"OTP {ran} run; {', '.join(sorted([NOT_RUN, *absent]))} not run."

    def _releases(self, columns: Sequence[str]) -> Iterator[str]:
        yield from _head(["", *(f"OTP {number}" for number in columns)])
        found = [self._versions.get(number) for number in columns]
        yield _row(["release run", *(one.version if one else "not run" for one in found)])
        yield _row(["Elixir", *((one.elixir or "-") if one else "not run" for one in found)])
        for outcome in COUNTED:
            counts = [
                self._count(number, outcome) if one else "not run" for number, one in zip(columns, found, strict=True)
            ]
            yield _row([f"runs {outcome}", *counts])

    def _sums(self) -> Iterator[str]:
        for number in self.numbers:
            sums = ", ".join(f"{self._count(number, outcome)} {outcome}" for outcome in COUNTED)
            yield f"{self._version(number)}: {sums}"

    def _count(self, number: str, outcome: str) -> str:
        outcomes = [one for releases in self.cases.values() for one in releases.get(number, {}).values()]
        return str(sum(one.partition(":")[0] == outcome for one in outcomes))

    def _version(self, number: str) -> str:
        release = self._versions.get(number)
        return f"OTP {release.version if release else number}"

    def _themes(self) -> Iterator[tuple[str, list[Case]]]:
        for theme, cases in itertools.groupby(sorted(self.cases, key=lambda case: case.theme), lambda case: case.theme):
            yield theme, list(cases)


class _Notes:
    """Footnotes: each reason is told once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, outcome: str) -> str:
        """Return what stands in the table: the outcome, or "not available" with the number of its reason."""
        head, colon, reason = outcome.partition(": ")
        if not colon:
            return outcome
        return f"{head} ({self._numbers.setdefault(reason, len(self._numbers) + 1)})"

    def lines(self) -> list[str]:
        """Return the reasons."""
        return [f"({number}) {reason}" for reason, number in self._numbers.items()]


def _head(cells: Sequence[str]) -> list[str]:
    return [_row(cells), _row(["---"] * len(cells))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return rows as lines; headings, which are rows of one cell, stand on their own."""
    columns = itertools.zip_longest(*(row for row in rows if len(row) > 1), fillvalue="")
    widths = [max(map(len, column)) + 2 for column in columns]
    for row in rows:
        padded = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=False))
        yield "".join(padded).rstrip() if len(row) > 1 else row[0]


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = text.removeprefix("Skipped: ")
    return reason if reason.startswith("not available: ") else f"not available: {reason}"


def run_of(item: pytest.Function, default: str) -> Run:
    """Return which case a test is, and the release and the way it runs over; ``default`` is the only release."""
    callspec = getattr(item, "callspec", None)
    words = [] if callspec is None else callspec.id.split("-")
    axes = {name: str(value) for name, value in _parameters(item).items() if name in {"release", "way"}}
    for value in axes.values():
        words.remove(value)
    name = re.sub(r"^test_", "", item.originalname).replace("_", " ")
    details = "-".join(words)
    theme = (item.module.__doc__ or item.module.__name__).splitlines()[0].rstrip(".")
    case = Case(theme, f"{name} ({details})" if details else name)
    return Run(case, axes.get("release", default), axes.get("way", ""))


def _parameters(item: pytest.Function) -> Mapping[str, object]:
    callspec = getattr(item, "callspec", None)
    return {} if callspec is None else callspec.params
