"""The functions of the original's modules, as an operator calls them by ``:rpc``.

What looks at something answers as there. What acts for the caller acts for the process that runs the call, and for no
other: a peer neither monitors nor undoes a monitor for somebody else, and makes no certificate. Callbacks of the
original's processes (``init``, ``handle_call`` and so on) are no functions here.

Source: the modules ``ZenMonitor.*`` of zen_monitor 2.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.waiting import Waiting
from pyzen.errors import RpcError
from pyzen.node.services.builtins import badarg, named, too_many
from pyzen.node.services.zen_settings import PEER_RANGES
from pyzen.node.services.zen_views import NODES, REFERENCES, SUBSCRIBERS
from pyzen.terms import Atom, Pid, Reference, atoms, elixir
from pyzen.zen.calls import REFUSED, references, start
from pyzen.zen.names import LOCAL, PROXY
from pyzen.zen.tables import alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.runtime import Runtime
    from pyzen.zen.server import ZenRegistry
    from pyzen.zen.system import ZenSystem

__all__ = ["ZenFunctions", "function_clause"]

ERROR: Final = atoms.error
CONNECT_TIMEOUT: Final = 5.0


def function_clause() -> RpcError:
    """Return the error of a function that has no clause for its arguments."""
    return RpcError("error", atoms.function_clause)


@final
class ZenFunctions:
    """ZenMonitor of one node, under the original's functions."""

    def __init__(self, system: ZenSystem, runtime: Runtime) -> None:
        self._system = system
        self._runtime = runtime

    def functions(self) -> dict[tuple[str, str], Callable[..., Any]]:
        """Return the functions that peers may call."""
        zen, connector = "Elixir.ZenMonitor", "Elixir.ZenMonitor.Local.Connector"
        local, batcher = "Elixir.ZenMonitor.Local", "Elixir.ZenMonitor.Proxy.Batcher"
        return {
            (zen, "now"): lambda: int(self._runtime.now() * 1000),
            (zen, "find_node"): self.find_node,
            (zen, "connect"): self.connect,
            (zen, "monitor"): self.monitor,
            (zen, "demonitor"): self.demonitor,
            (zen, "compatibility"): self.compatibility,
            (zen, "compatibility_for_node"): self.compatibility_for_node,
            (local, "monitor"): self.monitor,
            (local, "demonitor"): self.demonitor,
            (local, "compatibility"): self.compatibility,
            (local, "compatibility_for_node"): self.compatibility_for_node,
            (local, "batch_length"): self.batch_length,
            (local, "enqueue"): lambda messages: atoms.ok if messages == [] else REFUSED,
            (connector, "get"): lambda target: self.get_for_node(self.find_node(target)),
            (connector, "get_for_node"): self.get_for_node,
            (connector, "connect"): self.connect,
            (connector, "monitor"): lambda _target, _ref, _subscriber: REFUSED,
            (connector, "monitors"): self.monitors,
            (connector, "demonitor"): lambda _target, _ref: REFUSED,
            (connector, "compatibility"): self.compatibility_for_node,
            (connector, "cached_compatibility"): self.cached_compatibility,
            ("Elixir.ZenMonitor.Local.Dispatcher", "maximum_mps"): self.maximum_mps,
            ("Elixir.ZenMonitor.Local.Tables", "nodes"): lambda: NODES,
            ("Elixir.ZenMonitor.Local.Tables", "references"): lambda: REFERENCES,
            ("Elixir.ZenMonitor.Proxy", "ping"): self.ping,
            ("Elixir.ZenMonitor.Proxy.Tables", "subscribers"): lambda: SUBSCRIBERS,
            (batcher, "get"): self.batcher,
            (batcher, "enqueue"): lambda _batcher, _pid, _reason: REFUSED,
            ("Elixir.ZenMonitor.Truncator", "truncate"): self.truncate,
        }

    # ---- monitors

    def find_node(self, target: Any) -> Any:
        """``ZenMonitor.find_node/1``: the node of a pid, the second of a pair, or this node."""
        match target:
            case Pid():
                return target.node
            case (_, node):
                return node
        return self._runtime.name

    def monitor(self, target: Any) -> Any:
        """``ZenMonitor.monitor/1`` for the process that runs the call, which ends with it, and its monitor too.

        For a node without a link the reference stands for nothing from the first: a monitor that lives would dial.
        """
        running, node = self._runtime.running(), self.find_node(target)
        if running is None:
            return REFUSED
        self.get_for_node(node)
        subscriber = running if self._runtime.link(node) is not None else self._runtime.make_pid()
        try:
            return self._system.monitor(target, subscriber=subscriber)
        except (TypeError, ValueError):
            raise badarg() from None

    def demonitor(self, ref: Any, _options: Any = ()) -> bool:
        """``ZenMonitor.demonitor/1`` and ``/2``; the monitors of other processes stay."""
        if not isinstance(ref, Reference):
            raise function_clause()
        if self._system.context.monitors.subscriber_of(ref) == self._runtime.running():
            self._system.demonitor(ref)
        return True

    def monitors(self, target: Any, subscriber: Any) -> list[Reference]:
        """``ZenMonitor.Local.Connector.monitors/2``: the live references between the two."""
        node = self.find_node(target)
        self.get_for_node(node)
        return references(self._system.context, node, target, subscriber) if isinstance(subscriber, Pid) else []

    # ---- compatibility

    def connect(self, peer: Any) -> Atom | Waiting:
        """``ZenMonitor.connect/1``; it does not dial, as the original does not: a peer can name any node."""
        self.get_for_node(peer)
        if self._runtime.link(peer) is None:
            return atoms.incompatible
        waiting = Waiting()
        waiting.after(self._runtime.call_later(CONNECT_TIMEOUT, waiting.settle, atoms.incompatible).cancel)
        self._system.connect(peer, lambda compatibility: waiting.settle(Atom(compatibility)))
        return waiting

    def compatibility(self, target: Any) -> Atom:
        """``ZenMonitor.compatibility/1`` of a target's node."""
        try:
            return Atom(self._system.compatibility(target))
        except TypeError:
            raise badarg() from None

    def compatibility_for_node(self, peer: Any) -> Atom:
        """``ZenMonitor.compatibility_for_node/1``."""
        return Atom(self._system.compatibility_for_node(named(peer)))

    def cached_compatibility(self, peer: Any) -> Any:
        """``ZenMonitor.Local.Connector.cached_compatibility/1``."""
        match self._system.cached_compatibility(named(peer)):
            case (_, attempts):
                return atoms.expired, attempts
            case str() as word:
                return atoms[word]

    # ---- processes

    def get_for_node(self, peer: Any) -> Pid:
        """``ZenMonitor.Local.Connector.get_for_node/1``: the Connector of a node, started when there is none."""
        if not isinstance(peer, Atom):
            raise function_clause()
        return self._started(alive(self._system.context.connectors), peer)

    def batcher(self, connector: Any) -> Pid:
        """``ZenMonitor.Proxy.Batcher.get/1``: the Batcher of a Connector, started when there is none."""
        return self._started(alive(self._system.context.batchers), connector)

    def _started(self, registry: ZenRegistry | None, key: Any) -> Pid:
        if registry is None or not isinstance(key, registry.key_type):
            raise badarg()
        pid = registry.lookup(key)
        if pid is not None:
            return pid
        match start(registry, key, [key]):
            case (atoms.ok, Pid() as started):
                return started
            case (_, reason):
                raise RpcError("error", reason)
        raise AssertionError("a start has an answer")

    def batch_length(self) -> int:
        """``ZenMonitor.Local.batch_length/0``: how many fired references wait for demand."""
        self._need(LOCAL, atoms.batch_length)
        return self._system.context.monitors.fired

    def ping(self) -> Atom:
        """``ZenMonitor.Proxy.ping/0``."""
        self._need(PROXY, atoms.ping)
        return atoms.pong

    def _need(self, name: Atom, request: Atom) -> None:
        """Exit as ``GenServer.call`` does where the process is not there."""
        if self._runtime.whereis(name) is None:
            raise RpcError("exit", (atoms.noproc, (elixir.GenServer, atoms.call, [name, request, 5000])))

    # ---- the rest

    def maximum_mps(self) -> float:
        """``ZenMonitor.Local.Dispatcher.maximum_mps/0``: what is delivered in a second at most."""
        config = self._system.config
        return config.demand_amount * 1000 / config.demand_interval

    def truncate(self, term: Any, depth: Any = None) -> Any:
        """``ZenMonitor.Truncator.truncate/1`` and ``/2``: what this node would tell of a reason."""
        if depth is not None and type(depth) is not int:
            raise badarg()
        if depth is not None and depth > PEER_RANGES["truncation_depth"][1]:
            raise too_many()
        return self._system.context.truncate(term, depth)[0]
