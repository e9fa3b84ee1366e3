"""What an operator can watch of a node: its links, its processes, its memory.

No sample is told apart by peers or processes: whoever can connect could make as many as they like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzen.node.services.builtins import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.metrics import Labels, Registry
    from pyzen.node.connections import Connections
    from pyzen.node.router import Router

__all__ = ["register_metrics"]


def register_metrics(registry: Registry, router: Router, connections: Connections) -> None:
    """Make the metrics of one node; they are read when somebody asks."""

    def links() -> dict[Labels, int]:
        visible = [link.visible for link in connections.links.values()]
        counts = {"visible": visible.count(True), "hidden": visible.count(False)}
        return {(("kind", kind),): count for kind, count in counts.items()}

    def events() -> dict[Labels, int]:
        return {(("event", event),): count for event, count in connections.counters.items()}

    registry.gauge("pyzen.node.links", "Links that are up.", unit="{link}", read=links)
    gauges: list[tuple[str, str, str, Callable[[], int]]] = [
        ("links.busy", "{link}", "Links above their high mark.", lambda: connections.busy_count),
        ("dials", "{dial}", "Dials under way.", lambda: connections.dial_count),
        ("handshakes", "{handshake}", "Connections in their handshake.", lambda: connections.handshake_count),
        ("processes", "{process}", "Processes that live.", router.process_count),
        ("names", "{name}", "Names registered.", lambda: len(router.names)),
        ("aliases", "{alias}", "Aliases active.", lambda: len(router.aliases)),
        ("memory", "By", "Resident memory of this operating system process.", resident_bytes),
    ]
    for name, unit, text, number in gauges:
        registry.gauge(f"pyzen.node.{name}", text, unit=unit, read=single(number))
    registry.counter("pyzen.node.events", "What happened to connections.", unit="{event}", read=events)


def single(number: Callable[[], int]) -> Callable[[], dict[Labels, int]]:
    """Return the reader of a metric that has one sample."""
    return lambda: {(): number()}
