from __future__ import annotations

import pytest

from pyzen.actor.verbs import actor_of
from pyzen.config import ZenConfig
from pyzen.terms import Atom, atoms
from pyzen.testing import Cluster, Recorder
from pyzen.zen.tables import MAXIMUM_PENALTY, Context, Remote, alive


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def context(cluster: Cluster, jitter: float = 0.0) -> Context:
    return Context(cluster.node("n@memory").runtime, ZenConfig(), lambda: jitter)


def test_penalties_double_up_to_a_minute(cluster: Cluster) -> None:
    rows = context(cluster)

    assert [rows.penalty(attempt) for attempt in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_penalties_stay_there_however_many_attempts_fail(cluster: Cluster) -> None:
    assert context(cluster).penalty(10_000) == MAXIMUM_PENALTY / 1000


def test_penalties_have_a_quarter_of_jitter(cluster: Cluster) -> None:
    assert context(cluster, jitter=1.0).penalty(0) == 1.25


def test_only_an_incompatible_entry_expires() -> None:
    expired = {
        status: Remote(atoms.n, status=status, until=5.0).is_expired(5.0)
        for status in ("miss", "compatible", "incompatible", "unavailable")
    }

    assert expired == {"miss": False, "compatible": False, "incompatible": True, "unavailable": False}


def test_entry_counts_until_it_expires() -> None:
    assert not Remote(atoms.n, status="incompatible", until=5.0).is_expired(4.999)


def test_who_waits_is_told_once() -> None:
    told: list[str] = []
    remote = Remote(Atom("n@h"))
    remote.waiters += [told.append, lambda _: remote.waiters.append(told.append)]

    remote.answer("compatible")
    assert told == ["compatible"]
    remote.answer("incompatible")

    assert told == ["compatible", "incompatible"], "who began to wait meanwhile is told the next answer"


def test_drop_rows_keeps_the_counters(cluster: Cluster) -> None:
    rows = context(cluster)
    rows.count("pings", 3)
    rows.remotes[atoms.n] = Remote(atoms.n)

    rows.drop_rows()

    assert (rows.remotes, rows.counters["pings"], rows.monitors.fired) == ({}, 3, 0)


def test_process_that_has_ended_is_not_alive(cluster: Cluster) -> None:
    process = Recorder()
    cluster.node("n@memory").spawn(process)
    assert alive(process) is process

    actor_of(process).end(atoms.normal)

    assert alive(process) is None
    assert alive(None) is None


def test_changes_without_processes_are_kept_for_those_to_come(cluster: Cluster) -> None:
    rows = context(cluster)

    rows.act(0xFF)
    rows.fired(1)
    rows.fired(0)
    rows.wake_connector(Atom("m@h"))

    assert rows.local is None
