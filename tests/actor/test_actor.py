from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.process import BodyLoop, Process
from pyzen.actor.requests import reply_address
from pyzen.actor.signals import LOSS_SLICE
from pyzen.actor.verbs import actor_of
from pyzen.errors import NodeDown, NoProcess, ProcessExit
from pyzen.terms import Atom, ImproperList, Pid, Reference, atoms
from pyzen.testing import Cluster, Recorder

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox
    from pyzen.node.router import Router


def task_of(process: Process) -> asyncio.Task[Any]:
    loop = actor_of(process).loop
    assert isinstance(loop, BodyLoop)
    assert loop.task is not None
    return loop.task


async def idle(process: Process) -> None:
    await process.receive(lambda message: message is atoms.stop)


async def leave(process: Process, reason: Any) -> None:
    process.exit(reason)


async def wait_for_down(me: Mailbox, ref: Reference) -> Any:
    down = await me.receive(lambda message: message[:2] == (atoms.DOWN, ref), timeout=2)
    return down[4]


async def test_monitor_fires_once_with_pid_and_reason(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(idle))
    ref = me.monitor(pid)

    me.send_exit(pid, atoms.boom)

    assert await me.receive(timeout=2) == (atoms.DOWN, ref, atoms.process, pid, atoms.boom)
    with pytest.raises(TimeoutError):
        await me.receive(timeout=0)


async def test_monitor_by_name_fires_with_name_and_node(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(idle), name="worker")
    ref = me.monitor("worker")

    me.send_exit(pid, atoms.kill)

    expected = (atoms.DOWN, ref, atoms.process, (atoms.worker, router.name), atoms.killed)
    assert await me.receive(timeout=2) == expected


async def test_monitor_of_a_dead_process_fires_noproc(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(leave, atoms.normal))
    assert await wait_for_down(me, me.monitor(pid)) is atoms.normal

    assert await wait_for_down(me, me.monitor(pid)) is atoms.noproc


async def test_monitor_of_an_unknown_name_fires_noproc(me: Mailbox) -> None:
    assert await wait_for_down(me, me.monitor("nobody")) is atoms.noproc


async def test_demonitor_keeps_the_down_away(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(idle))
    ref, second = me.monitor(pid), me.monitor(pid)

    assert me.demonitor(ref)
    me.send_exit(pid, atoms.boom)

    assert (await me.receive(timeout=2))[1] == second
    with pytest.raises(TimeoutError):
        await me.receive(timeout=0)


async def test_demonitor_with_flush_takes_back_an_unread_down(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(idle))
    ref, second = me.monitor(pid), me.monitor(pid)
    me.send_exit(pid, atoms.boom)
    await me.receive(lambda message: message[1] == second, timeout=2)

    me.demonitor(ref, flush=True)

    with pytest.raises(TimeoutError):
        await me.receive(timeout=0)
    assert len(router.unread) == 0


async def test_demonitor_of_a_name_reaches_the_process_that_held_it(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(idle), name="worker")
    ref = me.monitor("worker")
    await asyncio.sleep(0)
    router.unregister("worker")

    me.demonitor(ref)
    me.send_exit(pid, atoms.boom)

    assert await wait_for_down(me, me.monitor(pid)) is atoms.boom
    with pytest.raises(TimeoutError):
        await me.receive(timeout=0)


async def test_link_ends_the_other_process_with_the_same_reason(router: Router, me: Mailbox) -> None:
    first, second = router.spawn(Process(idle)), router.spawn(Process(idle))
    router.process(first).link(second)
    ref = me.monitor(second)

    me.send_exit(first, atoms.boom)

    assert await wait_for_down(me, ref) is atoms.boom


async def test_link_lets_a_normal_exit_pass(router: Router, me: Mailbox) -> None:
    other = router.spawn(Process(idle))
    me.link(other)
    ref = me.monitor(other)

    me.send(other, atoms.stop)

    assert await wait_for_down(me, ref) is atoms.normal
    assert not actor_of(me).ended


async def test_link_with_a_dead_process_brings_noproc(router: Router, me: Mailbox) -> None:
    dead = router.spawn(Process(leave, atoms.normal))
    await wait_for_down(me, me.monitor(dead))
    me.trap_exit = True

    me.link(dead)

    assert await me.receive(timeout=2) == (atoms.EXIT, dead, atoms.noproc)


async def test_unlink_keeps_the_exit_signal_away(router: Router, me: Mailbox) -> None:
    me.trap_exit = True
    other = router.spawn(Process(idle))
    me.link(other)
    ref = me.monitor(other)

    me.unlink(other)
    me.send_exit(other, atoms.boom)

    assert await wait_for_down(me, ref) is atoms.boom
    with pytest.raises(TimeoutError):
        await me.receive(timeout=0)


async def test_link_again_after_unlink_is_active(router: Router, me: Mailbox) -> None:
    me.trap_exit = True
    other = router.spawn(Process(idle))
    me.link(other)
    me.unlink(other)
    me.link(other)

    me.send_exit(other, atoms.boom)

    assert await me.receive(timeout=2) == (atoms.EXIT, other, atoms.boom)


async def test_kill_can_not_be_trapped(router: Router, me: Mailbox) -> None:
    async def trapping(process: Process) -> None:
        process.trap_exit = True
        process.send(me.pid, atoms.ready)
        await process.receive()

    pid = router.spawn(Process(trapping))
    await me.receive(timeout=2)
    ref = me.monitor(pid)

    me.send_exit(pid, atoms.kill)

    assert await wait_for_down(me, ref) is atoms.killed


async def test_normal_exit_signal_from_another_process_is_ignored(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(idle))

    me.send_exit(pid, atoms.normal)
    me.send(pid, atoms.stop)

    assert await wait_for_down(me, me.monitor(pid)) in {atoms.normal, atoms.noproc}


async def test_trapped_exit_signal_is_a_message(me: Mailbox) -> None:
    me.trap_exit = True

    me.send_exit(me.pid, atoms.hello)

    assert await me.receive(timeout=2) == (atoms.EXIT, me.pid, atoms.hello)


async def test_the_name_is_free_when_the_down_arrives(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(idle), name="worker")
    ref = me.monitor(pid)

    me.send_exit(pid, atoms.boom)
    await wait_for_down(me, ref)

    assert router.whereis("worker") is None
    router.spawn(Process(idle), name="worker")


async def test_messages_arrive_in_the_order_sent(router: Router, me: Mailbox) -> None:
    async def forward(process: Process) -> None:
        while True:
            process.send(me.pid, await process.receive())

    pid = router.spawn(Process(forward))
    for number in range(500):
        me.send(pid, number)

    assert [await me.receive(timeout=2) for _ in range(500)] == list(range(500))


async def test_an_ended_process_can_do_nothing(router: Router, me: Mailbox) -> None:
    process = Process(idle)
    router.spawn(process)
    actor_of(process).end(atoms.boom)

    with pytest.raises(ProcessExit) as caught:
        process.send(me.pid, 1)

    assert caught.value.reason is atoms.boom


async def test_uncaught_exception_becomes_a_runtime_error_with_stack(router: Router, me: Mailbox) -> None:
    async def fail(_process: Process) -> None:
        raise ValueError("boom")

    reason, stack = await wait_for_down(me, me.monitor(router.spawn(Process(fail))))

    assert reason[Atom("__struct__")] is Atom("Elixir.RuntimeError")
    assert reason[atoms.message] == b"ValueError: boom"
    module, function, arity, location = stack[0]
    assert (function, arity) == (Atom("fail"), 1)
    assert isinstance(module, Atom)
    assert location[0] == (atoms.file, [ord(c) for c in "test_actor.py"])


async def test_send_to_an_unregistered_local_name_raises(me: Mailbox) -> None:
    with pytest.raises(NoProcess):
        me.send("nobody", 1)


async def test_monitor_on_a_node_out_of_reach_fires_noconnection(me: Mailbox) -> None:
    far = Pid("far@test", 1, 0, 1)

    with pytest.raises(NodeDown):
        await me.call(far, atoms.ping, timeout=0.2)


async def test_a_monitor_that_waited_when_the_process_ended_gets_its_reason(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(idle))
    await asyncio.sleep(0)

    me.send_exit(pid, atoms.boom)
    ref = me.monitor(pid)

    assert await wait_for_down(me, ref) is atoms.boom


def test_reply_address_is_the_alias_in_the_tag() -> None:
    pid, ref = Pid("a@b", 1, 0, 1), Reference("a@b", 1, [1, 2, 3])
    alias = ImproperList([atoms.alias], ref)

    assert reply_address((pid, ref)) == pid
    assert reply_address((pid, alias)) == ref
    assert reply_address((pid, ImproperList([alias], ref))) == ref
    assert reply_address((pid, (ref, atoms["a@b"]))) == pid


async def test_send_after_sends_once_and_cancel_keeps_it_away(me: Mailbox) -> None:
    me.send_after(me.pid, atoms.late, 0.02)
    cancelled = me.send_after(me.pid, atoms.never, 0.01)

    assert me.cancel_timer(cancelled)
    assert not me.cancel_timer(cancelled)

    assert await me.receive(timeout=2) is atoms.late


def test_signals_that_waited_when_a_process_ended_are_answered() -> None:
    cluster = Cluster()
    node = cluster.node("a@memory")
    me, other = Recorder(), Recorder()
    me.trap_exit = True
    node.spawn(me)
    node.spawn(other, "other")
    cluster.run_until_idle()
    by_pid, by_name = me.monitor(other.pid), me.monitor("other")
    me.link(other.pid)

    actor_of(other).end(atoms.gone)  # before any of the three has arrived
    cluster.run_until_idle()

    assert me.messages == [
        (atoms.DOWN, by_pid, atoms.process, other.pid, atoms.gone),
        (atoms.DOWN, by_name, atoms.process, (atoms.other, node.name), atoms.gone),
        (atoms.EXIT, other.pid, atoms.gone),
    ]


def test_unlink_that_waited_when_the_other_ended_is_acknowledged() -> None:
    cluster = Cluster()
    node = cluster.node("a@memory")
    me, other = Recorder(), Recorder()
    me.trap_exit = True
    node.spawn(me)
    node.spawn(other)
    me.link(other.pid)
    cluster.run_until_idle()

    me.unlink(other.pid)
    actor_of(other).end(atoms.gone)
    cluster.run_until_idle()

    assert me.messages == []
    assert actor_of(me).relations.links == {}


def test_down_that_waited_when_its_subscriber_ended_is_forgotten() -> None:
    cluster = Cluster()
    node = cluster.node("a@memory")
    me = Recorder()
    node.spawn(me)
    cluster.run_until_idle()
    ref = node.runtime.make_ref()
    down = (atoms.DOWN, ref, atoms.process, me.pid, atoms.boom)
    node.runtime.deliver_many([(me.pid, node.runtime.unread.add(ref, down))])
    assert node.runtime.unread.get(ref) == down

    actor_of(me).end(atoms.normal)

    assert len(node.runtime.unread) == 0


@pytest.mark.parametrize("count", [1, LOSS_SLICE + 1, 2 * LOSS_SLICE])
def test_lost_node_fires_everything_however_much_it_is(count: int) -> None:
    """More than a slice is told in several turns; a message in between waits for the rest."""
    cluster = Cluster()
    a, b = cluster.node("a@memory"), cluster.node("b@memory")
    cluster.connect(a, b)
    me, other = Recorder(), Recorder()
    me.trap_exit = True
    a.spawn(me)
    b.spawn(other)
    refs = [me.monitor(other.pid) for _ in range(count)]
    watchers = [other.monitor(me.pid) for _ in range(count)]
    me.link(other.pid)
    cluster.run_until_idle()

    cluster.cut(a, b)
    a.runtime.send(me.pid, me.pid, atoms.after)
    cluster.run_until_idle()

    assert {message[1] for message in me.messages[:count]} == set(refs)
    assert me.messages[count:] == [(atoms.EXIT, other.pid, atoms.noconnection), atoms.after]
    assert actor_of(me).relations.watchers == {}
    assert {message[1] for message in other.messages} <= set(watchers), "it does not trap: the link ended it"


def test_a_process_does_not_wait_until_its_lost_watchers_are_forgotten() -> None:
    cluster = Cluster()
    a, b = cluster.node("a@memory"), cluster.node("b@memory")
    cluster.connect(a, b)
    left: list[int] = []

    class Watched(Recorder):
        def handle_info(self, message: Any) -> None:
            left.append(len(actor_of(self).relations.watchers))

    me, other = Watched(), Recorder()
    a.spawn(me)
    b.spawn(other)
    for _ in range(4 * LOSS_SLICE):
        other.monitor(me.pid)
    cluster.run_until_idle()

    cluster.cut(a, b)
    a.runtime.send(me.pid, me.pid, atoms.after)
    cluster.run_until_idle()

    assert left[0] >= 2 * LOSS_SLICE
    assert actor_of(me).relations.watchers == {}


async def test_calls_of_a_process_that_ends_fail(router: Router, me: Mailbox) -> None:
    async def body(process: Process) -> None:
        await process.call(me.pid, 1)

    pid = router.spawn(Process(body))
    await me.receive(timeout=2)

    me.send_exit(pid, atoms.boom)
    ref = me.monitor(pid)

    assert await wait_for_down(me, ref) in {atoms.boom, atoms.noproc}
    assert router.aliases == {}


async def test_exit_signal_kill_from_a_link_is_no_kill(router: Router, me: Mailbox) -> None:
    """Only ``exit/2`` makes ``kill`` untrappable; a linked process that ends for it says ``killed``."""
    me.trap_exit = True
    pid = router.spawn(Process(idle), link=me.pid)

    me.send_exit(pid, atoms.kill)

    assert await me.receive(timeout=2) == (atoms.EXIT, pid, atoms.killed)


async def test_normal_exit_signal_to_itself_ends_a_process(router: Router, me: Mailbox) -> None:
    async def body(process: Process) -> None:
        process.send_exit(process.pid, atoms.normal)
        await process.receive()

    assert await wait_for_down(me, me.spawn_monitor(Process(body))[1]) is atoms.normal


async def test_body_without_code_is_a_failure(router: Router, me: Mailbox, quiet: None) -> None:
    reason = await wait_for_down(me, me.spawn_monitor(Process())[1])

    assert reason[0][atoms.message] == b"NotImplementedError: override main, or give a body"


async def test_body_cancelled_from_outside_ends_with_shutdown(router: Router, me: Mailbox) -> None:
    process = Process(idle)
    _, ref = me.spawn_monitor(process)
    await asyncio.sleep(0)

    task_of(process).cancel()

    assert await wait_for_down(me, ref) is atoms.shutdown


async def test_uncaught_error_of_a_call_is_the_reason(router: Router, me: Mailbox, quiet: None) -> None:
    async def body(process: Process) -> None:
        await process.call(("nobody", router.name), 1)

    assert await wait_for_down(me, me.spawn_monitor(Process(body))[1]) is atoms.noproc
