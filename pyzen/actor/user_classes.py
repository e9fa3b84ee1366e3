"""The rules for users' classes: which names are taken, and when a class is looked at.

A class is looked at when it is defined, and once more when a process of it is started: a mixin whose
``__init_subclass__`` does not call ``super()`` keeps the first look away.
"""

from __future__ import annotations

import sys
from typing import Final

if sys.version_info >= (3, 14):  # where annotations are no longer kept, but made when asked for
    from annotationlib import Format, get_annotations

__all__ = ["VERBS", "check_class", "was_checked"]

LOOP: Final = "_pyzen_loop"
CHECKED: Final = "_pyzen_looked_at"

VERBS: Final = frozenset(
    {
        "call", "cancel_timer", "cast", "demonitor", "exit", "link", "local_node", "monitor", "node", "pid", "reply",
        "send", "send_after", "send_exit", "send_request", "spawn", "spawn_link", "spawn_monitor", "trap_exit",
        "unlink",
    }
)  # fmt: skip
"""The names that no user's class may define. The list is frozen: a name that is free today stays free."""


def was_checked(cls: type) -> bool:
    """Say whether this class itself, not one of its bases, has been looked at."""
    return CHECKED in vars(cls)


def check_class(cls: type) -> None:
    """Refuse a class that defines a verb, itself or by a mixin before the class of the kernel, or is of two kinds.

    Raises:
        TypeError: The names, and all that are taken.
    """
    name = f"{cls.__module__}.{cls.__qualname__}"
    taken = sorted(_defined_by_users(cls))
    if taken:
        raise TypeError(
            f"{name} defines {', '.join(taken)}: every process has a verb of that name. "
            f"Rename it; the names that are taken are {', '.join(sorted(VERBS))}"
        )
    loops = [vars(base)[LOOP] for base in cls.__mro__ if LOOP in vars(base)]
    if not all(issubclass(loops[0], one) for one in loops):
        raise TypeError(f"{name} is of two kinds of process: a GenServer has no body, a Process no callbacks")
    type.__setattr__(cls, CHECKED, True)


def _defined_by_users(cls: type) -> set[str]:
    """Return the verbs that a class of the user defines, so that they would be found before those of the kernel."""
    names: set[str] = set()
    for base in cls.__mro__:
        if str(base.__module__).partition(".")[0] == "pyzen":
            break
        names |= VERBS & (vars(base).keys() | _fields_of(base))
    return names


def _fields_of(base: type) -> set[str]:
    """Return the attributes that the ``__init__`` which a decorator writes will set.

    The decorator of a process's class runs after the look, so its annotations count. Those of a mixin count only
    where it has been decorated: else they tell a type checker what the process has.
    """
    fields = set(vars(base).get("__dataclass_fields__", ()))
    fields |= {one.name for one in vars(base).get("__attrs_attrs__", ())}
    is_process = any(LOOP in vars(one) for one in base.__mro__)
    return fields | _annotated(base) if is_process else fields


def _annotated(cls: type) -> set[str]:
    if sys.version_info >= (3, 14):
        return set(get_annotations(cls, format=Format.FORWARDREF))
    return set(vars(cls).get("__annotations__", ()))
