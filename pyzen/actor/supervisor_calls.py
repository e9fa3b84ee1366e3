"""The calls that a supervisor answers: ``supervisor`` of OTP and ``Supervisor`` of Elixir make them.

::

    request                    reply
    which_children             [{Id, Pid | restarting | undefined, worker | supervisor, Modules}, ...]
    count_children             [{specs, N}, {active, N}, {supervisors, N}, {workers, N}]
    {get_childspec, Id}        {ok, Map} | {error, not_found}
    {terminate_child, Id}      ok | {error, not_found}
    {restart_child, Id}        {ok, Pid} | {error, not_found | running | restarting | Reason}
    {delete_child, Id}         ok | {error, not_found | running | restarting}
    {start_child, Spec}        {ok, Pid} | {error, already_present | {already_started, Pid} | Reason}
    anything else              {error, badcall}

A supervisor whose children are fixed answers ``{error, refused}`` to what would change one.

A specification is one that Python has made: one of Erlang's names code that is not here.

Source: OTP, "supervisor".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyzen.actor.child_spec import ChildSpec
from pyzen.actor.reasons import end_of
from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.child import Child
    from pyzen.actor.children import Children
    from pyzen.terms import Pid

__all__ = ["REFUSED", "answer"]

OK: Final = atoms.ok
ERROR: Final = atoms.error
NOT_FOUND: Final = (ERROR, atoms.not_found)
CHANGING: Final = (atoms.terminate_child, atoms.restart_child, atoms.delete_child, atoms.start_child)
REFUSED: Final = (ERROR, atoms.refused)
BAD_CALL: Final = (ERROR, atoms.badcall)


def answer(children: Children, request: Any, reply: Callable[[Any], object]) -> bool:
    """Answer a call, at once or when nothing is being stopped any more; false for one that no supervisor knows."""
    match request:
        case (word, _) if children.is_fixed and word in CHANGING:
            reply(REFUSED)
        case atoms.which_children:
            reply([child.shown() for child in reversed(list(children))])
        case atoms.count_children:
            reply(counts(children))
        case (atoms.get_childspec, child_id):
            child = children.find(child_id)
            reply(NOT_FOUND if child is None else (OK, child.shown_spec()))
        case (atoms.terminate_child | atoms.restart_child | atoms.delete_child as word, child_id):
            children.when_free(lambda: CHANGES[word](children, children.find(child_id), reply))
        case (atoms.start_child, spec):
            children.when_free(lambda: reply(started(children, spec)))
        case _:
            reply(BAD_CALL)
            return False
    return True


def counts(children: Children) -> list[Any]:
    """Return what ``count_children`` answers."""
    specs = list(children)
    supervisors = sum(child.is_supervisor for child in specs)
    return [
        (atoms.specs, len(specs)),
        (atoms.active, sum(child.pid is not None for child in specs)),
        (atoms.supervisors, supervisors),
        (atoms.workers, len(specs) - supervisors),
    ]


def terminate(children: Children, child: Child | None, reply: Callable[[Any], object]) -> None:
    """Stop a child for good; its specification stays, unless it is temporary."""
    if child is None:
        reply(NOT_FOUND)
    else:
        children.terminate(child, lambda: reply(OK))


def restart(children: Children, child: Child | None, reply: Callable[[Any], object]) -> None:
    """Start a child that was stopped."""
    reply(_refusal(child) or _outcome(lambda: children.restart(child)))  # type: ignore[arg-type]


def delete(children: Children, child: Child | None, reply: Callable[[Any], object]) -> None:
    """Forget a child that was stopped."""
    refusal = _refusal(child)
    if refusal is None:
        children.remove(child)  # type: ignore[arg-type]
    reply(refusal or OK)


CHANGES: Final = {atoms.terminate_child: terminate, atoms.restart_child: restart, atoms.delete_child: delete}


def _refusal(child: Child | None) -> Any:
    """Return why a child can be neither started nor forgotten; None where it can."""
    if child is None:
        return NOT_FOUND
    if child.pid is not None:
        return ERROR, atoms.running
    return (ERROR, atoms.restarting) if child.is_restarting else None


def started(children: Children, spec: Any) -> Any:
    """Start one more child."""
    if type(spec) is not ChildSpec:
        return ERROR, (atoms.invalid_child_spec, spec)
    child = children.find(str(spec.id))
    if child is not None:
        return ERROR, atoms.already_present if child.pid is None else (atoms.already_started, child.pid)
    return _outcome(lambda: children.add(spec).pid)


def _outcome(start: Callable[[], Pid | None]) -> Any:
    """Return what came of a start; who has asked for it is told why it failed."""
    try:
        return OK, start()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the constructor of a user's class raises
        return ERROR, end_of(error)[0]
