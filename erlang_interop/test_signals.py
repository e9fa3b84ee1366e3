"""Links and monitors between our processes and Elixir's, by scripts that Hypothesis makes.

The shorter sister of ``tests/node/test_signals_machine.py``, with a real node at the other end: whatever the script,
every monitor of what has ended fires once, none of what lives does, and both halves of each link agree.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from erlang_interop.nodes import ElixirNode, ErlangCluster
from pyzen.actor.answers import Stop
from pyzen.actor.gen_server import GenServer
from pyzen.actor.verbs import actor_of
from pyzen.config import EpmdConfig
from pyzen.errors import ProcessExit
from pyzen.node.node import Node
from pyzen.terms import Pid, Reference, atoms
from tests import profiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from erlang_interop.releases import Release

PUPPET = """
defmodule Puppet do
  use GenServer
  def init(_) do
    Process.flag(:trap_exit, true)
    {:ok, []}
  end
  def handle_call({:link, pid}, _, heard), do: {:reply, Process.link(pid), heard}
  def handle_call({:unlink, pid}, _, heard), do: {:reply, Process.unlink(pid), heard}
  def handle_call({:monitor, pid}, _, heard), do: {:reply, Process.monitor(pid), heard}
  def handle_call({:demonitor, ref}, _, heard), do: {:reply, Process.demonitor(ref, [:flush]), heard}
  def handle_call({:exit, reason}, _, heard), do: {:stop, reason, true, heard}
  def handle_call(:links, _, heard) do
    {:links, links} = Process.info(self(), :links)
    {:reply, Enum.filter(links, &is_pid/1), heard}
  end
  def handle_call(:heard, _, heard), do: {:reply, Enum.reverse(heard), heard}
  def handle_info(message, heard), do: {:noreply, [message | heard]}
end
:logger.set_primary_config(:level, :none)
"""

INDEX = st.integers(0, 3)
STEP = st.one_of(
    st.tuples(st.sampled_from(["link", "unlink", "monitor"]), INDEX, INDEX),
    st.tuples(st.just("demonitor"), INDEX, INDEX),
    st.tuples(st.just("exit"), INDEX, st.sampled_from([atoms.boom, atoms.normal])),
    st.tuples(st.just("disconnect"), st.just(0), st.just(0)),
)


class Puppet(GenServer):
    """Does what it is told, and keeps what it hears."""

    def init(self) -> None:
        self.trap_exit = True
        self.heard: list[Any] = []

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        match request:
            case (atoms.link, pid):
                self.link(pid)
            case (atoms.unlink, pid):
                self.unlink(pid)
            case (atoms.monitor, pid):
                return self.monitor(pid)
            case (atoms.demonitor, ref):
                return self.demonitor(ref, flush=True)
            case atoms.links:
                return [pid for pid, state in actor_of(self).relations.links.items() if state.active]
            case (atoms.exit, reason):
                raise Stop(reason, reply=True)
            case atoms.heard:
                return self.heard
        return True

    def handle_info(self, message: Any) -> None:
        self.heard.append(message)


class Stage:
    """Two nodes that are connected, and the runner of their event loop."""

    def __init__(self, runner: asyncio.Runner, node: Node, elixir: ElixirNode) -> None:
        self.runner = runner
        self.node = node
        self.elixir = elixir


@pytest.fixture
def stage(epmd_port: int, erlang_drivers: Path, mix_fixture: Path, release: Release) -> Iterator[Stage]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def begin() -> Stage:
            cluster = ErlangCluster(epmd_port, erlang_drivers, release.place)
            stack.push_async_callback(cluster.close)
            epmd = EpmdConfig(port=epmd_port, start=False)
            name = f"p{secrets.token_hex(5)}@127.0.0.1"
            node = await stack.enter_async_context(Node(name, cookie=cluster.cookie, epmd=epmd, zen=None))
            cluster.fixture = mix_fixture
            elixir = await cluster.elixir()
            assert await elixir.eval(PUPPET) == ":ok"
            return Stage(runner, node, elixir)

        yield runner.run(begin())
        runner.run(stack.aclose())


class Play:
    """One script, with two fresh puppets on each node."""

    def __init__(self, stage: Stage) -> None:
        self.node = stage.node
        self.peer = stage.elixir
        self.puppets: list[Pid] = []
        self.ended: set[Pid] = set()
        self.monitors: list[tuple[Pid, Pid, Reference]] = []
        self.dropped: set[Reference] = set()
        self.lost: set[Reference] = set()

    async def begin(self) -> None:
        assert await self.node.connect(self.peer.name)
        for _ in range(2):
            self.puppets.append(await Puppet.start(self.node))
            ok, pid = await self.node.rpc(self.peer.name, "Elixir.GenServer", "start", [atoms["Elixir.Puppet"], None])
            assert ok is atoms.ok
            self.puppets.append(pid)

    async def step(self, kind: str, index: int, other: Any) -> None:
        one = self.puppets[index]
        if kind == "disconnect":
            self.lost |= {ref for watcher, target, ref in self.monitors if watcher.node is not target.node}
            await self.reconnect()
        elif one in self.ended:
            pass
        elif kind == "exit":
            self.ended.add(one)
            await self.node.call(one, (atoms.exit, other))
        elif kind == "demonitor":
            own = [ref for watcher, _, ref in self.monitors if watcher == one]
            if own:
                self.dropped.add(own[other % len(own)])
                await self.node.call(one, (atoms.demonitor, own[other % len(own)]))
        else:
            answer = await self.node.call(one, (atoms[kind], self.puppets[other]))
            if kind == "monitor":
                self.monitors.append((one, self.puppets[other], answer))

    async def reconnect(self) -> None:
        """Lose the link, and connect again, unless a process at the other end has made its node do so."""
        async with self.node.mailbox() as me:
            self.node.monitor_node(self.peer.name, me.pid)
            self.node.disconnect(self.peer.name)
            assert await me.receive(timeout=10) == (atoms.nodedown, atoms[self.peer.name])
            assert await self.node.connect(self.peer.name)

    async def settled(self) -> bool:
        """Say whether all that has to arrive has arrived, and both sides agree."""
        links: dict[Pid, set[Pid]] = {}
        for pid in self.puppets:
            if pid in self.ended:
                continue
            try:
                links[pid] = set(await self.node.call(pid, atoms.links)) & set(self.puppets)
            except ProcessExit:
                return False
            heard = await self.node.call(pid, atoms.heard)
            if not self.has_heard(pid, [message[1] for message in heard if message[0] is atoms.DOWN]):
                return False
        return all(own <= links.keys() and all(pid in links[one] for one in own) for pid, own in links.items())

    def has_heard(self, watcher: Pid, downs: list[Reference]) -> bool:
        assert len(downs) == len(set(downs)), "a monitor fired twice"
        fired = set(downs)
        for one, target, ref in self.monitors:
            if one != watcher or ref in self.dropped:
                continue
            due = target in self.ended or ref in self.lost
            assert due or ref not in fired, "a monitor of a live process fired"
            if due and ref not in fired:
                return False
        return True

    async def close(self) -> None:
        for pid in self.puppets:
            if pid not in self.ended:
                await self.node.call(pid, (atoms.exit, atoms.normal))


@settings(
    max_examples=60 if profiles.NAME == "ci" else 15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=st.lists(STEP, max_size=25))
def test_any_script_leaves_both_sides_of_one_mind(stage: Stage, script: list[tuple[str, int, Any]]) -> None:
    async def play() -> None:
        play = Play(stage)
        await play.begin()
        for kind, index, other in script:
            await play.step(kind, index, other)
        async with asyncio.timeout(10):
            while not await play.settled():
                await asyncio.sleep(0.005)
        await play.close()

    stage.runner.run(play())
