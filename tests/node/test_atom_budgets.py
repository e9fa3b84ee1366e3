"""Atoms that peers make: each pays for its own while they live, whoever holds them, and nobody else notices."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import etf
from pyzen.config import Limits
from pyzen.errors import HandshakeError, LimitExceeded
from pyzen.terms import Atom, atoms
from tests.node.conftest import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pyzen.actor.process import Mailbox
    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode
    from tests.raw_peer import RawPeer

    MakeRaw = Callable[..., RawPeer]
    MakeStage = Callable[..., Awaitable["Stage"]]

BUDGET = 100


def term(value: Any) -> bytes:
    return etf.encode(value)[1:]


def new(prefix: str, count: int) -> list[bytes]:
    """Return atoms as bytes: as objects they would be alive, and cost a peer nothing."""
    texts = [f"{prefix} {number}".encode() for number in range(count)]
    return [b"w" + bytes([len(text)]) + text for text in texts]


def listed(items: list[bytes]) -> bytes:
    return b"l" + len(items).to_bytes(4, "big") + b"".join(items) + b"j"


def is_alive(text: str) -> bool:
    try:
        etf.decode(b"\x83w" + bytes([len(text)]) + text.encode(), limits=Limits(max_atoms=1))
    except LimitExceeded:
        return False
    return True


class Spender:
    """A peer that sends atoms to a mailbox in which they stay."""

    def __init__(self, peer: RawPeer, node: Node) -> None:
        self.peer = peer
        self.node = node
        self.control = term((6, peer.pid, Atom(""), atoms.inbox))

    def write(self, body: bytes) -> None:
        self.peer.writer.write(len(body).to_bytes(4, "big") + body)

    def send(self, prefix: str, count: int) -> None:
        self.write(b"\x83D\0" + self.control + listed(new(prefix, count)))

    def send_in_headers(self, prefix: str, count: int) -> None:
        """Send messages, each with one atom, which takes the place of the last one in the cache."""
        for atom in new(prefix, count):
            self.write(b"\x83D\x01\x08\0" + atom[1:] + self.control + b"R\0")

    async def has_sent(self, prefix: str, count: int) -> None:
        """Connect and send; the link holds."""
        await self.peer.connect(self.node)
        self.send(prefix, count)
        request = self.peer.session.send(self.peer.pid, atoms.rex, (self.peer.pid, atoms.features_request))
        self.peer.writer.write(request)
        while not any("features_reply" in repr(event) for event in await self.peer.events()):
            assert not self.peer.reader.at_eof()

    async def is_cut(self, prefix: str, count: int = 1) -> bool:
        """Connect, send, and be parted with."""
        await self.peer.connect(self.node)
        self.send(prefix, count)
        return await self.peer.at_end()


class Stage:
    """One node, with a mailbox that keeps what it is sent."""

    def __init__(self, node: Node, inbox: Mailbox, make_raw: MakeRaw, log: pytest.LogCaptureFixture) -> None:
        self.node = node
        self.inbox = inbox
        self._make_raw = make_raw
        self._log = log

    def spender(self, name: str = "spender") -> Spender:
        return Spender(self._make_raw(f"{name}@127.0.0.1"), self.node)

    def lines(self) -> list[str]:
        """Return what an operator is told of atoms."""
        return [line.partition(" lost the link to ")[2] for line in self._log.messages if "_atoms" in line]

    async def drain(self, count: int) -> list[Any]:
        return [await self.inbox.receive(timeout=5) for _ in range(count)]


@pytest.fixture
async def make_stage(
    make_node: MakeNode, make_raw: MakeRaw, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Callable[..., Awaitable[Stage]]]:
    caplog.set_level(logging.INFO, "pyzen")
    async with AsyncExitStack() as stack:

        async def make(**limits: Any) -> Stage:
            node = await make_node(limits=Limits(**limits))
            return Stage(node, await stack.enter_async_context(node.mailbox("inbox")), make_raw, caplog)

        yield make


@pytest.fixture
async def stage(make_stage: MakeStage) -> Stage:
    return await make_stage(max_peer_atoms=BUDGET)


async def test_a_peer_that_spends_its_budget_is_cut_and_one_line_says_why(stage: Stage) -> None:
    spender = stage.spender()

    assert await spender.is_cut("message", BUDGET + 1)

    (line,) = stage.lines()
    assert line == f"{spender.peer.name}: control message 6: payload: max_peer_atoms exceeded: 101 is more than 100"


async def test_atoms_of_headers_are_paid_for_like_those_of_messages(stage: Stage) -> None:
    spender = stage.spender()
    await spender.peer.connect(stage.node)

    spender.send_in_headers("header", BUDGET + 1)

    assert await spender.peer.at_end()
    assert [line.partition(": ")[2] for line in stage.lines()] == ["max_peer_atoms exceeded: 101 is more than 100"]
    received = await stage.drain(BUDGET)
    assert [str(atom) for atom in received] == [f"header {number}" for number in range(BUDGET)]


async def test_a_peer_that_lets_go_of_its_atoms_may_send_any_number(stage: Stage) -> None:
    spender = stage.spender()
    await spender.has_sent("kept", BUDGET // 2)

    for number in range(10):
        spender.send_in_headers(f"passing {number}", BUDGET // 2 - 1)
        await stage.drain(BUDGET // 2 - 1 + (number == 0))

    assert stage.lines() == []


async def test_a_peer_that_comes_again_is_cut_at_its_first_new_atom_while_its_old_ones_live(stage: Stage) -> None:
    assert await stage.spender().is_cut("first", BUDGET + 1)
    await stage.spender().has_sent("second", BUDGET)
    for number in range(3):
        assert await stage.spender().is_cut(f"more {number}")

    again = stage.spender()
    await again.has_sent("second", BUDGET)  # they are alive, and cost nothing
    await again.peer.close()
    await stage.drain(2)
    await stage.spender().has_sent("third", BUDGET)

    assert len(stage.lines()) == 4


async def test_atoms_of_others_cost_nothing(stage: Stage) -> None:
    await stage.spender("one").has_sent("shared", BUDGET)
    await stage.spender("two").has_sent("shared", BUDGET)
    await stage.spender("two").has_sent("own", BUDGET)

    assert await stage.spender("one").is_cut("new")
    assert stage.lines()[0].startswith("one@")


async def test_peers_under_many_names_take_from_those_that_have_much(make_stage: MakeStage) -> None:
    stage = await make_stage(max_atoms=20_000, max_peer_atoms=10_000)
    await stage.spender("honest").has_sent("early", 4000)
    for number, share in enumerate([8000, 4096, 4096, 4096]):
        await stage.spender(f"greedy_{number}").has_sent(f"greedy {number}", share)
        assert await stage.spender(f"greedy_{number}").is_cut("more")

    await stage.spender("honest").has_sent("late", 96)
    await stage.spender("newcomer").has_sent("newer", 4096)

    assert [line.partition("@")[0] for line in stage.lines()] == [f"greedy_{number}" for number in range(4)]
    assert "max_peer_atoms, less what others have of max_atoms, exceeded: 8001 is more than 8000" in stage.lines()[0]


async def test_the_program_makes_atoms_whatever_peers_have(make_stage: MakeStage) -> None:
    stage = await make_stage(max_peer_atoms=10_000)
    for number in range(3):
        await stage.spender(f"greedy_{number}").has_sent(f"greedy {number}", 9500)
    data = b"\x83" + listed(new("decoded", BUDGET))

    assert len(etf.decode(data, limits=Limits(max_atoms=28_500))) == BUDGET
    assert str(Atom("made by the program")) == "made by the program"
    with pytest.raises(LimitExceeded, match="max_atoms exceeded"):
        etf.decode(data, limits=Limits(max_atoms=1))


async def test_the_name_of_a_peer_that_does_not_know_the_cookie_leaves_no_atom(stage: Stage) -> None:
    peer = stage.spender("stranger").peer
    with pytest.raises(HandshakeError):
        await peer.connect(stage.node, cookie="wrong")
    await peer.close()

    name = str(peer.name)
    assert is_alive(name)
    del peer.name, peer.pid, peer
    await until(lambda: not is_alive(name))
