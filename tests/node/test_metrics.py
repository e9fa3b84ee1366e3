from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyzen.node.node import Node
from tests.node.conftest import until

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode

PAGE = Path(__file__).parent.parent.parent / "docs" / "metrics.md"


def sample(node: Node, name: str, **labels: str) -> float:
    """Return one sample as Prometheus reads it."""
    families = text_string_to_metric_families(node.metrics.text())
    (found,) = [one.value for family in families for one in family.samples if (one.name, one.labels) == (name, labels)]
    return float(found)


async def test_links_are_counted_by_kind_and_by_what_happened(make_node: MakeNode) -> None:
    a, b, hidden = [await make_node(), await make_node(), await make_node(hidden=True)]
    await a.connect(b.name)
    await a.connect(hidden.name)
    assert sample(a, "pyzen_node_links", kind="visible") == sample(a, "pyzen_node_links", kind="hidden") == 1

    a.disconnect(b.name)
    await until(lambda: not a.nodes())

    assert sample(a, "pyzen_node_links", kind="visible") == 0
    assert sample(a, "pyzen_node_events_total", event="links_up") == 2
    assert sample(a, "pyzen_node_events_total", event="links_lost") == 1


async def test_connections_that_fail_are_counted_on_both_sides(make_node: MakeNode) -> None:
    a, stranger = await make_node(), await make_node(cookie="other")

    await stranger.ping(a.name)
    await stranger.ping("nobody@127.0.0.1")

    assert sample(a, "pyzen_node_events_total", event="connections_refused") == 1
    assert sample(stranger, "pyzen_node_events_total", event="dials_failed") == 2
    assert sample(stranger, "pyzen_node_dials") == sample(a, "pyzen_node_handshakes") == 0


async def test_processes_and_names_are_those_of_the_node(make_node: MakeNode) -> None:
    node = await make_node()
    before = [sample(node, f"pyzen_node_{one}") for one in ("processes", "names")]

    async with node.mailbox(name="me"):
        after = [sample(node, f"pyzen_node_{one}") for one in ("processes", "names")]

    assert after == [number + 1 for number in before]
    assert after[1] == len(node.registered()) + 1


async def test_metrics_hold_zen_monitor_where_it_runs(make_node: MakeNode) -> None:
    with_zen, without = await make_node(), await make_node(zen=None)

    assert sample(with_zen, "pyzen_zen_size", table="live") == 0
    assert {metric.name.rpartition(".")[0] for metric in without.metrics.metrics()} <= {
        "pyzen.node",
        "pyzen.node.links",
    }


async def test_memory_is_that_of_the_process(make_node: MakeNode) -> None:
    assert sample(await make_node(), "pyzen_node_memory_bytes") > 1_000_000


async def test_metrics_of_a_node_that_does_not_run_raise() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        _ = Node("n@127.0.0.1", cookie="c").metrics


# ---- the page for operators


def rows(page: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]


async def test_page_tells_name_kind_and_unit_of_every_metric(make_node: MakeNode) -> None:
    node = await make_node()

    told = {tuple(row[:4]) for row in rows(PAGE.read_text()) if len(row) == 5}

    assert told == {
        (f"`{one.name}`", f"`{one.prometheus_name}`", one.kind, f"`{one.unit}`") for one in node.metrics.metrics()
    }


async def test_page_tells_every_label(make_node: MakeNode) -> None:
    node = await make_node()
    sampled = {value for metric in node.metrics.metrics() for labels, _ in metric.samples() for _, value in labels}

    told = set(re.findall(r"`(\w+)`", PAGE.read_text()))

    assert sampled - told == set()
