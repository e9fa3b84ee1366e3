"""``process_info``: what can be told of a process of this node, an item at a time.

What only the machine of Erlang has (heaps, reductions, a collector per process) is zero or empty, in the shape that it
has there. A process of callbacks has a stack only while one of them waits for something.

Source: OTP, "erlang", ``process_info/2``; the shapes are those of OTP 25 to 29.
"""

from __future__ import annotations

from itertools import chain, islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from pyzen.actor.mailbox import message_of
from pyzen.actor.signals import Signal
from pyzen.actor.states import presentable
from pyzen.brief import brief
from pyzen.etf import encode
from pyzen.monitor_table import Downs
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyzen.actor.actor import Actor

__all__ = ["item_of", "items_of", "usual_items"]

UNDEFINED: Final = atoms.undefined
REGISTERED_NAME: Final = atoms.registered_name
DICTIONARY: Final = atoms.dictionary

MAX_MESSAGES: Final = 100
"""Messages that ``messages`` shows; ``message_queue_len`` tells how many there are."""

MAX_MESSAGES_SIZE: Final = 1_000_000
"""Bytes of all of them together; the one that goes past it is shown in short, and is the last."""

MAX_FRAMES: Final = 20

MAX_ITEMS: Final = 64
"""Items that are told at once: there are fewer."""

MAX_RELATIONS: Final = 10_000
"""Links, monitors or watchers that are shown."""


def item_of(actor: Actor, item: Any) -> tuple[Any, Any]:
    """Return an item and its value.

    Raises:
        LookupError: There is no such item.
    """
    if type(item) is tuple and len(item) == 2 and item[0] is DICTIONARY:
        return item, UNDEFINED  # the attributes of an object are no dictionary of a process
    if type(item) is not Atom:
        raise LookupError
    return item, ITEMS[item](actor)


def items_of(actor: Actor, items: list[Any]) -> list[tuple[Any, Any]]:
    """Return items and their values, in order.

    Raises:
        LookupError: There is no such item.
        OverflowError: These are more than there are, or the same again: the answer could be of any size.
    """
    named = [item for item in items[:MAX_ITEMS] if is_named(item)]
    if len(items) > MAX_ITEMS or len(set(named)) < len(named):
        raise OverflowError
    return [item_of(actor, item) for item in items]


def is_named(item: Any) -> bool:
    """Say whether an item is an atom, or the key of a dictionary that is one: others may take long to be compared."""
    if type(item) is tuple and len(item) == 2 and item[0] is DICTIONARY:
        return type(item[1]) is Atom
    return type(item) is Atom


def usual_items(actor: Actor) -> list[tuple[Any, Any]]:
    """Return what is shown where nobody says what he wants to see; a process without a name has no item for it."""
    name = [REGISTERED_NAME] if actor.registered_name is not None else []
    return [item_of(actor, item) for item in (*name, *USUAL)]


# ---- where it is


def code_of(actor: Actor) -> tuple[Atom, Atom, int]:
    """Return the class of a process in the place of its function."""
    kind = type(actor.instance)
    return Atom(kind.__module__[:255]), Atom(kind.__qualname__[:255]), 0


def stack_of(actor: Actor) -> list[Any]:
    """Return where the task of a process waits, the innermost function first; empty while none does."""
    task = actor.loop.task
    if task is None or task.done():
        return []
    return [entry_of(frame) for frame in islice(frames_of(task.get_coro()), MAX_FRAMES)][::-1]


def frames_of(waiting: Any) -> Iterator[Any]:
    """Yield the frames of a coroutine that waits, and of what it waits for."""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is None:
            return
        yield frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)


def entry_of(frame: Any) -> tuple[Atom, Atom, int, list[Any]]:
    """Return a frame as an entry of a stack of Erlang."""
    code = frame.f_code
    module = Atom(str(frame.f_globals.get("__name__", "nomodule"))[:255])
    file = [ord(character) for character in PurePath(code.co_filename).name]
    place = [(atoms.file, file), (atoms.line, frame.f_lineno or 0)]
    return module, Atom(code.co_name[:255]), code.co_argcount, place


def location_of(actor: Actor) -> Any:
    """Return where a process is: its innermost function, or its class."""
    stack = stack_of(actor)
    return stack[0] if stack else (*code_of(actor), [])


def backtrace_of(actor: Actor) -> bytes:
    """Return the stack as text."""
    lines = [f"{entry[0]}:{entry[1]}/{entry[2]} line {entry[3][1][1]}\n" for entry in stack_of(actor)]
    return "".join(lines).encode("utf-8", "replace")


# ---- what waits


def messages_of(actor: Actor) -> list[Any]:
    """Return the first messages that wait, in a form that can be sent."""
    shown: list[Any] = []
    room = MAX_MESSAGES_SIZE
    for message in islice(chain(actor.mail, arriving(actor.incoming)), MAX_MESSAGES):
        form = presentable(message)
        room -= len(encode(form))
        if room < 0:
            return [*shown, brief(message)]
        shown.append(form)
    return shown


def arriving(items: Iterable[Any]) -> Iterator[Any]:
    """Yield the messages among the first items of a queue that have not been looked at."""
    for item in islice(items, MAX_MESSAGES):
        if type(item) is Downs:
            yield from item.peek()
        elif not issubclass(type(item), Signal):
            yield message_of(item)


# ---- the items


def monitored(target: Any) -> tuple[Atom, Any]:
    """Return how ``process_info`` shows what a process monitors."""
    return atoms.process, target


def first(found: Iterable[Any]) -> list[Any]:
    """Return as much as is shown."""
    return list(islice(found, MAX_RELATIONS))


def constant(value: Any) -> Callable[[Actor], Any]:
    """Return the function of an item that is the same for all processes."""
    return lambda _actor: value


ZERO: Final = constant(0)
NOTHING: Final = constant([])

MAX_HEAP: Final = {
    atoms.size: 0,  # no bound
    atoms.kill: True,
    atoms.error_logger: True,
    atoms.include_shared_binaries: False,
}

COLLECTOR: Final = [
    (atoms.max_heap_size, MAX_HEAP),
    (atoms.min_bin_vheap_size, 0),
    (atoms.min_heap_size, 0),
    (atoms.fullsweep_after, 0),
    (atoms.minor_gcs, 0),
]

COLLECTED: Final = [
    (atoms[name], 0)
    for name in (
        "old_heap_block_size", "heap_block_size", "mbuf_size", "recent_size", "stack_size", "old_heap_size",
        "heap_size", "bin_vheap_size", "bin_vheap_block_size", "bin_old_vheap_size", "bin_old_vheap_block_size",
    )
]  # fmt: skip

ITEMS: Final[dict[Atom, Callable[[Actor], Any]]] = {
    REGISTERED_NAME: lambda actor: actor.registered_name or [],
    atoms.async_dist: lambda actor: actor.async_dist,
    atoms.backtrace: backtrace_of,
    atoms.binary: NOTHING,
    atoms.catchlevel: ZERO,
    atoms.current_function: lambda actor: location_of(actor)[:3],
    atoms.current_location: location_of,
    atoms.current_stacktrace: stack_of,
    DICTIONARY: NOTHING,
    atoms.error_handler: constant(atoms.error_handler),
    atoms.fullsweep_after: ZERO,
    atoms.garbage_collection: constant(COLLECTOR),
    atoms.garbage_collection_info: constant(COLLECTED),
    atoms.group_leader: lambda actor: actor.leader,
    atoms.heap_size: ZERO,
    atoms.initial_call: code_of,
    atoms.label: constant(UNDEFINED),
    atoms.last_calls: constant(False),
    atoms.links: lambda actor: first(pid for pid, state in actor.relations.links.items() if state.active),
    atoms.max_heap_size: constant(MAX_HEAP),
    atoms.memory: ZERO,
    atoms.message_queue_data: constant(atoms.on_heap),
    atoms.message_queue_len: lambda actor: actor.message_queue_len,
    atoms.messages: messages_of,
    atoms.min_bin_vheap_size: ZERO,
    atoms.min_heap_size: ZERO,
    atoms.monitored_by: lambda actor: first(watcher for watcher, _ in actor.relations.watchers.values()),
    atoms.monitors: lambda actor: first(monitored(target) for target in actor.relations.monitors.values()),
    atoms.parent: lambda actor: actor.parent or UNDEFINED,
    atoms.priority: constant(atoms.normal),
    atoms.priority_messages: constant(False),
    atoms.reductions: ZERO,
    atoms.sequential_trace_token: NOTHING,
    atoms.stack_size: ZERO,
    atoms.status: lambda actor: atoms.running if actor.runtime.scheduler.current is actor else atoms.waiting,
    atoms.suspending: NOTHING,
    atoms.total_heap_size: ZERO,
    atoms.trace: ZERO,
    atoms.trap_exit: lambda actor: actor.trap_exit,
}

USUAL: Final = tuple(
    atoms[name]
    for name in (
        "current_function", "initial_call", "status", "message_queue_len", "links", "dictionary", "trap_exit",
        "error_handler", "priority", "group_leader", "total_heap_size", "heap_size", "stack_size", "reductions",
        "garbage_collection", "suspending",
    )
)  # fmt: skip
