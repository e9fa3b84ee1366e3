"""What peers should not send: each counted, each harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.terms import ImproperList, Pid, atoms
from pyzen.zen import proxy
from pyzen.zen.names import PROXY
from tests.zen.conftest import Peer, connector_of

if TYPE_CHECKING:
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def peer(linked: World) -> Peer:
    return Peer(linked)


def counter(world: World, name: str) -> int:
    return world.statistics().counters.get(name, 0)


def assert_proxy_works(world: World, peer: Peer) -> None:
    worker, before = world.worker(node=world.a), len(peer.certificates())
    peer.subscribe(worker)
    world.wait()
    world.a.kill(worker)
    world.wait()
    assert peer.certificates()[before:] == [(worker, atoms.killed)]


@pytest.mark.parametrize("items", [atoms.none, 7, (), {}, b"subscribe"])
@pytest.mark.parametrize("form", [atoms.process, atoms.subscribe])
def test_instructions_that_are_no_list_are_ignored(linked: World, peer: Peer, form: Any, items: Any) -> None:
    peer.cast((form, peer.pid, items))
    linked.wait()

    assert counter(linked, "stray_messages") == 1
    assert_proxy_works(linked, peer)


@pytest.mark.parametrize("connector", [atoms.name, 7, (atoms.name, atoms["b@memory"])])
def test_instructions_of_no_pid_are_ignored_whole(linked: World, peer: Peer, connector: Any) -> None:
    peer.cast((atoms.process, connector, [(atoms.subscribe, linked.worker(node=linked.a))]))
    linked.wait()

    assert counter(linked, "stray_messages") == 1
    assert linked.statistics().subscriptions == 0
    assert_proxy_works(linked, peer)


def test_unknown_instructions_are_skipped(linked: World, peer: Peer) -> None:
    worker = linked.worker(node=linked.a)

    peer.send((atoms.watch, worker), (atoms.subscribe, worker, 1), atoms.subscribe, 7, [], (atoms.subscribe, worker))
    linked.wait()

    assert counter(linked, "instructions_skipped") == 5
    assert linked.statistics().subscriptions == 1
    assert_proxy_works(linked, peer)


def test_targets_of_other_nodes_are_refused(linked: World, peer: Peer) -> None:
    older = Pid(linked.a.name, 7, 0, linked.a.runtime.creation - 1)
    targets = [linked.worker(), (atoms.name, linked.b.name), older]

    peer.subscribe(*targets)
    peer.unsubscribe(*targets)
    linked.wait()

    assert counter(linked, "targets_refused") == 3
    assert peer.certificates() == [(target, atoms.noproc) for target in targets]
    assert_proxy_works(linked, peer)


def test_bad_targets_without_end_cost_their_sender_the_link(
    linked: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "WAITING_LIMIT", 100)
    link = linked.cluster.link(linked.a, linked.b)
    link.set_busy(busy=True)  # as when the peer does not read
    peer.subscribe(*((number, atoms.bad) for number in range(101)))
    linked.wait()
    assert linked.statistics().certificates == 101

    for _ in range(3):  # more of it lies in the queue
        peer.subscribe(linked.worker(node=linked.a))
    linked.wait()

    assert counter(linked, "peers_given_up") == 1
    assert linked.statistics().certificates == 0
    assert linked.a.runtime.link(linked.b.name) is None


def test_node_of_which_ever_more_processes_subscribe_loses_its_link(
    linked: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "CONNECTOR_LIMIT", 16)
    target = linked.worker(node=linked.a)
    peers = [Peer(linked) for _ in range(proxy.CONNECTOR_LIMIT - 1)]
    for one in (peer, *peers):
        one.subscribe(target)
    linked.wait()
    assert linked.a.runtime.link(linked.b.name) is not None

    for _ in range(3):
        Peer(linked).subscribe(target)
    linked.wait()

    assert counter(linked, "peers_given_up") == 1
    assert linked.a.runtime.link(linked.b.name) is None


def test_connectors_that_have_ended_do_not_count(linked: World, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "CONNECTOR_LIMIT", 16)
    target = linked.worker(node=linked.a)
    for _ in range(2 * proxy.CONNECTOR_LIMIT):
        one = Peer(linked)
        one.subscribe(target)
        linked.wait()
        linked.b.kill(one.pid)
        linked.wait()

    assert counter(linked, "peers_given_up") == 0
    assert_proxy_works(linked, peer)


def test_bad_targets_that_are_too_long_are_skipped(linked: World, peer: Peer) -> None:
    peer.subscribe(b"x" * 5000)
    linked.wait()

    assert counter(linked, "instructions_skipped") == 1
    assert counter(linked, "targets_refused") == 0
    assert_proxy_works(linked, peer)


def test_names_that_are_not_registered_are_dead_on_arrival(linked: World, peer: Peer) -> None:
    target = (atoms.nobody, linked.a.name)

    peer.subscribe(target)
    linked.wait()

    assert peer.certificates() == [(target, atoms.noproc)]
    assert counter(linked, "certificates_sent") == 1
    assert_proxy_works(linked, peer)


def test_rows_of_a_connector_that_is_dead_go(linked: World, peer: Peer) -> None:
    dead = Peer(linked)
    linked.b.kill(dead.pid)
    linked.wait()

    workers = [linked.worker(node=linked.a) for _ in range(1200)]
    peer.cast((atoms.process, dead.pid, [(atoms.subscribe, worker) for worker in workers]))
    linked.wait()

    sizes = linked.statistics()
    assert (sizes.subscriptions, sizes.watches, sizes.leftover, sizes.batchers) == (0, 0, 0, 0)
    assert counter(linked, "connectors_ended") == 1
    assert_proxy_works(linked, peer)


def test_instructions_of_a_lost_link_are_counted(linked: World, peer: Peer) -> None:
    link = linked.cluster.link(linked.a, linked.b)
    peer.subscribe(linked.worker(node=linked.a))

    link.way(linked.b).flush(9)
    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    assert counter(linked, "instructions_outdated") == 1


def test_long_messages_of_the_older_form_are_obeyed_in_slices(linked: World, peer: Peer) -> None:
    workers = [linked.worker(node=linked.a) for _ in range(1200)]

    peer.cast((atoms.subscribe, peer.pid, workers))
    peer.unsubscribe(*workers[1:])
    linked.wait()

    assert linked.statistics().subscriptions == 1
    assert counter(linked, "instructions_received") == 2399


# ---- to a Connector


def send_summary(world: World, node: Any, certificates: Any) -> None:
    world.say(connector_of(world), (atoms.dead, node, certificates))
    world.wait()


@pytest.mark.parametrize("node", ["a@memory", "else@memory"])
def test_summaries_of_other_nodes_are_refused(linked: World, node: str) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()

    send_summary(linked, atoms[node], [(worker, atoms.boom)])

    assert counter(linked, "summaries_refused") == 1
    assert linked.a.zen.monitors(worker, linked.me) == [ref]


@pytest.mark.parametrize("certificates", [atoms.none, 7, (), {}])
def test_summaries_that_are_no_list_are_refused(linked: World, certificates: Any) -> None:
    connector = connector_of(linked)

    send_summary(linked, linked.b.name, certificates)

    assert counter(linked, "summaries_refused") == 1
    assert connector_of(linked) == connector


def test_summaries_before_the_answer_to_the_ping_are_refused(world: World) -> None:
    world.cluster.connect(world.a, world.b).freeze()
    worker = world.worker()
    ref = world.monitor(worker)
    world.wait(0.2)

    send_summary(world, world.b.name, [(worker, atoms.boom)])

    assert counter(world, "summaries_refused") == 1
    assert world.a.zen.monitors(worker, world.me) == [ref]


def test_improper_summaries_count_up_to_the_break(linked: World) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()

    send_summary(linked, linked.b.name, ImproperList([(worker, atoms.boom)], atoms.tail))

    assert linked.downs() == [(ref, atoms.boom)]


def test_certificates_for_what_was_never_monitored_are_ignored(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.wait()
    strange = [linked.worker(), (atoms.nobody, linked.b.name), linked.me, 7, (atoms.x, 8), [], b"pid"]

    send_summary(linked, linked.b.name, [*((target, atoms.boom) for target in strange), 7, (), (1, 2, 3)])

    assert counter(linked, "certificates_ignored") == 10
    assert linked.downs() == []
    assert linked.statistics().live == 1


def test_summaries_of_100_000_certificates_fire_what_is_monitored(linked: World) -> None:
    workers = linked.workers(2)
    refs = [linked.monitor(worker) for worker in workers]
    linked.wait()
    padding = [(Pid(linked.b.name, 1_000_000 + number, 0, 1), atoms.x) for number in range(99_998)]
    probe = ((atoms.pyzen_probe, linked.b.name), atoms.noproc)

    send_summary(linked, linked.b.name, [(workers[0], 1), *padding, (workers[1], 2), probe])

    assert linked.downs() == [(refs[0], 1), (refs[1], 2)]
    assert counter(linked, "certificates_ignored") == 99_999  # this probe is one too many
    assert linked.statistics().reasons == 0


def test_reasons_of_100_megabytes_are_delivered(linked: World) -> None:
    worker, reason = linked.worker(), b"x" * 100_000_000
    ref = linked.monitor(worker)
    linked.wait()

    send_summary(linked, linked.b.name, [(worker, reason)])

    assert linked.downs() == [(ref, reason)]


def test_process_that_ends_with_100_megabytes_is_certified_with_less(linked: World, peer: Peer) -> None:
    worker = linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()

    linked.a.kill(worker, b"x" * 100_000_000)
    linked.wait()

    assert peer.certificates() == [(worker, b"x" * 1021 + b"...")]
    assert linked.a.process(PROXY) is not None
