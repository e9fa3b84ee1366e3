"""Cost against size as a chart: ``python -m erlang_interop.benchmarks.chart SAMPLES.json CHART.svg``.

Drawn from the row ``growth`` in the file of samples, so a chart can be made again without measuring again. Matplotlib
draws; without it there is no chart, and everything else works.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

Storm: TypeAlias = Mapping[str, float]

INCHES: Final = (12.0, 4.4)
TITLE: Final = "What monitors cost the node that watches, by how many there are at a time"
# An opaque sheet reads alike on light and on dark pages. The colours are told apart by the colour-blind, too.
STYLE: Final = {
    "font.size": 11,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlepad": 10,
    "grid.color": "#e4e4e4",
    "svg.hashsalt": "pyzen",
}
UNDATED: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))
"""The same samples make the same file."""
LINES: Final = {"ours": {"color": "#0060a8", "marker": "o"}, "rival": {"color": "#c24d00", "marker": "s"}}


@dataclass(frozen=True, slots=True)
class Panel:
    """A third of the sheet.

    Attributes:
        heading: What is shown.
        unit: What the vertical axis says.
        scale: Of the vertical axis: ``linear`` from 0, or ``log``.
        value: What is shown of a storm.
    """

    heading: str
    unit: str
    scale: str
    value: Callable[[Storm], float]


PANELS: Final = (
    Panel("Establish a monitor", "CPU, µs per monitor", "linear", lambda storm: storm["establish_us"]),
    Panel("Deliver a DOWN", "CPU, µs per DOWN", "linear", lambda storm: storm["deliver_us"]),
    Panel("Memory of the whole process", "resident at the peak, MB", "log", lambda storm: peak(storm) / 1e6),
)


class NoChart(Exception):
    """There is nothing to draw, or nothing to draw with."""


def draw(content: Mapping[str, Any], path: Path) -> None:
    """Draw the chart of a file of samples, as SVG or whatever ``path`` ends with.

    Raises:
        NoChart: If ``growth`` was not measured, or Matplotlib is missing.
    """
    storms, names = storms_of(content), names_of(content["machine"])
    try:
        matplotlib, figure = import_module("matplotlib"), import_module("matplotlib.figure")
        ticks = import_module("matplotlib.ticker")
    except ModuleNotFoundError as error:
        raise NoChart("Matplotlib is not installed") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        sheet = figure.Figure(figsize=INCHES, layout="constrained")
        sheet.suptitle(TITLE, weight="bold")
        for axes, panel in zip(sheet.subplots(1, len(PANELS)), PANELS, strict=True):
            lines = _draw_panel(axes, panel, storms)
            _scale(axes, panel, ticks)
        sheet.legend(lines, [names[kind] for kind in storms], loc="outside lower center", ncols=2, frameon=False)
        sheet.savefig(path, metadata=UNDATED if path.suffix == ".svg" else None)


def _draw_panel(axes: Any, panel: Panel, storms: Mapping[str, Mapping[int, Sequence[Storm]]]) -> list[Any]:
    lines = []
    for kind, found in storms.items():
        means = [statistics.fmean(map(panel.value, taken)) for taken in found.values()]
        lines += axes.plot(list(found), means, **LINES[kind])
    axes.set(title=panel.heading, xlabel="monitors", ylabel=panel.unit)
    return lines


def _scale(axes: Any, panel: Panel, ticks: Any) -> None:
    axes.set(xscale="log", yscale=panel.scale)
    axes.margins(y=0.1)
    axes.xaxis.set_major_formatter(lambda count, _position: short(round(count)))
    if panel.scale == "linear":
        axes.set_ylim(bottom=0)
        return
    axes.yaxis.set_major_locator(ticks.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    axes.yaxis.set_minor_locator(ticks.NullLocator())


def names_of(machine: Mapping[str, Any]) -> dict[str, str]:
    """Return what the legend calls each side."""
    return {
        "ours": f"pyzen {machine['pyzen']}, Python {machine['python']}",
        "rival": f"{machine['rival']}, OTP {machine['otp']}",
    }


def storms_of(content: Mapping[str, Any]) -> dict[str, dict[int, Sequence[Storm]]]:
    """Return what ``growth`` measured: side, monitors at a time, storms. Sides without storms are left out."""
    rows = [row for row in content["results"] if row["key"] == "growth"]
    if not rows:
        raise NoChart("growth was not measured")
    sides = rows[0]["details"]["storms"]
    return {kind: {int(count): taken for count, taken in found.items()} for kind, found in sides.items() if found}


def peak(storm: Storm) -> float:
    """Return the most bytes that were in memory, what the subscriber keeps included."""
    return max(storm["establish_peak"], storm["deliver_peak"])


def short(count: int) -> str:
    """Return a number as 10 k or 1 M."""
    for factor, unit in ((1_000_000, "M"), (1000, "k")):
        if count >= factor:
            return f"{count / factor:g} {unit}"
    return str(count)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the chart of one file."""
    parser = argparse.ArgumentParser(
        prog="python -m erlang_interop.benchmarks.chart", description=__doc__.split(":")[0]
    )
    parser.add_argument("samples", type=Path, help="what a run has written")
    parser.add_argument("chart", type=Path, help="where the chart goes")
    asked = parser.parse_args(arguments)
    draw(json.loads(asked.samples.read_text()), asked.chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
