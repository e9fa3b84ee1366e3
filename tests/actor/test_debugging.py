"""What ``sys`` switches on at a server, and what it shows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen import etf
from pyzen.actor.answers import NOREPLY
from pyzen.actor.debugging import MAX_EVENT_SIZE, MAX_LOG
from pyzen.actor.gen_server import GenServer
from pyzen.actor.server_loop import ServerLoop, server_loop
from pyzen.actor.supervisor import ChildSpec, Supervisor
from pyzen.brief import brief
from pyzen.terms import Pid, atoms
from tests.actor.test_system import system

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox
    from pyzen.node.router import Router

OK = atoms.ok


class Echo(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        if request is atoms.later:
            return self._later()
        return NOREPLY if request is atoms.never else request

    async def _later(self) -> Any:
        return atoms.late

    def handle_cast(self, request: Any) -> None:
        """Take it."""

    def handle_info(self, message: Any) -> None:
        """Take it."""


@pytest.fixture
def echo(router: Router) -> Pid:
    return router.spawn(Echo, name="echo")


async def debug(me: Mailbox, to: Pid, request: Any) -> Any:
    return await system(me, to, (atoms.debug, request))


async def counts(me: Mailbox, to: Pid) -> tuple[int, int]:
    ok, shown = await debug(me, to, (atoms.statistics, atoms.get))
    assert ok is OK
    return dict(shown)[atoms.messages_in], dict(shown)[atoms.messages_out]


async def test_without_debugging_there_is_nothing_to_show(me: Mailbox, echo: Pid) -> None:
    assert await debug(me, echo, (atoms.statistics, atoms.get)) == (OK, atoms.no_statistics)
    assert await debug(me, echo, (atoms.log, atoms.get)) == (OK, [])


async def test_statistics_count_messages_and_replies(me: Mailbox, echo: Pid) -> None:
    assert await debug(me, echo, (atoms.statistics, True)) is OK

    await me.call(echo, 1)
    await me.call(echo, atoms.later)
    me.send_request(echo, atoms.never)
    me.cast(echo, 2)
    me.send(echo, 3)

    assert await counts(me, echo) == (5, 2)


async def test_statistics_have_the_items_of_otp(me: Mailbox, echo: Pid) -> None:
    await debug(me, echo, (atoms.statistics, True))

    _, shown = await debug(me, echo, (atoms.statistics, atoms.get))

    names = ("start_time", "current_time", "reductions", "messages_in", "messages_out")
    assert [name for name, _ in shown] == [atoms[name] for name in names]
    (year, _, _), (_, _, _) = dict(shown)[atoms.start_time]
    assert year >= 2024


async def test_statistics_that_are_on_go_on(me: Mailbox, echo: Pid) -> None:
    await debug(me, echo, (atoms.statistics, True))
    await me.call(echo, 1)

    await debug(me, echo, (atoms.statistics, True))

    assert await counts(me, echo) == (1, 1)


async def test_a_log_has_what_came_and_what_was_replied(me: Mailbox, echo: Pid) -> None:
    assert await debug(me, echo, (atoms.log, True)) is OK
    me.send(echo, (atoms["$gen_call"], (me.pid, atoms.tag), 7))
    me.send(echo, atoms.plain)

    ok, events = await debug(me, echo, (atoms.log, atoms.get))

    assert ok is OK
    assert events == [
        (atoms["in"], (atoms["$gen_call"], (me.pid, atoms.tag), 7)),
        (atoms.out, 7, (me.pid, atoms.tag)),
        (atoms["in"], atoms.plain),
    ]


@pytest.mark.parametrize(("wanted", "kept"), [(True, 10), ((True, 3), 3)])
async def test_a_log_keeps_the_last_events(me: Mailbox, echo: Pid, wanted: Any, kept: int) -> None:
    await debug(me, echo, (atoms.log, wanted))
    for number in range(20):
        me.send(echo, number)

    _, events = await debug(me, echo, (atoms.log, atoms.get))

    assert [event[1] for event in events] == list(range(20))[-kept:]


async def test_a_log_has_a_bound_whatever_is_asked_for(me: Mailbox, echo: Pid) -> None:
    await debug(me, echo, (atoms.log, (True, 10**9)))
    for number in range(MAX_LOG + 1):
        me.send(echo, number)

    _, events = await debug(me, echo, (atoms.log, atoms.get))

    assert len(events) == MAX_LOG


async def test_a_log_has_a_bound_in_bytes(me: Mailbox, echo: Pid) -> None:
    await debug(me, echo, (atoms.log, (True, MAX_LOG)))
    size = MAX_EVENT_SIZE - 100
    for number in range(50):
        me.send(echo, (number, bytes(size)))
    me.send(echo, atoms.last)

    _, events = await debug(me, echo, (atoms.log, atoms.get))

    assert [event[1] for event in events[:-1]] == [(number, bytes(size)) for number in range(34, 50)]
    assert events[-1] == (atoms["in"], atoms.last)


@pytest.mark.parametrize("message", [bytes(8 * MAX_EVENT_SIZE), [5] * MAX_EVENT_SIZE, ("x", object(), bytes(10**6))])
async def test_a_large_event_is_kept_as_the_start_of_its_text(me: Mailbox, echo: Pid, message: Any) -> None:
    await debug(me, echo, (atoms.log, True))
    me.send(echo, message)
    me.send(echo, (atoms["$gen_call"], (me.pid, bytes(MAX_EVENT_SIZE)), message))

    _, [(_, shown), (_, _call), (_, reply, (caller, tag))] = await debug(me, echo, (atoms.log, atoms.get))

    assert shown == brief(message) == reply
    assert caller == me.pid
    assert tag == brief(bytes(MAX_EVENT_SIZE))


async def test_a_log_of_what_has_no_erlang_form_can_be_shown(me: Mailbox, echo: Pid) -> None:
    await debug(me, echo, (atoms.log, True))
    me.send(echo, object())

    _, [(_, shown)] = await debug(me, echo, (atoms.log, atoms.get))

    assert shown.startswith("<object object at")
    assert etf.encode(shown)


async def test_downs_are_logged_as_the_messages_they_are(router: Router, me: Mailbox) -> None:
    class Watcher(Echo):
        def init(self, target: Pid) -> None:
            self.ref = self.monitor(target)

    target = router.spawn(Echo)
    watcher = router.spawn(Watcher, target)
    await debug(me, watcher, (atoms.log, True))

    ref = me.monitor(target)
    me.send_exit(target, atoms.boom)
    await me.receive(lambda message: message[1] == ref, timeout=2)
    _, events = await debug(me, watcher, (atoms.log, atoms.get))

    assert [event[1][0] for event in events] == [atoms.DOWN]


async def test_a_trace_is_printed_by_the_leader_of_who_asks(router: Router, me: Mailbox, echo: Pid) -> None:
    me.set_group_leader(me.pid)
    assert await debug(me, echo, (atoms.trace, True)) is OK

    me.send(echo, (atoms["$gen_call"], (me.pid, atoms.tag), "a\nb"))
    me.cast(echo, 2)
    me.send(echo, 3)
    await debug(me, echo, (atoms.trace, False))
    me.send(echo, 4)
    await debug(me, echo, atoms.no_debug)

    printed = []
    while True:
        try:
            message = await me.receive(lambda one: one[0] is atoms.io_request, timeout=0)
        except TimeoutError:
            break
        printed.append(message[3][2])
    who = f"<{me.pid.node}.{me.pid.id}.0>"
    assert printed == [
        f'*DBG* echo got call <<"a\\nb">> from {who}\n',
        f'*DBG* echo sent <<"a\\nb">> to {who}\n',
        "*DBG* echo got cast 2\n",
        "*DBG* echo got 3\n",
    ]


async def test_a_trace_for_who_can_not_be_asked_is_printed_by_the_own_leader(
    router: Router, me: Mailbox, echo: Pid
) -> None:
    me.set_group_leader(me.pid, echo)
    asker = Pid("nobody@h", 1, 0, 1)

    me.send(echo, (atoms.system, (asker, atoms.x), (atoms.debug, (atoms.trace, True))))
    me.send(echo, 3)

    message = await me.receive(lambda one: one[0] is atoms.io_request, timeout=1)
    assert message[3][2] == "*DBG* echo got 3\n"


async def test_a_log_can_be_printed(me: Mailbox, echo: Pid) -> None:
    me.set_group_leader(me.pid)
    await debug(me, echo, (atoms.log, True))
    me.send(echo, 3)

    assert await debug(me, echo, (atoms.log, atoms.print)) is OK

    message = await me.receive(lambda one: one[0] is atoms.io_request, timeout=1)
    assert message[3][2] == "*DBG* echo got 3\n"


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ((atoms.install, (atoms.fun, 0)), (atoms.error, atoms.undef)),
        ((atoms.remove, atoms.fun), (atoms.error, atoms.undef)),
        ((atoms.log_to_file, b"/tmp/x"), (atoms.error, atoms.open_file)),
        ((atoms.log_to_file, False), OK),
        ((atoms.log, (True, 0)), atoms.unknown_debug),
        (atoms.nonsense, atoms.unknown_debug),
        (atoms.no_debug, OK),
    ],
)
async def test_what_can_not_be_done_is_said(me: Mailbox, echo: Pid, request_: Any, reply: Any) -> None:
    assert await debug(me, echo, request_) == reply


async def test_a_server_is_of_its_own_class_again_when_all_is_off(router: Router, me: Mailbox, echo: Pid) -> None:
    actor = router.actor(echo)
    assert actor is not None
    await debug(me, echo, (atoms.log, True))
    await debug(me, echo, (atoms.statistics, True))
    assert type(actor.loop) is not ServerLoop

    await debug(me, echo, (atoms.log, False))
    assert await counts(me, echo) == (0, 0)
    await debug(me, echo, (atoms.statistics, False))

    assert await me.call(echo, 1) == 1
    assert type(actor.loop) is ServerLoop
    assert server_loop(actor).watch is None


async def test_what_is_switched_off_and_on_at_once_counts_once(me: Mailbox, echo: Pid) -> None:
    await debug(me, echo, (atoms.statistics, True))
    for wanted in (False, True, False, True):
        me.send(echo, (atoms.system, (me.pid, atoms.x), (atoms.debug, (atoms.statistics, wanted))))

    await me.call(echo, 1)

    assert await counts(me, echo) == (1, 1)


class Odd(tuple[Any, ...]):
    """A message whose class has code of a user, and a wrong one."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        raise ValueError(index)

    def __len__(self) -> int:
        raise ValueError("no length")

    __iter__ = __hash__ = __eq__ = __repr__ = __len__  # type: ignore[assignment]


async def test_a_message_that_can_not_be_looked_at_harms_no_server_that_is_watched(me: Mailbox, echo: Pid) -> None:
    for request in ((atoms.trace, True), (atoms.log, True), (atoms.statistics, True)):
        await debug(me, echo, request)

    me.send(echo, Odd((1, 2)))

    assert await counts(me, echo) == (1, 0)
    assert (await debug(me, echo, (atoms.log, atoms.get)))[0] is OK


async def test_a_supervisor_can_be_watched_like_any_other(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Supervisor([ChildSpec("echo", Echo)]))
    await debug(me, pid, (atoms.statistics, True))

    assert await me.call(pid, atoms.count_children)

    assert await counts(me, pid) == (1, 1)
    await debug(me, pid, atoms.no_debug)
    assert await me.call(pid, atoms.count_children)


async def test_the_status_tells_what_is_on_and_what_was_logged(me: Mailbox, echo: Pid) -> None:
    await debug(me, echo, (atoms.log, True))
    me.send(echo, 3)

    _, _, _, [_, _, _, options, misc] = await system(me, echo, atoms.get_status)

    assert options == [(atoms.log, 1)]
    assert dict(misc[1][1])["Logged events"] == [(atoms["in"], 3)]


async def test_a_suspended_server_takes_orders_about_debugging(me: Mailbox, echo: Pid) -> None:
    await system(me, echo, atoms.suspend)
    me.send(echo, 3)

    assert await debug(me, echo, (atoms.log, True)) is OK
    assert await debug(me, echo, (atoms.log, atoms.get)) == (OK, [])

    await system(me, echo, atoms.resume)
    assert await debug(me, echo, (atoms.log, atoms.get)) == (OK, [(atoms["in"], 3)])
