from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.errors import CookieMismatch, HandshakeError, NodeDown
from pyzen.node import join
from pyzen.node.join import Mesh
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from tests.node.conftest import MakeNode

A, B, C, D = (Atom(f"{letter}@host") for letter in "abcd")


class Place:
    """A node ``a`` of a cluster where ``answers`` says whom each of the others knows."""

    def __init__(self) -> None:
        self.name = A
        self.connected = [B]
        self.hidden = False
        self.answers: dict[Atom, Any] = {}
        self.refusing: set[Atom] = set()
        self.unreachable: set[Atom] = set()
        self.silent: set[Atom] = set()
        self.over = asyncio.Event()
        self.attempts: list[Atom] = []
        self.asked: list[Atom] = []

    def nodes(self, hidden: bool = False) -> list[Atom]:
        return list(self.connected) if hidden is self.hidden else []

    async def connect(self, peer: Atom) -> bool:
        self.attempts.append(peer)
        if peer in self.silent:
            await self.over.wait()
            return False
        if peer in self.refusing:
            raise HandshakeError("refused", peer=str(peer))
        if peer not in self.unreachable:
            self.connected.append(peer)
        return peer in self.connected

    async def rpc(self, peer: Atom, module: Atom, function: Atom, args: Sequence[Any] = ()) -> Any:
        assert (module, function, list(args)) == (atoms.erlang, atoms.nodes, [])
        if peer not in self.answers:
            raise NodeDown(atoms.noconnection)
        self.asked.append(peer)
        answer = self.answers[peer]
        return await answer if isinstance(answer, asyncio.Future) else answer


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
async def mesh(place: Place) -> AsyncIterator[Mesh]:
    mesh = Mesh(place)
    yield mesh
    await mesh.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_every_node_that_the_seed_knows_is_connected(place: Place, mesh: Mesh) -> None:
    place.answers = {B: [A, C, D]}

    await mesh.add(B)

    assert set(place.connected) == {B, C, D}
    assert A not in place.attempts


async def test_a_hidden_node_asks_those_it_has_joined(place: Place, mesh: Mesh) -> None:
    # All its links are hidden ones; the one to D has nothing to do with the cluster.
    place.hidden, place.connected = True, [B, D]
    place.answers = {B: [C], C: [], D: []}

    await mesh.add(B)
    await mesh.refresh()

    assert place.attempts == [C]
    assert place.asked == [B, B, C]


async def test_nodes_that_come_later_are_connected_in_time(
    place: Place, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "INTERVAL", 0.005)
    place.answers = {B: []}
    await mesh.add(B)

    place.answers[B] = [C]

    await until(lambda: C in place.connected)


async def test_a_round_that_fails_is_not_the_last(
    place: Place, mesh: Mesh, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(join, "INTERVAL", 0.005)
    place.answers = {B: []}
    await mesh.add(B)
    place.answers[B] = asyncio.get_running_loop().create_future()
    place.answers[B].set_exception(ValueError("no such thing"))
    await until(lambda: "can't look for nodes" in caplog.text)

    place.answers[B] = [C]

    await until(lambda: C in place.connected)


async def test_a_seed_that_was_lost_is_connected_again(place: Place, mesh: Mesh) -> None:
    place.answers = {B: []}
    await mesh.add(B)
    place.connected.clear()

    await mesh.refresh()

    assert place.connected == [B]


@pytest.mark.parametrize("answer", [(atoms.badrpc, atoms.notsup), [b"c@host", 5, [C]]])
async def test_an_answer_that_makes_no_sense_connects_nobody(place: Place, mesh: Mesh, answer: Any) -> None:
    place.answers = {B: answer}

    await mesh.add(B)

    assert place.attempts == []


async def test_a_node_that_does_not_answer_hinders_no_other(place: Place, mesh: Mesh) -> None:
    place.connected = [B, C]
    place.answers = {C: [D]}

    await mesh.add(B)
    await mesh.add(C)

    assert D in place.connected


@pytest.mark.parametrize("how", ["refusing", "unreachable"])
async def test_a_node_out_of_reach_is_left_alone_for_a_while(place: Place, mesh: Mesh, how: str) -> None:
    place.answers = {B: [C, D]}
    getattr(place, how).add(C)
    await mesh.add(B)
    assert set(place.attempts) == {C, D}

    await mesh.refresh()

    assert place.attempts.count(C) == 1


async def test_pauses_between_attempts_grow(place: Place, mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    place.answers = {B: [C]}
    place.unreachable = {C}
    await mesh.add(B)
    tried: list[int] = []

    for second in range(200):
        now = now + 1
        await mesh.refresh()
        if len(place.attempts) > len(tried):
            tried.append(second)

    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses == sorted(pauses)
    assert pauses[0] >= 5
    assert 60 <= pauses[-1] <= 76


async def test_a_node_that_is_back_is_forgiven(place: Place, mesh: Mesh) -> None:
    place.answers = {B: [C]}
    place.unreachable = {C}
    await mesh.add(B)
    place.unreachable.clear()
    place.answers = {B: []}
    await mesh.refresh()  # nobody knows it any more

    place.answers = {B: [C]}
    await mesh.refresh()

    assert C in place.connected


# ---- what one member can cause


def made_up(count: int, start: int = 0) -> list[Atom]:
    return [Atom(f"x{number}@nowhere") for number in range(start, start + count)]


async def test_only_members_are_asked(place: Place, mesh: Mesh) -> None:
    # D has come by itself; no member tells of it.
    place.connected = [B, D]
    place.answers = {B: [C], C: [], D: made_up(1)}

    await mesh.add(B)
    await mesh.refresh()

    assert place.asked == [B, B, C]
    assert place.attempts == [C]


async def test_a_member_that_tells_of_too_many_is_named_once(
    place: Place, mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    place.answers = {B: made_up(20_000)}
    place.unreachable = set(made_up(20_000))

    await mesh.add(B)
    await mesh.refresh()

    assert place.attempts == made_up(join.MAX_NAMES)
    assert [record.getMessage() for record in caplog.records] == [
        "b@host tells a@host of 20000 nodes: only the first 2048 count"
    ]


async def test_new_names_from_a_member_push_the_old_ones_out(place: Place, mesh: Mesh) -> None:
    place.unreachable = set(made_up(6000))
    for start in range(0, 6000, 2000):
        place.answers = {B: made_up(2000, start)}
        await mesh.add(B)

    assert len(mesh._failed) == 2000
    assert len(mesh._members) == 2001


async def test_few_nodes_are_dialled_at_one_time(place: Place, mesh: Mesh) -> None:
    place.answers = {B: made_up(200)}
    place.silent = set(made_up(200))

    adding = asyncio.ensure_future(mesh.add(B))
    await until(lambda: len(place.attempts) == join.MAX_DIALS)
    for _ in range(100):
        await asyncio.sleep(0)

    assert len(place.attempts) == join.MAX_DIALS
    place.over.set()
    await adding
    assert place.attempts == made_up(200)


async def test_no_node_waits_long_for_the_answer_of_another(
    place: Place, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "PATIENCE", 0.001)
    place.answers = {B: [*made_up(200), C]}
    place.silent = set(made_up(200))

    adding = asyncio.ensure_future(mesh.add(B))
    await until(lambda: C in place.connected)

    assert not adding.done()
    place.over.set()
    await adding


async def test_stop_ends_what_is_waited_for(place: Place, mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "PATIENCE", 0.001)
    monkeypatch.setattr(join, "INTERVAL", 0.001)
    place.answers = {B: []}
    await mesh.add(B)
    before = asyncio.all_tasks()
    place.answers = {B: made_up(50)}
    place.silent = set(made_up(50))
    await until(lambda: len(place.attempts) == 50)

    await mesh.stop()

    await until(lambda: len(asyncio.all_tasks()) == len(before) - 1)


async def test_nodes_that_many_tell_of_come_before_those_of_one(place: Place, mesh: Mesh) -> None:
    place.connected = [B, C]
    place.answers = {B: [*made_up(50), D], C: [D]}
    await mesh.add(B)
    place.connected, place.attempts = [B, C], []

    await mesh.add(C)

    assert place.attempts[0] == D


async def test_nodes_that_were_not_reached_come_last(place: Place, mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "INTERVAL", 0.0)
    place.answers = {B: made_up(50)}
    place.unreachable = set(made_up(50))
    await mesh.add(B)
    place.answers = {B: [*made_up(50), C]}
    place.attempts.clear()

    await mesh.add(B)

    assert place.attempts[0] == C


async def test_stop_while_a_cluster_is_joined_leaves_no_task(place: Place, mesh: Mesh) -> None:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    place.answers = {B: answer}
    before = asyncio.all_tasks()
    adding = asyncio.ensure_future(mesh.add(B))
    await asyncio.sleep(0)

    await mesh.stop()
    answer.set_result([])
    await adding

    assert asyncio.all_tasks() == before


# ---- with nodes


async def test_join_connects_to_all_that_the_peer_knows(make_node: MakeNode) -> None:
    a, b, c = await make_node("a"), await make_node("b"), await make_node("c")
    assert await b.connect(c.name)

    joined = await a.join(b.name)

    assert set(joined) == {b.name, c.name}


async def test_join_twice_is_like_once(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    await a.join(b.name)
    tasks = asyncio.all_tasks()

    assert await a.join(b.name) == [b.name]

    assert asyncio.all_tasks() == tasks


async def test_join_of_a_peer_out_of_reach_raises(make_node: MakeNode) -> None:
    a = await make_node("a")

    with pytest.raises(NodeDown, match=r"nobody@127\.0\.0\.1 can't be reached"):
        await a.join("nobody@127.0.0.1")


async def test_join_of_a_peer_that_refuses_says_why(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b", cookie="other")

    with pytest.raises(CookieMismatch):
        await a.join(b.name)
