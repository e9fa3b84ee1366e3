"""A Python node of the chaos: has targets, watches those of others at random, and is broken on command.

Speaks the line protocol of ``mix_fixture``; ``spawn``, ``pids`` and ``finish`` are its commands. What is made and
undone at random follows from a seed. Run by `cluster`, which passes the cookie in the environment.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import gc
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from erlang_interop.benchmarks.processes import usual
from erlang_interop.benchmarks.worker import Worker
from erlang_interop.chaos.books import BLOCK, NAMED, NAMES, Books, Journal, name_of
from erlang_interop.chaos.intruder import told
from pyzen import consult, etf
from pyzen.actor.answers import Stop
from pyzen.actor.gen_server import GenServer
from pyzen.config import EpmdConfig, ZenConfig
from pyzen.node.node import Node
from pyzen.terms import Atom, Pid, atoms
from pyzen.zen.names import (
    BATCHERS,
    CONNECTORS,
    DISPATCHER,
    LOCAL,
    LOCAL_SUPERVISOR,
    LOCAL_TABLES,
    PROXY,
    PROXY_SUPERVISOR,
    PROXY_TABLES,
    SUPERVISOR,
)

COOKIE: Final = "PYZEN_CHAOS_COOKIE"
TICKTIME: Final = 8
SUBSCRIBERS: Final = 20
TICK: Final = 0.05
LOOK: Final = 0.02  # far less than the second that ZenMonitor takes a peer for incompatible at least
REPORT: Final = 0.5
MADE_PER_TICK: Final = 1000
CHURN_PER_TICK: Final = 15
SUBSCRIBER_DEATHS: Final = 0.01  # per tick
OWN_SHARE: Final = 0.25  # of the ticks

ZEN_PROCESSES: Final = {
    "local": LOCAL,
    "local-tables": LOCAL_TABLES,
    "local-supervisor": LOCAL_SUPERVISOR,
    "connectors": CONNECTORS,
    "dispatcher": DISPATCHER,
    "proxy": PROXY,
    "proxy-tables": PROXY_TABLES,
    "proxy-supervisor": PROXY_SUPERVISOR,
    "batchers": BATCHERS,
    "supervisor": SUPERVISOR,
}

FAST: Final = ZenConfig(connector_sweep_interval=20, batcher_sweep_interval=20, demand_interval=20, demand_amount=2000)


class Idle(GenServer):
    """A target."""

    def handle_info(self, message: Any) -> None:
        if message is atoms.stop:
            raise Stop(atoms.normal)


class Watch(GenServer):
    """Writes down when links come and go."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def handle_info(self, message: Any) -> None:
        event, node = message
        self._journal.write(f"l {node} {time.monotonic():.4f} {'up' if event is atoms.nodeup else 'down'}")


class Life:
    """What is known of the targets of one life of a node."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.firsts: list[int] = []
        self.blocks: dict[int, list[Pid]] = {}
        self._known: set[int] = set()

    def add(self, first: int, pids: list[Pid]) -> None:
        """Learn targets, by the block; what has been heard of before is not new."""
        for start in range(0, len(pids), BLOCK):
            block = first + start
            if block not in self._known:
                self._known.add(block)
                self.blocks[block] = pids[start : start + BLOCK]
                self.firsts.append(block)

    def remove(self, first: int) -> None:
        """Aim at a block no more."""
        self._known.add(first)
        if self.blocks.pop(first, None) is not None:
            self.firsts.remove(first)


class ChaosWorker(Worker):
    """Does what the lines say, and what the dice say."""

    def __init__(self, node: Node, journal: Journal) -> None:
        super().__init__(node)
        self._journal = journal
        self._books = Books(node, journal)
        self._targets: list[Idle] = []
        self._lives: dict[str, Life] = {}
        self._peers: dict[Atom, tuple[object, ...]] = {}
        self._looked = time.monotonic()
        self._watch = Watch(journal)
        node.runtime.spawn(self._watch)
        self._random = random.Random(0)
        self._quota = 0
        self._churning = False

    # ---- targets of this node

    async def do_spawn(self, count: str) -> int:
        for _ in range(int(count)):
            target = Idle()
            self._node.runtime.spawn(target)
            self._targets.append(target)
        return len(self._targets)

    async def do_pids(self, first: str, end: str) -> str:
        return packed([target.pid for target in self._targets[int(first) : int(end)]])

    async def do_finish(self, first: str, end: str) -> int:
        for index in range(int(first), int(end)):
            target, reason = self._targets[index], usual(index)
            if reason is atoms.normal:
                self._watch.send(target.pid, atoms.stop)
            else:
                self._watch.send_exit(target.pid, reason)
        return int(end) - int(first)

    async def do_name(self, name: str) -> str:
        self._node.runtime.spawn(Idle(), name=name)
        return name

    async def do_kill_name(self, name: str, reason: str) -> str:
        pid = self._node.whereis(name)
        assert pid is not None, f"nobody is called {name}"
        self._watch.send_exit(pid, consult.parse(reason))
        return reason

    # ---- targets of all nodes

    async def do_targets(self, label: str, first: str, pids: str) -> int:
        node = label.partition("#")[0]
        life = self._lives.setdefault(label, Life(node))
        life.add(int(first), etf.decode(base64.b64decode(pids)))
        self._look_after(node)
        return len(life.firsts)

    async def do_forget(self, label: str, first: str) -> int:
        life = self._lives.get(label)
        if life is not None:
            life.remove(int(first))
        return len(self._lives)

    async def do_ended(self, label: str) -> int:
        """A life has ended; its targets are dead."""
        self._lives.pop(label, None)
        return len(self._lives)

    def _look_after(self, node: str) -> None:
        peer = atoms[node]
        if peer not in self._peers:
            self._peers[peer] = ()
            if peer is not self._node.name:
                self._node.monitor_node(peer, self._watch.pid)

    # ---- monitors at random

    async def do_churn(self, seed: str, quota: str) -> int:
        """Begin to make and undo monitors, ``quota`` of them at a time."""
        self._random = random.Random(seed)
        self._quota, self._churning = int(quota), True
        return self._books.made

    async def do_rest(self) -> int:
        """Make and undo nothing more."""
        self._churning = False
        return self._books.made

    async def do_balance(self) -> str:
        """How many monitors have had no outcome, by life and block."""
        count: Counter[tuple[str, int]] = Counter()
        for _, label, index, _ in self._books.rows():
            count[label, index // BLOCK * BLOCK] += 1
        return packed([(atoms[label], first, number) for (label, first), number in count.items()])

    async def do_sizes(self) -> dict[str, int]:
        return self._node.zen.statistics().sizes()

    async def do_counters(self) -> dict[str, int]:
        return dict(self._node.zen.statistics().counters)

    async def do_flush(self) -> str:
        self._journal.flush()
        return ":ok"

    def _tick(self) -> None:
        while len(self._books.subscribers) < SUBSCRIBERS:
            self._books.hire()
        dice = self._random
        if dice.random() < SUBSCRIBER_DEATHS:
            self._books.fire(dice.choice(self._books.subscribers))
            return
        self._make(min(self._quota - self._books.open_count, MADE_PER_TICK), self._lives_to_watch())
        self._make(dice.randrange(CHURN_PER_TICK), list(self._lives.items()))
        self._make_named()
        for _ in range(dice.randrange(CHURN_PER_TICK)):
            subscriber = dice.choice(self._books.subscribers)
            ref = subscriber.pick(dice)
            if ref is not None:
                self._books.demonitor(subscriber, ref, flush=dice.random() < 0.5)

    def _lives_to_watch(self) -> list[tuple[str, Life]]:
        """Those of compatible nodes, the own one seldom: nothing can come between it and us."""
        zen, own = self._node.zen, str(self._node.name)
        with_own = self._random.random() < OWN_SHARE
        return [
            (label, life)
            for label, life in self._lives.items()
            if (with_own or life.node != own) and zen.compatibility_for_node(life.node) == "compatible"
        ]

    def _make(self, count: int, lives: list[tuple[str, Life]]) -> None:
        dice, subscribers = self._random, self._books.subscribers
        lives = [one for one in lives if one[1].firsts]
        if not lives:
            return
        for _ in range(count):
            label, life = dice.choice(lives)
            first = dice.choice(life.firsts)
            pids = life.blocks[first]
            place = dice.randrange(len(pids))
            self._books.monitor(dice.choice(subscribers), label, first + place, pids[place])

    def _make_named(self) -> None:
        dice = self._random
        if not self._peers:
            return
        node, index = dice.choice(list(self._peers)), dice.randrange(NAMES)
        name, subscriber = atoms[name_of(index)], dice.choice(self._books.subscribers)
        is_bare = node is self._node.name and dice.random() < 0.5
        self._books.monitor(subscriber, f"{node}#{NAMED}", index, name if is_bare else (name, node))

    # ---- faults

    async def do_kill_zen(self, what: str, peer: str = "") -> str:
        pid = self._zen_process(what, peer)
        if pid is None:
            return "nobody"
        self._journal.write(f"k {time.monotonic():.4f} {what} {peer}")
        self._watch.send_exit(pid, atoms.kill)
        return str(pid)

    def _zen_process(self, what: str, peer: str) -> Pid | None:
        if what == "connector":
            return self._node.zen.system.connector_pid(peer)
        if what == "batcher":
            batchers = self._node.zen.system._context.batchers
            living = batchers.live() if batchers is not None else []
            return self._random.choice(living).pid if living else None
        return self._node.whereis(ZEN_PROCESSES[what])

    async def do_block(self, how: str, seconds: str) -> str:
        """Keep the event loop busy, with the interpreter's lock (``hold``) or without."""
        self._journal.flush()
        if how == "hold":
            ctypes.PyDLL(None).usleep(int(float(seconds) * 1e6))
        else:
            time.sleep(float(seconds))  # noqa: ASYNC251 - to block is the purpose
        return ":ok"

    async def do_known(self, peer: str) -> str:
        """What an intruder is told, who wants to harm what this node and a peer have with each other."""
        return packed(told(self._node, atoms[peer], self._targets, self._books.subscribers[0].pid, self._lives))

    async def do_disconnect(self, peer: str) -> bool:
        return self._node.disconnect(peer)

    # ---- what runs beside the commands

    async def run(self) -> None:
        """Serve, tick and look, until standard input ends."""
        try:
            async with asyncio.TaskGroup() as tasks:
                beside = [
                    tasks.create_task(self._every(seconds, action))
                    for seconds, action in ((TICK, self._work), (LOOK, self._look), (REPORT, self._report))
                ]
                await self.serve()
                for task in beside:
                    task.cancel()
        finally:
            self._journal.flush()

    async def _every(self, seconds: float, action: Any) -> None:
        while True:
            await asyncio.sleep(seconds)
            action()

    def _work(self) -> None:
        if self._churning:
            self._tick()
        self._journal.flush()

    def _look(self) -> None:
        zen, runtime, now = self._node.zen, self._node.runtime, time.monotonic()
        for peer, before in self._peers.items():
            status = zen.cached_compatibility(peer)
            link = runtime.link(peer)
            seen = (link is not None, status if isinstance(status, str) else "expired", zen.last_loss(peer))
            if seen != before:
                self._peers[peer] = seen
                linked, name, loss = seen
                up = "linked" if linked else "unlinked"
                self._journal.write(f"p {peer} {self._looked:.4f} {now:.4f} {up} {name} {loss}")
        self._looked = now

    def _report(self) -> None:
        # The books only grow; to walk them in each collection would block the loop for seconds, unplanned.
        gc.freeze()
        print(f"! live {self._node.zen.statistics().live} {self._books.made}", flush=True)


def packed(term: Any) -> str:
    """Return a term as a line takes it."""
    return base64.b64encode(etf.encode(term)).decode()


async def main(name: str, epmd_port: int, journal: Path) -> None:
    """Be the node, until standard input ends."""
    epmd = EpmdConfig(port=epmd_port, start=False)
    async with Node(name, cookie=os.environ[COOKIE], epmd=epmd, ticktime=TICKTIME, zen=FAST) as node:
        await ChaosWorker(node, Journal(journal)).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
