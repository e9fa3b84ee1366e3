"""What ``process_info`` tells, an item at a time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import etf
from pyzen.actor.gen_server import GenServer
from pyzen.node.services import process_info
from pyzen.node.services.process_info import (
    ITEMS,
    MAX_ITEMS,
    MAX_MESSAGES,
    MAX_MESSAGES_SIZE,
    item_of,
    items_of,
    usual_items,
)
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.process import Process
    from pyzen.node.node import Node
    from tests.node.services.conftest import Two


class Idle(GenServer):
    pass


class Waiting(GenServer):
    async def handle_cast(self, request: Any) -> None:
        await self.wait_here()

    async def wait_here(self) -> None:
        await asyncio.Event().wait()


def actor_at(node: Node, pid: Pid) -> Actor:
    actor = node.runtime.actor(pid)
    assert actor is not None
    return actor


async def until_quiet() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def idle(two: Two) -> Actor:
    return actor_at(two.callee, two.callee.spawn(Idle))


DICTIONARY = [(atoms.dictionary, atoms[name]) for name in ("$process_label", "$initial_call", "$ancestors")]


async def test_an_item_of_the_dictionary_is_undefined(two: Two) -> None:
    """OTP 29 asks for them when a process crashes that is linked with one of this node."""
    pid = two.callee.spawn(Idle)

    async def info(items: Any) -> Any:
        return await two.caller.rpc(two.callee.name, "erlang", "process_info", [pid, items])

    assert await info(DICTIONARY) == [(item, atoms.undefined) for item in DICTIONARY]
    assert await info(DICTIONARY[0]) == (DICTIONARY[0], atoms.undefined)


@pytest.mark.parametrize("item", ITEMS, ids=str)
async def test_every_item_can_be_sent_under_its_name(idle: Actor, item: Any) -> None:
    name, value = item_of(idle, item)

    assert name is item
    assert etf.decode(etf.encode(value)) is not None or value is None


@pytest.mark.parametrize("item", [atoms.nonsense, 1, (atoms.dictionary,), (atoms.links, 1), [], "links", None])
async def test_there_is_no_other_item(idle: Actor, item: Any) -> None:
    with pytest.raises(LookupError):
        item_of(idle, item)


async def test_without_a_choice_the_items_of_a_real_node_are_shown(idle: Actor) -> None:
    names = [str(name) for name, _ in usual_items(idle)]

    assert names == [
        "current_function", "initial_call", "status", "message_queue_len", "links", "dictionary", "trap_exit",
        "error_handler", "priority", "group_leader", "total_heap_size", "heap_size", "stack_size", "reductions",
        "garbage_collection", "suspending",
    ]  # fmt: skip


async def test_an_item_is_computed_without_the_others(two: Two) -> None:
    async with two.callee.mailbox() as me:
        target = two.callee.spawn(Idle)
        for _ in range(20_000):
            me.monitor(target)
        actor = actor_at(two.callee, me.pid)

        def seconds(item: Any) -> float:
            began = time.perf_counter()
            item_of(actor, item)
            return time.perf_counter() - began

        assert 10 * min(seconds(atoms.trap_exit) for _ in range(5)) < min(seconds(atoms.monitors) for _ in range(5))


async def test_messages_are_those_that_wait(two: Two) -> None:
    async with two.callee.mailbox() as me:
        for message in (1, (atoms.a, b"b"), {"c": 2}):
            two.callee.send(me.pid, message)

        assert item_of(actor_at(two.callee, me.pid), atoms.messages)[1] == [1, (atoms.a, b"b"), {"c": 2}]


async def test_messages_are_bounded_in_number_and_size(two: Two) -> None:
    async with two.callee.mailbox() as me:
        for number in range(MAX_MESSAGES + 1):
            two.callee.send(me.pid, number)
        many = item_of(actor_at(two.callee, me.pid), atoms.messages)[1]
    async with two.callee.mailbox() as me:
        for _ in range(3):
            two.callee.send(me.pid, bytes(MAX_MESSAGES_SIZE // 2))
        large = item_of(actor_at(two.callee, me.pid), atoms.messages)[1]

    assert many == list(range(MAX_MESSAGES))
    assert [len(one) for one in large[:1]] == [MAX_MESSAGES_SIZE // 2]
    assert len(large) == 2
    assert len(large[1]) < 1000


async def test_a_callback_that_waits_has_a_stack(two: Two) -> None:
    pid = two.callee.spawn(Waiting)
    two.callee.cast(pid, 1)
    await until_quiet()

    actor = actor_at(two.callee, pid)
    stack = item_of(actor, atoms.current_stacktrace)[1]

    functions = [str(entry[1]) for entry in stack]
    assert functions.index("wait_here") < functions.index("handle_cast")
    assert item_of(actor, atoms.current_location)[1] == stack[0]
    assert item_of(actor, atoms.current_function)[1] == stack[0][:3]
    assert b"wait_here/1 line " in item_of(actor, atoms.backtrace)[1]


async def test_a_body_that_receives_has_a_stack(two: Two) -> None:
    async def body(process: Process) -> None:
        await process.receive()

    pid = two.callee.spawn(body)
    await until_quiet()

    stack = item_of(actor_at(two.callee, pid), atoms.current_stacktrace)[1]

    assert "receive" in [str(entry[1]) for entry in stack]


async def test_a_server_that_waits_for_messages_is_at_its_class(idle: Actor) -> None:
    function = item_of(idle, atoms.current_function)[1]

    assert str(function[1]) == "Idle"
    assert item_of(idle, atoms.current_location)[1] == (*function, [])
    assert item_of(idle, atoms.current_stacktrace)[1] == []


async def test_the_parent_is_who_has_started_a_process_with_a_link(two: Two) -> None:
    async with two.callee.mailbox() as me:
        child = me.spawn_link(Idle)

        assert item_of(actor_at(two.callee, child), atoms.parent)[1] == me.pid
        assert item_of(actor_at(two.callee, me.pid), atoms.parent)[1] is atoms.undefined


async def test_relations_are_shown_up_to_a_bound(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_info, "MAX_RELATIONS", 3)
    actor = actor_at(two.callee, two.callee.spawn(Idle))
    others = [two.callee.spawn(Idle) for _ in range(5)]
    for other in others:
        actor.link(other)
        actor.monitor(other)
        actor_at(two.callee, other).monitor(actor.pid)
    await until_quiet()

    assert item_of(actor, atoms.links) == (atoms.links, others[:3])
    assert item_of(actor, atoms.monitors) == (atoms.monitors, [(atoms.process, other) for other in others[:3]])
    assert item_of(actor, atoms.monitored_by) == (atoms.monitored_by, others[:3])


class Incomparable(list[Any]):
    """A term that takes very long to be compared."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")


async def test_what_is_no_item_is_compared_with_none(idle: Actor) -> None:
    with pytest.raises(LookupError):
        items_of(idle, [Incomparable() for _ in range(MAX_ITEMS)])

    keys = [(atoms.dictionary, Incomparable()) for _ in range(MAX_ITEMS)]
    assert len(items_of(idle, keys)) == MAX_ITEMS
