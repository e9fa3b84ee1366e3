"""Monitors in every direction: what fires, what stays silent, and what the watched Proxy keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from erlang_interop.directions.sides import NOBODY, Down, until
from pyzen.terms import atoms

if TYPE_CHECKING:
    from erlang_interop.directions.conftest import Direction

BOOM = atoms.boom


# ---- monitors ----------------------------------------------------------------------------------------


async def test_death_of_a_monitored_process_fires_once(direction: Direction) -> None:
    me = await direction.subscriber()
    (pid,) = await direction.watched.spawn(1)
    await me.monitor(pid)
    await direction.watched.await_rows(1)

    await direction.watched.kill([(pid, (atoms.because, [1, b"two"]))])

    assert await me.downs(1) == [Down(0, pid, (atoms.because, [1, b"two"]))]
    await me.barrier()
    assert len(await me.downs(1)) == 1
    await direction.watched.await_rows(0)


async def test_name_fires_as_it_was_named(direction: Direction) -> None:
    me = await direction.subscriber()
    named = await direction.watched.register(atoms.worker)
    target = (atoms.worker, direction.watched.name)
    await me.monitor(target)
    await direction.watched.await_rows(1)

    await direction.watched.kill([(named, BOOM)])

    assert await me.downs(1) == [Down(0, target, BOOM)]


async def test_bare_local_name_fires_with_its_node(direction: Direction) -> None:
    if not direction.is_own:
        pytest.skip("a bare name is one of the watcher's own node")
    me = await direction.subscriber()
    named = await direction.watched.register(atoms.worker)
    await me.monitor(atoms.worker)
    await direction.watched.await_rows(1)

    await direction.watched.kill([(named, BOOM)])
    await me.barrier()

    fault_1: list[Down] = []
    ours = [Down(0, (atoms.worker, direction.watched.name), BOOM)]
    assert await me.downs(0) == (fault_1 if direction.watcher.is_original else ours)


async def test_many_monitors_fire_once_each(direction: Direction) -> None:
    count = 2000
    me = await direction.subscriber()
    pids = await direction.watched.spawn(count)
    await me.monitor(*pids)
    await direction.watched.await_rows(count)

    await direction.watched.kill((pid, (atoms.number, number)) for number, pid in enumerate(pids))

    downs = await me.downs(count)
    await me.barrier()
    assert len(await me.downs(count)) == count
    assert sorted(downs) == [Down(index, pid, (atoms.number, index)) for index, pid in enumerate(pids)]


async def test_process_that_died_before_fires_noproc(direction: Direction) -> None:
    me = await direction.subscriber()
    pid, living = await direction.watched.spawn(2)
    await me.monitor(pid, living)
    await direction.watched.await_rows(2)
    await direction.watched.kill([(pid, BOOM)])
    await me.downs(1)

    await me.monitor(pid, (NOBODY, direction.watched.name))

    noproc = [Down(2, pid, atoms.noproc), Down(3, (NOBODY, direction.watched.name), atoms.noproc)]
    assert sorted((await me.downs(3))[1:], key=lambda down: down.number) == noproc


async def test_some_dead_some_dying_some_living_are_told_apart(direction: Direction) -> None:
    me = await direction.subscriber()
    dead, dying, returning, living = await direction.watched.spawn(4)
    await direction.watched.kill([(dead, BOOM)])
    await me.monitor(dead, dying, returning, living)
    assert await me.downs(1) == [Down(0, dead, atoms.noproc)]
    await direction.watched.await_rows(3)

    await direction.watched.kill([(dying, atoms.kill)])
    await direction.watched.let_return(returning)

    found = {down.number: down.reason for down in await me.downs(3)}
    await me.barrier()
    assert len(await me.downs(3)) == 3
    assert found == {0: atoms.noproc, 1: atoms.killed, 2: atoms.normal}
    assert await me.live(3) == [3]


async def test_reason_is_truncated(direction: Direction) -> None:
    me = await direction.subscriber()
    pids = await direction.watched.spawn(4)
    await me.monitor(*pids)
    await direction.watched.await_rows(4)

    reasons = [(1, 2, 3, 4, 5), b"x" * 2000, (atoms.a, (atoms.b, (atoms.c, 1))), {atoms.key: [1, 2, 3, 4, 5]}]
    await direction.watched.kill(zip(pids, reasons, strict=True))

    found = {down.number: down.reason for down in await me.downs(4)}
    assert found == {
        0: atoms.truncated,
        1: b"x" * 1021 + b"...",
        2: (atoms.a, (atoms.b, (atoms.truncated, atoms.truncated))),
        3: {atoms.key: atoms.truncated},
    }


# ---- many subscribers, many references ---------------------------------------------------------------


async def test_every_reference_of_every_subscriber_fires(direction: Direction) -> None:
    subscribers = [await direction.subscriber() for _ in range(3)]
    one, other = await direction.watched.spawn(2)
    for me in subscribers:
        await me.monitor(one, one, other)
    await direction.watched.await_rows(2)

    await direction.watched.kill([(one, BOOM)])

    for me in subscribers:
        assert sorted(await me.downs(2)) == [Down(0, one, BOOM), Down(1, one, BOOM)]
        assert (await me.live(0), await me.live(2)) == ([], [2])
    await direction.watched.await_rows(1)


async def test_references_are_listed_while_they_live(direction: Direction) -> None:
    me, another = await direction.subscriber(), await direction.subscriber()
    (pid,) = await direction.watched.spawn(1)
    await me.monitor(pid, pid, pid)
    await another.monitor(pid)
    assert sorted(await me.live(0)) == [0, 1, 2]
    assert await another.live(0) == [0]

    await me.demonitor(1)

    assert sorted(await me.live(0)) == [0, 2]
    assert await another.live(0) == [0]


async def test_subscription_is_shared_until_its_last_reference_goes(direction: Direction) -> None:
    me, another = await direction.subscriber(), await direction.subscriber()
    (pid,) = await direction.watched.spawn(1)
    await me.monitor(pid, pid)
    await another.monitor(pid)
    await direction.watched.await_rows(1)

    await me.demonitor(0)
    await me.demonitor(1)
    await me.barrier()
    assert await direction.watched.rows() == 1
    await another.demonitor(0)

    await direction.watched.await_rows(0)


async def test_end_of_a_subscriber_leaves_the_others(direction: Direction) -> None:
    me, another = await direction.subscriber(), await direction.subscriber()
    one, other = await direction.watched.spawn(2)
    await me.monitor(one, other)
    await another.monitor(other)
    await direction.watched.await_rows(2)

    await me.end()
    await direction.watched.await_rows(1)
    await direction.watched.kill([(one, BOOM), (other, BOOM)])

    assert await another.downs(1) == [Down(0, other, BOOM)]


# ---- demonitor ---------------------------------------------------------------------------------------


async def test_demonitored_reference_stays_silent_beside_one_that_fires(direction: Direction) -> None:
    me = await direction.subscriber()
    (pid,) = await direction.watched.spawn(1)
    await me.monitor(pid, pid)
    await direction.watched.await_rows(1)

    await me.demonitor(0)
    await direction.watched.kill([(pid, BOOM)])

    assert await me.downs(1) == [Down(1, pid, BOOM)]
    await me.barrier()
    assert len(await me.downs(1)) == 1


async def test_demonitored_target_is_unsubscribed_and_stays_silent(direction: Direction) -> None:
    me = await direction.subscriber()
    named = await direction.watched.register(atoms.worker)
    (pid,) = await direction.watched.spawn(1)
    await me.monitor(pid, (atoms.worker, direction.watched.name))
    await direction.watched.await_rows(2)

    await me.demonitor(0)
    await me.demonitor(1)
    await direction.watched.await_rows(0)
    await direction.watched.kill([(pid, BOOM), (named, BOOM)])
    await me.barrier()

    assert await me.downs(0) == []


async def test_demonitor_and_monitor_again_fires_the_second(direction: Direction) -> None:
    me = await direction.subscriber()
    (pid,) = await direction.watched.spawn(1)
    await me.monitor(pid)
    await direction.watched.await_rows(1)

    await me.demonitor(0)
    await me.monitor(pid)
    await me.barrier()
    await direction.watched.await_rows(1)
    await direction.watched.kill([(pid, BOOM)])

    assert await me.downs(1) == [Down(1, pid, BOOM)]


@pytest.mark.parametrize("flush", [True, False])
async def test_flush_takes_an_unread_down_away(direction: Direction, flush: bool) -> None:
    me = await direction.subscriber()
    (pid,) = await direction.watched.spawn(1)
    await me.monitor(pid)
    await direction.watched.await_rows(1)
    await me.hold()
    await direction.watched.kill([(pid, BOOM)])

    async def is_unread() -> bool:
        return await me.unread() == 1

    await until(is_unread)
    await me.demonitor(0, flush=flush)

    assert await me.unread() == (0 if flush else 1)


async def test_demonitor_of_a_reference_that_fired_changes_nothing(direction: Direction) -> None:
    me = await direction.subscriber()
    (pid,) = await direction.watched.spawn(1)
    await me.monitor(pid)
    await direction.watched.kill([(pid, BOOM)])
    await me.downs(1)

    await me.demonitor(0, flush=True)
    await me.monitor(pid)

    assert (await me.downs(2))[1:] == [Down(1, pid, atoms.noproc)]
