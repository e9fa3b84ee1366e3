"""What an operator is told of ends: one line per abnormal end, per restart, per supervisor that gives up.

An end is told whatever caused it: an error, a reason given on purpose, an exit signal. ``normal``, ``shutdown`` and
``{shutdown, _}`` are no news. The lines are made only when they are written: see `pyzen.logs` for their bound.

Source: OTP, "Error Logging", where each of these is a report.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pyzen.actor.mailbox import NOTHING, Sourced
from pyzen.actor.states import attributes_of, module_of
from pyzen.inspection import inspect
from pyzen.logs import Lazy, get_logger
from pyzen.terms import atoms

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.verbs import Verbs

__all__ = ["told_end", "told_give_up", "told_no_start", "told_restart"]

log = get_logger("pyzen.actor")

MAX_PART: Final = 300
"""Characters of a reason, a message or a state."""


def told_end(actor: Actor, reason: Any, error: BaseException | None, message: Any) -> None:
    """Tell of a process that has ended for no orderly reason.

    Args:
        actor: The process.
        reason: Its exit reason.
        error: What its code has raised, None where that was no error.
        message: What a server was handling, ``NOTHING`` where that is not known.
    """
    if type(message) is Sourced:
        message = message.message
    by_peer = actor.instance._pyzen_label is not None  # a kind of its own: a flood of those hides none of the program's
    log.error(
        f"process %s of %s{', started by a peer,' if by_peer else ''} has ended: %s; last message: %s; state: %s",
        name_of(actor),
        actor.runtime.name,
        part(reason),
        "none" if message is NOTHING else part(message),
        Lazy(partial(state_of, actor.instance)),
        exc_info=error,
        extra=lambda: extra_of(actor, reason),
    )


def told_restart(supervisor: Actor, child_id: object, reason: Any) -> None:
    """Tell of a child that is started again."""
    text = "supervisor %s of %s restarts %s, which has ended: %s"
    log.error(
        text,
        name_of(supervisor),
        supervisor.runtime.name,
        child_id,
        part(reason),
        extra=lambda: extra_of(supervisor, reason),
    )


def told_no_start(supervisor: Actor, child_id: object, error: BaseException) -> None:
    """Tell of a child that can't be started."""
    text = "supervisor %s of %s can't start %s"
    log.error(text, name_of(supervisor), supervisor.runtime.name, child_id, exc_info=error)


def told_give_up(supervisor: Actor, restarts: int, seconds: float, reason: Any) -> None:
    """Tell of a supervisor whose children have ended too often."""
    log.error(
        "supervisor %s of %s gives up after %d restarts in %g s, the last one for: %s",
        name_of(supervisor),
        supervisor.runtime.name,
        restarts,
        seconds,
        part(reason),
        extra=lambda: extra_of(supervisor, reason),
    )


def name_of(actor: Actor) -> Any:
    """Return the name of a process, or its pid, with what it was started as where that is known."""
    label = actor.instance._pyzen_label
    return actor.registered_name or (actor.pid if label is None else f"{actor.pid!r} ({label})")


def part(term: Any) -> Lazy:
    """Return one part of a line in Elixir's syntax."""
    return Lazy(lambda: inspect(term, MAX_PART))


def state_of(instance: Verbs) -> str:
    """Return what a process has as its state."""
    attributes = attributes_of(instance)
    return inspect({atoms[name.lstrip("_")[:255] or "_"]: value for name, value in attributes.items()}, MAX_PART)


def extra_of(actor: Actor, reason: Any) -> dict[str, Any]:
    """Return the fields of a line for handlers that keep them apart."""
    return {
        "node": str(actor.runtime.name),
        "pid": repr(actor.pid),
        "mfa": actor.instance._pyzen_label or str(module_of(actor.instance)),
        "reason": inspect(reason, MAX_PART),
    }
