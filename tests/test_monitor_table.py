"""The native tables as Python sees them; their rules are checked against models by ``cargo test``."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from pyzen.monitor_table import (
    BATCHER,
    FIRED,
    IDLE,
    LIVE,
    MONITOR,
    MORE,
    SUBSCRIBER,
    WOKEN,
    Downs,
    MonitorTable,
    SubscriptionTable,
    Unreads,
)
from pyzen.terms import Atom, Pid, Reference, ReferenceSource, atoms

HERE, THERE = Atom("here@h"), Atom("there@h")
ME = Pid(HERE, 1, 0, 1)
TARGET = Pid(THERE, 5, 6, 7)
NAMED = (atoms.name, THERE)


@pytest.fixture
def table() -> MonitorTable:
    return MonitorTable(ReferenceSource(HERE, 1))


@pytest.fixture
def subscriptions() -> SubscriptionTable:
    return SubscriptionTable(HERE, 1)


@pytest.fixture
def unreads() -> Unreads:
    return Unreads(ReferenceSource(HERE, 1))


def take(table: MonitorTable, limit: int, *, fair: bool = True) -> list[tuple[Pid, Any]]:
    """Return each DOWN with who gets it."""
    count, dispatches = table.take(limit, fair, Unreads(ReferenceSource(HERE, 1)))
    taken = [(pid, down) for pid, downs in dispatches for down in downs]
    assert count == len(taken)
    return taken


def local(number: int) -> Pid:
    return Pid(HERE, number, 0, 1)


def test_add_tells_what_has_to_be_done(table: MonitorTable) -> None:
    first, flags = table.add(TARGET, ME)
    assert flags == SUBSCRIBER | WOKEN
    assert table.take_woken() == [THERE]
    table.watch(ME, Reference(HERE, 1, [9, 9, 0, 9, 0]))

    second, flags = table.add(TARGET, ME)

    assert flags == 0
    assert first != second
    assert table.monitors(TARGET, ME) == [first, second]


def test_remove_says_what_the_reference_was(table: MonitorTable) -> None:
    live, fired = table.add(TARGET, ME)[0], table.add(NAMED, ME)[0]
    table.certify(THERE, [(NAMED, atoms.boom)])

    assert table.remove(fired) == FIRED
    assert table.remove(live) == LIVE | IDLE
    assert table.remove(live) == 0
    assert table.remove(Reference(THERE, 1, [2, 3, 0, 1, 0])) == 0


def test_remove_of_a_held_target_wakes_its_node(table: MonitorTable) -> None:
    ref, _ = table.add(TARGET, ME)
    table.handed(THERE, len(table.instructions(THERE, 10)))

    assert table.remove(ref) == LIVE | IDLE | WOKEN
    assert table.instructions(THERE, 10) == [(atoms.unsubscribe, TARGET)]


def test_instructions_count_as_sent_when_handed(table: MonitorTable) -> None:
    targets = [Pid(THERE, number, 0, 7) for number in range(5)]
    for target in targets:
        table.add(target, ME)

    assert table.instructions(THERE, 3) == table.instructions(THERE, 3)
    table.handed(THERE, 2)

    assert table.instructions(THERE, 9) == [(atoms.subscribe, target) for target in targets[2:]]
    assert table.pending(THERE) == 3


def test_certify_counts_fired_and_ignored(table: MonitorTable) -> None:
    table.add(TARGET, ME)
    table.add(TARGET, ME)
    table.add(NAMED, ME)

    certificates: list[Any] = [(TARGET, 1), (Pid(THERE, 99, 0, 7), 2), (NAMED, 3), 7, (1,), ((atoms.name, HERE), 4)]

    assert table.certify(THERE, certificates) == (3, 4)
    assert table.fired == 3


def test_take_answers_downs_with_what_was_monitored(table: MonitorTable) -> None:
    by_pid, by_name, local_name = (table.add(target, ME)[0] for target in (TARGET, NAMED, "mine"))
    table.certify(THERE, [(TARGET, atoms.boom)])
    table.lose(THERE)
    table.lose(HERE)

    taken = take(table, 9)

    def down(ref: Reference, target: Any, reason: Any) -> Any:
        return ME, (atoms.DOWN, ref, atoms.process, target, (atoms.zen_monitor, reason))

    assert taken == [
        down(by_pid, TARGET, atoms.boom),
        down(by_name, NAMED, atoms.nodedown),
        down(local_name, (atoms.mine, HERE), atoms.nodedown),
    ]
    assert table.fired == 0


def test_take_serves_subscribers_in_turn(table: MonitorTable) -> None:
    for _ in range(5):
        table.add(TARGET, local(1))
    table.add(TARGET, local(2))
    table.lose(THERE)

    assert [pid for pid, _ in take(table, 3)] == [local(1), local(1), local(2)]


def test_take_in_the_order_of_firing(table: MonitorTable) -> None:
    for number in (1, 1, 2, 1):
        table.add(TARGET, local(number))
    table.lose(THERE)

    assert [pid for pid, _ in take(table, 3, fair=False)] == [local(1), local(1), local(2)]
    assert [pid for pid, _ in take(table, 3, fair=False)] == [local(1)]


def test_subscriber_of_knows_references_until_taken(table: MonitorTable) -> None:
    ref, _ = table.add(TARGET, ME)
    table.lose(THERE)
    assert table.subscriber_of(ref) == ME
    take(table, 1)

    assert table.subscriber_of(ref) is None


def test_a_lost_node_has_no_live_references(table: MonitorTable) -> None:
    table.add(TARGET, ME)

    assert table.lose(THERE) == 1
    assert (table.live(THERE), table.monitors(TARGET, ME), table.nodes()) == (0, [], [])


def test_drop_subscriber_removes_its_references(table: MonitorTable) -> None:
    for number in range(2000):
        table.add(Pid(THERE, number, 0, 7), ME)
    other, _ = table.add(TARGET, local(2))

    table.drop_subscriber(ME)
    while table.settle(100) & MORE:
        pass

    assert table.sizes()["references"] == 1
    assert table.subscriber_of(other) == local(2)


def test_unwatched_finds_all_subscribers_again(table: MonitorTable) -> None:
    for number in range(3000):
        table.add(TARGET, local(number))
        table.watch(local(number), Reference(HERE, 1, [0, 0, 0, number, 0]))
    assert table.unwatched(0, 10_000) == ([], None)
    table.unwatch_all()

    found, start = [], 0
    while True:
        some, rest = table.unwatched(start, 1000)
        found += some
        if rest is None:
            break
        start = rest

    assert sorted(found) == [local(number) for number in range(3000)]


def test_retire_answers_the_reciprocal_monitors(table: MonitorTable) -> None:
    ref, _ = table.add(TARGET, ME)
    watch = Reference(HERE, 1, [7, 7, 0, 7, 0])
    table.watch(ME, watch)
    table.remove(ref)

    assert table.retire(9) == [watch]
    assert table.sizes()["subscribers"] == 0


def test_take_over_fires_names_that_were_sent(table: MonitorTable) -> None:
    table.add(NAMED, ME)
    table.add(TARGET, ME)
    table.handed(THERE, len(table.instructions(THERE, 9)))

    assert table.take_over(THERE) == 1
    assert table.instructions(THERE, 9) == [(atoms.subscribe, TARGET)]


@pytest.mark.parametrize("target", [7, None, (1, 2), (atoms.a, atoms.b, atoms.c), ImportError])
def test_add_refuses_what_can_not_be_monitored(table: MonitorTable, target: Any) -> None:
    with pytest.raises(TypeError):
        table.add(target, ME)


@pytest.mark.parametrize("subscriber", [Pid(THERE, 1, 0, 1), Pid(HERE, 1, 0, 2)])
def test_add_refuses_subscribers_of_other_nodes(table: MonitorTable, subscriber: Pid) -> None:
    with pytest.raises(ValueError, match="a subscriber is a process of here@h"):
        table.add(TARGET, subscriber)


def test_reasons_are_freed(table: MonitorTable) -> None:
    reason = [object()]
    before = sys.getrefcount(reason)
    for _ in range(3):
        table.add(TARGET, ME)
    table.certify(THERE, [(TARGET, reason), (NAMED, reason)])

    take(table, 2)
    assert sys.getrefcount(reason) == before + 1
    take(table, 9)

    assert sys.getrefcount(reason) == before


def test_a_finalizer_may_come_back_to_the_table(table: MonitorTable) -> None:
    class Nosy:
        def __del__(self) -> None:
            table.add(TARGET, ME)

    table.certify(THERE, [(TARGET, Nosy())])

    assert table.live(THERE) == 1


# ---- ERTS monitors in place of a Proxy


def erts(number: int) -> Reference:
    return Reference(HERE, 1, [7, 7, 0, number, 0])


def test_covered_targets_need_no_instruction(table: MonitorTable) -> None:
    for target in (TARGET, NAMED):
        table.add(target, ME)
    assert len(table.instructions(THERE, 1)) == 1

    assert table.cover(THERE, [erts(1)]) == 1

    assert (table.covered(THERE), table.pending(THERE)) == (1, 1)
    assert table.instructions(THERE, 9) == [(atoms.subscribe, NAMED)]
    assert table.sizes()["erts_monitors"] == 1


def test_cover_answers_when_there_are_no_more_targets(table: MonitorTable) -> None:
    table.add(TARGET, ME)

    assert table.cover(THERE, [erts(1), erts(2)]) == 1
    assert table.cover(HERE, [erts(3)]) == 0


def test_erts_down_fires_what_its_monitor_covers(table: MonitorTable) -> None:
    refs = [table.add(TARGET, ME)[0], table.add(TARGET, ME)[0]]
    table.cover(THERE, [erts(1)])

    assert table.erts_down(erts(2), atoms.boom) == 0
    assert table.erts_down(Reference(THERE, 1, [7, 7, 0, 1, 0]), atoms.boom) == 0
    assert table.erts_down(erts(1), atoms.boom) == 2
    assert table.erts_down(erts(1), atoms.boom) == 0

    fired = [(down[1], down[4]) for _, down in take(table, 9)]
    assert fired == [(ref, (atoms.zen_monitor, atoms.boom)) for ref in refs]


def test_remove_of_the_last_reference_spares_the_monitor(table: MonitorTable) -> None:
    ref, _ = table.add(TARGET, ME)
    table.cover(THERE, [erts(1)])
    table.take_woken()

    assert table.remove(ref) == LIVE | IDLE | WOKEN
    assert table.take_woken() == [THERE]
    assert (table.covered(THERE), table.spare(THERE), table.sizes()["erts_monitors"]) == (0, 1, 1)

    assert table.uncover(THERE, 9) == [erts(1)]
    assert table.uncover(THERE, 9) == []
    assert table.nodes() == []


def test_lose_uncovered_leaves_what_is_covered(table: MonitorTable) -> None:
    covered, _ = table.add(TARGET, ME)
    table.cover(THERE, [erts(1)])
    for number in range(3):
        table.add(Pid(THERE, 100 + number, 0, 7), ME)

    assert table.lose_uncovered(THERE, 2) == 2
    assert table.lose_uncovered(THERE, 2) == 1

    assert table.pending(THERE) == 0
    assert table.monitors(TARGET, ME) == [covered]


def test_cover_refuses_references_of_other_nodes(table: MonitorTable) -> None:
    table.add(TARGET, ME)

    with pytest.raises(ValueError, match="another node"):
        table.cover(THERE, [Reference(THERE, 1, [2, 3, 0, 1, 0])])


def test_rows_are_shown_until_their_down_is_taken(table: MonitorTable) -> None:
    first, _ = table.add(TARGET, ME)
    second, _ = table.add(NAMED, local(2))
    assert sorted(table.rows(9)) == [(ME, first, TARGET), (local(2), second, NAMED)]
    assert (len(table.rows(1)), table.rows(0)) == (1, [])
    assert (table.target_of(first), table.target_of(second)) == (TARGET, NAMED)

    table.lose(THERE)
    table.settle(9)
    assert len(table.rows(9)) == 2
    take(table, 1)

    assert table.rows(9) == [(local(2), second, NAMED)]
    assert table.target_of(first) is None
    assert table.target_of(Reference(THERE, 1, [1, 2, 3])) is None


def test_subscribers_are_shown_until_they_retire_or_die(table: MonitorTable) -> None:
    ref, _ = table.add(TARGET, ME)
    table.add(TARGET, local(2))
    table.remove(ref)
    assert sorted(table.subscribers(9)) == [ME, local(2)]
    assert table.is_subscriber(ME)
    assert not table.is_subscriber(local(3))
    assert not table.is_subscriber(TARGET)

    table.retire(9)
    assert (table.subscribers(9), table.subscribers(0)) == ([local(2)], [])
    table.drop_subscriber(local(2))

    assert table.subscribers(9) == []


# ---- the Proxy half


def test_subscriptions_are_shown_while_what_they_are_to_lives(subscriptions: SubscriptionTable) -> None:
    watch = Reference(HERE, 1, [0, 0, 0, 1, 0])
    subscriptions.subscribe(TARGET, local(1))
    subscriptions.subscribe(TARGET, (atoms.name, HERE))
    subscriptions.watch((atoms.name, HERE), watch)
    assert sorted(subscriptions.rows(9), key=str) == [(local(1), TARGET), ((atoms.name, HERE), TARGET)]
    assert len(subscriptions.rows(1)) == 1

    subscriptions.died(watch, atoms.boom, 4)
    assert subscriptions.rows(9) == [(local(1), TARGET)]
    subscriptions.drop_connector(TARGET)

    assert subscriptions.rows(9) == []


def test_subscribe_tells_what_is_needed(subscriptions: SubscriptionTable) -> None:
    assert subscriptions.subscribe(TARGET, local(1)) == BATCHER | MONITOR
    subscriptions.watch(local(1), Reference(HERE, 1, [0, 0, 0, 1, 0]))

    assert subscriptions.subscribe(TARGET, local(1)) == 0
    assert subscriptions.is_subscribed(TARGET, local(1))


def test_died_makes_certificates_that_stay_until_sent(subscriptions: SubscriptionTable) -> None:
    watch = Reference(HERE, 1, [0, 0, 0, 1, 0])
    subscriptions.subscribe(TARGET, (atoms.name, HERE))
    subscriptions.watch((atoms.name, HERE), watch)

    assert subscriptions.died(watch, atoms.boom, 4) == [TARGET]
    assert not subscriptions.is_subscribed(TARGET, (atoms.name, HERE))
    expected = [((atoms.name, HERE), atoms.boom)]
    assert subscriptions.certificates(TARGET, 9, 99) == subscriptions.certificates(TARGET, 9, 99) == expected
    subscriptions.sent(TARGET, 1)

    assert subscriptions.certificates(TARGET, 9, 99) == []
    assert subscriptions.died(watch, atoms.boom, 4) == []


def test_certificates_end_when_their_reasons_are_large(subscriptions: SubscriptionTable) -> None:
    for number in range(5):
        subscriptions.certify(TARGET, number, atoms.noproc, 40)

    assert [target for target, _ in subscriptions.certificates(TARGET, 9, 100)] == [0, 1, 2]
    assert len(subscriptions.certificates(TARGET, 9, 80)) == 2


def test_unsubscribe_answers_the_monitor_of_the_last(subscriptions: SubscriptionTable) -> None:
    other, watch = Pid(THERE, 6, 0, 7), Reference(HERE, 1, [0, 0, 0, 1, 0])
    for connector in (TARGET, other):
        subscriptions.subscribe(connector, local(1))
    subscriptions.watch(local(1), watch)

    assert subscriptions.unsubscribe(TARGET, local(1)) is None
    assert subscriptions.unsubscribe(other, local(1)) == watch
    assert subscriptions.unsubscribe(other, local(1)) is None


def test_drop_node_forgets_at_once_and_reap_frees(subscriptions: SubscriptionTable) -> None:
    watch = Reference(HERE, 1, [0, 0, 0, 1, 0])
    subscriptions.subscribe(TARGET, local(1))
    subscriptions.watch(local(1), watch)

    assert subscriptions.knows(TARGET)
    assert subscriptions.drop_node(THERE) == [TARGET]
    assert not subscriptions.knows(TARGET)
    assert subscriptions.sizes()["subscriptions"] == 0
    assert subscriptions.reap(9) == ([watch], False)
    assert set(subscriptions.sizes().values()) == {0}


@pytest.mark.parametrize("target", [Pid(THERE, 1, 0, 1), Pid(HERE, 1, 0, 2), (atoms.name, THERE)])
def test_subscribe_refuses_targets_of_other_nodes(subscriptions: SubscriptionTable, target: Any) -> None:
    with pytest.raises(ValueError, match="is not of this node"):
        subscriptions.subscribe(TARGET, target)


# ---- DOWNs on the way to who reads them


def fired(table: MonitorTable, unreads: Unreads, count: int) -> tuple[list[Reference], Downs]:
    """Return references and their DOWNs, all for one process."""
    references = [table.add(TARGET, ME)[0] for _ in range(count)]
    table.certify(THERE, [(TARGET, atoms.boom)])
    _, [(pid, downs)] = table.take(count, True, unreads)
    assert pid == ME
    return references, downs


def test_downs_are_read_one_by_one(table: MonitorTable, unreads: Unreads) -> None:
    references, downs = fired(table, unreads, 3)

    assert next(downs)[1] == references[0]
    assert (len(downs), len(unreads), unreads.get(references[0])) == (2, 2, None)
    assert [down[1] for down in downs] == references[1:]
    assert not downs


def test_withdrawn_down_is_passed_over(table: MonitorTable, unreads: Unreads) -> None:
    references, downs = fired(table, unreads, 3)

    assert unreads.withdraw(references[1])
    assert not unreads.withdraw(references[1])
    assert not unreads.withdraw(Reference(THERE, 1, [0, 0, 0, 1, 0]))

    assert [down[1] for down in downs] == [references[0], references[2]]


def test_downs_that_were_all_withdrawn_are_false(table: MonitorTable, unreads: Unreads) -> None:
    references, downs = fired(table, unreads, 2)
    assert downs

    for reference in references:
        unreads.withdraw(reference)

    assert not downs


def test_peek_shows_what_is_read_later(table: MonitorTable, unreads: Unreads) -> None:
    references, downs = fired(table, unreads, 2)

    seen = list(downs.peek())

    assert seen == [(atoms.DOWN, ref, atoms.process, TARGET, (atoms.zen_monitor, atoms.boom)) for ref in references]
    assert unreads.get(references[0]) is seen[0]
    assert next(downs) is seen[0]
    assert list(downs.peek()) == seen[1:]


def test_take_reads_a_down_out_of_turn(table: MonitorTable, unreads: Unreads) -> None:
    references, downs = fired(table, unreads, 2)

    assert downs.take(references[1])
    assert not downs.take(references[1])
    assert [down[1] for down in downs] == references[:1]


def test_downs_freed_unread_are_withdrawn(table: MonitorTable, unreads: Unreads) -> None:
    _, downs = fired(table, unreads, 2)
    assert len(unreads) == 2

    del downs

    assert len(unreads) == 0


def test_clear_withdraws_all(table: MonitorTable, unreads: Unreads) -> None:
    _, downs = fired(table, unreads, 2)

    downs.clear()

    assert (len(unreads), list(downs)) == (0, [])


def test_add_takes_references_of_its_node_only(unreads: Unreads) -> None:
    ref, down = Reference(HERE, 1, [0, 0, 0, 1, 0]), (atoms.DOWN, 1)

    assert list(unreads.add(ref, down)) == [down]
    for other in (Reference(THERE, 1, [0, 0, 0, 1, 0]), Reference(HERE, 2, [1, 0, 0]), Reference(HERE, 1, [1])):
        with pytest.raises(ValueError, match="of another node"):
            unreads.add(other, down)


def test_reasons_are_freed_with_the_downs(table: MonitorTable, unreads: Unreads) -> None:
    reason = ["reason"]
    before = sys.getrefcount(reason)
    table.add(TARGET, ME)
    table.add(TARGET, ME)
    table.certify(THERE, [(TARGET, reason)])
    downs = table.take(2, True, unreads)[1][0][1]
    next(downs)

    downs.clear()

    assert sys.getrefcount(reason) == before


def test_a_look_goes_on_where_it_was_while_others_are_taken(table: MonitorTable, unreads: Unreads) -> None:
    references, downs = fired(table, unreads, 6)
    seen = list(downs.peek())
    look = downs.peek()

    found = [next(look), next(look)]
    assert all(downs.take(reference) for reference in references[:3])
    assert downs
    assert list(downs.peek()) == seen[3:]
    found += look

    assert found == [*seen[:2], *seen[3:]]
