"""What really happened: who was told to die, which lives nodes had, and what was broken from when to when.

Times are seconds of the monotonic clock. Names of nodes are first halves (``p0``) where a fault is meant, and labels
(``p0@127.0.0.1#2``, the third life) where one life of a node is.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Self

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BREAKING", "SLOWING", "Fault", "Kind", "LifeTime", "Truth", "Vacancy"]

Kind = Literal[
    "cut", "refuse", "freeze", "delay", "drop", "disconnect", "stop", "kill", "block", "zen", "burst", "forge", "start"
]

BREAKING: Final[frozenset[str]] = frozenset({"cut", "refuse", "freeze", "drop", "disconnect", "stop", "kill", "start"})
"""What a link may be lost by; ``freeze`` and ``stop`` only where they last."""

SLOWING: Final[frozenset[str]] = frozenset({"freeze", "drop", "stop", "delay", "block", "burst", "start"})
"""What a ping may go unanswered by."""


@dataclass(slots=True)
class Fault:
    """Something that was broken.

    Attributes:
        kind: What was done.
        nodes: One node, or the two of a link.
        start: When it began.
        end: When it was over, infinite before that.
        detail: More about it.
    """

    kind: Kind
    nodes: tuple[str, ...]
    start: float
    end: float = math.inf
    detail: str = ""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start

    def concerns(self, one: str, other: str) -> bool:
        """Say whether it touches the link between two nodes."""
        return set(self.nodes) <= {one, other}

    def overlaps(self, start: float, end: float, *, grace: float = 0.0) -> bool:
        """Say whether it, with ``grace`` seconds after it, has a moment in common with a time."""
        return self.start <= end and start <= self.end + grace

    def __str__(self) -> str:
        return f"{self.kind} {'-'.join(self.nodes)} {self.start:.2f}..{self.end:.2f} {self.detail}".rstrip()


@dataclass(slots=True)
class LifeTime:
    """One life of a node: from its start to its end."""

    start: float
    end: float = math.inf


@dataclass(slots=True)
class Vacancy:
    """A time in which nobody had a name.

    Attributes:
        start: When its holder was told to die, or its node was killed.
        end: When there was a holder again.
        number: What the holder's reason says; 0 where there was no kill of the holder itself.
    """

    start: float
    end: float = math.inf
    number: int = 0


@dataclass(slots=True)
class Truth:
    """Everything that the judgement is based on.

    Attributes:
        faults: In the order of their beginning.
        lives: By label.
        deaths: By label and first index of the block: when it was told to die, and when it had been.
        vacancies: By node, and by the index of a name.
        journals: The file of each life of a Python node.
        ending_at: When everything was whole again, and the last targets were told to die.
        closing_at: When the run was over, and the nodes ended one after the other.
    """

    faults: list[Fault] = field(default_factory=list)
    lives: dict[str, LifeTime] = field(default_factory=dict)
    deaths: dict[str, dict[int, tuple[float, float]]] = field(default_factory=dict)
    vacancies: dict[str, list[list[Vacancy]]] = field(default_factory=dict)
    journals: dict[str, str] = field(default_factory=dict)
    ending_at: float = math.inf
    closing_at: float = math.inf

    def begin(self, kind: Kind, *nodes: str, detail: str = "") -> Fault:
        """Note that something is being broken."""
        fault = Fault(kind, nodes, time.monotonic(), detail=detail)
        self.faults.append(fault)
        return fault

    def between(self, one: str, other: str) -> list[Fault]:
        """Return what touched the link between two nodes."""
        return [fault for fault in self.faults if fault.concerns(one, other)]

    def was_killed(self, label: str) -> bool:
        """Say whether a life ended before the run did."""
        return self.lives[label].end < self.closing_at

    def death(self, label: str, block: int) -> tuple[float, float] | None:
        """Return from when to when a block of targets was told to die."""
        return self.deaths.get(label, {}).get(block)

    def save(self, path: Path) -> None:
        """Write everything down."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        data = json.loads(path.read_text())
        return cls(
            faults=[Fault(**{**one, "nodes": tuple(one["nodes"])}) for one in data["faults"]],
            lives={label: LifeTime(**one) for label, one in data["lives"].items()},
            deaths={
                label: {int(first): (one[0], one[1]) for first, one in blocks.items()}
                for label, blocks in data["deaths"].items()
            },
            vacancies={
                node: [[Vacancy(**one) for one in name] for name in names] for node, names in data["vacancies"].items()
            },
            journals=data["journals"],
            ending_at=data["ending_at"],
            closing_at=data["closing_at"],
        )
