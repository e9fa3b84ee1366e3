"""One link that is up, and the queue of one that is being dialled; the I/O thread is in `tests.link.test_thread`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen._native import HIGH_MARK, NO_PAYLOAD, OVERHEAD, Session
from pyzen.actor.gen_server import GenServer
from pyzen.actor.runtime import Sent
from pyzen.actor.signals import (
    Demonitor,
    Down,
    Exit,
    Exit2,
    Link,
    Monitor,
    Signal,
    SpawnReply,
    Unlink,
    UnlinkAck,
)
from pyzen.actor.verbs import actor_of
from pyzen.config import Limits
from pyzen.dist.control import Op
from pyzen.dist.flags import OWN_FLAGS
from pyzen.errors import EncodeError, LinkOverloaded
from pyzen.node.link import DialQueue
from pyzen.terms import Atom, Pid, Reference, atoms
from tests.node.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode
    from tests.raw_peer import RawPeer

OUR, THEIR = Pid("here@test", 5, 0, 7), Pid("there@test", 9, 0, 8)
PEER = THEIR.node
REF = Reference("here@test", 7, [1, 2, 3])


def sent(*signal: Any) -> bytes:
    """Return the first packet of a link."""
    return Session(Limits(), node=OUR.node, creation=7, peer=THEIR.node, flags=int(OWN_FLAGS)).signal(*signal)


def received(packet: bytes) -> list[tuple[int, int, Any, Any, Any]]:
    """Return what a packet means at the other end."""
    return Session(Limits(), node=THEIR.node, creation=8, peer=OUR.node, flags=int(OWN_FLAGS)).receive_data(packet)


class Idle(GenServer):
    """Waits for its end."""

    def handle_cast(self, request: Any) -> None:
        self.exit(object() if request is atoms.oddly else request)


# ---- what waits for a dial


def test_queue_keeps_messages_and_signals_in_order() -> None:
    queue = DialQueue(Limits(max_unsent_bytes=1000))
    queue.send(OUR, THEIR, 1)
    queue.signal(Monitor(THEIR, OUR, REF))
    queue.send(OUR, atoms.name, 2)

    first, _ = queue.take(int(OWN_FLAGS))

    assert [row[1] if row[0] == OUR else row[1][0] for row in first] == [THEIR, Op.MONITOR_P, atoms.name]


def test_queue_keeps_priority() -> None:
    queue = DialQueue(Limits(max_unsent_bytes=1000))

    queue.send(OUR, THEIR, 1, priority=True)
    queue.signal(Exit2(THEIR, OUR, atoms.boom, True))

    (message, signal), _ = queue.take(int(OWN_FLAGS))
    assert message[3:] == (True,)
    assert signal[1] == (Op.ALTACT_SIG_SEND, 17, OUR, THEIR)


def test_queue_is_empty_once_taken() -> None:
    queue = DialQueue(Limits(max_unsent_bytes=1000))
    queue.signal(Link(THEIR, OUR))
    queue.take(int(OWN_FLAGS))

    assert queue.take(int(OWN_FLAGS)) == ([], [])


@pytest.mark.parametrize(
    ("signal", "control", "payload"),
    [
        (Link(THEIR, OUR), (Op.LINK, OUR, THEIR), NO_PAYLOAD),
        (Unlink(THEIR, OUR, 3), (Op.UNLINK_ID, 3, OUR, THEIR), NO_PAYLOAD),
        (UnlinkAck(THEIR, OUR, 3), (Op.UNLINK_ID_ACK, 3, OUR, THEIR), NO_PAYLOAD),
        (Exit(THEIR, OUR, atoms.boom), (Op.PAYLOAD_EXIT, OUR, THEIR), atoms.boom),
        (Exit2(THEIR, OUR, atoms.boom), (Op.PAYLOAD_EXIT2, OUR, THEIR), atoms.boom),
        (Monitor((atoms.name, PEER), OUR, REF), (Op.MONITOR_P, OUR, atoms.name, REF), NO_PAYLOAD),
        (Demonitor(THEIR, OUR, REF), (Op.DEMONITOR_P, OUR, THEIR, REF), NO_PAYLOAD),
        (Down(THEIR, REF, OUR, atoms.boom), (Op.PAYLOAD_MONITOR_P_EXIT, OUR, THEIR, REF), atoms.boom),
        (SpawnReply(THEIR, REF, 0, atoms.notsup), (Op.SPAWN_REPLY, REF, THEIR, 0, atoms.notsup), NO_PAYLOAD),
    ],
)
def test_queue_turns_each_signal_into_its_control_message(
    signal: Signal, control: tuple[Any, ...], payload: Any
) -> None:
    queue = DialQueue(Limits(max_unsent_bytes=1000))

    queue.signal(signal)

    (row,), _ = queue.take(int(OWN_FLAGS))
    ((op, _, found, _, reason),) = received(sent(*row))
    assert (op, found, reason) == (control[0], control, payload)


def test_queue_takes_messages_up_to_its_limit_and_no_more() -> None:
    message = bytes(95)
    size = len(b"m") + 4 + 95
    limit = 2 * (size + OVERHEAD)
    queue = DialQueue(Limits(max_unsent_bytes=limit))
    queue.send(OUR, THEIR, message)
    queue.send(OUR, THEIR, message)

    with pytest.raises(LinkOverloaded, match=f"more than {limit} bytes"):
        queue.send(OUR, THEIR, 0)

    assert len(queue.take(int(OWN_FLAGS))[0]) == 2


def test_queue_refuses_what_has_no_erlang_form_at_once() -> None:
    queue = DialQueue(Limits(max_unsent_bytes=1000))

    with pytest.raises(EncodeError):
        queue.send(OUR, THEIR, object())

    assert queue.take(int(OWN_FLAGS)) == ([], [])


def test_queue_keeps_a_signal_whose_reason_has_no_erlang_form() -> None:
    queue = DialQueue(Limits(max_unsent_bytes=1000))

    queue.signal(Exit2(THEIR, OUR, object()))

    (row,), _ = queue.take(int(OWN_FLAGS))
    assert row[1:] == ((Op.PAYLOAD_EXIT2, OUR, THEIR), atoms.unencodable)


def test_queue_lets_senders_wait_above_the_high_mark() -> None:
    queue, actor = DialQueue(Limits()), actor_of(Idle())
    assert queue.send(OUR, THEIR, b"") is Sent.SENT
    queue.suspend_while_busy(actor)
    assert actor.suspended is None

    assert queue.send(OUR, THEIR, bytes(HIGH_MARK)) is Sent.BUSY
    for _ in range(2):
        queue.suspend_while_busy(actor)
    assert actor.suspended is not None


def test_signals_make_a_queue_busy() -> None:
    queue = DialQueue(Limits())

    for _ in range(HIGH_MARK // OVERHEAD + 1):
        queue.signal(Link(THEIR, OUR))

    assert queue.busy


# ---- signals over a link that is up


async def test_reason_without_an_erlang_form_still_tells_the_end(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await make_node("a"), await make_node("b")
    pid = b.spawn(Idle)
    async with a.mailbox() as me:
        ref = me.monitor(pid)
        a.cast(pid, atoms.oddly)

        assert await me.receive(timeout=5) == (atoms.DOWN, ref, atoms.process, pid, atoms.unencodable)
    assert "without an Erlang form" in caplog.text


async def test_reasons_without_an_erlang_form_are_told_at_a_bounded_rate(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await make_node("a"), await make_node("b")
    async with a.mailbox() as me:
        for pid in [b.spawn(Idle) for _ in range(3)]:
            me.monitor(pid)
            a.cast(pid, atoms.oddly)
            await me.receive(timeout=5)

    assert caplog.text.count("without an Erlang form: 1") == caplog.text.count("without an Erlang form") == 1


async def linked(node: Node, raw: RawPeer) -> None:
    await raw.connect(node)
    await until(lambda: node.nodes() == [raw.name])


async def test_overloaded_link_raises_at_send(make_node: MakeNode, make_raw: Callable[..., RawPeer]) -> None:
    node, raw = await make_node(limits=Limits(max_unsent_bytes=1000)), make_raw()
    await linked(node, raw)

    def send_much() -> None:
        for _ in range(100):
            node.send(raw.pid, bytes(2**20))

    with pytest.raises(LinkOverloaded) as caught:
        send_much()

    assert caught.value.peer == str(raw.name)


@pytest.mark.parametrize("control", [(Op.LINK, THEIR, OUR), (Op.LINK, 5, 6), (Op.SPAWN_REQUEST, 1), (99, 1)])
async def test_peer_that_breaks_the_protocol_loses_its_link(
    make_node: MakeNode, make_raw: Callable[..., RawPeer], control: tuple[Any, ...]
) -> None:
    """The first speaks in the name of a process of a third node."""
    node, raw = await make_node(), make_raw()
    await linked(node, raw)
    async with node.mailbox("me") as me:
        raw.writer.write(raw.session.signal(0, control) + raw.session.signal(0, (Op.LINK, raw.pid, me.pid)))

        assert await raw.at_end()
        await until(lambda: node.nodes() == [])

        assert not actor_of(me).ended, "what came after the fault is not obeyed: a link would have ended with the peer"


async def test_nothing_that_came_behind_a_fault_is_delivered(
    make_node: MakeNode, make_raw: Callable[..., RawPeer]
) -> None:
    """The messages lie in one batch of events, before and behind the fault."""
    node, raw = await make_node(), make_raw()
    await linked(node, raw)
    async with node.mailbox("me") as me:
        node.monitor_node(raw.name, me.pid)
        before, behind = (
            [raw.session.send(raw.pid, Atom("me"), number) for number in range(start, start + 50)] for start in (0, 50)
        )

        raw.writer.write(b"".join([*before, raw.session.signal(0, (Op.LINK, THEIR, OUR)), *behind]))

        assert [await me.receive(timeout=5) for _ in range(51)] == [*range(50), (atoms.nodedown, raw.name)]
        assert len(actor_of(me).mail) == 0


async def test_control_of_a_peer_is_obeyed(make_node: MakeNode, make_raw: Callable[..., RawPeer]) -> None:
    node, raw = await make_node(), make_raw()
    await linked(node, raw)
    async with node.mailbox() as me:
        me.trap_exit = True

        raw.writer.write(raw.session.signal(0, (Op.PAYLOAD_EXIT2, raw.pid, me.pid), atoms.boom))

        assert await me.receive(timeout=5) == (atoms.EXIT, raw.pid, atoms.boom)


async def test_many_events_leave_the_loop_its_turns(make_node: MakeNode, make_raw: Callable[..., RawPeer]) -> None:
    """More than one batch is waiting: all of it is delivered without another wake-up."""
    node, raw = await make_node(), make_raw()
    await linked(node, raw)
    async with node.mailbox("me") as me:
        raw.writer.write(b"".join(raw.session.send(raw.pid, Atom("me"), number) for number in range(5000)))

        assert [await me.receive(timeout=5) for _ in range(5000)] == list(range(5000))


async def test_signals_and_messages_to_aliases_carry_the_link_they_came_by(
    make_node: MakeNode, make_raw: Callable[..., RawPeer]
) -> None:
    node, raw = await make_node(), make_raw()
    await linked(node, raw)
    pid = node.spawn(Idle)
    actor = node.runtime.actor(pid)
    assert actor is not None
    await until(lambda: not actor.scheduled)
    alias, ref = node.make_ref(), Reference(str(raw.name), 9, [1, 2, 3])
    node.runtime.add_alias(alias, actor)
    actor.scheduled = True  # so that it does not come to what has arrived

    raw.writer.write(
        raw.session.signal(0, (Op.LINK, raw.pid, pid))
        + raw.session.signal(0, (Op.MONITOR_P, raw.pid, pid, ref))
        + raw.session.send(raw.pid, alias, 1)
    )
    arrived = actor.incoming
    await until(lambda: len(arrived) >= 3)

    link = node.runtime.link(raw.name)
    assert link is not None
    assert [item.via for item in arrived if isinstance(item, Signal)] == [link[0]] * 3
