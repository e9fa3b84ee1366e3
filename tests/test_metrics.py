from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyzen.metrics import Registry


def test_counter_adds_per_label() -> None:
    counter = Registry().counter("sent_total", "Messages sent.")

    counter.add()
    counter.add(2, peer="b")
    counter.add(3, peer="b")

    assert (counter.value(), counter.value(peer="b"), counter.value(peer="c")) == (1, 5, 0)


def test_counter_does_not_shrink() -> None:
    with pytest.raises(ValueError, match="can't shrink"):
        Registry().counter("sent_total", "Messages sent.").add(-1)


def test_gauge_is_set_or_read() -> None:
    registry = Registry()
    registry.gauge("size", "Rows.").set(1.5)
    registry.gauge("read", "Rows.", read=lambda: {(("table", "x"),): 3})

    assert registry.text().splitlines() == [
        "# HELP size Rows.",
        "# TYPE size gauge",
        "size 1.5",
        "# HELP read Rows.",
        "# TYPE read gauge",
        'read{table="x"} 3',
    ]


def test_registry_escapes_text_and_labels() -> None:
    registry = Registry()
    registry.counter("odd", 'a\\b "c"\nd').add(node='x"y\\z\n')

    assert (
        registry.text()
        == '# HELP odd_total a\\\\b "c"\\nd\n# TYPE odd_total counter\nodd_total{node="x\\"y\\\\z\\n"} 1\n'
    )


def test_text_refuses_bad_names_of_labels() -> None:
    registry = Registry()
    registry.gauge("size", "Rows.", read=lambda: {(("a-b", "x"),): 1})

    with pytest.raises(ValueError, match="'a-b' is no name of a label"):
        registry.text()


def test_registry_refuses_a_name_twice() -> None:
    registry = Registry()
    registry.counter("one", "")

    with pytest.raises(ValueError, match="there is a metric 'one' already"):
        registry.gauge("one", "")


def test_registry_refuses_names_that_prometheus_can_not_tell_apart() -> None:
    registry = Registry()
    registry.counter("a.b", "")

    with pytest.raises(ValueError, match="there is a metric"):
        registry.gauge("a_b_total", "")


def test_counter_is_read_where_it_is_counted() -> None:
    counted = {"sent": 3}
    counter = Registry().counter("sent", "Messages sent.", read=lambda: {(("peer", "b"),): counted["sent"]})

    counted["sent"] += 1

    assert (counter.value(peer="b"), counter.value(peer="c")) == (4, 0)


def test_names_are_dotted_and_prometheus_gets_underscores() -> None:
    registry = Registry()
    metrics = [
        registry.counter("zen.sweep", ""),
        registry.counter("sent_total", ""),
        registry.gauge("zen.size", "", unit="{row}"),
        registry.gauge("memory", "", unit="By"),
    ]

    names = [metric.prometheus_name for metric in metrics]
    assert names == ["zen_sweep_total", "sent_total", "zen_size", "memory_bytes"]
    assert registry.metrics() == metrics


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2"), (0.1, "0.1"), (float("inf"), "+Inf"), (float("-inf"), "-Inf"), (float("nan"), "NaN")],
)
def test_values_are_those_of_the_text_format(value: float, text: str) -> None:
    registry = Registry()
    registry.gauge("size", "").set(value)

    assert registry.text().endswith(f"\nsize {text}\n")


def test_text_is_what_the_parser_of_prometheus_reads() -> None:
    registry = Registry()
    odd = 'x"y\\z\n{}, é'
    registry.counter("zen.sweep", "Odd \\ and\nlong.", unit="{row}").add(3, node=odd, op="a")
    registry.gauge("zen.size", "Rows.").set(1.5)

    sweep, size = text_string_to_metric_families(registry.text())

    assert (sweep.type, sweep.documentation) == ("counter", "Odd \\ and\nlong.")
    assert [(one.name, one.labels, one.value) for one in sweep.samples] == [
        ("zen_sweep_total", {"node": odd, "op": "a"}, 3.0)
    ]
    assert [(size.type, one.name, one.value) for one in size.samples] == [("gauge", "zen_size", 1.5)]


@pytest.mark.parametrize("name", ["", "1x", "a-b", "é", "a.", "a..b", "x" * 256])
def test_registry_refuses_bad_names(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a metric"):
        Registry().counter(name, "")
