"""Random instructions, summaries and calls for ZenMonitor, from a peer that may lie, under virtual time.

Whatever comes, the halves of ZenMonitor stay the processes they were, monitors of an honest subscriber get one DOWN at
most, with the reason of the process that ended, and nothing is left once the peer is gone.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any, Final

from pyzen.actor.requests import GEN_CALL, GEN_CAST
from pyzen.terms import Atom, ImproperList, Pid, Reference, TermMap, atoms, elixir
from pyzen.testing import Hoarder
from pyzen.zen.names import BATCHERS, CONNECTORS, LOCAL, PROXY
from tests.fuzzing import Target, behaviour
from tests.zen.conftest import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyzen.testing import MemoryNode
    from tests.fuzzing import Input

ROOTS: Final = (PROXY, LOCAL, BATCHERS, CONNECTORS)
WORDS: Final = [
    atoms.subscribe, atoms.unsubscribe, atoms.process, atoms.ping, atoms.pong, atoms.dead, atoms.nodedown, atoms.nodeup,
    atoms.DOWN, atoms.EXIT, atoms.system, atoms.noproc, atoms.noconnection, elixir.ZenMonitor.Proxy, Atom(""),
    atoms["a@memory"], atoms["b@memory"], atoms["c@memory"], GEN_CALL, GEN_CAST,
]  # fmt: skip


class Scene:
    """Node ``a`` watches and is watched by ``b``, whose Connector says what a random number makes it say."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.world = World()
        self.world.connect()
        self.peer = Hoarder()
        self.connector = self.world.b.spawn(self.peer)
        self.ours = [self.world.worker(node=self.world.a) for _ in range(3)]
        self.theirs = self.world.workers(3)
        self.world.worker("named", self.world.a)
        self.refs = [self.world.monitor(target) for target in self.theirs]
        self.world.wait()

    def anything(self, depth: int = 2) -> Any:
        """Return a term, often one that could be meant here."""
        draw = self.draw
        inner = [self.anything(depth - 1) for _ in range(draw.randrange(4))] if depth else []
        return draw.choice([
            draw.choice(self.ours), draw.choice(self.theirs), draw.choice(self.refs), draw.choice(WORDS),
            self.connector,
            Reference("b@memory", 1, [draw.randrange(9)]), Pid("c@memory", 1, 0, 1), 7, b"x", -1.5, None, True,
            (atoms.named, atoms["a@memory"]), tuple(inner), inner, TermMap([(1, inner), (1.0, 2)]),
            ImproperList([*inner, 1], 2),
        ])  # fmt: skip

    def instruction(self) -> Any:
        draw = self.draw
        if draw.random() < 0.15:
            return self.anything()
        word = draw.choice([atoms.subscribe, atoms.unsubscribe])
        target = draw.choice([*self.ours, (atoms.named, atoms["a@memory"]), *self.theirs, self.anything()])
        return (word, target)

    def certificate(self) -> Any:
        return self.draw.choice(
            [(self.draw.choice(self.theirs), self.anything()), self.anything(), (self.anything(), 1)]
        )

    def message(self) -> Any:
        """Return a message and whom it is for."""
        draw = self.draw
        several = [self.instruction() for _ in range(draw.randrange(6))]
        who = draw.choice([self.connector, self.connector, self.connector, self.anything()])
        match draw.randrange(9):
            case 0 | 1 | 2:
                return PROXY, (GEN_CAST, (atoms.process, who, several))
            case 3:
                word = draw.choice([atoms.subscribe, atoms.unsubscribe])
                return PROXY, (GEN_CAST, (word, who, [self.anything() for _ in several]))
            case 4:
                return PROXY, (GEN_CALL, (who, self.anything()), draw.choice([atoms.ping, self.anything()]))
            case 5 | 6:
                node = draw.choice([atoms["b@memory"], atoms["b@memory"], self.anything()])
                summary = [self.certificate() for _ in range(draw.randrange(5))]
                return draw.choice([LOCAL, *ROOTS]), (
                    atoms.dead,
                    node,
                    draw.choice([summary, summary, self.anything()]),
                )
            case 7:
                sender = (who, self.anything())
                order = draw.choice([atoms.suspend, atoms.get_state, (atoms.terminate, 1), self.anything()])
                return draw.choice(ROOTS), (atoms.system, sender, order)
            case _:
                return draw.choice(ROOTS), self.anything(3)

    def end(self, node: MemoryNode, pid: Pid) -> None:
        if node.runtime.actor(pid) is not None:
            node.kill(pid, atoms.boom)

    def act(self) -> str:
        """Do one thing; return what it was."""
        draw = self.draw
        match draw.randrange(12):
            case 0:
                self.world.wait(draw.choice([0.1, 1, 30]))
                return "wait"
            case 1:
                self.end(self.world.b, draw.choice(self.theirs))
                return "death there"
            case 2:
                self.end(self.world.a, draw.choice(self.ours))
                return "death here"
            case 3:
                self.refs.append(self.world.monitor(draw.choice(self.theirs)))
                return "monitor"
            case _:
                pass
        name, message = self.message()
        self.peer.send((name, self.world.a.name), message)
        return str(name).rpartition(".")[2] + " " + (str(message[0]) if isinstance(message, tuple) and message else "")


def check(parts: Input) -> str:
    """Play one scene; see the module for what is to hold."""
    logging.disable(logging.CRITICAL)
    try:
        scene = Scene(random.Random(parts[0]))
        world = scene.world
        before = {name: world.a.process(name) for name in ROOTS}
        done = sorted({scene.act() for _ in range(scene.draw.choice([3, 10, 30]))})
        world.wait(5)
        assert {name: world.a.process(name) for name in ROOTS} == before, "a half of ZenMonitor is another process"
        downs = world.downs()
        assert len({ref for ref, _ in downs}) == len(downs), "two DOWNs of one monitor"
        world.cluster.cut(world.a, world.b)
        world.wait(60)
        assert len(world.downs()) == len(scene.refs), "a monitor without a DOWN"
        left = world.statistics()
        assert left.live == left.subscriptions == left.remote_connectors == left.watches == 0, left
        return behaviour("played", *sorted({str(reason)[:20] for _, reason in downs}), "|", *done[:2])
    finally:
        logging.disable(logging.NOTSET)


def scenes(draw: random.Random) -> Iterator[Input]:
    while True:
        yield [draw.randbytes(8)]


TARGETS: Final = {"zen": Target(scenes, check)}
