"""The table of the module, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzen.actor.relations import Relations
from pyzen.shares import Shares
from pyzen.terms import Atom, Pid, Reference, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

HERE, THERE = Atom("here@h"), Atom("there@h")
NEAR, FAR = Pid(HERE, 1, 0, 4), Pid(THERE, 2, 0, 4)
REF = Reference(HERE, 4, [1, 2, 3])


@pytest.fixture
def relations() -> Relations:
    return Relations(HERE, Shares())


@pytest.fixture(params=[NEAR, FAR], ids=["near", "far"])
def other(request: pytest.FixtureRequest) -> Pid:
    pid: Pid = request.param
    return pid


def test_first_link_has_to_be_sent_and_no_second(relations: Relations, other: Pid) -> None:
    before = relations.is_linked(other)

    relations.add_link(other)

    assert [before, relations.is_linked(other)] == [False, True]


def test_unlink_of_no_link_sends_nothing(relations: Relations, other: Pid) -> None:
    assert relations.start_unlink(other) is None


def test_unlink_sends_an_id_once(relations: Relations, other: Pid) -> None:
    relations.add_link(other)

    assert [relations.start_unlink(other), relations.start_unlink(other)] == [1, None]


def test_link_while_unlinking_is_sent_and_active(relations: Relations, other: Pid) -> None:
    relations.add_link(other)
    unlink_id = relations.start_unlink(other)
    assert unlink_id is not None

    assert not relations.is_linked(other)
    relations.add_link(other)

    relations.receive_unlink_ack(other, unlink_id)
    assert relations.links[other].active


def test_ack_removes_the_link_if_the_id_is_equal(relations: Relations, other: Pid) -> None:
    relations.add_link(other)
    unlink_id = relations.start_unlink(other)
    assert unlink_id is not None

    relations.receive_unlink_ack(other, unlink_id + 1)
    assert other in relations.links
    relations.receive_unlink_ack(other, unlink_id)
    assert (relations.links, relations.peers) == ({}, {})


def test_ack_of_an_active_link_does_nothing(relations: Relations, other: Pid) -> None:
    relations.add_link(other)

    relations.receive_unlink_ack(other, 0)

    assert relations.links[other].active


def test_received_link_is_active_but_ends_no_unlinking(relations: Relations, other: Pid) -> None:
    relations.receive_link(other)
    assert relations.links[other].active
    relations.start_unlink(other)

    relations.receive_link(other)

    assert not relations.links[other].active


def test_received_unlink_removes_an_active_link_only(relations: Relations, other: Pid) -> None:
    relations.receive_unlink(other)
    relations.add_link(other)
    relations.receive_unlink(other)
    assert relations.links == {}

    relations.add_link(other)
    relations.start_unlink(other)
    relations.receive_unlink(other)
    assert other in relations.links


def test_received_exit_counts_for_an_active_link_only(relations: Relations, other: Pid) -> None:
    assert not relations.receive_exit(other)
    relations.add_link(other)
    assert relations.receive_exit(other)
    assert relations.links == {}

    relations.add_link(other)
    relations.start_unlink(other)
    assert not relations.receive_exit(other)


@pytest.mark.parametrize("target", [FAR, (atoms.name, THERE)])
def test_monitor_is_removed_once(relations: Relations, target: Pid | tuple[Atom, Atom]) -> None:
    relations.add_monitor(REF, target, THERE)

    assert [relations.remove_monitor(REF), relations.remove_monitor(REF)] == [target, None]
    assert relations.peers == {}


def test_watcher_is_removed_once(relations: Relations, other: Pid) -> None:
    relations.add_watcher(REF, other, None)

    relations.remove_watcher(REF)
    relations.remove_watcher(REF)

    assert (relations.watchers, relations.peers) == ({}, {})


def test_removal_leaves_what_else_a_node_shares(relations: Relations) -> None:
    relations.add_link(FAR)
    relations.add_watcher(REF, FAR, None)

    relations.remove_watcher(REF)

    assert list(relations.peers) == [THERE]


def test_detach_gives_away_what_ends_with_a_node(relations: Relations) -> None:
    relations.add_link(NEAR)
    relations.add_link(FAR)
    relations.add_monitor(REF, FAR, THERE)

    lost = relations.detach(THERE)

    assert lost is not None
    assert (list(lost.links), lost.monitors) == ([FAR], {REF})
    assert relations.detach(THERE) is None
    assert relations.detach(HERE) is None


def test_link_made_after_a_loss_is_a_new_one_where_the_last_was_being_undone(relations: Relations) -> None:
    relations.add_link(FAR)
    relations.start_unlink(FAR)

    lost = relations.detach(THERE)

    assert lost is not None
    assert FAR not in lost.links
    assert not relations.is_linked(FAR)
    relations.add_link(FAR)
    assert list(relations.peers[THERE].links) == [FAR]


def test_unlink_after_a_loss_is_done_at_once(relations: Relations) -> None:
    """Nobody is left to acknowledge it, and a link that is made again has nothing to do with the loss."""
    relations.add_link(FAR)
    lost = relations.detach(THERE)

    assert relations.start_unlink(FAR) is None

    assert lost is not None
    assert not relations.is_linked(FAR)
    relations.add_link(FAR)
    assert relations.links[FAR] is not lost.links[FAR]


def test_what_was_given_away_can_still_be_removed(relations: Relations) -> None:
    relations.add_monitor(REF, FAR, THERE)
    relations.add_watcher(REF, FAR, None)
    relations.add_link(FAR)
    relations.detach(THERE)

    relations.remove_watcher(REF)

    assert relations.remove_monitor(REF) == FAR
    assert relations.receive_exit(FAR)


# ---- what another node holds


OTHER = Pid(THERE, 3, 0, 4)
REFS = [Reference(THERE, 4, [number, 2, 3]) for number in range(2)]

STEPS: dict[str, Callable[[Relations], object]] = {
    "link": lambda one: one.add_link(FAR),
    "link of theirs": lambda one: one.receive_link(OTHER),
    "link here": lambda one: one.add_link(NEAR),
    "unlink": lambda one: one.start_unlink(FAR),
    "unlink of theirs": lambda one: one.receive_unlink(OTHER),
    "acknowledged": lambda one: one.receive_unlink_ack(FAR, one._unlink_id),
    "exit": lambda one: one.receive_exit(OTHER),
    "watcher": lambda one: one.add_watcher(REFS[0], FAR, None),
    "watcher by name": lambda one: one.add_watcher(REFS[1], OTHER, atoms.name),
    "watcher here": lambda one: one.add_watcher(REF, NEAR, None),
    "watcher gone": lambda one: one.remove_watcher(REFS[0]),
    "own monitor": lambda one: one.add_monitor(REF, FAR, THERE),
    "lost": lambda one: one.detach(THERE),
}


@given(st.lists(st.sampled_from(sorted(STEPS))))
def test_what_another_node_holds_is_counted(steps: list[str]) -> None:
    shares = Shares()
    relations = Relations(HERE, shares)

    for step in steps:
        STEPS[step](relations)
        peer = relations.peers.get(THERE)
        assert shares.held(THERE) == (0 if peer is None else len(peer.links) + len(peer.watchers))
        assert shares.held(HERE) == 0
    relations.leave()

    assert shares.held(THERE) == 0
