"""A module whose functions the attacked node offers by ``exports``; what it has merely imported is not on offer."""

from os import system

Alias = system.__class__


def twice(number: int) -> int:
    """Return the double; what an honest peer calls."""
    return 2 * number


def _hidden() -> str:
    return "hidden"
