"""Messages: to pids, names and aliases, large ones, terms of all kinds, tokens, priority, group leaders."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from erlang_interop.conformance.actors import SOON, Echo, idle
from pyzen.terms import Atom, BitString, ImproperList, Pid, Record, Reference, TermMap, atoms

if TYPE_CHECKING:
    from erlang_interop.nodes import ErlNode
    from pyzen.node.node import Node

MEGABYTE = 1_000_000

TERMS: list[Any] = [
    *(0, 1, -1, 255, 256, 2**27, 2**31, -(2**31), 2**32, 2**59, 2**63, -(2**63), 2**64, 2**2040, -(2**2048)),
    *(0.0, -1.5, 1e308, 5e-324),
    *(atoms.ok, True, False, None, atoms.undefined, Atom(""), Atom("a b"), Atom("é" * 255)),
    *(b"", b"text", BitString(b"\x80", 1), bytes(range(256)) * 400),
    *([], [1], list(b"text"), [256], [7] * 65535, [7] * 65536, ImproperList([1, 2], atoms.tail)),
    *((), (1,), tuple(range(255)), tuple(range(256))),
    *({}, {atoms.a: {b"b": [1]}}, TermMap([(1, atoms.int), (1.0, atoms.float), (True, atoms.atom)])),
    {number: [-number] for number in range(100)},
]


async def registered(peer: ErlNode, name: str) -> None:
    await peer.run("conf_connect", "await_registered", Atom(name))


async def test_messages_to_our_name_keep_their_order(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox("inbox") as me:
        await theirs.run("conf_messages", "count_to", atoms.inbox, ours.name, 5000)

        got = [await me.receive(timeout=SOON) for _ in range(5000)]

    assert got == [(atoms.number, number) for number in range(1, 5001)]


async def test_messages_to_their_name_and_pid_keep_their_order(ours: Node, theirs: ErlNode) -> None:
    collecting = asyncio.create_task(theirs.run("conf_messages", "collect", atoms.inbox, 2000))
    await registered(theirs, "inbox")
    assert await ours.connect(theirs.name)
    pid = await ours.rpc(theirs.name, "erlang", "whereis", [atoms.inbox])
    assert isinstance(pid, Pid)

    for number in range(1000):
        ours.send((atoms.inbox, Atom(theirs.name)), (atoms.name, number))
    for number in range(1000):
        ours.send(pid, (atoms.pid, number))

    assert await collecting == [(kind, number) for kind in (atoms.name, atoms.pid) for number in range(1000)]


async def test_messages_to_nobody_are_dropped(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")
    async with ours.mailbox() as me:
        dead = me.pid
    ours.send((atoms.nobody, Atom(theirs.name)), atoms.hello)

    await theirs.run("conf_messages", "count_to", atoms.nobody, ours.name, 1)
    await theirs.run("erlang", "send", dead, atoms.hello)
    gone = await theirs.run("erlang", "spawn", atoms.erlang, atoms.node, [])
    ours.send(gone, atoms.hello)

    assert await theirs.run("conf_messages", "echo", atoms.here, ours.name, 1) == 1
    assert await ours.ping(theirs.name)


@pytest.mark.parametrize("ends", ["by unalias", "with the reply"])
async def test_alias_of_theirs_while_it_lasts(ours: Node, theirs: ErlNode, ends: str) -> None:
    options = [atoms.reply] if ends == "with the reply" else []
    async with ours.mailbox("inbox") as me:
        using = asyncio.create_task(theirs.run("conf_messages", "alias_use", atoms.inbox, ours.name, options))
        _, alias, _ = await me.receive(timeout=SOON)
        assert isinstance(alias, Reference)
        me.send(alias, (atoms.to_alias, 1))
        _, alias, pid = await me.receive(timeout=SOON)
        me.send(alias, (atoms.to_alias, 2))
        me.send(pid, (atoms.to_pid, 3))

        assert await using == (1, 3, atoms.nothing)


@pytest.mark.parametrize("size", [65_000, 65_536, 70_000, MEGABYTE, 10 * MEGABYTE])
async def test_big_messages_there_and_back(ours: Node, theirs: ErlNode, size: int) -> None:
    ours.spawn(Echo, name="here")

    assert await theirs.run("conf_messages", "echo_big", atoms.here, ours.name, size)


@pytest.mark.parametrize("size", [MEGABYTE, 10 * MEGABYTE])
async def test_big_message_of_ours(ours: Node, theirs: ErlNode, size: int) -> None:
    receiving = asyncio.create_task(theirs.run("conf_messages", "receive_big", atoms.inbox))
    await registered(theirs, "inbox")
    data = os.urandom(size)

    ours.send((atoms.inbox, Atom(theirs.name)), (hashlib.md5(data).digest(), data))

    assert await receiving is True


async def test_fragments_of_many_senders_are_told_apart(ours: Node, theirs: ErlNode) -> None:
    senders, count = 8, 10
    async with ours.mailbox("inbox") as me:
        arguments = (atoms.inbox, ours.name, senders, count, 300_000)
        sending = asyncio.create_task(theirs.run("conf_messages", "streams", *arguments))
        seen: Counter[int] = Counter()
        for _ in range(senders * count):
            match await me.receive(timeout=SOON):
                case (atoms.stream, sender, number, digest, data):
                    seen[sender] += 1
                    assert number == seen[sender]
                    assert hashlib.md5(data).digest() == digest

        assert await sending == [atoms.normal] * senders
    assert set(seen.values()) == {count}


async def test_terms_of_all_kinds_come_back_from_us(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    assert await theirs.run("conf_messages", "echo_terms", atoms.here, ours.name) == []


async def test_terms_of_all_kinds_come_back_from_them(ours: Node, theirs: ErlNode) -> None:
    echo = await theirs.run("conf_gen", "start_echo")
    async with ours.mailbox() as me:
        for term in TERMS:
            me.send(echo, (me.pid, term))
            back = (await me.receive(timeout=SOON))[1]

            assert (type(back), back) == (type(term), term)


async def test_both_zeros_are_keys_of_one_map(ours: Node, theirs: ErlNode, request: pytest.FixtureRequest) -> None:
    ours.spawn(Echo, name="here")
    major = request.getfixturevalue("release").major
    there = await theirs.eval("map_size(maps:from_list([{0.0, a}, {binary_to_term(<<131,70,128,0,0,0,0,0,0,0>>), b}]))")
    zeros = TermMap([(0.0, atoms.a), (-0.0, atoms.b)])

    if major < 27:
        assert there == "1"
        return
    assert there == "2"
    assert await theirs.run("conf_messages", "echo", atoms.here, ours.name, zeros) == zeros


async def test_fun_that_was_here_still_runs_there(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    assert await theirs.run("conf_messages", "fun_back", atoms.here, ours.name) == (True, True, [2, 1])


@pytest.mark.since(29)
async def test_native_record_comes_back(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    assert await theirs.run("conf_messages", "echo_record", atoms.here, ours.name) is True


@pytest.mark.since(29)
async def test_native_record_of_ours_is_one_there(ours: Node, theirs: ErlNode) -> None:
    echo = await theirs.run("conf_gen", "start_echo")
    record = await theirs.run("conf_messages", "record", 1, 2)
    assert isinstance(record, Record)
    async with ours.mailbox() as me:
        me.send(echo, (me.pid, record))

        assert await me.receive(timeout=SOON) == (atoms.echo, record)
    assert await theirs.run("conf_messages", "field", atoms.x, record) == 1


async def test_output_goes_to_a_group_leader_of_ours(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox() as me:
        writing = asyncio.create_task(theirs.run("conf_messages", "write", me.pid, "tëxt".encode()))
        match await me.receive(timeout=SOON):
            case (atoms.io_request, sender, reply_as, (atoms.put_chars, atoms.unicode, text)):
                assert text == "tëxt".encode()
                me.send(sender, (atoms.io_reply, reply_as, atoms.ok))

        assert await writing is atoms.ok


async def test_group_leader_of_a_process_of_ours_is_set_without_harm(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(Echo)

    assert await theirs.run("conf_messages", "lead", pid, atoms.hello) is atoms.hello


async def test_signals_with_a_trace_token(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(Echo, name="here")

    assert await theirs.run("conf_messages", "traced", pid, atoms.here) == (atoms.by_pid, atoms.by_name, atoms.traced)


@pytest.mark.since(28)
async def test_priority_messages_and_exits(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox("inbox") as me:
        me.trap_exit = True
        await theirs.run("conf_messages", "priority", me.pid, atoms.inbox, ours.name)

        got = [await me.receive(timeout=SOON) for _ in range(3)]

    assert got[:2] == [(atoms.to_pid, 1), (atoms.to_name, 2)]
    assert (got[2][0], got[2][2]) == (atoms.EXIT, atoms.important)


@pytest.mark.since(28)
async def test_priority_alias_of_theirs(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox("inbox") as me:
        arguments = (atoms.inbox, ours.name, [atoms.reply, atoms.priority])
        using = asyncio.create_task(theirs.run("conf_messages", "alias_use", *arguments))
        _, alias, _ = await me.receive(timeout=SOON)
        me.send(alias, (atoms.to_alias, 1))
        _, alias, pid = await me.receive(timeout=SOON)
        me.send(alias, (atoms.to_alias, 2))
        me.send(pid, (atoms.to_pid, 3))

        assert await using == (1, 3, atoms.nothing)


@pytest.mark.since(28)
async def test_priority_message_in_fragments(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox() as me:
        await theirs.run("conf_messages", "priority_big", me.pid, MEGABYTE)

        _, digest, data = await me.receive(timeout=SOON)

    assert hashlib.md5(data).digest() == digest


@pytest.mark.since(28)
async def test_priority_messages_and_exits_to_their_priority_alias(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox("inbox") as me:
        using = asyncio.create_task(
            theirs.run("conf_messages", "served_first", atoms.inbox, ours.name, [atoms.priority])
        )
        _, alias, pid = await me.receive(timeout=SOON)
        me.send(pid, 1)
        me.send(pid, 2, priority=True)  # a pid takes all in order
        me.send(alias, 3, priority=True)
        me.send_exit(alias, atoms.important, priority=True)
        me.send(alias, 4)
        me.send(alias, bytes(MEGABYTE), priority=True)
        me.send(pid, atoms.last)

        assert await using == [3, (atoms.exit, atoms.important), 1, 2, 4, (atoms.bytes, MEGABYTE)]


@pytest.mark.since(28)
async def test_exit_to_our_alias(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox() as me:
        me.trap_exit = True
        running = asyncio.create_task(theirs.run("conf_messages", "exit_by_alias", atoms.exiter))
        while await ours.rpc(theirs.name, "erlang", "whereis", [atoms.exiter]) is atoms.undefined:
            await asyncio.sleep(0.01)
        me.send_request((atoms.exiter, theirs.name), atoms.important)

        got = await me.receive(timeout=SOON)

        assert (got[0], got[2]) == (atoms.EXIT, atoms.important)
        assert await running is True


async def test_more_atoms_than_the_cache_holds(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(Echo, name="here")

    assert await theirs.run("conf_messages", "echo_atoms", atoms.here, ours.name) == [True]


async def test_message_to_a_process_that_never_reads_harms_nobody(ours: Node, theirs: ErlNode) -> None:
    ours.spawn(idle, name="idle")
    ours.spawn(Echo, name="here")
    await theirs.run("conf_messages", "count_to", atoms.idle, ours.name, 10_000)

    assert await theirs.run("conf_messages", "echo", atoms.here, ours.name, 1) == 1
