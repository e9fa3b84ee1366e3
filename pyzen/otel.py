"""A node's metrics through OpenTelemetry's API: an extra, ``pip install pyzen-node[otel]``.

The instruments are observable ones under the dotted names of ``node.metrics``; whatever the program's SDK exports them
to is not our affair. Readers ask from threads of their own, while the numbers belong to the node's event loop: the
first instrument of a collection fetches the samples of all from there, in one step. A loop that does not answer within
`FETCH_TIME` gives no samples for that collection.

Source: OpenTelemetry, "Metrics API", section "Asynchronous instruments".
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeAlias, final

try:
    from opentelemetry.metrics import Observation, get_meter_provider
except ImportError as error:
    raise ImportError("pyzen.otel needs OpenTelemetry's API: pip install pyzen-node[otel]") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, MeterProvider

    from pyzen.metrics import Metric
    from pyzen.node.node import Node

__all__ = ["export"]

METER: Final = "pyzen"

FETCH_TIME: Final = 1.0
"""Seconds that a reader waits for the event loop."""

Samples: TypeAlias = "dict[str, list[Observation]]"


def export(node: Node, provider: MeterProvider | None = None, *, fetch_time: float = FETCH_TIME) -> None:
    """Let OpenTelemetry read a node's metrics from now on; nothing while it does not run.

    Call it once per node and provider, in the node's event loop. End a provider by ``asyncio.to_thread``: it waits for
    its reader, and the reader for the loop.

    Args:
        node: A node that runs.
        provider: Who makes the instruments; None for the program's own.
        fetch_time: See ``FETCH_TIME``.

    Raises:
        RuntimeError: The node is not running, or belongs to another thread.
    """
    fetcher = Fetcher(node, asyncio.get_running_loop(), fetch_time)
    meter = (provider or get_meter_provider()).get_meter(METER)
    for metric in node.metrics.metrics():
        make = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
        make(metric.name, [fetcher.callback(metric.name)], unit=metric.unit, description=metric.text)


@final
class Fetcher:
    """Fetches the samples of one node from its event loop, for readers in any thread."""

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop, fetch_time: float) -> None:
        self._node = node
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._fetch_time = fetch_time
        self._names: list[str] = []
        self._lock = threading.Lock()
        self._fetched: Samples = {}

    def callback(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """Return what the instrument of a metric calls."""
        self._names.append(name)
        return lambda _options: self._samples(name)

    def _samples(self, name: str) -> list[Observation]:
        if threading.get_ident() == self._thread_id:
            return self._read([name])[name]
        with self._lock:
            # Each is taken once, so that the next collection fetches again.
            if name not in self._fetched:
                self._fetched = self._fetch()
            return self._fetched.pop(name)

    def _fetch(self) -> Samples:
        """Return the samples of all metrics, from another thread than the loop's."""
        future: Future[Samples] = Future()
        try:
            self._loop.call_soon_threadsafe(lambda: future.set_result(self._read(self._names)))
            return future.result(self._fetch_time)
        except (TimeoutError, RuntimeError):  # the loop is blocked, or closed
            return {name: [] for name in self._names}

    def _read(self, names: list[str]) -> Samples:
        """Return the samples of some metrics: none for those that the node does not have, or has no more."""
        try:
            metrics = {metric.name: metric for metric in self._node.metrics.metrics()}
        except RuntimeError:  # it does not run
            metrics = {}
        return {name: observations(metrics.get(name)) for name in names}


def observations(metric: Metric | None) -> list[Observation]:
    """Return the samples of a metric as OpenTelemetry has them."""
    return [] if metric is None else [Observation(value, dict(labels)) for labels, value in metric.samples()]
