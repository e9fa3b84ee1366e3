"""Connectors between losses, crashes and late answers."""

from __future__ import annotations

from typing import Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.requests import GEN_CAST
from pyzen.actor.signals import Demonitor, Monitor
from pyzen.terms import Pid, atoms
from pyzen.testing import Hoarder, Sending
from pyzen.zen.names import CONNECTORS, PROXY
from tests.zen.conftest import World, connector_of

pytestmark = pytest.mark.usefixtures("quiet")


def casts(world: World) -> list[Any]:
    """Return the casts that ``a`` has sent to the Proxy of ``b`` over the present link."""
    messages = world.cluster.link(world.a, world.b).way(world.a).messages
    return [message[1] for message in messages if message[0] is GEN_CAST]


def fire_sweep(world: World) -> None:
    """Let the timer of the sweep be due, and its callback wait in front of all messages."""
    due = world.cluster.clock.next_timer()
    assert due is not None
    world.cluster.clock.move_to(due)
    assert world.cluster.clock.fire_due()


def test_connector_probes_with_its_first_instructions(linked: World) -> None:
    worker, probe = linked.worker(), (atoms.subscribe, (atoms.pyzen_probe, linked.b.name))
    linked.monitor(worker)
    linked.wait()
    linked.monitor(linked.worker())
    linked.wait()

    first, second = casts(linked)

    assert first == (atoms.process, connector_of(linked), [probe, (atoms.subscribe, worker)])
    assert probe not in second[2]
    assert linked.statistics().counters["certificates_ignored"] == 0


def test_connector_watches_the_proxy_before_its_first_instruction(world: World) -> None:
    world.monitor(world.worker())
    world.wait()

    sent = world.cluster.link(world.a, world.b).way(world.a).sent
    kinds = [str(item.message[0]) if isinstance(item, Sending) else type(item) for item in sent]

    # The first monitor guards the ping; the last one stands while the epoch lasts.
    assert kinds == [Monitor, "$gen_call", Demonitor, Monitor, "$gen_cast"]


def test_connector_sends_a_chunk_of_one(linked: World) -> None:
    linked.a.zen.config.connector_chunk_size = 1
    workers = linked.workers(2)
    for worker in workers:
        linked.monitor(worker)

    linked.wait()

    assert linked.chunks() == [1, 1, 1]
    assert linked.instructions() == [("subscribe", worker) for worker in workers]


def test_connector_disowns_its_predecessor_after_the_proxy_ended(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.wait()
    before = connector_of(linked)

    linked.b.kill(PROXY)
    linked.wait(3)

    probe = (atoms.subscribe, (atoms.pyzen_probe, linked.b.name))
    assert casts(linked).count((atoms.process, before, [probe])) == 1
    assert connector_of(linked) != before


def test_link_lost_right_behind_the_end_of_the_proxy_makes_the_node_unavailable(linked: World) -> None:
    ref = linked.monitor(linked.worker())
    linked.wait()

    linked.b.kill(PROXY)
    linked.b.scheduler_run()
    way = linked.cluster.link(linked.a, linked.b).way(linked.b)
    way.flush(len(way.waiting))
    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    assert linked.downs() == [(ref, atoms.nodedown)]
    assert linked.a.zen.cached_compatibility(linked.b.name) == "unavailable"


def test_connector_never_sends_over_the_next_link(linked: World) -> None:
    linked.monitor(linked.worker())
    old = connector_of(linked)
    fire_sweep(linked)

    linked.cluster.cut(linked.a, linked.b)
    linked.cluster.connect(linked.a, linked.b)
    linked.wait()

    assert all(cast[1] != old for cast in casts(linked))
    assert [reason for _, reason in linked.downs()] == [atoms.nodedown]


def test_connector_ignores_a_pong_of_the_last_link(world: World) -> None:
    link = world.cluster.connect(world.a, world.b)
    link.way(world.b).frozen = True
    world.a.zen.connect(world.b.name, lambda _: None)
    world.wait(0.5)
    pinging = connector_of(world)

    link.way(world.b).flush(9)
    world.cluster.cut(world.a, world.b)
    world.cluster.connect(world.a, world.b)
    world.wait(0.5)

    assert connector_of(world) == pinging
    assert world.a.zen.cached_compatibility(world.b.name) == "compatible"


def test_connector_dials_again_at_once_after_a_link_came_and_went(world: World) -> None:
    world.cluster.partition(world.a, world.b)
    world.monitor(world.worker())
    world.wait(0.3)
    assert len(world.cluster.dials) == 1
    world.cluster.heal(world.a, world.b)
    world.cluster.connect(world.a, world.b)
    world.cluster.run_until_idle()
    world.cluster.cut(world.a, world.b)

    worker = world.worker()
    ref = world.monitor(worker)
    world.wait(0.3)

    assert len(world.cluster.dials) == 2
    assert world.a.zen.monitors(worker, world.me) == [ref]


def test_connector_after_a_crash_knows_nothing(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.wait()
    linked.cluster.link(linked.a, linked.b).freeze()

    linked.a.kill(connector_of(linked))
    linked.wait(0.5)

    assert linked.a.process(connector_of(linked)) is not None
    assert linked.a.zen.cached_compatibility(linked.b.name) == "miss"


def test_connector_dials_for_connect_inside_the_back_off(world: World) -> None:
    world.cluster.partition(world.a, world.b)
    world.monitor(world.worker())
    world.wait(0.3)
    world.cluster.heal(world.a, world.b)
    answers: list[str] = []

    world.a.zen.connect(world.b.name, answers.append)
    world.wait(0.3)

    assert answers == ["compatible"]


def test_connector_waits_longer_after_each_failed_ping(world: World) -> None:
    world.cluster.connect(world.a, world.b).freeze()
    world.a.zen.connect(world.b.name, lambda _: None)
    world.wait(5.01)
    assert world.a.zen.cached_compatibility(world.b.name) == "incompatible"

    # Two seconds of penalty, the second ping and its five seconds, then four seconds of penalty.
    world.wait(2 + 0.1 + 5 + 3.8)
    assert world.a.zen.cached_compatibility(world.b.name) == "incompatible"
    world.wait(0.2)

    assert world.a.zen.cached_compatibility(world.b.name) == ("expired", 2)


def test_connector_leaves_no_rows_when_only_instructions_were_pending(linked: World) -> None:
    ref = linked.monitor(linked.worker())
    linked.wait()
    linked.a.zen.demonitor(ref)
    linked.cluster.run_until_idle()

    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    assert (linked.statistics().targets, linked.statistics().batches) == (0, 0)


def test_connector_answers_a_summary_of_any_length_in_order(linked: World) -> None:
    workers = linked.workers(30)
    refs = [linked.monitor(worker) for worker in workers]
    linked.wait()
    padding = [(Pid(linked.b.name, 10_000 + number, 0, 1), atoms.x) for number in range(12_000)]
    certificates = [*((worker, atoms.boom) for worker in workers[:15]), *padding]
    certificates += [(worker, atoms.boom) for worker in workers[15:]]

    linked.say(connector_of(linked), (atoms.dead, linked.b.name, certificates))
    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    assert linked.downs() == [(ref, atoms.boom) for ref in refs]


def test_connector_ignores_summaries_of_other_nodes(linked: World) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()

    linked.a.runtime.send(linked.me, connector_of(linked), (atoms.dead, linked.a.name, [(worker, atoms.boom)]))
    linked.wait()

    assert linked.a.zen.monitors(worker, linked.me) == [ref]


def test_connector_takes_any_answer_but_pong_for_incompatible() -> None:
    world = World(zen_on_b=False)
    world.b.spawn(Contrary(), name=PROXY)
    world.cluster.connect(world.a, world.b)

    world.a.zen.connect(world.b.name, lambda _: None)
    world.cluster.run_until_idle()

    assert world.a.zen.cached_compatibility(world.b.name) == "incompatible"
    assert world.a.zen.last_loss(world.b.name) == "incompatible answer"


class Contrary(GenServer):
    """Answers every call in its own way."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        del request, from_
        return atoms.pang


def test_connector_survives_a_proxy_that_ends_with_an_endless_integer() -> None:
    world = World(zen_on_b=False)
    world.b.spawn(Hoarder(), name=PROXY)  # never answers
    world.cluster.connect(world.a, world.b)
    answers: list[str] = []
    world.a.zen.connect(world.b.name, answers.append)
    world.cluster.run_until_idle()

    world.b.kill(PROXY, 1 << 100_000)
    world.cluster.run_until_idle()

    assert answers == ["incompatible"]
    assert world.a.zen.last_loss(world.b.name) == "proxy ended"


def test_connectors_crash_keeps_the_monitors(linked: World) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()

    linked.a.kill(CONNECTORS)
    linked.wait()
    linked.b.kill(worker)
    linked.wait()

    assert linked.downs() == [(ref, atoms.killed)]
    assert linked.b.zen.statistics().remote_connectors == 1
