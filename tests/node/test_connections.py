"""Dials, inbound handshakes and the one link per peer, against peers that the test plays."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyzen._native import HIGH_MARK
from pyzen.actor.reasons import KILL
from pyzen.config import Limits
from pyzen.dist.control import Op
from pyzen.dist.epmd import NodeEntry
from pyzen.dist.flags import own_flags
from pyzen.dist.handshake import Acceptor, Initiator
from pyzen.dist.handshake_messages import ChallengeMessage, NameMessage
from pyzen.errors import ConfigError, CookieMismatch, HandshakeError, NotAllowed
from pyzen.logs import BURST
from pyzen.terms import Atom, Reference, atoms
from tests.node.conftest import until
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyzen.actor.process import Process
    from pyzen.node.epmd_server import EpmdServer
    from pyzen.node.node import Node
    from tests.node.callee import Callee
    from tests.node.conftest import MakeNode

SETUP_TIME = 0.3


@pytest.fixture
async def node(make_node: MakeNode) -> Node:
    return await make_node("n", limits=Limits(setup_time=SETUP_TIME))


# ---- dials


@pytest.mark.parametrize("error", [ValueError("no such address"), ConfigError("no cookie"), RuntimeError()])
async def test_a_dial_is_over_whatever_ends_it(node: Node, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def resolve(alive: str, host: str) -> tuple[str, int] | None:
        raise error

    node._connections._resolve = resolve
    async with node.mailbox() as mailbox:
        ref = mailbox.monitor((atoms.nobody, Atom("z@127.0.0.1")))
        with pytest.raises(type(error)):
            await node.connect("z@127.0.0.1")

        down = await mailbox.receive(timeout=5)

    assert down == (atoms.DOWN, ref, atoms.process, (atoms.nobody, Atom("z@127.0.0.1")), atoms.noconnection)
    assert node._connections.dial_count == 0
    assert "no link to z@127.0.0.1" in caplog.text


async def test_a_node_with_an_address_of_a_single_link_is_not_reached(node: Node) -> None:
    assert not await node.connect("z@::ffff:127.0.0.1%lo")

    assert node._connections.dial_count == 0


async def test_dial_sends_what_waits_after_the_handshake(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]]
) -> None:
    callee = await make_callee("z@127.0.0.1")
    for number in range(3):
        node.send(("inbox", callee.name), number)

    peer, outcome = await callee.answer(node.name)

    received: list[Any] = []
    while len(received) < 4:
        received += [(to, *messages) for _, _, to, messages, _ in await peer.events()]
    await peer.close()
    assert outcome.peer == str(node.name)
    assert received[0][0] is atoms.global_name_server, "the greeting comes first"
    assert received[1:] == [(atoms.inbox, number) for number in range(3)]


async def test_two_callers_share_one_dial(node: Node, make_callee: Callable[[str], Awaitable[Callee]]) -> None:
    callee = await make_callee("z@127.0.0.1")
    connecting = [asyncio.ensure_future(node.connect(callee.name)) for _ in range(2)]

    peer, _ = await callee.answer(node.name)

    assert await asyncio.gather(*connecting) == [True, True]
    assert callee.connections.empty()
    await peer.close()


async def test_cancelled_connect_leaves_the_dial_under_way(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]]
) -> None:
    callee = await make_callee("z@127.0.0.1")
    connecting = asyncio.ensure_future(node.connect(callee.name))
    peer = await callee.next()
    connecting.cancel()
    callee.connections.put_nowait(peer)

    await callee.answer(node.name)

    await until(lambda: node.nodes() == [Atom(callee.name)])
    await peer.close()


async def test_connect_gives_up_in_time(node: Node, make_callee: Callable[[str], Awaitable[Callee]]) -> None:
    callee = await make_callee("z@127.0.0.1")

    assert not await node.connect(callee.name, timeout=0.02)

    await (await callee.next()).close()


async def test_a_peer_that_stalls_fails_the_dial_at_setup_time(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]]
) -> None:
    callee = await make_callee("z@127.0.0.1")

    with pytest.raises(HandshakeError, match="ended early: setup timeout"):
        await node.connect(callee.name)

    await (await callee.next()).close()


async def test_challenge_of_this_node_is_not_answered_to_who_sends_it_back(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]]
) -> None:
    """Who has no cookie could have the node that it dials answer for it, on a connection the other way."""
    assert node.address is not None
    flags = own_flags(hidden=False)
    thief, callee = RawPeer("y@127.0.0.1"), await make_callee("z@127.0.0.1")
    thief.reader, thief.writer = await asyncio.open_connection(*node.address)
    thief.write_frames([NameMessage(flags, 9, str(thief.name)).serialize()])
    assert await thief.read_frame() == b"sok"
    challenge = ChallengeMessage.parse(await thief.read_frame()).challenge
    connecting = asyncio.ensure_future(node.connect(callee.name))
    peer = await callee.next()
    await peer.read_frame()

    peer.write_frames([b"sok", ChallengeMessage(flags, challenge, 9, callee.name).serialize()])

    with pytest.raises(HandshakeError, match=f"sends a challenge of {node.name} back"):
        await connecting
    await peer.close()
    await thief.close()


async def test_a_peer_that_closes_at_once_may_be_no_node(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]]
) -> None:
    callee = await make_callee("z@127.0.0.1")
    connecting = asyncio.ensure_future(node.connect(callee.name))
    peer = await callee.next()
    await peer.read_frame()

    await peer.close()

    with pytest.raises(HandshakeError, match="without an answer"):
        await connecting


async def test_a_port_that_nobody_listens_on_is_unreachable(node: Node, server: EpmdServer) -> None:
    with_nobody = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    server.table.register(NodeEntry("z", with_nobody.sockets[0].getsockname()[1]), now=0)
    with_nobody.close()
    await with_nobody.wait_closed()

    assert not await node.connect("z@127.0.0.1")


async def test_a_peer_that_says_nok_is_waited_for(node: Node, make_callee: Callable[[str], Awaitable[Callee]]) -> None:
    """It claims that its own attempt goes first; that never comes."""
    callee = await make_callee("z@127.0.0.1")
    connecting = asyncio.ensure_future(node.connect(callee.name))
    peer = await callee.next()
    await peer.read_frame()
    started = asyncio.get_running_loop().time()

    peer.write_frames([b"snok"])

    with pytest.raises(HandshakeError, match="its attempt goes first"):
        await connecting
    assert asyncio.get_running_loop().time() - started >= SETUP_TIME
    await peer.close()


async def test_the_attempt_of_a_peer_that_said_nok_makes_the_link(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], make_raw: Callable[..., RawPeer]
) -> None:
    callee = await make_callee("z@127.0.0.1")
    connecting = asyncio.ensure_future(node.connect(callee.name))
    dialled = await callee.next()
    await dialled.read_frame()
    dialled.write_frames([b"snok"])

    await make_raw(callee.name).connect(node)

    assert await connecting
    await dialled.close()


async def test_a_peer_that_is_linked_already_keeps_that_link(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]]
) -> None:
    """The status ``alive``: we have no link, so ours is the one that counts."""
    callee = await make_callee("z@127.0.0.1")
    connecting = asyncio.ensure_future(node.connect(callee.name))
    peer = await callee.next()
    handshake = Acceptor(
        callee.name, flags=own_flags(hidden=False), creation=9, cookie=lambda _: "secret", decide=lambda *_: "alive"
    )

    outcome = await peer.shake(node.name, handshake)
    assert handshake.last_frame is not None
    peer.write_frames([handshake.last_frame])

    assert outcome.replaces
    assert await connecting
    await peer.close()


async def test_own_node_needs_no_link(node: Node) -> None:
    assert await node.connect(node.name)

    assert node.nodes() == []


@pytest.mark.parametrize("peer", ["nonsense", "a b@127.0.0.1", "@"])
async def test_connect_to_what_is_no_node_name_raises(node: Node, peer: str) -> None:
    with pytest.raises(ConfigError):
        await node.connect(peer)


async def test_send_to_what_is_no_node_name_is_dropped(node: Node) -> None:
    async with node.mailbox() as me:
        ref = me.monitor(("worker", "nonsense"))

        down = await me.receive(timeout=5)

    assert down == (atoms.DOWN, ref, atoms.process, (atoms.worker, atoms.nonsense), atoms.noconnection)


async def test_dial_that_was_refused_is_told_to_who_waits(node: Node, make_node: MakeNode) -> None:
    other = await make_node("o", cookie="other")
    async with node.mailbox() as me:
        ref = me.monitor(("worker", other.name))

        down = await me.receive(timeout=5)

    assert (down[1], down[4]) == (ref, atoms.noconnection)


async def test_host_without_epmd_is_unreachable(node: Node, server: EpmdServer) -> None:
    await server.stop()

    assert not await node.connect("z@127.0.0.1")


# ---- inbound


async def test_inbound_connection_makes_a_link(node: Node, make_raw: Callable[..., RawPeer]) -> None:
    raw = make_raw()

    outcome = await raw.connect(node)

    assert outcome.peer == str(node.name)
    await until(lambda: node.nodes() == [raw.name])


async def test_second_connection_of_a_linked_peer_is_asked_whether_the_first_is_dead(
    node: Node, make_raw: Callable[..., RawPeer]
) -> None:
    first, second = make_raw(), make_raw(creation=10)
    await first.connect(node)
    async with node.mailbox() as me:
        node.monitor_node(first.name, me.pid)

        await second.connect(node)

        assert await me.receive(timeout=5) == (atoms.nodedown, first.name)
        assert await me.receive(timeout=5) == (atoms.nodeup, first.name)
    assert await first.at_end()
    assert node.nodes() == [first.name]


async def test_second_connection_with_a_wrong_cookie_leaves_the_first_alone(
    node: Node, make_raw: Callable[..., RawPeer]
) -> None:
    first, second = make_raw(), make_raw()
    await first.connect(node)

    with pytest.raises(CookieMismatch):
        await second.connect(node, cookie="wrong")

    assert node.nodes() == [first.name]


async def test_garbage_instead_of_a_handshake_is_refused(
    node: Node, make_raw: Callable[..., RawPeer], caplog: pytest.LogCaptureFixture
) -> None:
    assert node.address is not None
    raw = make_raw()
    await raw.open(node.address)

    raw.write_frames([b"GET / HTTP/1.1"])

    assert await raw.at_end()
    await until(lambda: "refused a connection" in caplog.text)
    assert node.nodes() == []


async def test_refusals_are_told_at_a_bounded_rate(
    node: Node, make_raw: Callable[..., RawPeer], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(BURST + 5):
        with pytest.raises(CookieMismatch):
            await make_raw().connect(node, cookie="wrong")

    await until(lambda: refusals(node) == BURST + 5)
    assert caplog.text.count("refused a connection from raw@127.0.0.1") == BURST


def refusals(node: Node) -> float:
    return {one.name: one for one in node.metrics.metrics()}["pyzen.node.events"].value(event="connections_refused")


async def test_failed_dials_are_told_at_a_bounded_rate(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pyzen.dist")

    for _ in range(BURST + 5):
        assert not await node.connect("nobody@127.0.0.1")

    assert caplog.text.count("no link to nobody@127.0.0.1") == BURST


async def test_peer_that_is_not_allowed_is_told(make_node: MakeNode, make_raw: Callable[..., RawPeer]) -> None:
    node = await make_node(allow=["friend@127.0.0.1"])

    with pytest.raises(NotAllowed):
        await make_raw().connect(node)


async def test_allow_takes_a_host_for_all_of_its_nodes(make_node: MakeNode, make_raw: Callable[..., RawPeer]) -> None:
    node = await make_node(allow=["127.0.0.1"])

    await make_raw().connect(node)

    await until(lambda: len(node.nodes()) == 1)


async def test_cookie_for_one_peer_opens_the_node_to_that_one(node: Node, make_raw: Callable[..., RawPeer]) -> None:
    node.set_cookie("friend@127.0.0.1", "ours")

    await make_raw("friend@127.0.0.1").connect(node, cookie="ours")
    with pytest.raises(CookieMismatch):
        await make_raw("other@127.0.0.1").connect(node, cookie="ours")


async def test_peer_that_hangs_up_with_its_last_frame_is_not_linked(node: Node) -> None:
    """A blocked loop hears of the frame and of the end in one turn."""
    peer = RawPeer()
    assert node.address is not None
    await peer.open(node.address)
    handshake = Initiator(
        str(peer.name), str(node.name), flags=own_flags(hidden=False), creation=9, cookie=lambda _: "secret"
    )
    peer.write_frames(handshake.start())
    handshake.receive_frame(await peer.read_frame())
    peer.write_frames(handshake.receive_frame(await peer.read_frame()))
    peer.writer.close()
    asyncio.get_running_loop().call_soon(time.sleep, 0.2)

    again = RawPeer()
    await again.connect(node)

    await until(lambda: node.nodes() == [again.name])
    await again.close()
    await until(lambda: node.nodes() == [])


# ---- the end


async def test_disconnect_without_a_link_is_false(node: Node) -> None:
    assert not node.disconnect("z@127.0.0.1")


async def test_link_closed_by_the_peer_is_told_once(node: Node, make_raw: Callable[..., RawPeer]) -> None:
    raw = make_raw()
    await raw.connect(node)
    async with node.mailbox() as me:
        node.monitor_node(raw.name, me.pid)

        await raw.close()

        assert await me.receive(timeout=5) == (atoms.nodedown, raw.name)
    assert node.nodes() == []


async def test_stop_ends_dials_and_handshakes_that_are_under_way(
    make_node: MakeNode, make_callee: Callable[[str], Awaitable[Callee]], make_raw: Callable[..., RawPeer]
) -> None:
    node = await make_node()
    assert node.address is not None
    callee, raw = await make_callee("z@127.0.0.1"), make_raw()
    connecting = asyncio.ensure_future(node.connect(callee.name))
    dialled = await callee.next()
    await raw.open(node.address)
    raw.write_frames([b"N" + struct.pack(">QIH", int(own_flags(hidden=False)), 9, 5) + b"a@127"])

    await node.stop()

    assert not await connecting
    assert await raw.at_end()
    assert await dialled.at_end()
    await dialled.close()


@pytest.mark.parametrize("name", [None, True, False])
async def test_a_monitor_of_a_name_that_is_no_atom_here_is_answered(
    node: Node, make_raw: Callable[..., RawPeer], name: bool | None
) -> None:
    """``nil``, ``true`` and ``false`` are names there like any other."""
    peer = make_raw()
    await peer.connect(node)
    ref = Reference(peer.name, peer.creation, [1, 2, 3])

    peer.writer.write(peer.session.signal(0, (Op.MONITOR_P.value, peer.pid, name, ref)))
    events: list[Any] = []
    while not events:
        events = [event for event in await peer.events() if event[0] == Op.PAYLOAD_MONITOR_P_EXIT]

    assert [(control, reason) for _, _, control, _, reason in events] == [
        ((Op.PAYLOAD_MONITOR_P_EXIT, name, peer.pid, ref), atoms.noproc)
    ]


@pytest.mark.parametrize("succeeds", [True, False])
async def test_who_sends_much_waits_for_the_end_of_the_dial(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], *, succeeds: bool
) -> None:
    callee, rounds = await make_callee("z@127.0.0.1"), 0

    async def body(process: Process) -> None:
        nonlocal rounds
        while True:
            process.send(("nobody", callee.name), bytes(100_000))
            rounds += 1
            await process.sleep(0)

    pid = node.spawn(body)
    actor = node.runtime.actor(pid)
    assert actor is not None
    await until(lambda: actor.suspended is not None)
    assert rounds == HIGH_MARK // 100_000 + 1

    if succeeds:
        peer, _ = await callee.answer(node.name)
    else:
        peer = await callee.next()
        await peer.close()
    await until(lambda: rounds > HIGH_MARK // 100_000 + 1)

    actor.end(KILL)
    await peer.close()
