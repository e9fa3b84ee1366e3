"""Compatibility in every direction: what it is, how it is lost and how it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erlang_interop.directions.sides import NOBODY, Down, until
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from erlang_interop.directions.conftest import Direction
    from erlang_interop.directions.sides import Subscriber, Target

BOOM = atoms.boom
UNREACHABLE = Atom("nobody@127.0.0.1")


async def watch(direction: Direction, me: Subscriber, count: int) -> list[Down]:
    """Monitor new processes; return what the loss of their node makes of that."""
    pids = await direction.watched.spawn(count)
    indices = await me.monitor(*pids)
    await direction.watched.await_rows(count)
    return [Down(index, pid, atoms.nodedown) for index, pid in zip(indices, pids, strict=True)]


async def assert_works_again(direction: Direction, me: Subscriber, before: int, *, left: int = 0) -> None:
    """Check that a new monitor reports a death, after ``before`` DOWNs; ``left`` old rows are still there."""
    (pid,) = await direction.watched.spawn(1)
    (index,) = await me.monitor(pid)
    await direction.watched.await_rows(left + 1)
    await direction.watched.kill([(pid, BOOM)])

    assert (await me.downs(before + 1))[before:] == [Down(index, pid, BOOM)]


def has_fault_18(direction: Direction) -> bool:
    """Say whether rows of a Connector stay when it ends before it was told of a death.

    An Elixir Proxy watches a Connector only from the first death on. Ours tells it of one with its first instructions,
    and our Proxy watches every Connector from the start.
    """
    return direction.watcher.is_original and direction.watched.is_original and not direction.is_own


def has_fault_19(direction: Direction) -> bool:
    """Say whether rows outlive the Proxy that made them.

    The original's table does. Our Connector has a new pid afterwards, and lets the new Proxy find the old one dead.
    """
    return direction.watcher.is_original and direction.watched.is_original


# ---- queries -----------------------------------------------------------------------------------------


async def test_compatibility_is_what_the_cache_says(apart: Direction) -> None:
    name = apart.watched.name
    (pid,) = await apart.watched.spawn(1)
    queries: list[Target] = [pid, (NOBODY, name)]
    assert await apart.watcher.cached_compatibility(name) == "miss"
    assert await apart.watcher.compatibility_for_node(name) == "incompatible"
    assert [await apart.watcher.compatibility(target) for target in queries] == ["incompatible"] * 2

    await apart.open()

    assert await apart.watcher.cached_compatibility(name) == "compatible"
    assert await apart.watcher.compatibility_for_node(name) == "compatible"
    assert [await apart.watcher.compatibility(target) for target in queries] == ["compatible"] * 2


async def test_bare_name_has_the_compatibility_of_the_own_node(direction: Direction) -> None:
    word = await direction.watcher.compatibility_for_node(direction.watcher.name)

    assert word == ("compatible" if direction.is_own else "incompatible")
    assert await direction.watcher.compatibility(NOBODY) == word


async def test_node_that_nobody_runs_is_unavailable(apart: Direction) -> None:
    assert await apart.watcher.connect(UNREACHABLE) == "incompatible"
    assert await apart.watcher.cached_compatibility(UNREACHABLE) == "unavailable"

    me = await apart.subscriber()
    await me.monitor((NOBODY, UNREACHABLE))

    assert await me.downs(1) == [Down(0, (NOBODY, UNREACHABLE), atoms.nodedown)]


async def test_connect_to_a_node_that_is_not_connected(apart: Direction) -> None:
    apart.needs_two("it is always connected to itself")

    fault_11, ours = ("incompatible", "unavailable"), ("compatible", "compatible")
    expected = ours if apart.watcher.dials else fault_11
    word = await apart.watcher.connect(apart.watched.name)

    assert (word, await apart.watcher.cached_compatibility(apart.watched.name)) == expected


async def test_monitor_of_a_process_on_a_node_that_is_not_connected(apart: Direction) -> None:
    apart.needs_two("it is always connected to itself")
    me = await apart.subscriber()
    (pid,) = await apart.watched.spawn(1)
    await me.monitor(pid)

    if apart.watcher.dials:
        await apart.watched.await_rows(1)
        await apart.watched.kill([(pid, BOOM)])

    fault_11, ours = Down(0, pid, atoms.nodedown), Down(0, pid, BOOM)
    assert await me.downs(1) == [ours if apart.watcher.dials else fault_11]


async def test_connect_is_idempotent(direction: Direction) -> None:
    assert [await direction.watcher.connect(direction.watched.name) for _ in range(3)] == ["compatible"] * 3


# ---- becoming incompatible ---------------------------------------------------------------------------


async def test_end_of_the_proxy_fires_nodedown_and_it_is_compatible_later(direction: Direction) -> None:
    me = await direction.subscriber()
    expected = await watch(direction, me, 10)

    await direction.watched.end_proxy()

    assert sorted(await me.downs(10)) == expected
    assert await direction.watcher.cached_compatibility(direction.watched.name) == "incompatible"
    await direction.watcher.await_compatibility(direction.watched.name, "compatible")
    await assert_works_again(direction, me, 10, left=10 if has_fault_19(direction) else 0)


async def test_monitor_of_an_incompatible_node_fires_nodedown(direction: Direction) -> None:
    me = await direction.subscriber()
    await watch(direction, me, 1)
    await direction.watched.end_proxy()
    await me.downs(1)
    (pid,) = await direction.watched.spawn(1)

    await me.monitor(pid)

    assert (await me.downs(2))[1:] == [Down(1, pid, atoms.nodedown)]


async def test_stop_of_the_watched_application_fires_nodedown_until_it_starts(direction: Direction) -> None:
    direction.needs_two("the watching half stops too")
    me = await direction.subscriber()
    expected = await watch(direction, me, 10)

    await direction.watched.stop_application()
    assert sorted(await me.downs(10)) == expected
    assert await direction.watcher.connect(direction.watched.name) == "incompatible"
    assert await direction.watcher.compatibility_for_node(direction.watched.name) == "incompatible"
    await direction.watched.start_application()

    await direction.watcher.await_compatibility(direction.watched.name, "compatible")
    await assert_works_again(direction, me, 10)


async def test_stop_of_the_watching_application_drops_its_monitors_in_silence(direction: Direction) -> None:
    me = await direction.subscriber()
    await watch(direction, me, 10)

    await direction.watcher.stop_application()
    await direction.watcher.start_application()
    assert await direction.watcher.connect(direction.watched.name) == "compatible"
    await assert_works_again(direction, me, 0, left=10 if has_fault_18(direction) else 0)


# ---- the loss of a node ------------------------------------------------------------------------------


async def test_death_of_the_node_fires_everything_once(direction: Direction) -> None:
    direction.needs_two("whoever would notice is gone")
    subscribers = [await direction.subscriber() for _ in range(2)]
    pids = await direction.watched.spawn(500)
    for me in subscribers:
        await me.monitor(*pids, *pids[:10])
    await direction.watched.await_rows(500)

    await direction.watched.end()

    expected = [Down(index, pid, atoms.nodedown) for index, pid in enumerate([*pids, *pids[:10]])]
    for me in subscribers:
        assert sorted(await me.downs(510)) == expected
        await me.barrier()
        assert len(await me.downs(510)) == 510
        assert await me.live(0) == []


async def test_dead_node_is_unavailable(direction: Direction) -> None:
    direction.needs_two("whoever would ask is gone")
    await direction.watched.end()

    await direction.watcher.await_compatibility(direction.watched.name, "unavailable")

    assert await direction.watcher.compatibility_for_node(direction.watched.name) == "incompatible"
    assert await direction.watcher.connect(direction.watched.name) == "incompatible"


async def test_end_of_the_watching_node_removes_its_rows(direction: Direction) -> None:
    direction.needs_two("its rows end with it")
    me = await direction.subscriber()
    await watch(direction, me, 10)

    await direction.watcher.end()

    if has_fault_18(direction):
        await assert_rows_stay(direction, 10)
    else:
        await direction.watched.await_rows(0)


async def assert_rows_stay(direction: Direction, count: int) -> None:
    """Check that rows are left once the watched node has noticed that the watcher is gone."""

    async def is_gone() -> bool:
        return direction.watcher.name not in await direction.watched.nodes()

    await until(is_gone)
    (pid,) = await direction.watched.spawn(1)
    me = await direction.watched.subscriber(direction.watched.name)
    await me.monitor(pid)
    await direction.watched.await_rows(count + 1)


async def test_link_lost_and_made_again_is_as_good_as_new(direction: Direction) -> None:
    direction.needs_two("there is no link")
    me = await direction.subscriber()
    expected = await watch(direction, me, 10)

    await direction.watcher.unlink(direction.watched.name)
    assert sorted(await me.downs(10)) == expected
    await direction.open()

    await assert_works_again(direction, me, 10, left=10 if has_fault_18(direction) else 0)
