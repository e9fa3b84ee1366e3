from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.states import masked
from pyzen.config import ZenConfig
from pyzen.errors import RpcError
from pyzen.node.services import ets
from pyzen.node.services.ets import Ets
from pyzen.terms import Pid, Reference, atoms, elixir
from pyzen.testing import Cluster, Recorder

if TYPE_CHECKING:
    from pyzen.testing import MemoryNode
    from tests.node.services.conftest import Two

NODES = elixir.ZenMonitor.Local.Tables.Nodes
REFERENCES = elixir.ZenMonitor.Local.Tables.References
SUBSCRIBERS = elixir.ZenMonitor.Proxy.Tables.Subscribers
ALL = [
    NODES,
    REFERENCES,
    elixir.ZenMonitor.Local.Subscribers,
    elixir.ZenMonitor.Local.Connector,
    SUBSCRIBERS,
    elixir.ZenMonitor.Proxy.Batcher,
]


class Idle(GenServer):
    pass


class Pair:
    """Node ``a``, whose tables are looked at, and ``b``; each watches a process of the other."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.a, self.b = (self.cluster.node(name, zen=ZenConfig()) for name in ("a@memory", "b@memory"))
        self.tables = Ets(self.a.zen, self.a.runtime)
        self.cluster.connect(self.a, self.b)
        self.me, self.worker = self.a.spawn(Recorder()), self.b.spawn(Recorder())
        self.ref = self.a.zen.monitor(self.worker, subscriber=self.me)
        self.there, self.mine = self.b.spawn(Recorder()), self.a.spawn(Recorder(), name="mine")
        self.b.zen.monitor(self.mine, subscriber=self.there)
        self.b.zen.monitor((atoms.mine, self.a.name), subscriber=self.there)
        self.cluster.advance(1)

    def connector(self, node: MemoryNode, peer: MemoryNode) -> Pid:
        pid = node.zen.connector_pid(peer.name)
        assert pid is not None
        return pid


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_tables_have_the_rows_of_the_original(pair: Pair) -> None:
    connector = pair.connector(pair.b, pair.a)
    _, batchers = pair.a.zen.context.connectors, pair.a.zen.context.batchers
    assert batchers is not None

    rows = {table: pair.tables.tab2list(table) for table in ALL}

    assert rows == {
        NODES: [(pair.b.name, atoms.compatible)],
        REFERENCES: [((pair.me, masked(pair.ref)), pair.worker)],
        elixir.ZenMonitor.Local.Subscribers: [(pair.me,)],
        elixir.ZenMonitor.Local.Connector: [(pair.b.name, pair.connector(pair.a, pair.b))],
        SUBSCRIBERS: [((pair.mine, connector),), (((atoms.mine, pair.a.name), connector),)],
        elixir.ZenMonitor.Proxy.Batcher: [(connector, batchers.lookup(connector))],
    }
    for table, shown in rows.items():
        assert pair.tables.info(table, atoms["size"]) == len(shown)
        assert pair.tables.first(table) == shown[0][0]
        for row in shown if table is not REFERENCES else []:
            assert pair.tables.lookup(table, row[0]) == [row]
            assert pair.tables.lookup_element(table, row[0], len(row)) == row[-1]


def test_a_reference_is_shown_by_half_and_found_by_the_whole(pair: Pair) -> None:
    """A peer that could read it would be able to send its subscriber a DOWN."""
    ((shown, _),) = pair.tables.tab2list(REFERENCES)

    assert shown == (pair.me, masked(pair.ref)) != (pair.me, pair.ref)
    assert pair.tables.lookup(REFERENCES, shown) == []
    assert pair.tables.lookup(REFERENCES, (pair.me, pair.ref)) == [((pair.me, pair.ref), pair.worker)]


@pytest.mark.parametrize("key", [5, (), [], b"x", (5, 5), atoms.nobody, (atoms.nobody, Pid("x@h", 1, 2, 3))])
def test_a_key_that_is_not_there_has_no_row(pair: Pair, key: Any) -> None:
    for table in ALL:
        assert pair.tables.lookup(table, key) == []
        with pytest.raises(RpcError, match="badarg"):
            pair.tables.lookup_element(table, key, 1)


def test_a_reference_of_another_subscriber_has_no_row(pair: Pair) -> None:
    assert pair.tables.lookup(REFERENCES, (pair.mine, pair.ref)) == []
    assert pair.tables.lookup(REFERENCES, (pair.me, Reference("x@h", 1, (1, 2, 3)))) == []


def test_an_incompatible_node_is_shown_with_its_penalty(pair: Pair) -> None:
    pair.a.zen.config.auto_connect = False
    plain, gone = pair.cluster.node("plain@memory"), pair.cluster.node("gone@memory")
    pair.cluster.connect(pair.a, plain)
    for node in (plain, gone):
        pair.a.zen.connect(node.name, lambda _: None)
    pair.cluster.advance(0.5)

    [(_, (word, until, attempts))] = pair.tables.lookup(NODES, plain.name)
    now = pair.a.runtime.now() * 1000

    assert (word, attempts) == (atoms.incompatible, 1)
    assert now < until < now + 3000
    assert pair.tables.lookup(NODES, gone.name) == [(gone.name, atoms.unavailable)]


def test_a_large_table_is_not_shown_whole(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ets, "ROWS_LIMIT", 1)

    assert len(pair.tables.tab2list(REFERENCES)) == 1
    with pytest.raises(RpcError) as caught:
        pair.tables.tab2list(SUBSCRIBERS)

    assert caught.value.reason == (atoms.system_limit, b"the table has 2 rows, and at most 1 are shown")


def test_info_names_the_owner_and_the_kind(pair: Pair) -> None:
    found = dict(pair.tables.info(SUBSCRIBERS))

    assert found[atoms.owner] == pair.a.runtime.whereis(elixir.ZenMonitor.Proxy.Tables)
    assert (found[atoms.type], found[atoms.protection], found[atoms.keypos]) == (atoms.ordered_set, atoms.public, 1)
    assert (found[atoms.name], found[atoms.node]) == (SUBSCRIBERS, pair.a.name)
    with pytest.raises(RpcError, match="badarg"):
        pair.tables.info(SUBSCRIBERS, atoms.nonsense)


def test_a_table_is_known_by_what_whereis_answers(pair: Pair) -> None:
    tid = pair.tables.whereis(REFERENCES)

    assert isinstance(tid, Reference)
    assert pair.tables.tab2list(tid) == pair.tables.tab2list(REFERENCES)
    assert dict(pair.tables.info(tid))[atoms.name] is REFERENCES
    assert pair.tables.whereis(atoms.nothing) is atoms.undefined
    assert pair.tables.info(pair.ref) is atoms.undefined
    with pytest.raises(RpcError, match="badarg"):
        pair.tables.whereis(tid)


def test_there_are_no_tables_while_it_is_stopped(pair: Pair) -> None:
    functions = pair.tables.functions()
    assert functions["ets", "all"]() == ALL

    pair.a.zen.stop()

    assert functions["ets", "all"]() == []
    for table in ALL:
        assert pair.tables.whereis(table) is atoms.undefined
        assert pair.tables.size(table) is None
        with pytest.raises(RpcError, match="badarg"):
            pair.tables.lookup(table, 1)


async def test_peers_look_at_tables(two: Two) -> None:
    pid = two.callee.spawn(Idle)
    async with two.caller.mailbox() as me:
        assert await two.caller.zen.connect(two.callee.name) == "compatible"
        two.caller.zen.monitor(pid, subscriber=me.pid)
        async with asyncio.timeout(5):
            while not (rows := await two.caller.rpc(two.callee.name, "ets", "tab2list", [SUBSCRIBERS])):
                await asyncio.sleep(0.005)

    assert rows == [((pid, two.caller.zen.system.connector_pid(two.callee.name)),)]
    assert await two.caller.rpc(two.callee.name, "ets", "member", [SUBSCRIBERS, rows[0][0]]) is True
