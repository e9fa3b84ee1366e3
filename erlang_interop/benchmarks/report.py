"""What is told: a table on the terminal, and every sample with the machine in a JSON file."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.nodes import FIXTURE
from pyzen import _native

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from erlang_interop.benchmarks.measure import Options, Result, Row
    from erlang_interop.nodes import ElixirNode

BUILDS: Final = {"dev": "development build (opt-level 3, no LTO)", "release": "release build (fat LTO)"}
VERSION: Final = "IO.iodata_to_binary(Application.spec(:zen_monitor, :vsn))"
HEADINGS: Final = ("work", "ours", "rival", "ratio", "goal", "reached")


# ---- the table


def table(results: Sequence[Result], left_out: Mapping[Row, str]) -> str:
    """Return the table as text: a line per row, the rows left out with the reason, and the notes below."""
    lines = [HEADINGS, *(line for result in results for line in _lines(result))]
    lines += [(row.work, "-", "-", "-", goal(row), reason) for row, reason in left_out.items()]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    notes = [f"{result.row.key}: {result.note}" for result in results if result.note]
    return "\n".join([text[0], "-" * max(map(len, text)), *text[1:], *([""] if notes else []), *notes])


def _lines(result: Result) -> Iterator[tuple[str, ...]]:
    yield _line(result)
    for peer in result.peers:
        work = f"  the same by {peer.name}"
        if peer.samples:
            times = statistics.median(result.ours) / statistics.median(peer.samples)
            yield work, "", spread(peer.samples), figure(times), "-", "-"
        else:
            yield work, "", "-", "-", "-", peer.missing


def _line(result: Result) -> tuple[str, ...]:
    row, ratio = result.row, result.ratio
    judged = result.value_text or (f"{ratio:.2f}" if ratio is not None else "-")
    rival = f"{spread(result.rival)} ({row.rival})" if result.rival else row.rival
    reached = "yes" if result.reached else "NO"
    return row.work, f"{spread(result.ours)} {row.unit}", rival, judged, goal(row), reached


def goal(row: Row) -> str:
    """Return the goal of a row as text."""
    return f"{row.goal} {row.limit:g}"


def spread(samples: Sequence[float]) -> str:
    """Return median and range, three digits where that is enough: ``1.82 (1.79..1.90)``."""
    median = figure(statistics.median(samples))
    if len(samples) == 1:
        return median
    return f"{median} ({figure(min(samples))}..{figure(max(samples))})"


def figure(value: float) -> str:
    """Return a number with as many decimals as make three digits."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


# ---- the file


def save(
    path: Path, options: Options, around: Mapping[str, Any], results: Sequence[Result], left_out: Mapping[Row, str]
) -> dict[str, Any]:
    """Write everything to ``path``, and return it."""
    content = {
        "machine": around,
        "options": asdict(options),
        "results": [as_json(result) for result in results],
        "left_out": {row.key: reason for row, reason in left_out.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
    return content


def as_json(result: Result) -> dict[str, Any]:
    """Return a result as what JSON knows."""
    return {
        **asdict(result.row),
        "ours": list(result.ours),
        "rival_samples": list(result.rival),
        "ratio": result.ratio,
        "value": result.value,
        "reached": result.reached,
        "peers": [asdict(peer) for peer in result.peers],
        "note": result.note,
        "details": result.details,
    }


# ---- the surroundings


async def surroundings(node: ElixirNode) -> dict[str, Any]:
    """Return what the figures depend on; ``node`` is one like the rival."""
    ready = node.ready
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "otp": ready["otp"],
        "elixir": ready["elixir"],
        "rival": rival(ready["zen_monitor"], (await node.eval(VERSION)).strip('"')),
        "pyzen": _version(),
        "build": build_kind(),
        "commit": commit(),
    }


def rival(origin: str, version: str) -> str:
    """Name the rival; ``origin`` is ``stand-in``, or where the real one lies, which is nobody's business."""
    name = f"ZenMonitor {version}"
    return f"stand-in for {name}" if origin == "stand-in" else name


def _version() -> str:
    try:
        return distribution("pyzen-node").version
    except PackageNotFoundError:
        return "unknown"


def build_kind() -> str:
    """Say how the native module was built."""
    return BUILDS[_native.PROFILE]


def commit() -> str:
    """Return the commit of the sources, with ``+`` when they were changed since."""
    if shutil.which("git") is None:
        return "unknown"
    head = _git("rev-parse", "--short", "HEAD")
    return f"{head}{'+' if _git('status', '--porcelain') else ''}" if head else "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=FIXTURE.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
