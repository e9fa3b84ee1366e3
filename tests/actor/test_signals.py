"""What a signal says by itself; what it does to processes is in `test_actor` and ``tests/node/test_router.py``."""

from __future__ import annotations

from typing import Any

import pytest

from pyzen.actor.signals import (
    LINKED,
    MONITORED,
    Demonitor,
    Down,
    Exit,
    Exit2,
    GroupLeader,
    Link,
    Monitor,
    Signal,
    SpawnReply,
    SpawnRequest,
    Unlink,
    UnlinkAck,
    node_of,
)
from pyzen.terms import Atom, Pid, Reference, atoms

HERE, THERE = Atom("here@test"), Atom("there@test")
OURS, THEIRS = Pid(HERE, 1, 0, 4), Pid(THERE, 2, 0, 5)
REF = Reference(THERE, 5, [1, 2, 3])
NAMED = (Atom("name"), HERE)


@pytest.mark.parametrize(
    ("signal", "answers"),
    [
        (Link(OURS, THEIRS), [Exit(THEIRS, OURS, atoms.gone)]),
        (Unlink(OURS, THEIRS, 3), [UnlinkAck(THEIRS, OURS, 3)]),
        (UnlinkAck(OURS, THEIRS, 3), []),
        (Exit(OURS, THEIRS, atoms.boom), []),
        (Exit2(OURS, THEIRS, atoms.boom), []),
        (Monitor(OURS, THEIRS, REF), [Down(THEIRS, REF, OURS, atoms.gone, OURS)]),
        (Monitor(NAMED, THEIRS, REF), [Down(THEIRS, REF, NAMED[0], atoms.gone, OURS)]),
        (Demonitor(OURS, THEIRS, REF), []),
        (Down(OURS, REF, THEIRS, atoms.boom), []),
        (GroupLeader(OURS, THEIRS), []),
        (
            SpawnRequest(HERE, REF, THEIRS, THEIRS, (atoms.m, atoms.f, 0), [], []),
            [SpawnReply(THEIRS, REF, 0, atoms.gone)],
        ),
        (SpawnReply(OURS, REF, 0, atoms.notsup), []),
        (SpawnReply(OURS, REF, MONITORED, THEIRS), [Demonitor(THEIRS, OURS, REF)]),
        (SpawnReply(OURS, REF, LINKED, THEIRS), [Exit(THEIRS, OURS, atoms.abandoned)]),
        (
            SpawnReply(OURS, REF, LINKED | MONITORED, THEIRS),
            [Demonitor(THEIRS, OURS, REF), Exit(THEIRS, OURS, atoms.abandoned)],
        ),
    ],
)
def test_the_dead_answer(signal: Signal, answers: list[Signal]) -> None:
    assert list(signal.refused(atoms.gone, OURS)) == answers


@pytest.mark.parametrize("to", [OURS, NAMED, Reference(HERE, 4, [1, 2, 3]), HERE])
def test_every_receiver_has_a_node(to: Any) -> None:
    assert node_of(to) is HERE


def test_signal_of_this_node_came_by_no_link() -> None:
    assert Link(OURS, THEIRS).via == 0
