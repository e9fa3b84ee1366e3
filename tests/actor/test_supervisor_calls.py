"""What a supervisor answers, and what it does not end for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.supervisor import ChildSpec, Supervisor
from pyzen.actor.supervisor import children_of as supervisor_children
from pyzen.errors import CallTimeout
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox, Process
    from pyzen.node.router import Router

NOT_FOUND = (atoms.error, atoms.not_found)


class Worker(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        return request


class Faulty(GenServer):
    def __init__(self) -> None:
        raise ValueError("it never starts")


async def slow(process: Process) -> None:
    """Take a while to end."""
    process.trap_exit = True
    await process.receive()
    await asyncio.sleep(0.05)


@pytest.fixture
async def supervisor(router: Router) -> Pid:
    specs = [
        ChildSpec("a", Worker, name="a"),
        ChildSpec("b", Worker, args=(), restart="temporary", shutdown=None, name="b"),
        ChildSpec("below", lambda: Supervisor([]), restart="transient", shutdown=0),
    ]
    pid = router.spawn(Supervisor, specs)
    while router.whereis("b") is None:
        await asyncio.sleep(0)
    return pid


async def ask(me: Mailbox, supervisor: Pid, word: str, *arguments: Any) -> Any:
    return await me.call(supervisor, (atoms[word], *arguments), timeout=2)


async def children_of(me: Mailbox, supervisor: Pid) -> dict[Atom, Any]:
    return {row[0]: row[1] for row in await me.call(supervisor, atoms.which_children, timeout=2)}


async def end(router: Router, me: Mailbox, name: str) -> None:
    """End a child as something else than its supervisor would."""
    ref = me.monitor(name)
    me.send_exit(router.whereis(name), atoms.boom)  # type: ignore[arg-type]
    await me.receive(lambda message: message[1] == ref, timeout=2)


async def test_child_that_is_terminated_stays_down(router: Router, me: Mailbox, supervisor: Pid) -> None:
    assert await ask(me, supervisor, "terminate_child", atoms.a) is atoms.ok

    assert router.whereis("a") is None
    assert (await children_of(me, supervisor))[atoms.a] is atoms.undefined
    assert await ask(me, supervisor, "terminate_child", atoms.a) is atoms.ok


async def test_child_that_is_terminated_is_restarted_on_request(router: Router, me: Mailbox, supervisor: Pid) -> None:
    await ask(me, supervisor, "terminate_child", atoms.a)

    assert await ask(me, supervisor, "restart_child", atoms.a) == (atoms.ok, router.whereis("a"))
    assert await ask(me, supervisor, "restart_child", atoms.a) == (atoms.error, atoms.running)


async def test_temporary_child_is_gone_once_it_is_terminated(me: Mailbox, supervisor: Pid) -> None:
    assert await ask(me, supervisor, "terminate_child", atoms.b) is atoms.ok

    assert atoms.b not in await children_of(me, supervisor)
    assert await ask(me, supervisor, "terminate_child", atoms.b) == NOT_FOUND


async def test_temporary_child_is_gone_once_it_has_ended(router: Router, me: Mailbox, supervisor: Pid) -> None:
    await end(router, me, "b")

    assert atoms.b not in await children_of(me, supervisor)


async def test_child_is_deleted_when_it_does_not_run(me: Mailbox, supervisor: Pid) -> None:
    assert await ask(me, supervisor, "delete_child", atoms.a) == (atoms.error, atoms.running)
    await ask(me, supervisor, "terminate_child", atoms.a)

    assert await ask(me, supervisor, "delete_child", atoms.a) is atoms.ok
    assert await ask(me, supervisor, "restart_child", atoms.a) == NOT_FOUND


@pytest.mark.parametrize("word", ["terminate_child", "restart_child", "delete_child", "get_childspec"])
@pytest.mark.parametrize("child", [atoms.nobody, 5, (), [1], b"a"])
async def test_child_that_is_not_there_is_not_found(me: Mailbox, supervisor: Pid, word: str, child: Any) -> None:
    assert await ask(me, supervisor, word, child) == NOT_FOUND


async def test_specification_is_shown_as_a_map(me: Mailbox, supervisor: Pid) -> None:
    module = Atom(f"{__name__}.Worker")

    word, spec = await ask(me, supervisor, "get_childspec", atoms.a)

    assert word is atoms.ok
    assert spec == {
        atoms.id: atoms.a,
        atoms.start: (module, atoms.start_link, []),
        atoms.restart: atoms.permanent,
        atoms.significant: False,
        atoms.shutdown: 5000,
        atoms.type: atoms.worker,
        atoms.modules: [module],
    }


@pytest.mark.parametrize(
    ("child", "restart", "shutdown", "kind"),
    [("b", "temporary", "infinity", "worker"), ("below", "transient", "brutal_kill", "supervisor")],
)
async def test_specification_has_the_words_of_otp(
    me: Mailbox, supervisor: Pid, child: str, restart: str, shutdown: str, kind: str
) -> None:
    spec = (await ask(me, supervisor, "get_childspec", Atom(child)))[1]

    assert [spec[atoms[one]] for one in ("restart", "shutdown", "type")] == [
        atoms[restart], atoms[shutdown], atoms[kind],
    ]  # fmt: skip


async def test_child_is_added_and_kept(router: Router, me: Mailbox, supervisor: Pid) -> None:
    spec = ChildSpec("new", Worker, name="new")

    word, pid = await ask(me, supervisor, "start_child", spec)
    me.send_exit(pid, atoms.boom)

    assert word is atoms.ok
    async with asyncio.timeout(2):
        while router.whereis("new") in {None, pid}:
            await asyncio.sleep(0)


async def test_child_is_added_once(router: Router, me: Mailbox, supervisor: Pid) -> None:
    spec = ChildSpec("a", Worker)

    assert await ask(me, supervisor, "start_child", spec) == (
        atoms.error, (atoms.already_started, router.whereis("a")),
    )  # fmt: skip
    await ask(me, supervisor, "terminate_child", atoms.a)
    assert await ask(me, supervisor, "start_child", spec) == (atoms.error, atoms.already_present)


async def test_child_that_can_not_start_is_not_added(me: Mailbox, supervisor: Pid) -> None:
    word, _reason = await ask(me, supervisor, "start_child", ChildSpec("new", Faulty))

    assert word is atoms.error
    assert await ask(me, supervisor, "get_childspec", atoms.new) == NOT_FOUND


async def test_specification_of_erlang_is_refused(me: Mailbox, supervisor: Pid) -> None:
    spec = {atoms.id: atoms.x, atoms.start: (atoms.x, atoms.start_link, [])}

    assert await ask(me, supervisor, "start_child", spec) == (atoms.error, (atoms.invalid_child_spec, spec))


async def test_calls_wait_while_a_child_is_being_stopped(router: Router, me: Mailbox) -> None:
    supervisor = router.spawn(Supervisor, [ChildSpec("slow", slow, name="slow"), ChildSpec("a", Worker, name="a")])
    while router.whereis("a") is None:
        await asyncio.sleep(0)

    words = ["terminate_child", "restart_child", "terminate_child", "delete_child"]
    answers = await asyncio.gather(*(ask(me, supervisor, word, atoms.slow) for word in words))

    assert [one if isinstance(one, Atom) else one[0] for one in answers] == [atoms.ok] * 4
    assert list(await children_of(me, supervisor)) == [atoms.a]


async def test_child_that_waits_for_its_restart_is_restarting(router: Router, me: Mailbox) -> None:
    class Once(GenServer):
        starts = 0

        def __init__(self) -> None:
            Once.starts += 1
            if Once.starts > 1:
                raise ValueError("it starts once")

    supervisor = router.spawn(Supervisor, [ChildSpec("one", Once, name="one")], "one_for_one", 10**6)
    while router.whereis("one") is None:
        await asyncio.sleep(0)
    await end(router, me, "one")

    assert (await children_of(me, supervisor))[atoms.one] is atoms.restarting
    assert await ask(me, supervisor, "restart_child", atoms.one) == (atoms.error, atoms.restarting)
    assert await ask(me, supervisor, "delete_child", atoms.one) == (atoms.error, atoms.restarting)
    assert await ask(me, supervisor, "terminate_child", atoms.one) is atoms.ok
    assert (await children_of(me, supervisor))[atoms.one] is atoms.undefined


# ---- what a supervisor does not end for

STRAYS = [atoms.batch_length, (atoms.terminate_child,), (atoms.terminate_child, 1, 2), 5, [], {}, "which_children"]


@pytest.mark.parametrize("request_", STRAYS, ids=repr)
async def test_unknown_call_is_answered(me: Mailbox, supervisor: Pid, request_: Any) -> None:
    assert await me.call(supervisor, request_, timeout=2) == (atoms.error, atoms.badcall)
    assert len(await children_of(me, supervisor)) == 3


@pytest.mark.parametrize("message", [*STRAYS, (atoms.EXIT, 5, atoms.boom), (atoms.DOWN, 1, 2, 3, 4)], ids=repr)
async def test_unknown_cast_and_message_mean_nothing(me: Mailbox, supervisor: Pid, message: Any) -> None:
    me.cast(supervisor, message)
    me.send(supervisor, message)

    assert len(await children_of(me, supervisor)) == 3


async def test_exit_of_a_stranger_means_nothing(me: Mailbox, supervisor: Pid) -> None:
    me.send_exit(supervisor, atoms.boom)
    me.send_exit(supervisor, atoms.normal)

    assert len(await children_of(me, supervisor)) == 3


async def test_shutdown_of_a_stranger_means_nothing_to_who_has_a_parent(router: Router, me: Mailbox) -> None:
    above = router.spawn(Supervisor, [ChildSpec("below", lambda: Supervisor([]), name="below")])
    while (below := router.whereis("below")) is None:
        await asyncio.sleep(0)
    me.send_exit(below, atoms.shutdown)

    assert (await children_of(me, above))[atoms.below] == below


async def test_terminate_of_sys_stops_the_children_in_order(router: Router, me: Mailbox, supervisor: Pid) -> None:
    downs = {me.monitor("a"): "a", me.monitor("b"): "b", me.monitor(supervisor): "supervisor"}

    me.send(supervisor, (atoms.system, (me.pid, 1), (atoms.terminate, atoms.shutdown)))

    heard = [await me.receive(lambda message: message[0] is atoms.DOWN, timeout=2) for _ in range(3)]
    assert [downs[message[1]] for message in heard] == ["b", "a", "supervisor"]


async def test_call_to_a_supervisor_that_stops_ends_with_it(router: Router, me: Mailbox) -> None:
    supervisor = router.spawn(Supervisor, [ChildSpec("slow", slow, name="slow")])
    while router.whereis("slow") is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    me.send_exit(supervisor, atoms.shutdown)

    with pytest.raises(Exception, match="shutdown") as caught:
        await ask(me, supervisor, "restart_child", atoms.slow)
    assert not isinstance(caught.value, CallTimeout)


# ---- calls and crashes in one moment


async def test_child_that_crashes_before_its_turn_to_be_terminated_stays_down(router: Router, me: Mailbox) -> None:
    """Its end waits in the queue behind the call, which has said ok by then."""
    supervisor = router.spawn(Supervisor, [ChildSpec("a", Worker, name="a"), ChildSpec("slow", slow, name="slow")])
    while router.whereis("slow") is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    words = [ask(me, supervisor, "terminate_child", name) for name in (atoms.slow, atoms.a)]
    asked = [asyncio.ensure_future(word) for word in words]
    await asyncio.sleep(0)
    await end(router, me, "a")

    assert await asyncio.gather(*asked) == [atoms.ok, atoms.ok]
    assert await children_of(me, supervisor) == {atoms.slow: atoms.undefined, atoms.a: atoms.undefined}


async def test_children_behind_one_that_fails_to_start_can_be_restarted(router: Router, me: Mailbox) -> None:
    class Once(GenServer):
        starts = 0

        def __init__(self) -> None:
            Once.starts += 1
            if Once.starts > 1:
                raise ValueError("it starts once")

    specs = [ChildSpec("once", Once, name="once"), ChildSpec("a", Worker, name="a")]
    supervisor = router.spawn(Supervisor, specs, "one_for_all", 10**6)
    while router.whereis("a") is None:
        await asyncio.sleep(0)
    await end(router, me, "once")

    assert await ask(me, supervisor, "terminate_child", atoms.once) is atoms.ok
    assert await ask(me, supervisor, "restart_child", atoms.a) == (atoms.ok, router.whereis("a"))


async def test_fixed_children_are_nobodys_to_change(router: Router, me: Mailbox) -> None:
    supervisor = Supervisor([ChildSpec("a", Worker, name="a")])
    supervisor_children(supervisor).is_fixed = True
    router.spawn(supervisor)
    while router.whereis("a") is None:
        await asyncio.sleep(0)

    for word in ("terminate_child", "restart_child", "delete_child"):
        assert await ask(me, supervisor.pid, word, atoms.a) == (atoms.error, atoms.refused)
    assert await ask(me, supervisor.pid, "start_child", ChildSpec("b", Worker)) == (atoms.error, atoms.refused)
    assert await children_of(me, supervisor.pid) == {atoms.a: router.whereis("a")}


async def test_suspended_supervisor_ends_when_told(router: Router, me: Mailbox, supervisor: Pid) -> None:
    ref = me.monitor(supervisor)
    me.send(supervisor, (atoms.system, (me.pid, 1), atoms.suspend))
    me.send(supervisor, (atoms.system, (me.pid, 2), (atoms.terminate, atoms.shutdown)))

    assert (await me.receive(lambda message: message[1] == ref, timeout=2))[4] is atoms.shutdown
    assert router.whereis("a") is None


async def test_suspended_child_ends_with_its_supervisor(router: Router, me: Mailbox) -> None:
    child = ChildSpec("below", lambda: Supervisor([]), shutdown=None, name="below")
    supervisor = router.spawn(Supervisor, [child])
    while (below := router.whereis("below")) is None:
        await asyncio.sleep(0)
    me.send(below, (atoms.system, (me.pid, 1), atoms.suspend))

    assert await ask(me, supervisor, "terminate_child", atoms.below) is atoms.ok
