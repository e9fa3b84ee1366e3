"""The judgement on what Elixir nodes saw of Python nodes.

The Local half there is not ours and has the faults of the original, so this is no more than it can show of our Proxy:
it invents nothing, repeats nothing and, while the other side's processes live, loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from erlang_interop.benchmarks.processes import usual
from erlang_interop.chaos.books import BLOCK
from erlang_interop.chaos.oracle import Verdict, alive
from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from erlang_interop.chaos.truth import Truth
    from erlang_interop.chaos.watchers import ElixirWatcher, Entry

__all__ = ["judge_elixir"]

NODEDOWN_GRACE: Final = 40.0
"""Seconds after a fault in which the original may still fire ``nodedown``: a ping blocks it, a penalty follows."""

CLOCKS: Final = 0.05
"""Seconds by which the clocks of two machines in one may differ, as far as we can tell."""

NAME: Final = "elixir watches python"


def judge_elixir(truth: Truth, watchers: Sequence[ElixirWatcher], verdict: Verdict) -> None:
    """Add the direction to a verdict."""
    direction = verdict.direction(NAME)
    for watcher in watchers:
        direction.made += len(watcher.entries) + watcher.lost_with_node
        direction.outcomes["watcher killed"] += watcher.lost_with_node
        for name in ("duplicates", "late", "unknown", "wrong"):
            if watcher.figures.get(name):
                direction.duplicated.append(f"{watcher.member.name}: {name}={watcher.figures[name]}")
        for entry in watcher.entries:
            kind = _kind_of(entry)
            if kind == "pending":
                direction.lost.append(_text(truth, entry))
                continue
            direction.outcomes[kind] += 1
            if entry.status == "down" and not _is_allowed(truth, entry):
                direction.invented.append(_text(truth, entry))


def _kind_of(entry: Entry) -> str:
    if entry.status != "down":
        return entry.status
    reason = _reason(entry)
    return str(reason) if reason is atoms.noproc or reason is atoms.nodedown else "died"


def _reason(entry: Entry) -> Any:
    match entry.reason:
        case (tag, reason) if tag is atoms.zen_monitor:
            return reason
    return entry


def _is_allowed(truth: Truth, entry: Entry) -> bool:
    assert entry.ended is not None
    ended, reason = entry.ended + CLOCKS, _reason(entry)
    death = truth.death(entry.label, entry.index // BLOCK * BLOCK)
    was_told = death is not None and death[0] <= ended
    if reason is atoms.nodedown:
        faults = truth.between(alive(entry.watcher), alive(entry.label))
        return any(fault.overlaps(entry.made, ended, grace=NODEDOWN_GRACE) for fault in faults)
    if reason is atoms.noproc:
        return was_told or truth.lives[entry.label].end <= ended
    return was_told and reason == usual(entry.index)


def _text(truth: Truth, entry: Entry) -> str:
    death = truth.death(entry.label, entry.index // BLOCK * BLOCK)
    faults = [
        str(fault)
        for fault in truth.between(alive(entry.watcher), alive(entry.label))
        if fault.overlaps(entry.made - 5, entry.ended or entry.made + 60, grace=NODEDOWN_GRACE)
    ]
    return f"{entry}; told to die {death}; broken: {'; '.join(faults[-8:])}"
