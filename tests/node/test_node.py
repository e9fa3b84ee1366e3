from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.process import Process
from pyzen.actor.verbs import actor_of
from pyzen.errors import (
    CallTimeout,
    ConfigError,
    CookieMismatch,
    EncodeError,
    HandshakeError,
    NameTaken,
    NodeDown,
    NoProcess,
    NotAllowed,
    ProcessExit,
)
from pyzen.node.node import Node
from pyzen.terms import Pid, atoms
from tests.node.conftest import until

if TYPE_CHECKING:
    from pyzen.config import EpmdConfig
    from tests.node.conftest import MakeNode


class Echo(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        return request


async def test_connect_makes_both_nodes_visible_to_each_other(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")

    assert await a.connect(b.name)

    assert a.nodes() == [b.name]
    await until(lambda: b.nodes() == [a.name])


async def test_connect_to_a_node_that_is_not_there_is_false(make_node: MakeNode) -> None:
    a = await make_node("a")

    assert not await a.connect("nobody@127.0.0.1")


async def test_wrong_cookie_is_refused_in_words(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b", cookie="other")

    with pytest.raises(CookieMismatch, match="cookie"):
        await a.connect(b.name)

    assert a.nodes() == b.nodes() == []


async def test_short_name_refuses_to_dial_a_long_one(make_node: MakeNode) -> None:
    a = await make_node("a")

    with pytest.raises(HandshakeError, match="-name"):
        await a.connect("b@localhost")


async def test_allow_keeps_others_out(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b", allow=["c@127.0.0.1"])

    with pytest.raises(NotAllowed):
        await a.connect(b.name)


async def test_hidden_node_is_listed_as_hidden_only(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b", hidden=True)

    await a.connect(b.name)

    assert a.nodes() == []
    assert a.nodes(hidden=True) == [b.name]


async def test_taken_name_is_refused(make_node: MakeNode, epmd: EpmdConfig) -> None:
    a = await make_node("a")

    with pytest.raises(NameTaken, match="another name"):
        await Node(str(a.name), cookie="secret", epmd=epmd).start()


@pytest.mark.parametrize("name", ["nohost", "a b@host", "a.b@host", "@host", "a@"])
def test_bad_name_is_refused_before_anything_starts(name: str) -> None:
    with pytest.raises(ConfigError):
        Node(name, cookie="secret")


async def test_ping_is_answered(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")

    assert await a.ping(b.name)
    assert not await a.ping("nobody@127.0.0.1")


async def test_messages_dial_and_arrive_in_order(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    async with b.mailbox("inbox") as inbox:
        for number in range(1000):
            a.send(("inbox", b.name), number)

        assert [await inbox.receive(timeout=5) for _ in range(1000)] == list(range(1000))


async def test_call_crosses_nodes_by_name_and_by_pid(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    pid = b.spawn(Echo, name="echo")

    assert await a.call(("echo", b.name), (1, [atoms.ok, b"x"])) == (1, [atoms.ok, b"x"])
    assert await a.call(pid, {atoms.key: 1.5}) == {atoms.key: 1.5}


async def test_call_to_nobody_raises_no_process(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")

    with pytest.raises(NoProcess):
        await a.call(("nobody", b.name), 1)


async def test_call_to_an_unreachable_node_raises_node_down(make_node: MakeNode) -> None:
    a = await make_node("a")

    with pytest.raises(NodeDown):
        await a.call(("echo", "nobody@127.0.0.1"), 1)


async def test_monitor_across_nodes_fires_with_the_reason(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    pid = b.spawn(Echo, name="echo")
    async with a.mailbox() as me:
        by_pid, by_name = me.monitor(pid), me.monitor(("echo", b.name))
        assert await me.call(pid, 1) == 1

        me.send_exit(pid, (atoms.reason, 1))
        downs = [await me.receive(timeout=5) for _ in range(2)]

    expected = {by_pid: (pid, (atoms.reason, 1)), by_name: ((atoms.echo, b.name), (atoms.reason, 1))}
    assert {down[1]: (down[3], down[4]) for down in downs} == expected


async def test_link_across_nodes_and_node_loss(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    pid = b.spawn(Echo)
    async with a.mailbox() as me:
        me.trap_exit = True
        a.monitor_node(b.name, me.pid)
        me.link(pid)
        ref = me.monitor(pid)
        assert await me.call(pid, 1) == 1
        await me.receive(lambda message: message[0] is atoms.nodeup, timeout=5)

        await b.stop()
        messages = [await me.receive(timeout=5) for _ in range(3)]

    reasons = {atoms.shutdown, atoms.noconnection}
    kinds = {message[0]: message for message in messages}
    assert kinds[atoms.EXIT][1] == pid
    assert kinds[atoms.EXIT][2] in reasons
    assert kinds[atoms.DOWN][1] == ref
    assert kinds[atoms.DOWN][4] in reasons
    assert kinds[atoms.nodedown] == (atoms.nodedown, b.name)


async def test_disconnect_fires_noconnection_and_a_send_connects_anew(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    pid = b.spawn(Echo)
    async with a.mailbox() as me:
        ref = me.monitor(pid)
        assert await me.call(pid, 1) == 1

        assert a.disconnect(b.name)

        assert await me.receive(timeout=5) == (atoms.DOWN, ref, atoms.process, pid, atoms.noconnection)
        assert await me.call(pid, 2) == 2


async def test_simultaneous_dials_end_with_one_link(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")

    for _ in range(20):
        assert all(await asyncio.gather(a.connect(b.name), b.connect(a.name)))
        assert (a.nodes(), b.nodes()) == ([b.name], [a.name])
        assert all(await asyncio.gather(a.ping(b.name), b.ping(a.name)))
        a.disconnect(b.name)
        await until(lambda: not a.nodes() and not b.nodes())


async def test_unencodable_message_raises_at_send_with_its_path(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    await a.connect(b.name)

    with pytest.raises(EncodeError) as caught:
        a.send(("inbox", b.name), [1, {"key": object()}])

    assert "key" in caught.value.path
    assert a.nodes() == [b.name]


async def test_large_messages_arrive_whole(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    pid = b.spawn(Echo)
    big = os.urandom(3_000_000)

    assert await a.call(pid, big) == big


async def test_reserved_names_can_not_be_registered(make_node: MakeNode) -> None:
    a = await make_node("a")

    with pytest.raises(NameTaken):
        a.spawn(Echo, name="global_name_server")


async def test_other_threads_are_refused(make_node: MakeNode) -> None:
    a = await make_node("a")
    caught: list[BaseException] = []

    def use() -> None:
        try:
            a.send(a.name, 1)
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()

    assert "another thread" in str(caught[0])


async def test_spawn_monitor_watches_from_the_first_moment(make_node: MakeNode) -> None:
    a = await make_node("a")

    async def leave(process: Process) -> None:
        process.exit(atoms.early)

    async with a.mailbox() as me:
        pid, ref = a.spawn_monitor(leave, subscriber=me.pid)

        assert await me.receive(timeout=5) == (atoms.DOWN, ref, atoms.process, pid, atoms.early)


async def test_a_body_that_clings_to_life_does_not_hold_up_stop(make_node: MakeNode) -> None:
    a = await make_node("a")

    async def body(process: Process) -> None:
        await process.receive()

    a.spawn(body)

    async with asyncio.timeout(3):
        await a.stop()


@pytest.mark.slow
async def test_stop_leaves_nothing_behind(epmd: EpmdConfig) -> None:
    def count(what: str) -> int:
        return len(list(Path(f"/proc/self/{what}").iterdir()))

    async def once() -> None:
        async with Node("a1@127.0.0.1", cookie="c", epmd=epmd) as a, Node("b1@127.0.0.1", cookie="c", epmd=epmd) as b:
            assert await a.connect(b.name)
            pid = b.spawn(Echo)
            assert await a.call(pid, 1) == 1

    def figures() -> tuple[int, int, int]:
        return count("fd"), count("task"), len(asyncio.all_tasks())

    await once()
    before = figures()
    for _ in range(100):
        await once()

    # A thread that was joined may stand in /proc for a moment longer, in both counts.
    await until(lambda: all(now <= then for now, then in zip(figures(), before, strict=True)))


# ---- other nodes


async def test_ping_of_the_own_name_is_true(make_node: MakeNode) -> None:
    a = await make_node("a")

    assert await a.ping(str(a.name))


async def test_ping_of_a_node_that_refuses_is_false(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b", cookie="other")

    assert not await a.ping(b.name)


async def test_monitor_node_tells_nodeup_and_nodedown(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    async with a.mailbox() as me:
        a.monitor_node(str(b.name), me.pid)

        await a.connect(b.name)
        a.disconnect(b.name)

        assert [await me.receive(timeout=5) for _ in range(2)] == [(atoms.nodeup, b.name), (atoms.nodedown, b.name)]


async def test_demonitor_node_ends_that(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    async with a.mailbox() as me:
        a.monitor_node(b.name, me.pid)
        a.demonitor_node(str(b.name), me.pid)

        await a.connect(b.name)

        with pytest.raises(TimeoutError):
            await me.receive(timeout=0)


@pytest.mark.parametrize("cookie", ["", "x" * 256])
async def test_cookie_for_a_peer_is_checked(make_node: MakeNode, cookie: str) -> None:
    a = await make_node("a")

    with pytest.raises(ConfigError, match="cookie"):
        a.set_cookie("b@127.0.0.1", cookie)


# ---- processes and names


class Main(Process):
    async def main(self, *args: Any) -> None:
        self.send(args[0], (args[1:], actor_of(self).registered_name))


async def test_spawn_takes_a_process_class_and_its_arguments(make_node: MakeNode) -> None:
    a = await make_node("a")
    async with a.mailbox() as me:
        a.spawn(Main, me.pid, 1, 2, name="main")

        assert await me.receive(timeout=5) == ((1, 2), atoms.main)


@pytest.mark.parametrize("target", [5, "body", dict])
async def test_spawn_of_what_is_no_process_raises(make_node: MakeNode, target: Any) -> None:
    a = await make_node("a")

    with pytest.raises(TypeError, match="Process or GenServer class"):
        a.spawn(target)


async def test_spawn_with_a_link_ends_with_its_parent(make_node: MakeNode) -> None:
    a = await make_node("a")
    async with a.mailbox() as me:
        me.trap_exit = True
        pid = a.spawn(Echo, link=me.pid)

        me.send_exit(pid, atoms.boom)

        assert await me.receive(timeout=5) == (atoms.EXIT, pid, atoms.boom)


async def test_spawn_under_a_taken_name_starts_nothing(make_node: MakeNode) -> None:
    a = await make_node("a")
    pid = a.spawn(Echo, name="echo")
    before = a.runtime.processes()

    with pytest.raises(NameTaken):
        a.spawn(Echo, name="echo")

    assert a.whereis("echo") == pid
    assert a.runtime.processes() == before


async def test_spawn_monitor_for_a_subscriber_elsewhere_starts_nothing(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    before = a.runtime.processes()

    with pytest.raises(ValueError, match="no live process"):
        a.spawn_monitor(Echo, subscriber=b.spawn(Echo))

    assert a.runtime.processes() == before


async def test_names_are_registered_and_freed(make_node: MakeNode) -> None:
    a = await make_node("a")
    pid = a.spawn(Echo)

    a.register("echo", pid)

    assert a.whereis("echo") == pid
    assert atoms.echo in a.registered()
    a.unregister("echo")
    assert a.whereis("echo") is None
    assert atoms.echo not in a.registered()


async def test_start_of_a_class_returns_after_init(make_node: MakeNode) -> None:
    a = await make_node("a")

    pid = await Echo.start(a, name="echo")

    assert await a.call("echo", 1) == 1
    assert a.whereis("echo") == pid


async def test_references_are_never_the_same(make_node: MakeNode) -> None:
    a = await make_node("a")

    assert len({a.make_ref() for _ in range(100)}) == 100


async def test_send_to_a_free_local_name_raises(make_node: MakeNode) -> None:
    a = await make_node("a")

    with pytest.raises(NoProcess, match="nobody"):
        a.send("nobody", 1)


async def test_call_times_out_in_words(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    async with b.mailbox("deaf"):
        with pytest.raises(CallTimeout, match=r"within 0.02 s") as caught:
            await a.call(("deaf", b.name), 1, timeout=0.02)

    assert isinstance(caught.value, TimeoutError)


async def test_call_raises_why_the_callee_ended(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")

    with pytest.raises(ProcessExit) as caught:
        await a.call(b.spawn(GenServer), atoms.what)

    assert caught.value.reason == (atoms.bad_call, atoms.what)


async def test_cast_crosses_nodes(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    async with b.mailbox("inbox") as inbox:
        a.cast(("inbox", b.name), atoms.hello)

        assert await inbox.receive(timeout=5) == (atoms["$gen_cast"], atoms.hello)


async def test_sender_is_the_running_process(make_node: MakeNode) -> None:
    a = await make_node("a")
    async with a.mailbox() as me:
        me.send_exit(me.pid, atoms.boom)
        await asyncio.sleep(0)

        a.send(a.spawn(Echo), 1)  # the process that has ended is no longer the sender


# ---- results of remote calls


def test_a_node_that_nobody_stopped_does_not_hold_up_the_exit() -> None:
    code = """
import asyncio
from pyzen import Node
async def main():
    global node
    node = await Node("a@127.0.0.1", cookie="secret", epmd="embedded").start()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=20, check=False)

    assert done.returncode == 0
