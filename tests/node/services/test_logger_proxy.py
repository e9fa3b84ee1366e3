"""Events of peers in the log of this node."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.node.services.logger_proxy import ALL_LINES, INTERVAL, PEER_LINES, LoggerProxy
from pyzen.terms import Pid, atoms
from pyzen.testing import Cluster, MemoryNode, Recorder
from tests.node.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.services.conftest import Two

LOG = atoms.log


class RecordsOf:
    """The records of ``pyzen.remote`` so far."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def now(self) -> list[logging.LogRecord]:
        return [record for record in self._caplog.records if record.name == "pyzen.remote"]


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[RecordsOf]:
    with caplog.at_level(logging.DEBUG, "pyzen.remote"):
        yield RecordsOf(caplog)


def send(two: Two, *events: Any) -> None:
    for event in events:
        two.caller.send((atoms.logger_proxy, two.callee.name), event)


async def arrived(two: Two) -> None:
    """Wait until all that has been sent has been taken."""
    await two.caller.call(("rex", two.callee.name), atoms.barrier)
    await asyncio.sleep(0.01)


async def test_an_event_becomes_a_record_with_its_details(two: Two, records: RecordsOf) -> None:
    pid = Pid(two.caller.name, 77, 0, 1)
    meta = {atoms.pid: pid, atoms.mfa: (atoms.m, atoms.f, 1), atoms.time: 1_700_000_000_000_000}

    send(two, (LOG, atoms.error, b"~p went", [atoms.it], meta))
    await until(lambda: bool(records.now()))

    (record,) = records.now()
    assert record.getMessage() == f"{two.caller.name}: it went"
    assert record.levelno == logging.ERROR
    shown = [getattr(record, name) for name in ("node", "pid", "mfa", "time")]
    assert shown == [str(two.caller.name), f"<{two.caller.name}.77.0>", "m:f/1", 1_700_000_000.0]


@pytest.mark.parametrize(
    ("level", "number"),
    [
        ("emergency", logging.CRITICAL),
        ("alert", logging.CRITICAL),
        ("critical", logging.CRITICAL),
        ("error", logging.ERROR),
        ("warning", logging.WARNING),
        ("notice", logging.INFO),
        ("info", logging.INFO),
        ("debug", logging.DEBUG),
    ],
)
async def test_levels_are_those_of_logging(two: Two, records: RecordsOf, level: str, number: int) -> None:
    send(two, (LOG, atoms[level], b"text", {}))
    await until(lambda: bool(records.now()))

    assert [record.levelno for record in records.now()] == [number]


async def test_the_node_is_that_of_the_link(two: Two, records: RecordsOf) -> None:
    send(two, (LOG, atoms.info, b"text", {atoms.node: atoms["other@h"], atoms.pid: Pid("other@h", 1, 0, 1)}))
    await until(lambda: bool(records.now()))

    assert records.now()[0].node == str(two.caller.name)  # type: ignore[attr-defined]


async def test_an_event_of_this_node_itself_has_its_name(two: Two, records: RecordsOf) -> None:
    two.callee.send("logger_proxy", (LOG, atoms.info, b"text", {}))
    await until(lambda: bool(records.now()))

    assert records.now()[0].node == str(two.callee.name)  # type: ignore[attr-defined]


async def test_what_is_no_event_is_a_stray(two: Two, records: RecordsOf) -> None:
    send(two, (LOG, atoms.loud, b"text", {}), (LOG, 1, b"text", {}), (LOG,), atoms.nonsense, (LOG, [], b"", 1, {}))
    await arrived(two)

    assert records.now() == []
    assert two.callee.whereis("logger_proxy") is not None


async def test_an_event_that_nobody_wants_costs_no_line(two: Two, records: RecordsOf) -> None:
    logging.getLogger("pyzen.remote").setLevel(logging.ERROR)
    send(two, *[(LOG, atoms.info, b"text", {})] * (PEER_LINES + 1))
    send(two, (LOG, atoms.error, b"text", {}))
    await until(lambda: bool(records.now()))

    assert [record.getMessage() for record in records.now()] == [f"{two.caller.name}: text"]


class Flood:
    """Nodes in memory that send events to one of them."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.node = self.cluster.node("log@memory")
        self.node.spawn(LoggerProxy(), name=atoms.logger_proxy)
        self.peers: dict[str, MemoryNode] = {}

    def from_(self, name: str, number: int, text: bytes = b"text") -> None:
        """Let a node send events."""
        peer = self.peers.get(name) or self.peers.setdefault(name, self.cluster.node(name))
        sender = peer.actor(peer.spawn(Recorder()))
        for _ in range(number):
            sender.send((atoms.logger_proxy, self.node.name), (LOG, atoms.info, text, {}))
        self.cluster.run_until_idle()


def test_a_node_has_a_bound_of_its_own(records: RecordsOf) -> None:
    flood = Flood()

    flood.from_("a@memory", PEER_LINES + 20)
    assert len(records.now()) == PEER_LINES
    flood.from_("b@memory", 1)

    assert records.now()[-1].getMessage() == "b@memory: text"


def test_the_next_line_tells_how_many_were_left_out(records: RecordsOf) -> None:
    flood = Flood()
    flood.from_("a@memory", PEER_LINES + 20)
    flood.from_("b@memory", 1)

    flood.cluster.advance(INTERVAL)
    flood.from_("a@memory", 1)
    flood.from_("b@memory", 1)

    texts = [record.getMessage() for record in records.now()[-2:]]
    assert texts == ["a@memory: text (20 more of this node were left out)", "b@memory: text"]


def test_all_nodes_have_a_bound_together(records: RecordsOf) -> None:
    flood = Flood()
    for number in range(ALL_LINES // PEER_LINES + 2):
        flood.from_(f"n{number}@memory", PEER_LINES)
    assert len(records.now()) == ALL_LINES

    flood.cluster.advance(INTERVAL)
    flood.from_(f"n{number}@memory", 1)

    assert records.now()[-1].getMessage().endswith(f"text ({PEER_LINES} more of this node were left out)")


def test_an_event_whose_link_is_gone_is_written_without_a_name(records: RecordsOf) -> None:
    flood = Flood()

    flood.node.runtime.deliver(atoms.logger_proxy, [(LOG, atoms.info, b"last words", {})], via=999)
    flood.cluster.run_until_idle()

    assert [record.getMessage() for record in records.now()] == ["a node that is gone: last words"]


async def test_a_peer_can_not_end_or_stop_it(two: Two, records: RecordsOf) -> None:
    pid = two.callee.whereis("logger_proxy")
    assert pid is not None
    async with two.caller.mailbox() as me:
        me.send_exit(pid, atoms.kill)
        me.send(pid, (atoms.system, (me.pid, me.pid), atoms.suspend))
        assert (await me.receive(timeout=5))[1] == (atoms.error, atoms.refused)

    send(two, (LOG, atoms.info, b"text", {}))
    await until(lambda: bool(records.now()))
