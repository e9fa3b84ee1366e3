"""The tables of the original: views of what this node knows, in the rows that the original has.

::

    ZenMonitor.Local.Tables.Nodes           {Node, compatible | unavailable | {incompatible, Until, Attempts}}
    ZenMonitor.Local.Tables.References      {{Subscriber, Reference}, Target}
    ZenMonitor.Local.Subscribers            {Subscriber}
    ZenMonitor.Local.Connector              {Node, Connector}
    ZenMonitor.Proxy.Tables.Subscribers     {{Target, Connector}}
    ZenMonitor.Proxy.Batcher                {Connector, Batcher}

A reference is shown without its random words, by which alone its subscriber knows a DOWN from a forged one.
``Until`` is in milliseconds of the clock that ``ZenMonitor.now/0`` reads. A target by name is ``{Name, Node}`` always.
A subscriber has a row while it has references, and a sweep longer; a node's Connector is another after each loss.

Source: ``ZenMonitor.Local.Tables``, ``ZenMonitor.Proxy.Tables``; Discord, GenRegistry.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, final

from pyzen.actor.registry import rows_of
from pyzen.actor.states import masked
from pyzen.terms import Atom, Pid, Reference, atoms, elixir
from pyzen.zen.names import BATCHERS, CONNECTORS, LOCAL, LOCAL_TABLES, PROXY_TABLES
from pyzen.zen.tables import alive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyzen.actor.runtime import Runtime
    from pyzen.zen.server import ZenRegistry
    from pyzen.zen.system import ZenSystem
    from pyzen.zen.tables import Remote

__all__ = ["NODES", "REFERENCES", "SUBSCRIBERS", "Row", "View", "views"]

NODES: Final = elixir.ZenMonitor.Local.Tables.Nodes
REFERENCES: Final = elixir.ZenMonitor.Local.Tables.References
LOCAL_SUBSCRIBERS: Final = elixir.ZenMonitor.Local.Subscribers
SUBSCRIBERS: Final = elixir.ZenMonitor.Proxy.Tables.Subscribers

SET: Final = atoms["set"]
ORDERED: Final = atoms.ordered_set
PUBLIC: Final = atoms.public
PROTECTED: Final = atoms.protected

Row: TypeAlias = tuple[Any, ...]


class View(Protocol):
    """One table.

    Attributes:
        owner: The name of the process that has it.
        kind: ``set`` or ``ordered_set``.
        protection: Who may write it, in the original.
    """

    owner: Atom
    kind: Atom
    protection: Atom

    def size(self) -> int:
        """Return how many rows there are."""

    def find(self, key: Any) -> Row | None:
        """Return the row of a key, None where there is none."""

    def rows(self, limit: int) -> list[Row]:
        """Return at most ``limit`` rows."""


@final
class Nodes:
    """The compatibility cache."""

    owner = LOCAL_TABLES
    kind = SET
    protection = PUBLIC

    def __init__(self, system: ZenSystem, runtime: Runtime) -> None:
        self._system = system
        self._runtime = runtime

    def size(self) -> int:
        """Return how many nodes have an entry."""
        return sum(1 for _ in self._entries())

    def find(self, key: Any) -> Row | None:
        """Return the entry of a node."""
        remote = self._system.context.remotes.get(key) if isinstance(key, Atom) else None
        return None if remote is None else self._entry(remote)

    def rows(self, limit: int) -> list[Row]:
        """Return entries."""
        return list(islice(self._entries(), limit))

    def _entries(self) -> Iterator[Row]:
        for remote in self._system.context.remotes.values():
            if entry := self._entry(remote):
                yield entry

    def _entry(self, remote: Remote) -> Row | None:
        # An entry dies with its Connector.
        if remote.status == "miss" or remote.connector is None or self._runtime.actor(remote.connector) is None:
            return None
        if remote.status == "incompatible":
            return remote.node, (atoms.incompatible, int(remote.until * 1000), remote.attempts)
        return remote.node, atoms[remote.status]


@final
class References:
    """The references, from ``monitor`` until their DOWN is delivered."""

    owner = LOCAL_TABLES
    kind = ORDERED
    protection = PUBLIC

    def __init__(self, system: ZenSystem) -> None:
        self._system = system

    def size(self) -> int:
        """Return how many there are."""
        return self._system.context.monitors.sizes()["references"]

    def find(self, key: Any) -> Row | None:
        """Return the row of a reference, by its subscriber and itself."""
        match key:
            case (Pid() as pid, Reference() as ref) if self._system.context.monitors.subscriber_of(ref) == pid:
                return key, self._system.context.monitors.target_of(ref)
        return None

    def rows(self, limit: int) -> list[Row]:
        """Return rows in the order of subscribers. Whoever knows a whole reference can find its row by it."""
        found = self._system.context.monitors.rows(limit)
        return sorted((((pid, masked(ref)), target) for pid, ref, target in found), key=lambda row: row[0])


@final
class LocalSubscribers:
    """The processes of this node that have references."""

    owner = LOCAL
    kind = SET
    protection = PROTECTED

    def __init__(self, system: ZenSystem) -> None:
        self._system = system

    def size(self) -> int:
        """Return how many there are."""
        return self._system.context.monitors.sizes()["subscribers"]

    def find(self, key: Any) -> Row | None:
        """Return the row of a subscriber."""
        return (key,) if isinstance(key, Pid) and self._system.context.monitors.is_subscriber(key) else None

    def rows(self, limit: int) -> list[Row]:
        """Return subscribers."""
        return [(pid,) for pid in self._system.context.monitors.subscribers(limit)]


@final
class Registered:
    """The processes of a registry by their keys.

    Args:
        system: Whose registry it is.
        owner: The name of the registry, and of its table.
    """

    kind = SET
    protection = PUBLIC

    def __init__(self, system: ZenSystem, owner: Atom) -> None:
        self._system = system
        self.owner = owner

    @property
    def _registry(self) -> ZenRegistry | None:
        context = self._system.context
        return alive(context.connectors) if self.owner is CONNECTORS else alive(context.batchers)

    def _keys(self) -> list[Any]:
        return [] if self._registry is None else self._registry.keys()

    def size(self) -> int:
        """Return how many processes there are."""
        return 0 if self._registry is None else len(rows_of(self._registry).processes())

    def find(self, key: Any) -> Row | None:
        """Return the row of a key."""
        registry = self._registry
        pid = registry.lookup(key) if registry is not None and isinstance(key, registry.key_type) else None
        return None if pid is None else (key, pid)

    def rows(self, limit: int) -> list[Row]:
        """Return keys and processes."""
        return [row for key in islice(self._keys(), limit) if (row := self.find(key))]


@final
class Subscribers:
    """Which Connectors of other nodes are subscribed to what, while it lives as far as is known."""

    owner = PROXY_TABLES
    kind = ORDERED
    protection = PUBLIC

    def __init__(self, system: ZenSystem) -> None:
        self._system = system

    def size(self) -> int:
        """Return how many subscriptions there are."""
        return self._system.context.subscriptions.sizes()["subscriptions"]

    def find(self, key: Any) -> Row | None:
        """Return the row of a target and a Connector."""
        match key:
            case (target, Pid() as connector) if self._system.context.subscriptions.is_subscribed(connector, target):
                return (key,)
        return None

    def rows(self, limit: int) -> list[Row]:
        """Return rows in the order of targets: processes, then names."""
        rows = [(key,) for key in self._system.context.subscriptions.rows(limit)]
        return sorted(rows, key=lambda row: (isinstance(row[0][0], tuple), row[0]))


def views(system: ZenSystem, runtime: Runtime) -> dict[Atom, View]:
    """Return the tables of a node by name."""
    return {
        NODES: Nodes(system, runtime),
        REFERENCES: References(system),
        LOCAL_SUBSCRIBERS: LocalSubscribers(system),
        CONNECTORS: Registered(system, CONNECTORS),
        SUBSCRIBERS: Subscribers(system),
        BATCHERS: Registered(system, BATCHERS),
    }
