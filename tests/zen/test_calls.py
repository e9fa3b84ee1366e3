"""What an operator asks the processes by ``GenServer.call``; the peer here is node ``b``, who asks node ``a``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.requests import GEN_CALL
from pyzen.actor.states import masked
from pyzen.terms import Atom, Pid, atoms, elixir
from pyzen.testing import Recorder
from pyzen.zen import calls
from pyzen.zen.names import BATCHERS, CONNECTORS, LOCAL
from tests.zen.conftest import Peer, connector_of

if TYPE_CHECKING:
    from tests.zen.conftest import World

NOWHERE = Atom("nowhere@memory")


class Asker:
    """A process of ``b`` that calls processes of ``a``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.recorder = Recorder()
        self.pid = world.b.spawn(self.recorder)

    def ask(self, dest: Pid | Atom, request: Any, wait: float = 0.01) -> Any:
        """Return the answer; None where there is none."""
        self.recorder.messages.clear()
        tag = self.world.b.runtime.make_ref()
        to = dest if isinstance(dest, Pid) else (dest, self.world.a.name)
        self.recorder.send(to, (GEN_CALL, (self.pid, tag), request))
        self.world.wait(wait)
        answers = [answer for sent, answer in self.recorder.messages if sent == tag]
        return answers[0] if answers else None


@pytest.fixture
def asker(linked: World) -> Asker:
    return Asker(linked)


def test_local_answers_how_many_dispatches_wait(linked: World, asker: Asker) -> None:
    linked.a.zen.config.demand_amount = 1
    workers = linked.workers(3)
    for worker in workers:
        linked.monitor(worker)
    linked.wait()
    assert asker.ask(LOCAL, atoms.batch_length) == 0

    linked.cluster.link(linked.a, linked.b)
    for worker in workers:
        linked.b.kill(worker)
    linked.wait(0.25)

    assert asker.ask(LOCAL, atoms.batch_length) == linked.statistics().fired > 0


def test_local_ignores_any_other_call(linked: World, asker: Asker) -> None:
    assert asker.ask(LOCAL, atoms.nonsense) is None
    assert linked.statistics().counters["stray_messages"] == 1


def test_connector_answers_whether_its_node_is_compatible(linked: World, asker: Asker) -> None:
    assert asker.ask(connector_of(linked), atoms.connect) is atoms.compatible


def test_connector_answers_a_caller_once_it_knows(linked: World, asker: Asker) -> None:
    linked.a.zen.config.auto_connect = False
    started = asker.ask(CONNECTORS, (atoms.lookup_or_start, NOWHERE, [NOWHERE]))

    assert asker.ask(started[1], atoms.connect) is atoms.incompatible


def test_connector_answers_the_references_between_two(linked: World, asker: Asker) -> None:
    worker, other = linked.workers(2)
    refs = [linked.monitor(worker) for _ in range(2)]
    linked.monitor(other)
    connector = connector_of(linked)

    assert asker.ask(connector, (atoms.monitors, worker, linked.me)) == [masked(ref) for ref in refs]
    named = linked.monitor((atoms.named, linked.b.name))
    assert asker.ask(connector, (atoms.monitors, (atoms.named, linked.b.name), linked.me)) == [masked(named)]
    for target, subscriber in (
        (atoms.named, linked.me),
        (worker, asker.pid),
        (linked.me, linked.me),
        (5, linked.me),
        (atoms._, linked.me),
    ):
        assert asker.ask(connector, (atoms.monitors, target, subscriber)) == []


def test_connector_lets_nobody_wait_without_end(linked: World, asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "WAITING_LIMIT", 0)

    assert asker.ask(connector_of(linked), atoms.connect) is None


def test_connector_takes_no_orders_for_others(linked: World, asker: Asker) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    connector = connector_of(linked)
    for request in ((atoms.monitor, worker, ref, asker.pid), (atoms.demonitor, worker, ref)):
        asker.recorder.cast(connector, request)
    linked.wait()

    assert linked.a.zen.monitors(worker, linked.me) == [ref]
    assert linked.statistics().references == 1


def test_registry_of_connectors_answers_as_the_originals(linked: World, asker: Asker) -> None:
    connector = connector_of(linked)
    b = linked.b.name

    assert asker.ask(CONNECTORS, (atoms.lookup_or_start, b, [b])) == (atoms.ok, connector)
    assert asker.ask(CONNECTORS, (atoms.start, b, [b])) == (atoms.error, (atoms.already_started, connector))
    assert asker.ask(CONNECTORS, (atoms.stop, NOWHERE)) == (atoms.error, atoms.not_found)
    assert asker.ask(CONNECTORS, atoms.nonsense) == (atoms.error, elixir.GenRegistry)
    assert asker.ask(CONNECTORS, atoms.which_children) == [(atoms.undefined, connector, atoms.worker, [CONNECTORS])]
    counted = [(atoms.workers, 1), (atoms.specs, 1), (atoms.active, 1), (atoms.supervisors, 0)]
    assert asker.ask(CONNECTORS, atoms.count_children) == counted


def test_registry_starts_a_connector_that_goes_when_nobody_needs_it(linked: World, asker: Asker) -> None:
    ok, pid = asker.ask(CONNECTORS, (atoms.start, NOWHERE, [NOWHERE]))
    assert (ok, pid) == (atoms.ok, linked.a.zen.connector_pid(NOWHERE))

    linked.wait(linked.a.zen.config.connector_idle_timeout / 1000 + 1)

    assert linked.a.zen.connector_pid(NOWHERE) is None


def test_registry_stops_nothing_for_a_peer(linked: World, asker: Asker) -> None:
    connector = connector_of(linked)

    assert asker.ask(CONNECTORS, (atoms.stop, linked.b.name)) == (atoms.error, atoms.refused)

    assert connector_of(linked) == connector
    assert linked.statistics().counters["orders_refused"] == 1


@pytest.mark.parametrize(("key", "args"), [(NOWHERE, []), (NOWHERE, [atoms.other]), (5, [5]), ([], [[]])])
def test_registry_starts_nothing_for_bad_arguments(linked: World, asker: Asker, key: Any, args: Any) -> None:
    for word in (atoms.lookup_or_start, atoms.start):
        assert asker.ask(CONNECTORS, (word, key, args)) == (atoms.error, atoms.badarg)
    assert linked.statistics().connectors == 1


def test_registry_starts_a_bounded_number(linked: World, asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "STARTED_LIMIT", 2)

    def start(name: str) -> Any:
        return asker.ask(CONNECTORS, (atoms.lookup_or_start, Atom(name), [Atom(name)]))

    assert start("first@memory")[0] is atoms.ok
    assert start("second@memory") == (atoms.error, atoms.system_limit)
    assert start("b@memory") == (atoms.ok, connector_of(linked))


def test_registry_of_batchers_answers_as_the_originals(linked: World, asker: Asker) -> None:
    ok, batcher = asker.ask(BATCHERS, (atoms.lookup_or_start, asker.pid, [asker.pid]))
    assert ok is atoms.ok
    assert asker.ask(BATCHERS, (atoms.lookup_or_start, asker.pid, [asker.pid])) == (ok, batcher)
    assert asker.ask(BATCHERS, (atoms.stop, asker.pid)) == (atoms.error, atoms.refused)
    assert asker.ask(BATCHERS, (atoms.start, NOWHERE, [NOWHERE])) == (atoms.error, atoms.badarg)

    linked.b.kill(asker.pid)
    linked.wait()

    assert linked.statistics().batchers == 0


def test_batcher_takes_no_certificate_from_outside(linked: World, asker: Asker) -> None:
    peer = Peer(linked)
    worker = linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()

    asker.recorder.cast(peer.batcher(), (atoms.enqueue, worker, atoms.forged))
    linked.wait()

    assert peer.summaries() == []
