"""What an attack is: a program, the bound that has to hold, and what an operator is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from erlang_interop.hostile.stage import Stage

__all__ = ["ATTACKS", "Attack", "attack"]

BURST: Final = 21
"""Lines of one kind in ten seconds: twenty, and the one that tells how many were left out."""

ATTACKS: Final[dict[str, Attack]] = {}
"""All that are known, by name, in the order of the table."""


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: As in the table.
        play: Does it: prepares, calls `Stage.begin`, then attacks.
        bound: What holds, as ``docs/limits.md`` names it.
        memory: MiB that the attacked process may grow by.
        tells: Pattern of a line of the log that tells the operator; None where nothing is refused.
        prey: What is attacked: a node of ours, ``pyzen node`` with metrics, or ``pyzen epmd`` beside a node.
        limits: Fields of ``Limits`` that differ from the defaults.
        comes: Seconds from the beginning until the newcomer sets out.
        newcomer: Seconds within which a newcomer has to be connected and answered.
        longest: Seconds that it may last; then it is cut off, which is no failure.
        refuses: Questions of the honest peer may be turned away while the attack lasts, a newcomer within its time not.
        lines: Lines of one kind in ten seconds.
        unread: Nobody reads the standard output of the node.
    """

    name: str
    play: Callable[[Stage], Awaitable[None]]
    bound: str
    memory: int
    tells: str | None = None
    prey: Literal["node", "command", "epmd"] = "node"
    limits: Mapping[str, Any] = field(default_factory=dict)
    comes: float = 0.3
    newcomer: float = 3.0
    longest: float = 10.0
    refuses: bool = False
    lines: int = BURST
    unread: bool = False

    @property
    def kind(self) -> str:
        """What sort of attack it is: the file that it stands in."""
        return self.play.__module__.rpartition(".")[2]

    @property
    def about(self) -> str:
        """What it does, in a line."""
        return (self.play.__doc__ or "").partition("\n")[0]


def attack(
    bound: str, memory: int, tells: str | None = None, **options: Any
) -> Callable[[Callable[[Stage], Awaitable[None]]], Attack]:
    """Make an attack of a function, under its name, and add it to `ATTACKS`. Arguments are fields of `Attack`."""

    def add(play: Callable[[Stage], Awaitable[None]]) -> Attack:
        one = Attack(play.__name__.replace("_", "-"), play, bound, memory, tells, **options)
        ATTACKS[one.name] = one
        return one

    return add
