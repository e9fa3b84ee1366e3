"""A peer C that speaks for others, between a node A of ours and an Elixir node B: nothing is lost, nothing invented."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, TypeVar

import pytest

from erlang_interop.directions.conftest import fast
from erlang_interop.directions.elixir_side import ElixirSide
from erlang_interop.directions.python_side import PythonSide
from erlang_interop.directions.sides import FAST, Down
from pyzen.terms import Pid, atoms
from tests.forgeries import FORGERIES, OTHERS, TRIED, Intruder, Known, ZenMonitor
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.directions.sides import Side, Subscriber
    from erlang_interop.nodes import ElixirNode, ErlangCluster
    from pyzen.node.node import Node

NUMBER = 5

T = TypeVar("T")


class Scene:
    """A and B watch five processes of each other, and C is connected to A."""

    def __init__(self, node: Node, a: PythonSide, b: ElixirSide, cookie: str) -> None:
        self.node = node
        self.a = a
        self.b = b
        self.c: Intruder
        self._cookie = cookie
        self.watching: list[tuple[Subscriber, Side, list[Pid], list[int]]] = []

    async def prepare(self) -> None:
        for watcher, watched in ((self.a, self.b), (self.b, self.a)):
            await watcher.link(watched.name)
            assert await watcher.connect(watched.name) == "compatible"
        for watcher, watched in ((self.a, self.b), (self.b, self.a)):
            subscriber, pids = await watcher.subscriber(watched.name), await watched.spawn(NUMBER)
            self.watching.append((subscriber, watched, pids, await subscriber.monitor(*pids)))
            await watched.await_rows(NUMBER)
        peer = RawPeer(f"c{secrets.token_hex(3)}@127.0.0.1")
        await peer.connect(self.node, self._cookie)
        self.c = Intruder(peer, self._known())

    def _known(self) -> Known:
        runtime = self.node.runtime
        (_, _, on_b, _), (_, _, on_a, _) = self.watching
        guarded = [pid for pid in runtime.processes() if (actor := runtime.actor(pid)) is not None and actor.guarded]
        watched = [target for pid in guarded for target in there(runtime.actor(pid)).relations.monitors.values()]
        (connector_of_b,) = [pid for pid in watched if isinstance(pid, Pid) and pid.node is self.b.name]
        known = Known(
            a=self.node.name,
            creation=runtime.creation,
            b=self.b.name,
            processes=[*guarded, *on_a],
            system=guarded,
            proxy=there(self.node.whereis(ZenMonitor.Proxy)),
            connector=there(self.node.zen.system.connector_pid(str(self.b.name))),
            connector_of_b=connector_of_b,
            subscriber=self.a.subscribers[0],
            subscriber_of_b=on_b[0],
            on_a=on_a,
            on_b=on_b,
        )
        known.look(runtime)
        return known

    async def assert_nothing_has_happened(self) -> None:
        """Let every process end: each monitor is told once, with the true reason, and nothing else is."""
        await self.c.obeyed()
        for subscriber, _, _, _ in self.watching:
            await subscriber.barrier()
            assert await subscriber.downs(0) == []
        for subscriber, watched, pids, numbers in self.watching:
            await watched.kill([(pid, atoms.boom) for pid in pids])
            assert sorted(await subscriber.downs(NUMBER)) == [
                Down(number, pid, atoms.boom) for number, pid in zip(numbers, pids, strict=True)
            ]
        for subscriber, _, _, _ in self.watching:
            await subscriber.barrier()
            assert len(await subscriber.downs(NUMBER)) == NUMBER


def there(found: T | None) -> T:
    assert found is not None
    return found


@pytest.fixture
async def scene(
    cluster: ErlangCluster,
    python_node: Callable[..., Awaitable[Node]],
    elixir_node: Callable[..., Awaitable[ElixirNode]],
) -> AsyncIterator[Scene]:
    node, b = await python_node(zen=fast()), ElixirSide(await elixir_node())
    await b.set(FAST)
    scene = Scene(node, PythonSide(node), b, cluster.cookie)
    await scene.prepare()
    yield scene
    await scene.c.peer.close()


@pytest.mark.parametrize("forgery", TRIED)
async def test_what_was_tried_harms_neither(scene: Scene, forgery: str) -> None:
    FORGERIES[forgery](scene.c, scene.c.known)

    await scene.assert_nothing_has_happened()


async def test_all_others_together_harm_neither(scene: Scene) -> None:
    """Those that break the protocol come last: they cost C its link."""
    fatal = {"exits in the name of B", "unlink and acknowledge", "demonitor with B's reference and B's pid"}
    for forgery in [*(name for name in OTHERS if name not in fatal), *(fatal & OTHERS.keys())]:
        OTHERS[forgery](scene.c, scene.c.known)

    await scene.assert_nothing_has_happened()
