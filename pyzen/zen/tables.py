"""What ZenMonitor knows: the rows of both halves, apart from the processes that work on them.

A crash of Local, Connector, Dispatcher, Proxy or Batcher loses none of this. The Proxy half's rows go with the Proxy on
purpose: by then every watcher has been told ``nodedown``. Per-monitor rows are native; here are those per remote node.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, final, get_args

from pyzen.actor.verbs import actor_of
from pyzen.monitor_table import IDLE, MORE, WOKEN, MonitorTable, SubscriptionTable
from pyzen.zen.metrics import EVENTS, nodedown_event
from pyzen.zen.peer_log import PeerLog
from pyzen.zen.server import ZenServer
from pyzen.zen.truncator import truncate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.runtime import Runtime
    from pyzen.actor.verbs import Verbs
    from pyzen.config import ZenConfig
    from pyzen.terms import Atom, Pid
    from pyzen.zen.batcher import Batchers
    from pyzen.zen.connectors import Connectors
    from pyzen.zen.dispatcher import Dispatcher
    from pyzen.zen.local import Local
    from pyzen.zen.names import Compatibility, Loss
    from pyzen.zen.proxy import Proxy

Living = TypeVar("Living", bound="Verbs")

Status = Literal["miss", "compatible", "incompatible", "unavailable"]

BASE_PENALTY = 1000
MAXIMUM_PENALTY = 60_000
MAXIMUM_ATTEMPT = 16


@final
@dataclass(slots=True)
class Remote:
    """What is known of one remote node.

    Attributes:
        node: The node.
        connector: The process that works on it; a cache entry dies with it.
        status: The entry of the compatibility cache.
        until: When an ``incompatible`` entry expires, in monotonic seconds.
        attempts: Attempts that an ``incompatible`` entry stands for.
        failed_dials: Dials that failed in a row.
        dial_at: No dial before this time, in monotonic seconds.
        last_loss: Why references last fired with ``nodedown``.
        ended_connectors: Connectors whose rows a peer's Proxy may still have, since it ended before they did.
        waiters: Whom to tell once it is decided whether the node is compatible.
        log: What an operator is told of it.
    """

    node: Atom
    connector: Pid | None = None
    status: Status = "miss"
    until: float = 0.0
    attempts: int = 0
    failed_dials: int = 0
    dial_at: float = 0.0
    last_loss: Loss | None = None
    ended_connectors: list[Pid] = field(default_factory=list)
    waiters: list[Callable[[Compatibility], None]] = field(default_factory=list)
    log: PeerLog = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.log = PeerLog(self.node)

    def is_expired(self, now: float) -> bool:
        """Say whether an ``incompatible`` entry no longer counts."""
        return self.status == "incompatible" and now >= self.until

    def answer(self, compatibility: Compatibility) -> None:
        """Tell everyone who waits."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter(compatibility)


@final
class Context:
    """The rows, the settings, and the way from one process of ZenMonitor to another.

    Args:
        runtime: The node.
        config: The settings; changes count from the next sweep.
        random: Returns a number from 0 to 1, for the jitter of penalties.
    """

    def __init__(self, runtime: Runtime, config: ZenConfig, random: Callable[[], float]) -> None:
        self.runtime = runtime
        self.config = config
        self.random = random
        self.monitors = MonitorTable(runtime.references)
        self.remotes: dict[Atom, Remote] = {}
        self.subscriptions = SubscriptionTable(runtime.name, runtime.creation)
        self.counters = Counter(dict.fromkeys(EVENTS, 0))
        self.local: Local | None = None
        self.connectors: Connectors | None = None
        self.dispatcher: Dispatcher | None = None
        self.proxy: Proxy | None = None
        self.batchers: Batchers | None = None

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""
        self.counters[name] += number

    def counted(self) -> Counter[str]:
        """Return all counters; what happens to rows is counted by the rows."""
        counted = self.counters.copy()
        counted.update(self.monitors.counts())
        counted.update(self.subscriptions.counts())
        return counted

    def remotes_by_status(self) -> dict[str, int]:
        """Return how many remote nodes have which entry in the compatibility cache."""
        found = Counter(remote.status for remote in self.remotes.values())
        return {status: found[status] for status in get_args(Status)}

    def drop_rows(self) -> None:
        """Forget everything but the counters."""
        self.counters.update(self.monitors.counts())
        self.monitors = MonitorTable(self.runtime.references)
        remotes, self.remotes = self.remotes, {}
        for remote in remotes.values():
            remote.answer("incompatible")
        self.forget_subscriptions()

    def fire_all(self, cause: Loss) -> int:
        """Fire every live reference with ``nodedown``, and forget who is subscribed here; returns how many fired."""
        fired = 0
        for node in self.monitors.nodes():
            remote = self.remotes.setdefault(node, Remote(node))
            remote.last_loss = cause
            fired += self.lost(remote, self.monitors.lose(node))
        self.forget_subscriptions()
        return fired

    def lost(self, remote: Remote, count: int) -> int:
        """Let so many references to a node that have fired be delivered, and note why they did."""
        if count:
            cause = remote.last_loss or "never connected"
            self.count(nodedown_event(cause), count)
            remote.log.fired(self.runtime.name, count, cause, self.runtime.now())
            self.fired(count)
        return count

    def forget_subscriptions(self) -> None:
        """Start the Proxy half anew."""
        self.counters.update(self.subscriptions.counts())
        self.subscriptions = SubscriptionTable(self.runtime.name, self.runtime.creation)

    def penalty(self, attempt: int) -> float:
        """Return for how many seconds nothing is tried after failed attempt number ``attempt``."""
        penalty: int = min(MAXIMUM_PENALTY, BASE_PENALTY * 2 ** min(attempt, MAXIMUM_ATTEMPT))
        return penalty * (1 + self.random() / 4) / 1000

    def truncate(self, reason: Any, depth: int | None = None) -> tuple[Any, int]:
        """Return a reason bounded as the settings say, or to a depth of its own, and how many bytes it encodes to."""
        config = self.config
        return truncate(
            reason,
            depth=config.truncation_depth if depth is None else depth,
            max_binary_size=config.max_binary_size,
            max_reason_size=config.max_reason_size,
        )

    # ---- what one process tells another, while that lives; who comes later looks at the rows

    def act(self, flags: int) -> None:
        """Do what the flags of a change to ``monitors`` ask for."""
        if flags & WOKEN:
            for node in self.monitors.take_woken():
                self.wake_connector(node)
        if flags & (IDLE | MORE) and (local := alive(self.local)):
            local.tidy()

    def wake_connector(self, node: Atom) -> None:
        """Let the Connector of a node look at its rows; started when there is none."""
        if connectors := alive(self.connectors):
            connectors.connector(node).wake()

    def fired(self, count: int) -> None:
        """References have fired: let them be queued and delivered."""
        if not count:
            return
        if local := alive(self.local):
            local.tidy()
        if dispatcher := alive(self.dispatcher):
            dispatcher.wake()


def alive(process: Living | None) -> Living | None:
    """Return a process that has not ended, else None."""
    if process is None:
        return None
    actor = actor_of(process)
    return process if actor.is_started and not actor.ended else None


@final
class Tables(ZenServer):
    """The process that stands for the rows of one half. It has no code that can fail."""
