"""The verbs where they have more to say than `test_process` asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.process import Process
from pyzen.actor.verbs import actor_of
from pyzen.errors import NameTaken
from pyzen.terms import Pid, Reference, atoms
from pyzen.testing import Cluster, Recorder

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox
    from pyzen.node.router import Router

REF = Reference("n@h", 4, [1, 2, 3])
PID = Pid("n@h", 1, 0, 4)


async def idle(process: Process) -> None:
    await process.receive(lambda message: message is atoms.stop)


class Echo(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        return request


async def test_node_is_the_name_of_the_node(router: Router, me: Mailbox) -> None:
    assert me.node is router.name


@pytest.mark.parametrize("target", [5, b"worker", ("worker",), ("worker", 5), None, REF])
async def test_monitor_of_what_is_no_target_raises(me: Mailbox, target: Any) -> None:
    with pytest.raises(TypeError, match="a pid, a name or"):
        me.monitor(target)


async def test_call_to_what_is_no_target_raises(me: Mailbox) -> None:
    with pytest.raises(TypeError, match="a pid, a name or"):
        await me.call(REF, 1)


async def test_demonitor_says_whether_the_monitor_stood(router: Router, me: Mailbox) -> None:
    ref = me.monitor(router.spawn(Process(idle)))

    assert [me.demonitor(ref), me.demonitor(ref, flush=True), me.demonitor(REF)] == [True, False, False]


async def test_link_with_itself_does_nothing(me: Mailbox) -> None:
    me.link(me.pid)

    assert actor_of(me).relations.links == {}


async def test_unlink_of_no_link_does_nothing(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Process(idle))

    me.unlink(pid)

    assert router.process(pid) is not None


async def test_spawn_link_is_linked_and_registered(router: Router, me: Mailbox) -> None:
    me.trap_exit = True
    pid = me.spawn_link(Process(idle), name="child")
    assert router.whereis("child") == pid

    me.send_exit(pid, atoms.boom)

    assert await me.receive(timeout=2) == (atoms.EXIT, pid, atoms.boom)


async def test_spawn_monitor_tells_the_end(me: Mailbox) -> None:
    pid, ref = me.spawn_monitor(Process(idle))

    me.send(pid, atoms.stop)

    assert await me.receive(timeout=2) == (atoms.DOWN, ref, atoms.process, pid, atoms.normal)


async def test_spawn_under_a_taken_name_raises(me: Mailbox) -> None:
    me.spawn(Process(idle), name="taken")

    with pytest.raises(NameTaken):
        me.spawn_link(Process(idle), name="taken")


async def test_cancel_of_an_unknown_timer_is_false(me: Mailbox) -> None:
    assert not me.cancel_timer(REF)


def test_timer_of_an_ended_process_does_nothing_more() -> None:
    cluster = Cluster()
    node = cluster.node("a@memory")
    timed, other = Recorder(), Recorder()
    node.spawn(timed)
    node.spawn(other)
    fired: list[int] = []
    timed.after(1, fired.append, 1)
    other.after(1, fired.append, 2)

    actor_of(timed).end(atoms.normal)
    cluster.advance(2)

    assert fired == [2]
