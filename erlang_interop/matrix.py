"""The table case by release: what a run over several OTP releases has shown, for a terminal and for the documents."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from erlang_interop.releases import Release

__all__ = ["Case", "Matrix", "case_of"]

NOT_RUN: Final = "26"
"""Between the oldest and the newest release, but nothing that can be fetched has it."""

INTRODUCTION: Final = """\
# Conformance

Written by `make matrix`: every case runs once per release, a node of ours against real nodes of that release, the
release's own epmd included. Cases marked "not available" need what that release, or this build of it, does not have.

"""


@dataclass(frozen=True, order=True, slots=True)
class Case:
    """A case of a theme.

    Attributes:
        theme: Heading of the file it is in.
        name: What it shows.
    """

    theme: str
    name: str


@dataclass(slots=True)
class Matrix:
    """Outcomes by case and release.

    Attributes:
        numbers: The releases asked for.
        cases: Cases in the order they ran, each with its outcome by release: ``ok``, ``failed``, or why not.
    """

    numbers: Sequence[str]
    cases: dict[Case, dict[str, str]] = field(default_factory=dict)
    _versions: dict[str, Release] = field(default_factory=dict)

    def ran(self, number: str, release: Release) -> None:
        """Take note of what a release turned out to be."""
        self._versions[number] = release

    def add(self, case: Case, number: str, report: pytest.TestReport) -> None:
        """Take note of one phase of a test."""
        outcomes = self.cases.setdefault(case, {})
        if report.failed:
            outcomes[number] = "failed"
        elif report.skipped:
            outcomes[number] = _reason(report)
        elif report.when == "call":
            outcomes[number] = "ok"

    def text(self) -> str:
        """Return the table for a terminal."""
        width = max(len(case.name) for case in self.cases) + 2
        lines = ["".join([f"{'':{width}}", *(f"{self._version(number):20}" for number in self.numbers)])]
        notes = _Notes()
        for theme, cases in self._themes():
            lines.append(f"-- {theme}")
            for case in cases:
                cells = [notes.mark(self.cases[case].get(number, "not run")) for number in self.numbers]
                lines.append("".join([f"{case.name:{width}}", *(f"{cell:20}" for cell in cells)]).rstrip())
        return "\n".join([*lines, "", *notes.lines(), *self._sums()])

    def markdown(self) -> str:
        """Return the document."""
        columns = sorted([*self.numbers, NOT_RUN])
        notes = _Notes()
        lines = [f"{INTRODUCTION}{self._support()}\n", *self._releases(columns)]
        for theme, cases in self._themes():
            heads = [f"OTP {number}" for number in columns]
            lines += ["", f"## {theme}", "", _row(["case", *heads]), _row(["---"] * (len(columns) + 1))]
            for case in cases:
                cells = [notes.mark(self.cases[case].get(number, "not run")) for number in columns]
                lines.append(_row([case.name, *cells]))
        return "\n".join([*lines, "", *(f"{line}\n" for line in notes.lines())])

    def _support(self) -> str:
        """Return the sentence of what was run and what was not."""
        ran = ", ".join(number for number in self.numbers if number in self._versions) or "none of them"
        absent = [number for number in self.numbers if number not in self._versions]
        return f"OTP {ran} run; {', '.join(sorted([NOT_RUN, *absent]))} not run."

    def _releases(self, columns: Sequence[str]) -> Iterator[str]:
        yield from (_row(["", *(f"OTP {number}" for number in columns)]), _row(["---"] * (len(columns) + 1)))
        found = [self._versions.get(number) for number in columns]
        yield _row(["release run", *(one.version if one else "not run" for one in found)])
        yield _row(["Elixir", *((one.elixir or "-") if one else "not run" for one in found)])
        for outcome in ("ok", "failed", "not available"):
            counts = [
                self._count(number, outcome) if one else "not run" for number, one in zip(columns, found, strict=True)
            ]
            yield _row([f"cases {outcome}", *counts])

    def _sums(self) -> Iterator[str]:
        for number in self.numbers:
            sums = ", ".join(
                f"{self._count(number, outcome)} {outcome}" for outcome in ("ok", "failed", "not available")
            )
            yield f"{self._version(number)}: {sums}"

    def _count(self, number: str, outcome: str) -> str:
        return str(sum(outcomes.get(number, "").partition(":")[0] == outcome for outcomes in self.cases.values()))

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


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = text.removeprefix("Skipped: ")
    return reason if reason.startswith("not available: ") else f"not available: {reason}"


def case_of(item: pytest.Function, default: str) -> tuple[Case, str]:
    """Return the case that a test is, and the release it runs on."""
    callspec = getattr(item, "callspec", None)
    number = default if callspec is None else str(callspec.params.get("release", default))
    words = [] if callspec is None else callspec.id.split("-")
    if callspec is not None and "release" in callspec.params:
        words.remove(number)
    name = re.sub(r"^test_", "", item.originalname).replace("_", " ")
    details = "-".join(words)
    theme = (item.module.__doc__ or item.module.__name__).splitlines()[0].rstrip(".")
    return Case(theme, f"{name} ({details})" if details else name), number
