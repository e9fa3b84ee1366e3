from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyzen
from pyzen.metrics import Registry
from pyzen.terms import atoms
from pyzen.zen.metrics import EVENTS
from pyzen.zen.names import CONNECTORS, LOCAL, PROXY

if TYPE_CHECKING:
    from tests.zen.conftest import World

ORIGINAL = {
    "zen_monitor.local.monitor": "counter",
    "zen_monitor.local.demonitor": "counter",
    "zen_monitor.local.enqueue": "counter",
    "zen_monitor.local.connector.enqueue": "counter",
    "zen_monitor.local.connector.unhandled_info": "counter",
    "zen_monitor.local.connector.sweep": "counter",
    "zen_monitor.local.dispatcher.events.delivered": "counter",
    "zen_monitor.local.dispatcher.events.processed": "counter",
    "zen_monitor.proxy.batcher.enqueue": "counter",
    "zen_monitor.proxy.batcher.sweep": "counter",
    "zen_monitor.local.message_queue_len": "gauge",
    "zen_monitor.proxy.message_queue_len": "gauge",
    "zen_monitor.local.batch_length": "gauge",
    "zen_monitor.local.ets.references.size": "gauge",
    "zen_monitor.proxy.ets.subscribers.size": "gauge",
}
"""What zen_monitor 2.1.0 emits, and how."""


class Watch:
    """The metrics of one node of a world."""

    def __init__(self, world: World, *, of_b: bool = False) -> None:
        registry = Registry()
        (world.b if of_b else world.a).zen.register_metrics(registry)
        self._metrics = {metric.name: metric for metric in registry.metrics()}
        self.kinds = {name: metric.kind for name, metric in self._metrics.items()}

    def __call__(self, name: str, **labels: str) -> float:
        return self._metrics[name].value(**labels)

    def count(self, name: str) -> int:
        return len(list(self._metrics[name].samples()))

    def original(self, *names: str, **labels: str) -> list[float]:
        return [self(f"zen_monitor.{name}", **labels) for name in names]


def test_metrics_have_all_names_of_the_original(linked: World) -> None:
    kinds = Watch(linked).kinds

    assert {name: kind for name, kind in kinds.items() if name.startswith("zen_monitor.")} == ORIGINAL


def test_monitors_and_demonitors_are_counted_by_call(linked: World) -> None:
    watch = Watch(linked)

    refs = [linked.monitor(linked.worker()) for _ in range(3)]
    for ref in [*refs[:2], refs[0]]:
        linked.a.zen.demonitor(ref)

    assert watch.original("local.monitor", "local.demonitor", "local.ets.references.size") == [3, 3, 1]


def test_instructions_are_counted_by_operation(linked: World) -> None:
    watch = Watch(linked)
    refs = [linked.monitor(linked.worker()) for _ in range(3)]
    linked.wait()
    linked.a.zen.demonitor(refs[0])
    linked.wait()

    assert watch("zen_monitor.local.connector.enqueue", op="subscribe") == 3
    assert watch("zen_monitor.local.connector.enqueue", op="unsubscribe") == 1
    assert watch("zen_monitor.local.connector.sweep") == 4


def test_deaths_are_counted_on_both_sides(linked: World) -> None:
    watching, watched = Watch(linked), Watch(linked, of_b=True)
    workers = linked.workers(4)
    for worker in workers:
        linked.monitor(worker)
    linked.wait()
    assert watched.original("proxy.ets.subscribers.size") == [4]

    for worker in workers[:3]:
        linked.b.kill(worker)
    linked.wait()

    assert watched.original("proxy.ets.subscribers.size") == [1]
    # One certificate more than deaths: that of the probe, which an Elixir Proxy would make too.
    assert watched.original("proxy.batcher.enqueue", "proxy.batcher.sweep") == [4, 4]
    assert watching.original("local.enqueue", "local.batch_length") == [3, 0]
    assert watching.original("local.dispatcher.events.delivered", "local.dispatcher.events.processed") == [3, 3]


def test_downs_that_wait_for_demand_are_the_batch_length(linked: World) -> None:
    watch = Watch(linked)
    linked.a.zen.config.demand_amount = 1
    for worker in linked.workers(50):
        linked.monitor(worker)
    linked.wait()

    linked.cluster.cut(linked.a, linked.b)
    linked.a.scheduler_run()

    assert watch.original("local.batch_length", "local.enqueue") == [50, 50]
    assert watch("pyzen.zen.events", event="nodedown_lost") == 50


def test_mailboxes_are_measured_while_there_is_a_process(linked: World) -> None:
    watch = Watch(linked)
    for name in (LOCAL, PROXY):
        linked.a.runtime.send(linked.me, name, atoms.stray)
    names = ("local.message_queue_len", "proxy.message_queue_len")
    assert watch.original(*names) == [1, 1]

    linked.a.zen.stop()
    linked.wait()

    assert [watch.count(f"zen_monitor.{name}") for name in names] == [0, 0]


@pytest.mark.usefixtures("quiet")
def test_messages_that_nobody_knows_are_counted(linked: World) -> None:
    watch = Watch(linked)
    connector = linked.a.zen.connector_pid(linked.b.name)
    assert connector is not None

    for dest in (LOCAL, CONNECTORS, connector):
        linked.a.runtime.send(linked.me, dest, atoms.stray)
    linked.wait()

    assert watch("zen_monitor.local.connector.unhandled_info") == 1
    assert watch("pyzen.zen.events", event="stray_messages") == 3


def test_every_size_and_counter_of_the_statistics_is_a_sample(linked: World) -> None:
    watch = Watch(linked)
    linked.monitor(linked.worker())
    linked.wait()
    statistics = linked.statistics()

    sizes = {name: watch("pyzen.zen.size", table=name) for name in statistics.sizes()}
    events = {name: watch("pyzen.zen.events", event=name) for name in statistics.counters}

    assert sizes == statistics.sizes()
    assert events == statistics.counters
    assert (watch.count("pyzen.zen.size"), watch.count("pyzen.zen.events")) == (len(sizes), len(events))


def test_remotes_are_counted_by_their_cache_entry(linked: World) -> None:
    watch = Watch(linked)
    linked.a.zen.connect("nobody@memory", lambda _: None)
    linked.wait(10)

    statuses = ("miss", "compatible", "incompatible", "unavailable")
    assert [watch("pyzen.zen.remotes", status=status) for status in statuses] == [0, 1, 0, 1]


def test_counters_go_on_when_zen_monitor_is_started_anew(linked: World) -> None:
    watch = Watch(linked)
    linked.monitor(linked.worker())

    linked.a.zen.stop()
    linked.a.zen.start()
    linked.monitor(linked.worker())

    assert watch.original("local.monitor", "local.ets.references.size") == [2, 1]


def test_all_that_is_counted_begins_at_zero(world: World) -> None:
    source = "".join(path.read_text() for path in Path(pyzen.__file__).parent.glob("zen/*.py"))
    counted = set(re.findall(r'\bcount\(\s*"(\w+)"', source))

    assert counted
    assert counted <= set(EVENTS)
    assert set(world.statistics().counters) == set(EVENTS)
    assert set(world.statistics().counters.values()) == {0}
