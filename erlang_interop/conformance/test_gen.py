"""Calls and casts: gen_server to ours and ours to gen_server, with time-outs, late replies and ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from erlang_interop.conformance.actors import SOON, Echo, StartOurs, StartTheirs, connected, until
from pyzen.errors import CallTimeout, NodeDown, NoProcess, ProcessExit
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from erlang_interop.nodes import ErlNode
    from pyzen.node.node import Node

NONE_OF_OURS = "no node of ours takes part"


async def test_call_of_ours_by_name_and_pid(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(Echo, name="here")

    assert await theirs.run("conf_gen", "call", atoms.here, ours.name, (1, [atoms.a])) == (1, [atoms.a])
    assert await theirs.run("conf_gen", "call_by_pid", pid, b"text") == b"text"


async def test_call_of_nobody_of_ours(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.run("conf_gen", "call", atoms.nobody, ours.name, 1) == (atoms.exit, atoms.noproc)


@pytest.mark.not_applicable("hidden", NONE_OF_OURS)
async def test_call_of_a_node_that_is_not_there(theirs: ErlNode) -> None:
    nobody = Atom("nobody@127.0.0.1")

    assert await theirs.run("conf_gen", "call", atoms.here, nobody, 1) == (atoms.exit, (atoms.nodedown, nobody))


async def test_process_of_ours_ends_during_a_call(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    answer = await theirs.run("conf_gen", "call", atoms.here, ours.name, (atoms.exit, (atoms.bad, 1)))

    assert answer == (atoms.exit, (atoms.bad, 1))


async def test_node_of_ours_stops_during_a_call(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")
    calling = asyncio.create_task(theirs.run("conf_gen", "down_during_call", atoms.here, ours.name))
    await until(lambda: connected(ours) == [Atom(theirs.name)])

    ours.disconnect(theirs.name)

    assert await calling == (atoms.exit, (atoms.nodedown, ours.name))


async def test_late_reply_of_ours_is_dropped(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    answer = await theirs.run("conf_gen", "late", atoms.here, ours.name)

    assert answer == ((atoms.exit, atoms.timeout), atoms.second, atoms.nothing)


async def test_reply_to_a_caller_that_has_ended(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    assert await theirs.run("conf_gen", "call_and_die", atoms.here, ours.name) is atoms.after_that


async def test_requests_under_way_together(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    answers = await theirs.run("conf_gen", "requests", atoms.here, ours.name, 100)

    assert answers == [(atoms.request, number) for number in range(1, 101)]


async def test_many_callers_at_once(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    assert await theirs.run("conf_gen", "many", atoms.here, ours.name, 50, 20) == [atoms.done]


async def test_casts_keep_their_order(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")
    requests = [(atoms.number, number) for number in range(100)]

    assert await theirs.run("conf_gen", "cast", atoms.here, ours.name, requests) == requests


async def test_multi_call_to_us_and_others(ours: Node, start_theirs: StartTheirs) -> None:
    one, other = await asyncio.gather(start_theirs(), start_theirs())
    ours.spawn(Echo, name="here")
    await other.run("conf_gen", "start_echo", atoms.here)
    names = [ours.name, Atom(other.name), Atom("nobody@127.0.0.1")]

    replies, bad = await one.run("conf_gen", "multi", names, atoms.here, atoms.hello)

    assert dict(replies) == {ours.name: atoms.hello, Atom(other.name): atoms.hello}
    assert bad == [Atom("nobody@127.0.0.1")]


async def test_multi_call_to_a_name_that_we_do_not_have(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.run("conf_gen", "multi", [ours.name], atoms.nobody, 1) == ([], [ours.name])


async def test_abcast_reaches_us(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")
    await ours.connect(theirs.name)

    await theirs.run("conf_gen", "abcast", [ours.name], atoms.here, atoms.all)

    assert await theirs.run("conf_gen", "call", atoms.here, ours.name, atoms.casts) == [atoms.all]


async def test_gen_statem_calls_a_server_of_ours(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    assert await theirs.run("conf_gen", "statem_call", atoms.here, ours.name) == (atoms.a, atoms.request)


async def test_gen_event_call_to_us_ends_with_us(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox("events") as me:
        calling = asyncio.create_task(theirs.run("conf_gen", "event_call", atoms.events, ours.name))
        label, (pid, tag), request = await me.receive(timeout=SOON)

        assert label == pid
        assert request == (atoms.call, atoms.handler, atoms.query)
        me.reply((pid, tag), (atoms.answer, 1))

        assert await calling == (atoms.answer, 1)


async def test_our_call(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_gen", "start_echo", atoms.there)

    assert await ours.call((atoms.there, Atom(theirs.name)), (1, {atoms.a: b"b"})) == (1, {atoms.a: b"b"})
    assert await ours.call(pid, 2) == 2


async def test_reply_of_theirs_with_a_trace_token(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_gen", "start_echo")

    assert await ours.call(pid, (atoms.traced, atoms.reply)) is atoms.reply
    assert await ours.call(pid, atoms.again) is atoms.again


async def test_our_call_of_nobody(ours: Node, theirs: ErlNode) -> None:
    with pytest.raises(NoProcess):
        await ours.call((atoms.nobody, Atom(theirs.name)), 1)


async def test_their_process_ends_during_our_call(ours: Node, theirs: ErlNode) -> None:
    await theirs.run("conf_gen", "start_echo", atoms.there)

    with pytest.raises(ProcessExit) as caught:
        await ours.call((atoms.there, Atom(theirs.name)), (atoms.stop, (atoms.bad, 1)))

    assert caught.value.reason == (atoms.bad, 1)


async def test_their_node_ends_during_our_call(ours: Node, theirs: ErlNode) -> None:
    await theirs.run("conf_gen", "start_echo", atoms.there)
    dest = (atoms.there, Atom(theirs.name))
    await ours.call(dest, 1)
    calling = asyncio.create_task(ours.call(dest, atoms.hold, 30))
    await asyncio.sleep(0)

    await theirs.kill()

    with pytest.raises(NodeDown):
        await calling


async def test_late_reply_of_theirs_is_dropped(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_gen", "start_echo")
    async with ours.mailbox() as me:
        with pytest.raises(CallTimeout):
            await me.call(pid, atoms.hold, timeout=0.1)

        me.cast(pid, atoms.release)  # its reply comes before the next one

        assert await me.call(pid, atoms.second) is atoms.second
        with pytest.raises(TimeoutError):
            await me.receive(timeout=0)


async def test_our_casts_keep_their_order(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_gen", "start_echo")
    for number in range(100):
        ours.cast(pid, number)

    assert await ours.call(pid, atoms.casts) == list(range(100))


async def test_calls_cross(start_ours: StartOurs, theirs: ErlNode) -> None:
    node = await start_ours()
    node.spawn(Echo, name="here")
    pid = await theirs.run("conf_gen", "start_echo")
    calling = asyncio.create_task(theirs.run("conf_gen", "many", atoms.here, node.name, 10, 50))

    answers = await asyncio.gather(*(node.call(pid, number) for number in range(500)))

    assert answers == list(range(500))
    assert await calling == [atoms.done]
