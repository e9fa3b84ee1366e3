"""Attempts to have a link that meet: a name proves nothing, the first that knows the cookie wins, dials by their names.

The node is called ``n...``: a peer ``a`` has the lesser name, ``z`` the greater one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from pyzen.config import Limits
from pyzen.dist.flags import own_flags
from pyzen.dist.handshake import Acceptor, Initiator
from pyzen.errors import CookieMismatch, HandshakeError
from pyzen.terms import Atom, Pid, atoms
from tests.node.conftest import until
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pyzen.node.node import Node
    from tests.node.callee import Callee
    from tests.node.conftest import MakeNode

SETUP_TIME = 2.0


class Attempt:
    """A handshake that a peer has begun with the node: it has the challenge, and has proved nothing yet."""

    def __init__(self, name: str, node: Node) -> None:
        self.peer = RawPeer(name)
        self.node = node
        self.handshake = Initiator(
            name, str(node.name), flags=own_flags(hidden=False), creation=9, cookie=lambda _: "secret"
        )

    async def begin(self) -> str | None:
        """Go on until the challenge is there; returns the status."""
        assert self.node.address is not None
        await self.peer.open(self.node.address)
        self.peer.write_frames(self.handshake.start())
        frames: list[bytes] = []
        while not frames or frames == [b"strue"]:
            frames = self.handshake.receive_frame(await self.peer.read_frame())
            if frames == [b"strue"]:
                self.peer.write_frames(frames)
        self.proof = frames
        return self.handshake.status

    def prove(self) -> None:
        """Send the proof of the cookie."""
        self.peer.write_frames(self.proof)

    async def finish(self) -> None:
        """Prove the cookie, and be linked. Raises ``HandshakeError``."""
        self.prove()
        await self.peer.shake(self.node.name, self.handshake)


@pytest.fixture
async def node(make_node: MakeNode) -> Node:
    return await make_node("n", limits=Limits(setup_time=SETUP_TIME))


@pytest.fixture
async def attempt(node: Node) -> AsyncIterator[Callable[[str], Attempt]]:
    attempts: list[Attempt] = []

    def make(name: str) -> Attempt:
        attempts.append(Attempt(name, node))
        return attempts[-1]

    yield make
    for one in attempts:
        await one.peer.close()


# ---- what has proved nothing costs nobody anything


@pytest.mark.parametrize("name", ["a@127.0.0.1", "z@127.0.0.1"])
async def test_wrong_cookie_under_the_name_of_a_peer_leaves_the_dial(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], make_raw: Callable[..., RawPeer], name: str
) -> None:
    callee = await make_callee(name)
    connecting = asyncio.ensure_future(node.connect(callee.name))
    dialled = await callee.next()

    with pytest.raises(HandshakeError):
        await make_raw(callee.name).connect(node, cookie="wrong")

    callee.connections.put_nowait(dialled)
    await callee.answer(node.name)
    assert await connecting
    await dialled.close()


async def test_unfinished_attempt_under_the_name_of_a_peer_leaves_the_dial(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], attempt: Callable[[str], Attempt]
) -> None:
    callee = await make_callee("z@127.0.0.1")
    async with node.mailbox() as me:
        me.monitor(Pid(callee.name, 5, 0, 9))
        dialled = await callee.next()
        assert await attempt(callee.name).begin() == "ok_simultaneous"

        callee.connections.put_nowait(dialled)
        await callee.answer(node.name)

        await until(lambda: node.nodes() == [Atom(callee.name)])
        with pytest.raises(TimeoutError):
            await me.receive(timeout=0)
    await dialled.close()


async def test_unfinished_attempts_of_one_name_stand_beside_each_other(
    node: Node, attempt: Callable[[str], Attempt]
) -> None:
    older, newer = attempt("raw@127.0.0.1"), attempt("raw@127.0.0.1")
    assert [await older.begin(), await newer.begin()] == ["ok", "ok"]

    await older.finish()
    with pytest.raises(HandshakeError):
        await newer.finish()

    assert node.nodes() == [older.peer.name]


async def test_dial_that_fails_waits_for_the_attempt_of_the_peer(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], attempt: Callable[[str], Attempt]
) -> None:
    """It may be a node that nobody can dial."""
    callee, theirs = await make_callee("z@127.0.0.1"), attempt("z@127.0.0.1")
    connecting = asyncio.ensure_future(node.connect(callee.name))
    dialled = await callee.next()
    await theirs.begin()
    await dialled.close()

    await theirs.finish()

    assert await connecting


async def test_dial_that_has_failed_ends_with_the_attempt_of_the_peer(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], attempt: Callable[[str], Attempt]
) -> None:
    callee, theirs = await make_callee("z@127.0.0.1"), attempt("z@127.0.0.1")
    started = asyncio.get_running_loop().time()
    connecting = asyncio.ensure_future(node.connect(callee.name))
    dialled = await callee.next()
    await theirs.begin()
    await dialled.close()

    await theirs.peer.close()

    with pytest.raises(HandshakeError, match="without an answer"):
        await connecting
    assert asyncio.get_running_loop().time() - started < SETUP_TIME


async def test_lesser_name_is_let_in_once_the_own_attempt_has_failed(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], attempt: Callable[[str], Attempt]
) -> None:
    callee = await make_callee("a@127.0.0.1")
    idle, theirs = attempt(callee.name), attempt(callee.name)
    await idle.begin()
    connecting = asyncio.ensure_future(node.connect(callee.name))
    await (await callee.next()).close()
    await until(node._connections._dials[Atom(callee.name)].tried.is_set)

    assert await theirs.begin() == "ok"
    await theirs.finish()

    assert await connecting


# ---- attempts that know the cookie


async def test_attempt_of_the_greater_name_ends_our_dial_when_it_has_proved_itself(
    node: Node,
    make_callee: Callable[[str], Awaitable[Callee]],
    make_raw: Callable[..., RawPeer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    callee = await make_callee("z@127.0.0.1")
    connecting = asyncio.ensure_future(node.connect(callee.name))
    dialled = await callee.next()
    await dialled.read_frame()

    await make_raw(callee.name).connect(node)

    assert await connecting
    assert await dialled.at_end()
    assert caplog.text.count("is connected to") == 1
    await dialled.close()


async def test_attempt_of_the_lesser_name_is_refused_while_ours_is_under_way(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], make_raw: Callable[..., RawPeer]
) -> None:
    callee = await make_callee("a@127.0.0.1")
    connecting = asyncio.ensure_future(node.connect(callee.name))
    dialled = await callee.next()

    with pytest.raises(HandshakeError, match="its attempt goes first"):
        await make_raw(callee.name).connect(node)

    callee.connections.put_nowait(dialled)
    await callee.answer(node.name)
    assert await connecting
    await dialled.close()


async def test_peer_that_gives_up_its_attempt_for_ours_has_the_link_of_ours(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], attempt: Callable[[str], Attempt]
) -> None:
    """Its proof may be on the way by then: were that the link, each side would close what the other keeps."""
    callee, theirs = await make_callee("a@127.0.0.1"), attempt("a@127.0.0.1")
    assert await theirs.begin() == "ok"
    connecting = asyncio.ensure_future(node.connect(callee.name))
    dialled = await callee.next()
    ours = Acceptor(
        callee.name, flags=own_flags(hidden=False), creation=9, cookie=lambda _: "secret", decide=lambda *_: "ok"
    )
    _, challenge = ours.receive_frame(await dialled.read_frame())
    dialled.write_frames([b"sok_simultaneous"])
    await until(lambda: node._connections._dials[Atom(callee.name)].status == "ok_simultaneous")

    theirs.prove()

    dialled.write_frames([challenge])
    await dialled.shake(node.name, ours)
    assert ours.last_frame is not None
    dialled.write_frames([ours.last_frame])
    assert await connecting
    with pytest.raises(CookieMismatch):  # which is what a connection that ends without a word means
        await theirs.peer.shake(node.name, theirs.handshake)
    assert node.nodes() == [Atom(callee.name)]
    await dialled.close()


async def test_attempt_that_was_given_up_for_ours_counts_when_ours_fails(
    node: Node, make_callee: Callable[[str], Awaitable[Callee]], attempt: Callable[[str], Attempt]
) -> None:
    callee, theirs = await make_callee("a@127.0.0.1"), attempt("a@127.0.0.1")
    await theirs.begin()
    connecting = asyncio.ensure_future(node.connect(callee.name))
    dialled = await callee.next()
    dialled.write_frames([b"sok_simultaneous"])
    await until(lambda: node._connections._dials[Atom(callee.name)].status == "ok_simultaneous")
    theirs.prove()

    await dialled.close()

    assert await connecting
    await theirs.peer.shake(node.name, theirs.handshake)


async def test_two_attempts_of_a_linked_peer_that_end_at_once_make_one_link(
    node: Node, attempt: Callable[[str], Attempt], make_raw: Callable[..., RawPeer]
) -> None:
    first = make_raw()
    await first.connect(node)
    both = [attempt(str(first.name)) for _ in range(2)]
    assert [await one.begin() for one in both] == ["alive", "alive"]

    for one in both:
        one.prove()

    older, newer = both
    await newer.peer.shake(node.name, newer.handshake)
    assert await older.peer.at_end(), "the newer one ends the older one"
    async with node.mailbox() as me:
        node.monitor_node(first.name, me.pid)
        await newer.peer.close()
        assert await me.receive(timeout=5) == (atoms.nodedown, first.name)
    assert node.nodes() == []
    assert node._connections._by_id == {}
