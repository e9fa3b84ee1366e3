from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, InMemoryMetricReader, Metric, NumberDataPoint, Sum

from pyzen.config import EpmdConfig
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node
from pyzen.otel import export

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Reader:
    """What an exporter of OpenTelemetry would send."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])

    def collect(self) -> dict[str, Metric]:
        """Return the metrics that have samples now, by name."""
        data = self._reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        return {m.name: m for resource in resources for scope in resource.scope_metrics for m in scope.metrics}

    def value(self, name: str, **labels: str) -> float:
        points = self.collect()[name].data.data_points
        (found,) = [point for point in points if point.attributes == labels]
        assert isinstance(found, NumberDataPoint)
        return float(found.value)


@pytest.fixture
def reader() -> Iterator[Reader]:
    one = Reader()
    yield one
    one.provider.shutdown()


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    server = EpmdServer()
    port = await server.start(0)
    async with Node("otel@127.0.0.1", cookie="secret", epmd=EpmdConfig(port=port, start=False)) as one:
        yield one
    await server.stop()


async def test_instruments_have_name_unit_and_text_of_the_metrics(node: Node, reader: Reader) -> None:
    export(node, reader.provider)

    found = {(one.name, one.unit, one.description) for one in reader.collect().values()}

    assert found == {(one.name, one.unit, one.text) for one in node.metrics.metrics()}


async def test_counters_are_monotonic_sums_and_gauges_gauges(node: Node, reader: Reader) -> None:
    export(node, reader.provider)
    kinds = {one.name: one.kind for one in node.metrics.metrics()}

    found = {name: metric.data for name, metric in reader.collect().items()}

    sums = {name for name, data in found.items() if isinstance(data, Sum) and data.is_monotonic}
    assert sums == {name for name, kind in kinds.items() if kind == "counter"}
    assert {name for name, data in found.items() if isinstance(data, Gauge)} == set(kinds) - sums


async def test_samples_are_those_of_now_with_their_labels(node: Node, reader: Reader) -> None:
    export(node, reader.provider)
    assert reader.value("zen_monitor.local.monitor") == 0

    async with node.mailbox() as me:
        node.zen.monitor(("worker", node.name), subscriber=me.pid)

        assert reader.value("zen_monitor.local.monitor") == 1
        assert reader.value("pyzen.zen.size", table="live") == 1


async def test_readers_in_other_threads_see_what_the_loop_has(node: Node, reader: Reader) -> None:
    export(node, reader.provider)
    async with node.mailbox() as me:
        for monitors in (1, 2):
            node.zen.monitor(("worker", node.name), subscriber=me.pid)

            assert await asyncio.to_thread(reader.value, "pyzen.zen.size", table="live") == monitors


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that have asked the loop for something, once per time."""
    loop, threads = asyncio.get_running_loop(), list[threading.Thread]()
    ask = loop.call_soon_threadsafe

    def noted(callback: Callable[..., object]) -> object:
        threads.append(threading.current_thread())
        return ask(callback)

    monkeypatch.setattr(loop, "call_soon_threadsafe", noted)
    return threads


async def test_reader_in_another_thread_costs_the_loop_one_step(
    node: Node, reader: Reader, asked: list[threading.Thread]
) -> None:
    export(node, reader.provider)
    thread = threading.Thread(target=reader.collect)

    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)

    assert asked == [thread]


async def test_loop_that_is_blocked_gives_no_samples_and_is_waited_for_once(
    node: Node, reader: Reader, asked: list[threading.Thread]
) -> None:
    export(node, reader.provider, fetch_time=0.05)
    found: list[dict[str, Metric]] = []
    thread = threading.Thread(target=lambda: found.append(reader.collect()))

    thread.start()
    thread.join(30)

    assert found == [{}]
    assert asked == [thread]
    assert reader.value("pyzen.node.links", kind="visible") == 0


async def test_node_that_has_stopped_gives_no_samples(node: Node, reader: Reader) -> None:
    export(node, reader.provider)

    await node.stop()

    assert reader.collect() == await asyncio.to_thread(reader.collect) == {}


async def test_node_that_has_started_anew_goes_on(node: Node, reader: Reader) -> None:
    export(node, reader.provider)

    await node.stop()
    await node.start()

    assert reader.value("pyzen.node.links", kind="visible") == 0


async def test_node_that_does_not_run_can_not_be_exported(reader: Reader) -> None:
    with pytest.raises(RuntimeError, match="not running"):
        export(Node("n@127.0.0.1", cookie="c"), reader.provider)


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    monkeypatch.delitem(sys.modules, "pyzen.otel")

    with pytest.raises(ImportError, match=r"pip install pyzen-node\[otel\]"):
        importlib.import_module("pyzen.otel")
