from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.terms import atoms

if TYPE_CHECKING:
    from tests.node.services.conftest import Two


def add(one: int, other: int) -> int:
    return one + other


@pytest.mark.parametrize("kind", ["call", "block_call"])
async def test_a_call_is_answered_with_the_result(two: Two, kind: str) -> None:
    two.callee.export("calc", "add", add)
    request = (atoms[kind], atoms.calc, atoms.add, [1, 2], atoms.user)

    assert await two.caller.call(("rex", two.callee.name), request) == 3


@pytest.mark.parametrize("kind", ["call", "block_call"])
async def test_a_call_that_fails_is_a_badrpc(two: Two, kind: str) -> None:
    request: Any = (atoms[kind], atoms.calc, atoms.nothing, [], atoms.user)

    badrpc, (exit_, (reason, _stack)) = await two.caller.call(("rex", two.callee.name), request)

    assert (badrpc, exit_, reason) == (atoms.badrpc, atoms.EXIT, atoms.undef)


async def test_another_call_is_ignored(two: Two) -> None:
    assert await two.caller.call(("rex", two.callee.name), atoms.nonsense) is atoms.ignored


async def test_a_cast_runs_the_function(two: Two) -> None:
    rung = asyncio.Event()
    two.callee.export("bell", "ring", rung.set)

    two.caller.cast(("rex", two.callee.name), (atoms.cast, atoms.bell, atoms.ring, [], atoms.user))

    await asyncio.wait_for(rung.wait(), 5)


async def test_a_call_by_a_plain_message_is_answered_by_one(two: Two) -> None:
    two.callee.export("calc", "add", add)
    async with two.caller.mailbox() as me:
        me.send(("rex", two.callee.name), (me.pid, (atoms.call, atoms.calc, atoms.add, [1, 2], me.pid)))

        assert await me.receive(timeout=5) == (atoms.rex, 3)


async def test_sbcast_tells_where_it_arrived(two: Two) -> None:
    async with two.caller.mailbox() as me, two.callee.mailbox("here") as other:
        for name in (atoms.here, atoms.nowhere):
            me.send(("rex", two.callee.name), (me.pid, (atoms.sbcast, name, atoms.news)))

        replies: list[Any] = [await me.receive(timeout=5) for _ in range(2)]
        assert await other.receive(timeout=5) is atoms.news

    node = two.callee.name
    assert replies == [(atoms.rex, node, node), (atoms.rex, node, (atoms.nonexisting_name, atoms.nowhere))]


async def test_features_are_told(two: Two) -> None:
    async with two.caller.mailbox() as me:
        me.send(("rex", two.callee.name), (me.pid, atoms.features_request))

        assert await me.receive(timeout=5) == (atoms.features_reply, two.callee.name, [atoms.erpc])
