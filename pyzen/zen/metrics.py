"""What an operator can watch of ZenMonitor: the original's metrics under its names, and ours.

All of it reads `ZenStatistics`; nothing is counted twice. Ours are few metrics with many samples: one per table and
pending set, one per thing that is counted.

Source: the counters and probes of zen_monitor 2.1.0, by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from pyzen.zen.names import LOCAL, PROXY, Loss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyzen.actor.runtime import Runtime
    from pyzen.metrics import Labels, Registry
    from pyzen.terms import Atom
    from pyzen.zen.tables import Context

__all__ = ["EVENTS", "nodedown_event", "register_metrics"]


def nodedown_event(cause: Loss) -> str:
    """Return the name under which references are counted that fired ``nodedown``."""
    return f"nodedown_{cause.replace(' ', '_')}"


EVENTS: Final = (
    "monitors",
    "demonitors",
    "references_fired",
    "downs_delivered",
    *(nodedown_event(cause) for cause in get_args(Loss)),
    "subscribes_sent",
    "unsubscribes_sent",
    "instructions_sent",
    "sweeps_skipped",
    "erts_monitors_made",
    "erts_downs_received",
    "certificates_received",
    "certificates_ignored",
    "summaries_refused",
    "instructions_received",
    "instructions_skipped",
    "instructions_outdated",
    "targets_refused",
    "certificates_queued",
    "certificates_sent",
    "summaries_sent",
    "connectors_ended",
    "peers_given_up",
    "stray_messages",
    "messages_refused",
    "orders_refused",
    "unhandled_info",
)
"""Names of all that is counted; each begins at 0."""

NO_LABELS: Final[Labels] = ()

COUNTERS: Final[tuple[tuple[str, str, str, Mapping[Labels, str]], ...]] = (
    ("zen_monitor.local.monitor", "{monitor}", "Monitors made.", {NO_LABELS: "monitors"}),
    ("zen_monitor.local.demonitor", "{monitor}", "Monitors given up.", {NO_LABELS: "demonitors"}),
    ("zen_monitor.local.enqueue", "{down}", "References that fired.", {NO_LABELS: "references_fired"}),
    (
        "zen_monitor.local.connector.enqueue",
        "{instruction}",
        "Instructions made for remote Proxies.",
        {(("op", "subscribe"),): "subscribes_sent", (("op", "unsubscribe"),): "unsubscribes_sent"},
    ),
    (
        "zen_monitor.local.connector.sweep",
        "{instruction}",
        "Instructions sent to remote Proxies.",
        {NO_LABELS: "instructions_sent"},
    ),
    (
        "zen_monitor.local.connector.unhandled_info",
        "{message}",
        "Messages that Connectors do not know.",
        {NO_LABELS: "unhandled_info"},
    ),
    (
        "zen_monitor.local.dispatcher.events.delivered",
        "{down}",
        "DOWNs that the Dispatcher took.",
        {NO_LABELS: "downs_delivered"},
    ),
    (
        "zen_monitor.local.dispatcher.events.processed",
        "{down}",
        "DOWNs delivered to subscribers.",
        {NO_LABELS: "downs_delivered"},
    ),
    (
        "zen_monitor.proxy.batcher.enqueue",
        "{certificate}",
        "Death certificates made.",
        {NO_LABELS: "certificates_queued"},
    ),
    (
        "zen_monitor.proxy.batcher.sweep",
        "{certificate}",
        "Death certificates sent.",
        {NO_LABELS: "certificates_sent"},
    ),
)
"""The original's counters: name, unit, meaning, and what is counted for each set of labels."""

GAUGES: Final = (
    ("zen_monitor.local.batch_length", "{down}", "DOWNs that wait for demand.", "fired"),
    ("zen_monitor.local.ets.references.size", "{monitor}", "References not yet delivered.", "references"),
    ("zen_monitor.proxy.ets.subscribers.size", "{subscription}", "Subscriptions of remote nodes.", "subscriptions"),
)
"""The original's gauges of tables: name, unit, meaning, and the size they show."""

QUEUES: Final = (
    ("zen_monitor.local.message_queue_len", "Messages that wait for Local.", LOCAL),
    ("zen_monitor.proxy.message_queue_len", "Messages that wait for the Proxy.", PROXY),
)
"""The original's gauges of mailboxes: name, meaning, and whose they are."""


def register_metrics(registry: Registry, context: Context, sizes: Callable[[], Mapping[str, int]]) -> None:
    """Make all metrics of one node's ZenMonitor.

    Args:
        registry: Where they are made.
        context: What is counted.
        sizes: Returns the sizes that the statistics have.
    """
    for name, unit, text, events in COUNTERS:
        registry.counter(name, text, unit=unit, read=_counters(context, events))
    for name, unit, text, size in GAUGES:
        registry.gauge(name, text, unit=unit, read=_size(sizes, size))
    for name, text, process in QUEUES:
        registry.gauge(name, text, unit="{message}", read=_queue_len(context.runtime, process))
    registry.gauge(
        "pyzen.zen.size",
        "Rows of ZenMonitor's tables and pending sets.",
        unit="{row}",
        read=lambda: by_label("table", sizes()),
    )
    registry.gauge(
        "pyzen.zen.remotes",
        "Remote nodes, by entry in the compatibility cache.",
        unit="{node}",
        read=lambda: by_label("status", context.remotes_by_status()),
    )
    registry.counter(
        "pyzen.zen.events",
        "What ZenMonitor has counted.",
        unit="{event}",
        read=lambda: by_label("event", context.counted()),
    )


def _counters(context: Context, events: Mapping[Labels, str]) -> Callable[[], dict[Labels, int]]:
    def read() -> dict[Labels, int]:
        counters = context.counted()
        return {labels: counters[event] for labels, event in events.items()}

    return read


def _size(sizes: Callable[[], Mapping[str, int]], name: str) -> Callable[[], dict[Labels, int]]:
    return lambda: {NO_LABELS: sizes()[name]}


def _queue_len(runtime: Runtime, name: Atom) -> Callable[[], dict[Labels, int]]:
    """Read a mailbox; no sample while there is no such process, as in the original."""

    def read() -> dict[Labels, int]:
        pid = runtime.whereis(name)
        actor = None if pid is None else runtime.actor(pid)
        return {} if actor is None else {NO_LABELS: actor.message_queue_len}

    return read


def by_label(label: str, numbers: Mapping[str, int]) -> dict[Labels, float]:
    """Return numbers by name as samples that one label tells apart."""
    return {((label, name),): number for name, number in numbers.items()}
