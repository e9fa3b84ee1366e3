"""ZenMonitor of one node: what programs call. Its processes are those of `pyzen.zen.tree`.

`monitor` and `demonitor` work on the rows at once, without a message; a process is told only when it has to begin
something it was not doing already. Everything here is called in the thread of the node's event loop.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

from pyzen.actor.reasons import as_atom
from pyzen.config import ZenConfig
from pyzen.monitor_table import SUBSCRIBER
from pyzen.terms import Pid
from pyzen.zen.metrics import register_metrics
from pyzen.zen.tables import Context, Remote, alive
from pyzen.zen.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyzen.actor.runtime import Runtime
    from pyzen.metrics import Registry
    from pyzen.terms import Atom, Reference
    from pyzen.zen.names import Compatibility, Loss

__all__ = ["CachedCompatibility", "Target", "ZenStatistics", "ZenSystem"]

Target: TypeAlias = "Pid | Atom | str | tuple[Atom | str, Atom | str]"

UNKNOWN: Final = -1
"""In place of the number of links that were lost when `monitor` last looked: it has to look."""

CachedCompatibility: TypeAlias = (
    Literal["miss", "compatible", "incompatible", "unavailable"] | tuple[Literal["expired"], int]
)


@final
@dataclass(frozen=True, slots=True)
class ZenStatistics:
    """Sizes of all tables and pending sets at one moment, and what has been counted since the start.

    Attributes:
        references: References of this node that have not been delivered or consumed.
        live: Those that have not fired.
        fired: Those whose DOWN waits for demand.
        targets: Targets of those references.
        subscribers: Processes of this node that have such references.
        nodes: Remote nodes with such references.
        pending: Instructions that wait for a sweep.
        reasons: Reasons that wait with their references.
        batches: Decisions not yet carried out to the end.
        erts_monitors: ERTS monitors of processes of nodes without ZenMonitor (``incompatible="erts"``).
        connectors: Connectors that live.
        subscriptions: Subscriptions of remote Connectors to processes of this node.
        certificates: Deaths that wait to be told.
        subscribed_targets: Processes and names of this node that those two are about.
        remote_connectors: Remote Connectors that have subscribed and live.
        watches: ERTS monitors of processes of this node.
        leftover: Rows of ended remote Connectors, still to be removed.
        batchers: Batchers that live.
        counters: What has been counted, by name.
    """

    references: int
    live: int
    fired: int
    targets: int
    subscribers: int
    nodes: int
    pending: int
    reasons: int
    batches: int
    erts_monitors: int
    connectors: int
    subscriptions: int
    certificates: int
    subscribed_targets: int
    remote_connectors: int
    watches: int
    leftover: int
    batchers: int
    counters: Mapping[str, int]

    def sizes(self) -> dict[str, int]:
        """Return everything but the counters, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "counters"}


@final
class ZenSystem:
    """ZenMonitor of one node.

    Args:
        runtime: The node.
        config: The settings; used as it is, so changes take effect.
        random: Returns a number from 0 to 1, for the jitter of penalties.
    """

    def __init__(
        self, runtime: Runtime, config: ZenConfig | None = None, *, random: Callable[[], float] = random.random
    ) -> None:
        self.config = config if config is not None else ZenConfig()
        self._runtime = runtime
        self._random = random
        self._context = Context(runtime, self.config, random)
        self._monitors = self._context.monitors
        self._tree = Tree(self._context, self._changed)
        self._links_lost = UNKNOWN
        self.config.watch(self._setting_changed)

    # ---- life

    def start(self) -> None:
        """Start all processes; the Proxy is registered when this returns.

        Raises:
            NameTaken: Something else is registered as ``Elixir.ZenMonitor.Supervisor``.
        """
        self._tree.start()

    def stop(self) -> None:
        """End all processes and drop all rows: references that have not been delivered never are."""
        self._tree.stop()
        self._links_lost = UNKNOWN
        self._context.drop_rows()
        self._monitors = self._context.monitors

    def _setting_changed(self, name: str) -> None:
        context = self._context
        if name == "demand_interval" and (dispatcher := alive(context.dispatcher)):
            dispatcher.interval_changed()
        elif name == "connector_sweep_interval" and (connectors := alive(context.connectors)):
            for connector in connectors.live():
                connector.interval_changed()
        elif name == "batcher_sweep_interval" and (batchers := alive(context.batchers)):
            for batcher in batchers.live():
                batcher.interval_changed()

    # ---- monitors

    def monitor(self, target: Target, *, subscriber: Pid | None = None) -> Reference:
        """Monitor a process of any node; one DOWN follows, unless demonitored.

        The DOWN is ``(DOWN, ref, process, target, (zen_monitor, reason))``; a target by name is ``(name, node)`` there.

        Args:
            target: A pid, ``(name, node)``, or a name of this node.
            subscriber: Who gets the DOWN, a process of this node; None means the running process.

        Raises:
            TypeError: The target is none of these.
            ValueError: The name is ``_`` or ``$<digits>``, or the subscriber is of another node.
            RuntimeError: No subscriber is given and no process is running; the Local half was stopped on purpose. While
                it is on its way back from a failure, references can be made.
        """
        if subscriber is None:
            subscriber = self._running()
        if self._links_lost != self._runtime.links_lost:
            self._look()
        ref, flags = self._monitors.add(target, subscriber)
        if flags:
            if flags & SUBSCRIBER:
                self._watch(subscriber)
            self._context.act(flags)
        return ref

    def _changed(self) -> None:
        """A part of ZenMonitor was stopped or started on purpose: see about it before the next reference is made."""
        self._links_lost = UNKNOWN
        if self._tree.is_local_stopped:
            for remote in list(self._context.remotes.values()):
                remote.answer("incompatible")

    def _look(self) -> None:
        """See whether references can be made, and let links that are lost already fire what was made before.

        A new reference is for the next link.
        """
        if self._tree.is_local_stopped:
            raise RuntimeError(f"ZenMonitor of {self._runtime.name} is stopped")
        self._links_lost = self._runtime.links_lost
        if connectors := alive(self._context.connectors):
            for connector in connectors.live():
                connector.settle_loss()

    def _running(self) -> Pid:
        running = self._runtime.running()
        if running is None:
            raise RuntimeError("no process is running here: give a subscriber")
        return running

    def _watch(self, subscriber: Pid) -> None:
        """Begin to watch a new subscriber; nothing is kept for a dead one."""
        if self._runtime.actor(subscriber) is None:
            self._context.act(self._monitors.drop_subscriber(subscriber))
        elif local := alive(self._context.local):
            local.watch(subscriber)

    def demonitor(self, ref: Reference, *, flush: bool = False) -> bool:
        """Undo a monitor; references that are unknown do nothing.

        Args:
            ref: What ``monitor`` returned; any code of the node may demonitor.
            flush: Also take back a DOWN that is in the mailbox: none is seen after this returns, not even one of an
                ordinary monitor that the reference is of. The monitor itself stays, as with the original.

        Returns:
            True, always.
        """
        flags = self._monitors.remove(ref)
        if flags:
            self._context.act(flags)
        elif flush:
            self._runtime.unread.withdraw(ref)
        return True

    def monitors(self, target: Target, subscriber: Pid) -> list[Reference]:
        """Return the live references between a target and a subscriber, in the order they were made.

        Raises:
            TypeError: The target can't be monitored.
            ValueError: As `monitor`.
        """
        return self._monitors.monitors(target, subscriber)

    # ---- compatibility

    def connect(self, peer: Atom | str, done: Callable[[Compatibility], None]) -> None:
        """Find out whether a node is compatible, dialling it if ``auto_connect``; many callers cause one ping.

        ``done`` is called once, in this step where the answer is known. It must not raise.
        """
        connectors = alive(self._context.connectors)
        if connectors is None or self._tree.is_local_stopped:
            done("incompatible")
        else:
            connectors.connector(as_atom(peer)).connect(done)

    def cached_compatibility(self, peer: Atom | str) -> CachedCompatibility:
        """Return the entry of the compatibility cache; never touches the network."""
        remote = self._remote(peer)
        if remote is None or remote.connector is None or self._runtime.actor(remote.connector) is None:
            return "miss"
        if remote.is_expired(self._runtime.now()):
            return "expired", remote.attempts
        return remote.status

    def compatibility_for_node(self, peer: Atom | str) -> Compatibility:
        """Return ``"compatible"`` only for a positive cache entry; never touches the network."""
        return "compatible" if self.cached_compatibility(peer) == "compatible" else "incompatible"

    def compatibility(self, target: Target) -> Compatibility:
        """Return the effective compatibility of a target's node; never touches the network.

        Raises:
            TypeError: The target can't be monitored.
        """
        match target:
            case Pid():
                return self.compatibility_for_node(target.node)
            case (_, node):
                return self.compatibility_for_node(node)
            case str():
                return self.compatibility_for_node(self._runtime.name)
        as_atom(target)
        return self.compatibility_for_node(self._runtime.name)

    def last_loss(self, peer: Atom | str) -> Loss | None:
        """Return why references to a node last fired with ``nodedown``; None where nothing is known."""
        remote = self._remote(peer)
        return None if remote is None else remote.last_loss

    def _remote(self, peer: Atom | str) -> Remote | None:
        return self._context.remotes.get(as_atom(peer))

    # ---- what can be seen

    @property
    def context(self) -> Context:
        """The rows of both halves, for who shows them."""
        return self._context

    @property
    def is_running(self) -> bool:
        """Whether the processes are there."""
        return self._tree.is_running

    def connector_pid(self, peer: Atom | str) -> Pid | None:
        """Return the Connector of a node, None where there is none."""
        remote = self._remote(peer)
        return None if remote is None else remote.connector

    def statistics(self) -> ZenStatistics:
        """Return the sizes of all tables and pending sets, and the counters."""
        context = self._context
        connectors, batchers = alive(context.connectors), alive(context.batchers)
        proxy_half = context.subscriptions.sizes()
        proxy_half["remote_connectors"] = proxy_half.pop("connectors")
        return ZenStatistics(
            **context.monitors.sizes(),
            **proxy_half,
            connectors=len(connectors.live()) if connectors else 0,
            batchers=len(batchers.live()) if batchers else 0,
            counters=context.counted(),
        )

    def register_metrics(self, registry: Registry) -> None:
        """Make metrics that read the statistics when asked for: the original's, and ours."""
        register_metrics(registry, self._context, lambda: self.statistics().sizes())
