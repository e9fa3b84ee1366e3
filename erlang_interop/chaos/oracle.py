"""The judgement: which outcomes the books hold, and whether each was allowed.

Two steps, for monitors fire by the ten thousand and links break by the dozen. A ``nodedown`` is allowed where its own
node saw the peer lost, unlinked or incompatible in that interval; and each such sight has to be explained by something
that was broken. Everything else is judged by who was told to die, and when.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from erlang_interop.chaos.books import BLOCK, NAMED
from erlang_interop.chaos.journal import Entry, Life, read
from erlang_interop.chaos.truth import SLOWING, Truth

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Direction", "Verdict", "judge"]

GRACE: Final = {"cut": 3.0, "disconnect": 3.0, "refuse": 8.0, "kill": 8.0, "start": 8.0, "drop": 14.0}
"""Seconds after a fault in which a link may be lost by it: the time that an end needs to be seen, or of a handshake."""

SILENCE: Final = 4.0
"""Seconds without a byte in which no link is lost: half of the tick time, and less than the peers' three quarters."""

SILENCE_WINDOW: Final = 14.0
CERTIFICATE: Final = 3.0
"""Seconds that a certificate may be under way while nothing is broken."""

DYING: Final = 5.0
"""Seconds in which a DOWN may come to a subscriber that was told to die, at the most: the loop may be blocked."""


@dataclass(slots=True)
class Direction:
    """The balance of all monitors of one direction."""

    made: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """How many monitors had a wrong number of outcomes, or a wrong one."""
        return len(self.lost) + len(self.duplicated) + len(self.invented)


@dataclass(slots=True)
class Verdict:
    """What came out.

    Attributes:
        directions: By name, such as ``python watches elixir``.
        unexplained: What nodes saw that nothing explains, and messages that nobody expected.
        slow: Pings that went unanswered for 5 s without any fault: the machine was too slow.
    """

    directions: dict[str, Direction] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """How much is wrong."""
        return len(self.unexplained) + sum(direction.failures for direction in self.directions.values())

    def direction(self, name: str) -> Direction:
        """Return the balance of a direction."""
        return self.directions.setdefault(name, Direction())


def judge(truth: Truth) -> Verdict:
    """Judge everything that the Python nodes have written down."""
    verdict = Verdict()
    judgement = Judgement(truth, verdict)
    for label, path in truth.journals.items():
        judgement.judge_life(read(label, Path(path)))
    return verdict


class Judgement:
    """A judgement under way."""

    def __init__(self, truth: Truth, verdict: Verdict) -> None:
        self._truth = truth
        self._verdict = verdict

    def judge_life(self, life: Life) -> None:
        """Judge one life of a node."""
        directions: dict[str, Direction] = {}
        for entry in life.entries:
            if entry.label not in directions:
                directions[entry.label] = self._verdict.direction(self._direction_of(entry))
            self._judge_entry(life, entry, directions[entry.label])
        for peer, times in life.losses.items():
            for time in times:
                if time < self._truth.closing_at:
                    self._explain_loss(life.label, peer, time)
        for peer, views in life.views.items():
            for before, now in zip([None, *views], views, strict=False):
                if now.is_incompatible and not (before and before.is_incompatible):
                    self._explain_incompatible(life.label, peer, now.time, now.loss)
        self._verdict.unexplained += [f"{life.label}: {text}" for text in life.unexpected]

    # ---- monitors

    def _judge_entry(self, life: Life, entry: Entry, direction: Direction) -> None:
        direction.made += 1
        if not entry.outcomes:
            self._judge_open(direction, entry)
            return
        outcome, *more = entry.outcomes
        direction.outcomes[self._kind_of(outcome.what, outcome.detail)] += 1
        if more and not self._may_follow(entry):
            direction.duplicated.append(self._text(entry))
        for one in entry.outcomes:
            if one.what == "down" and not self._is_allowed(life, entry, one.time, one.detail):
                direction.invented.append(self._text(entry))

    def _judge_open(self, direction: Direction, entry: Entry) -> None:
        if self._truth.was_killed(entry.watcher):
            direction.outcomes["watcher killed"] += 1
        else:
            direction.lost.append(self._text(entry))

    def _direction_of(self, entry: Entry) -> str:
        watcher, node = (label.partition("#")[0] for label in (entry.watcher, entry.label))
        if watcher == node:
            return "python watches itself"
        return f"python watches {'python' if node.startswith('p') else 'elixir'}"

    @staticmethod
    def _kind_of(what: str, detail: str) -> str:
        if what == "down":
            return detail if detail in {"noproc", "nodedown"} else "died"
        return "demonitored" if what == "demonitor" else "subscriber died"

    @staticmethod
    def _may_follow(entry: Entry) -> bool:
        """Say whether a DOWN may come after another outcome: it lay in the mailbox, or was on the way."""
        if len(entry.outcomes) != 2:
            return False
        first, second = entry.outcomes
        if second.what != "down":
            return False
        if first.what == "demonitor":
            return first.detail == "unread"
        return first.what == "subscriber" and second.time - first.time < DYING

    def _is_allowed(self, life: Life, entry: Entry, time: float, reason: str) -> bool:
        if entry.label.endswith(NAMED):
            return self._is_allowed_of_a_name(life, entry, time, reason)
        death = self._truth.death(entry.label, entry.index // BLOCK * BLOCK)
        was_told = death is not None and death[0] <= time
        if reason == "=":
            return was_told
        if reason == "noproc":
            if death is not None and was_told:
                return not self._was_subscribed(life, entry, death[0])
            return self._truth.lives[entry.label].end <= time
        if reason != "nodedown" or time >= self._truth.ending_at:
            return False
        return life.is_bad(peer_of(entry), entry.made, time) or self._lost_everything(entry, time)

    def _is_allowed_of_a_name(self, life: Life, entry: Entry, time: float, reason: str) -> bool:
        if reason == "nodedown":
            is_lost = life.is_bad(peer_of(entry), entry.made, time) or self._lost_a_connector(entry, time)
            return is_lost and time < self._truth.ending_at
        vacancies = self._truth.vacancies[peer_of(entry)][entry.index]
        # A certificate that is under way may fire a newer reference to the name: the wire has no number for it.
        made = entry.made - CERTIFICATE
        if reason == "noproc":
            return any(one.start <= time and made <= one.end for one in vacancies)
        own = [one for one in vacancies if reason == f"={one.number}" and one.start <= time]
        if not own or (own[0].start < made and not self._is_disturbed(entry, own[0].start, time)):
            return False
        missed = [one for one in vacancies if entry.made < one.start < own[0].start]
        return not any(self._was_subscribed(life, entry, one.start) for one in missed)

    def _lost_a_connector(self, entry: Entry, time: float) -> bool:
        """Say whether the watching Connector crashed: a name may belong to another process by then."""
        lost = {"connectors", "local-supervisor", "supervisor", f"connector to {alive(entry.label)}"}
        return self._has_lost(lost, entry, time)

    def _lost_everything(self, entry: Entry, time: float) -> bool:
        """Say whether all of the watching ZenMonitor crashed: every monitor of that moment fires."""
        return self._has_lost({"supervisor"}, entry, time)

    def _has_lost(self, processes: set[str], entry: Entry, time: float) -> bool:
        return any(
            fault.kind == "zen"
            and fault.nodes == (alive(entry.watcher),)
            and fault.detail in processes
            and fault.overlaps(entry.made, time, grace=2)
            for fault in self._truth.faults
        )

    def _is_disturbed(self, entry: Entry, start: float, end: float) -> bool:
        faults = self._truth.between(alive(entry.watcher), alive(entry.label))
        return any(fault.overlaps(start - 5, end, grace=15) for fault in faults)

    def _was_subscribed(self, life: Life, entry: Entry, death: float) -> bool:
        """Say whether the subscribe must have been there before the death, and its certificate must have arrived.

        Nothing was broken for seconds before, nor while the certificate was under way: what crashes then subscribes
        again, and finds the target dead.
        """
        if death - entry.made < 3.0:
            return False
        if life.is_bad(peer_of(entry), entry.made - 1, death):
            return False
        return not self._is_disturbed(entry, entry.made, death + CERTIFICATE)

    def _text(self, entry: Entry) -> str:
        """Tell of a monitor that offends, with everything that was broken around it."""
        death = self._truth.death(entry.label, entry.index // BLOCK * BLOCK)
        end = max([entry.made, *(outcome.time for outcome in entry.outcomes)])
        faults = [
            str(fault)
            for fault in self._truth.between(alive(entry.watcher), alive(entry.label))
            if fault.overlaps(entry.made - 5, end, grace=15)
        ]
        if entry.label.endswith(NAMED):
            vacancies = [one for one in self._truth.vacancies[peer_of(entry)][entry.index] if one.end > entry.made - 5]
            return f"{entry}; vacancies {vacancies[:6]}; broken: {'; '.join(faults[-8:])}"
        life = self._truth.lives[entry.label]
        told = f"told to die {death[0]:.2f}..{death[1]:.2f}" if death else "never told to die"
        return f"{entry}; target {told}, its node {life.start:.2f}..{life.end:.2f}; broken: {'; '.join(faults[-8:])}"

    # ---- what nodes saw

    def _explain_loss(self, label: str, peer: str, time: float) -> None:
        faults = self._truth.between(alive(label), alive(peer))
        slack = sum(fault.duration for fault in faults if fault.kind in SLOWING and fault.overlaps(time - 20, time))
        is_broken = any(
            fault.kind in GRACE and fault.overlaps(time, time, grace=GRACE[fault.kind] + slack) for fault in faults
        )
        silent = [
            (max(fault.start, time - SILENCE_WINDOW), min(fault.end, time))
            for fault in faults
            if fault.kind in {"freeze", "stop", "drop"}
        ]
        if not is_broken and union(silent) < SILENCE:
            self._verdict.unexplained.append(f"{label} lost its link to {peer} at {time:.2f}")

    def _explain_incompatible(self, label: str, peer: str, time: float, loss: str) -> None:
        faults = self._truth.between(alive(label), alive(peer))
        near = [fault for fault in faults if fault.overlaps(time, time, grace=15)]
        slack = sum(fault.duration for fault in near if fault.kind in SLOWING)
        if loss == "ping timeout":
            if not any(fault.kind in SLOWING for fault in near):
                self._verdict.slow.append(f"{label} had no answer to a ping of {peer} at {time:.2f}")
            return
        ends = [
            fault
            for fault in faults
            if (fault.kind == "start" or (fault.kind == "zen" and fault.detail.startswith(("proxy", "supervisor"))))
            and fault.nodes == (alive(peer),)
            and fault.overlaps(time, time, grace=4 + slack)
        ]
        if loss not in {"proxy ended", "no proxy"} or not ends:
            self._verdict.unexplained.append(f"{label} took {peer} for incompatible at {time:.2f}: {loss}")


def alive(name: str) -> str:
    """Return the first half of a node's name, or of a label."""
    return name.partition("@")[0]


def peer_of(entry: Entry) -> str:
    """Return the node of the target."""
    return entry.label.partition("#")[0]


def union(intervals: Iterable[tuple[float, float]]) -> float:
    """Return how long at least one of some intervals lasts."""
    total, reached = 0.0, -math.inf
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
