"""Calls: what an operator at iex asks the processes of ZenMonitor, answered as the original answers it.

::

    Local                     batch_length                        how many fired references wait for demand
    a Connector               connect                             compatible | incompatible, once it is known
                              {monitors, Target, Subscriber}      the live references between the two
    Local.Connector,          {lookup_or_start, Key, [Key]}       {ok, Pid}
    Proxy.Batcher             {start, Key, [Key]}                 {ok, Pid} | {error, {already_started, Pid}}
                              {stop, Key}                         {error, not_found | refused}
                              which_children, count_children      as a supervisor
                              anything else                       {error, 'Elixir.GenRegistry'}

Nothing here takes anything from anybody: a look, or the start of a process that ends by itself when nobody needs it.
To stop one is refused, for it serves all subscribers of this node, or another node.

Source: ``ZenMonitor.Local``, ``ZenMonitor.Local.Connector``; Discord, GenRegistry.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pyzen.actor.answers import NOREPLY
from pyzen.actor.registry import rows_of
from pyzen.actor.requests import reply_address
from pyzen.actor.server_loop import server_loop
from pyzen.actor.states import masked
from pyzen.actor.verbs import actor_of
from pyzen.contained import contained
from pyzen.terms import Atom, Pid, atoms, elixir
from pyzen.zen.tables import alive

if TYPE_CHECKING:
    from pyzen.zen.connector import Connector
    from pyzen.zen.names import Compatibility
    from pyzen.zen.server import ZenRegistry
    from pyzen.zen.tables import Context, Remote

__all__ = ["REFUSED", "answer_connector", "answer_registry", "references", "start"]

OK: Final = atoms.ok
ERROR: Final = atoms.error
WORKER: Final = atoms.worker
UNDEFINED: Final = atoms.undefined
GEN_REGISTRY: Final = elixir.GenRegistry

REFUSED: Final = (ERROR, atoms.refused)
"""What a peer hears that may not do something."""

STARTED_LIMIT: Final = 4096
"""Processes of a registry past which nobody from outside can have more started."""

WAITING_LIMIT: Final = 10_000
"""Calls that may wait for one node to turn out compatible; those of any more run into their own time-out."""


# ---- Connectors


def answer_connector(connector: Connector, context: Context, remote: Remote, call: tuple[Any, Any]) -> Any:
    """Return the answer of a Connector, None for what it does not know."""
    request, from_ = call
    match request:
        case atoms.connect if context.runtime.link(remote.node) is None:
            return atoms.incompatible  # nobody is dialled for a peer
        case atoms.connect if len(remote.waiters) < WAITING_LIMIT:
            target = alive(context.connectors)
            here = connector if target is None else target.connector(remote.node)  # an epoch may have just ended
            here.connect(partial(_tell, context, connector.pid, from_))
            return NOREPLY
        case (atoms.monitors, target, Pid() as subscriber):
            return references(context, remote.node, target, subscriber)
    return None


def _tell(context: Context, pid: Pid, from_: tuple[Pid, Any], compatibility: Compatibility) -> None:
    with contained:  # the link to whoever asked may be full, or gone
        context.runtime.send(pid, reply_address(from_), (from_[1], Atom(compatibility)), dial=False)


def references(context: Context, node: Atom, target: Any, subscriber: Pid) -> list[Any]:
    """Return the live references between a target on ``node`` and a subscriber; none where there can be none.

    Their random words are left out: whoever knows a whole reference can send its subscriber a DOWN.
    """
    try:
        found = context.monitors.monitors(target, subscriber)
    except (TypeError, ValueError):
        return []
    return [masked(ref) for ref in found] if _node_of(context, target) is node else []


def _node_of(context: Context, target: Any) -> Any:
    match target:
        case Pid():
            return target.node
        case (_, node):
            return node
    return context.runtime.name


# ---- registries


def answer_registry(registry: ZenRegistry, request: Any) -> Any:
    """Return the answer of a registry to a call of GenRegistry, or of a supervisor."""
    match request:
        case (atoms.lookup_or_start, key, args):
            pid = _lookup(registry, key)
            return (OK, pid) if pid is not None else start(registry, key, args)
        case (atoms.start, key, args):
            pid = _lookup(registry, key)
            return (ERROR, (atoms.already_started, pid)) if pid is not None else start(registry, key, args)
        case (atoms.stop, key):
            return _stop(registry, key)
        case atoms.which_children:
            return [
                (UNDEFINED, actor_of(one).pid, WORKER, [_module(registry)]) for one in rows_of(registry).processes()
            ]
        case atoms.count_children:
            count = len(rows_of(registry).processes())
            return [(atoms.workers, count), (atoms.specs, 1), (atoms.active, count), (atoms.supervisors, 0)]
    return ERROR, GEN_REGISTRY


def start(registry: ZenRegistry, key: Any, args: Any) -> Any:
    """Start the process of a key that has none; a bounded number of them."""
    if not isinstance(key, registry.key_type) or args != [key]:
        return ERROR, atoms.badarg
    if len(rows_of(registry).keys()) >= STARTED_LIMIT:
        return ERROR, atoms.system_limit
    return OK, registry.lookup_or_start(key)


def _lookup(registry: ZenRegistry, key: Any) -> Pid | None:
    return registry.lookup(key) if isinstance(key, registry.key_type) else None


def _stop(registry: ZenRegistry, key: Any) -> Any:
    if _lookup(registry, key) is None:
        return ERROR, atoms.not_found
    actor = actor_of(registry)
    registry.refused("an order to stop a process", actor.runtime.peer_of(server_loop(actor).via or 0))
    return REFUSED


def _module(registry: ZenRegistry) -> Any:
    """Return the module of the processes: the original registers the registry under it."""
    return actor_of(registry).registered_name or UNDEFINED
