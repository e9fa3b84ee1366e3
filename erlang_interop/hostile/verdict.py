"""What came of an attack, and whether that passes.

The pass line: an honest peer's worst answer is at most 200 ms, memory stays below the named bound, nobody but the
attacker loses a link, and the log tells the operator without drowning him. Further: a newcomer is let in, every monitor
of the honest peer has its one outcome, and the node ends in order afterwards.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from erlang_interop.hostile.attack import Attack
    from erlang_interop.hostile.prey import Line

__all__ = ["NOISY", "WORST", "Outcome", "told"]

WORST: Final = 0.2
"""Seconds until the worst answer of an honest peer."""

NOISY: Final = 0.1
"""Seconds until the worst answer of a node that nobody attacks: above it the machine is too busy to measure."""

STOP: Final = 6.0
"""Seconds in which the node ends: processes have five, as `Node.stop` says."""

MIB: Final = 1 << 20


@dataclass
class Outcome:
    """What came of one attack.

    Attributes:
        attack: Its name.
        quiet: Seconds until the worst answer in the two seconds before.
        worst: Seconds until the worst answer from the beginning until one second after the end.
        control: The same of a node that nobody attacks.
        answers: How many the honest peer has had meanwhile.
        newcomer: Seconds until a newcomer was connected and answered.
        memory: MiB that the attacked process had grown by at most.
        lines: Lines of the log.
        same_kind: Of these the most of one kind.
        seconds: What the attack took.
        stop: Seconds that the end took.
        failures: What does not pass, in words.
    """

    attack: str
    quiet: float = 0.0
    worst: float = 0.0
    control: float = 0.0
    answers: int = 0
    newcomer: float | None = None
    memory: int = 0
    lines: int = 0
    same_kind: int = 0
    seconds: float = 0.0
    stop: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failures

    @property
    def is_doubtful(self) -> bool:
        """Whether the machine was too busy to say that answers were late because of the attack."""
        return any("answer took" in one for one in self.failures) and max(self.quiet, self.control) > NOISY

    def as_json(self) -> dict[str, Any]:
        """Return it for a record."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}

    def judge_time(self) -> None:
        """Note an answer that was late."""
        if self.worst > WORST:
            self.failures.append(f"the worst answer took {self.worst * 1000:.0f} ms")

    def judge_memory(self, attack: Attack, grown: int) -> None:
        """Note memory above the bound."""
        self.memory = math.ceil(grown / MIB)
        if self.memory > attack.memory:
            self.failures.append(f"{self.memory} MiB more, {attack.memory} are allowed")

    def judge_newcomer(self, attack: Attack, came: float | str) -> None:
        """Note a newcomer who came late, or not at all."""
        if isinstance(came, str):
            self.failures.append(f"newcomer: {came}")
            return
        self.newcomer = came
        if came > attack.newcomer:
            self.failures.append(f"a newcomer took {came:.1f} s")

    def judge_log(self, attack: Attack, lines: Sequence[Line], seconds: float) -> None:
        """Note a log that says nothing, too much, or what a peer has made of it."""
        self.lines = len(lines)
        self.failures += told(lines, attack.tells, math.ceil(seconds / 10) * attack.lines)
        self.same_kind = max(Counter(line.kind for line in lines).values(), default=0)

    def judge_stop(self, seconds: float, status: int | None) -> None:
        """Note an end that took too long, or was none in order."""
        self.stop = seconds
        if status is None or seconds > STOP:
            self.failures.append(f"the end took {seconds:.1f} s{' and had to be forced' if status is None else ''}")
        elif status:
            self.failures.append(f"it ended with status {status}")


def told(lines: Sequence[Line], pattern: str | None, maximum: int) -> Iterator[str]:
    """Say what is wrong with a log that may have so many lines of one kind."""
    if pattern is not None and not any(re.search(pattern, line.text) for line in lines):
        yield f"no line of the log says /{pattern}/"
    for kind, count in Counter(line.kind for line in lines).items():
        if count > maximum:
            yield f"{count} lines of one kind: {kind[:60]}"
    for line in lines:
        if not line.text.isprintable():
            yield f"a line that can't be printed: {line.text[:60]!r}"
            return
