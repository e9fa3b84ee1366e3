from __future__ import annotations

import pytest

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
    registry.gauge("read", "Rows.", lambda: {(("table", "x"),): 3})

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

    assert registry.text() == '# HELP odd a\\\\b "c"\\nd\n# TYPE odd counter\nodd{node="x\\"y\\\\z\\n"} 1\n'


def test_registry_refuses_a_name_twice() -> None:
    registry = Registry()
    registry.counter("one", "")

    with pytest.raises(ValueError, match="there is a metric 'one' already"):
        registry.gauge("one", "")


@pytest.mark.parametrize("name", ["", "1x", "a-b", "é"])
def test_registry_refuses_bad_names(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a metric"):
        Registry().counter(name, "")
