from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import etf
from pyzen.actor.gen_server import GenServer
from pyzen.actor.states import presentable
from pyzen.actor.supervisor import ChildSpec, Supervisor
from pyzen.actor.verbs import actor_of
from pyzen.terms import ImproperList, Pid, atoms

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox
    from pyzen.node.router import Router


class Counter(GenServer):
    def init(self) -> None:
        self.count = 1
        self._helper = object()

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        return request, self.count


async def system(me: Mailbox, to: Pid, request: Any) -> Any:
    ref = actor_of(me).runtime.make_ref()
    me.send(to, (atoms.system, (me.pid, ref), request))
    reply = await me.receive(lambda message: message[0] == ref, timeout=2)
    return reply[1]


async def test_get_state_shows_the_attributes_of_the_class(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Counter())

    ok, state = await system(me, pid, atoms.get_state)

    assert ok is atoms.ok
    assert state[atoms.count] == 1
    assert state[atoms.helper].startswith("<object object at ")
    assert set(state) == {atoms.count, atoms.helper}


async def test_get_status_has_the_shape_of_a_gen_server(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Counter(), name="counter")

    status, who, module, rest = await system(me, pid, atoms.get_status)

    assert (status, who, module[0]) == (atoms.status, pid, atoms.module)
    assert str(module[1]).endswith("test_system.Counter")
    assert rest[1:4] == [atoms.running, pid, []]


async def test_a_suspended_server_takes_system_messages_only(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Counter())
    assert await system(me, pid, atoms.suspend) is atoms.ok
    ref = me.send_request(pid, atoms.ask)
    assert (await system(me, pid, atoms.get_status))[3][1] is atoms.suspended
    with pytest.raises(TimeoutError):
        await me.receive(timeout=0)

    assert await system(me, pid, atoms.resume) is atoms.ok

    assert await me.receive(timeout=2) == (ref, (atoms.ask, 1))


async def test_what_came_before_a_resume_is_handled_before_the_next_system_message(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Counter())
    assert await system(me, pid, atoms.suspend) is atoms.ok
    first, last = actor_of(me).runtime.make_ref(), actor_of(me).runtime.make_ref()

    asked = me.send_request(pid, atoms.ask)
    me.send(pid, (atoms.system, (me.pid, first), atoms.resume))
    me.send(pid, (atoms.system, (me.pid, last), (atoms.terminate, atoms.normal)))

    assert [(await me.receive(timeout=2))[0] for _ in range(3)] == [first, asked, last]


async def test_terminate_replies_and_ends(router: Router, me: Mailbox) -> None:
    pid = router.spawn(Counter())
    ref = me.monitor(pid)

    assert await system(me, pid, (atoms.terminate, atoms.enough)) is atoms.ok

    assert await me.receive(timeout=2) == (atoms.DOWN, ref, atoms.process, pid, atoms.enough)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (atoms.nonsense, atoms.unknown_system_msg),
        ((atoms.change_code, atoms.m, 1, []), atoms.unknown_system_msg),
        ((atoms.replace_state, atoms.fun), atoms.callback_failed),
    ],
)
async def test_what_can_not_be_done_is_an_error(router: Router, me: Mailbox, request_: Any, kind: Any) -> None:
    pid = router.spawn(Counter())

    error, (what, *_) = await system(me, pid, request_)

    assert (error, what) == (atoms.error, kind)


async def test_a_call_as_of_a_gen_event_is_a_call(router: Router, me: Mailbox) -> None:
    pid, tag = router.spawn(Counter()), atoms.tag

    me.send(pid, (me.pid, (me.pid, tag), atoms.ask))

    assert await me.receive(timeout=2) == (tag, (atoms.ask, 1))


async def test_children_are_shown_as_a_supervisor_of_otp_shows_them(router: Router, me: Mailbox) -> None:
    below = ChildSpec("below", lambda: Supervisor([]))
    pid = router.spawn(Supervisor([ChildSpec("counter", Counter), below]))

    children = await me.call(pid, atoms.which_children)
    counts = await me.call(pid, atoms.count_children)

    assert [(child[0], child[2]) for child in children] == [
        (atoms.below, atoms.supervisor),
        (atoms.counter, atoms.worker),
    ]
    assert counts == [(atoms.specs, 2), (atoms.active, 2), (atoms.supervisors, 1), (atoms.workers, 1)]


def test_any_value_can_be_shown() -> None:
    deep: Any = []
    for _ in range(50):
        deep = [deep]
    values = [deep, {1: {2}, "a": object()}, (1, [None, 1.5]), float("nan"), range(3), list(range(5000))]

    shown = [presentable(value) for value in values]

    assert etf.decode(etf.encode(shown)) is not None
    assert shown[2] == (1, [None, 1.5])
    assert len(shown[5]) == 1000


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    colour: Colour
    inner: Point | None = None
    hidden: int = field(default=7, repr=False)


def test_records_are_shown_as_maps_of_what_their_repr_has() -> None:
    shown = presentable([Point(1, Colour.RED, Point(2, Colour.RED)), Point])

    inner = {atoms.x: 2, atoms.colour: "red", atoms.inner: None}
    assert shown == [{atoms.x: 1, atoms.colour: "red", atoms.inner: inner}, repr(Point)]


class Secretive(GenServer):
    """Has what an attacker would like to read: the tag of a call, in many places."""

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        ref = self.ref = request
        tag = ImproperList([atoms.alias], ref)
        self.states = [
            tag, [tag], {atoms.a: tag}, {tag: 1}, (atoms.a, (tag,)), deque([tag]), partial(print, tag), ValueError(tag),
            MappingProxyType({1: ref}), {1: ref}.values(), {ref}, Plain(ref), iter([ref]),
        ]  # fmt: skip
        return atoms.ok


class Plain:
    def __init__(self, ref: Any) -> None:
        self.ref = ref

    def __repr__(self) -> str:
        return f"<Plain {self.ref!r}>"


async def test_state_shows_no_reference_in_whole(router: Router, me: Mailbox) -> None:
    """Whoever could read it would answer a call in the name of the server that was called."""
    pid = router.spawn(Secretive)
    ref = router.make_ref()
    await me.call(pid, ref)

    shown = repr(await system(me, pid, atoms.get_state))

    assert str(ref.words[2]) not in shown
    assert str(ref.words[1]) not in shown
