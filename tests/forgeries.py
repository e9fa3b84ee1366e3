"""What a peer may try that speaks for others, as a catalogue: C is connected to A and wants to harm A and B.

C is told more than a peer can find out, the references of others among it: what protects A has to be who may say what.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from pyzen._native import NO_PAYLOAD
from pyzen.terms import Atom, ImproperList, Pid, Reference, atoms, elixir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyzen.actor.runtime import Runtime
    from tests.raw_peer import RawPeer

ZenMonitor = elixir.ZenMonitor
CAST = atoms["$gen_cast"]
CALL = atoms["$gen_call"]


@dataclass
class Known:
    """What C knows of A and B.

    Attributes:
        a: The node that C is connected to.
        creation: Its incarnation.
        b: The node that A watches, and that watches A.
        processes: Processes of A, but those that only a user would forge something for.
        system: Those of the node itself.
        proxy: The Proxy of A.
        connector: A's Connector for B.
        connector_of_b: B's Connector for A.
        subscriber: Who watches at A.
        subscriber_of_b: Who watches at B.
        on_a: What B watches.
        on_b: What A watches.
        echoes: Servers of A that answer a call with the request.
        monitors: The references of the monitors that processes of A have.
        watchers: The references by which processes of B watch processes of A.
    """

    a: Atom
    creation: int
    b: Atom
    processes: list[Pid]
    system: list[Pid]
    proxy: Pid
    connector: Pid
    connector_of_b: Pid
    subscriber: Pid
    subscriber_of_b: Pid
    on_a: list[Pid]
    on_b: list[Pid]
    echoes: list[Pid] = field(default_factory=list)
    monitors: dict[Pid, list[Reference]] = field(default_factory=dict)
    watchers: dict[Pid, list[Reference]] = field(default_factory=dict)

    @property
    def everybody(self) -> list[Pid]:
        """All processes of A that are known."""
        return [*self.processes, self.subscriber]

    def monitors_of(self, pid: Pid) -> list[Reference]:
        """Return the references of the monitors that a process of A has."""
        return self.monitors.get(pid, [])

    def watchers_of(self, pid: Pid) -> list[Reference]:
        """Return the references by which processes of B watch a process of A."""
        return self.watchers.get(pid, [])

    def look(self, runtime: Runtime) -> None:
        """Find out the references that are in use at A."""
        for pid in self.everybody:
            actor = runtime.actor(pid)
            if actor is not None:
                relations = actor.relations
                self.monitors[pid] = list(relations.monitors)
                self.watchers[pid] = [ref for ref, (who, _) in relations.watchers.items() if who.node is self.b]


class Intruder:
    """C, by its connection to A."""

    def __init__(self, peer: RawPeer, known: Known) -> None:
        self.peer = peer
        self.known = known
        self.pid = peer.pid
        self.name = peer.name
        self._numbers = itertools.count(1)

    def send(self, to: Any, message: Any) -> object:
        """Send a message to a pid, a name or an alias of A."""
        self.peer.writer.write(self.peer.session.send(self.pid, to, message))
        return None

    def send_to_all(self, message: Any, to: Iterable[Pid] = ()) -> object:
        """Send a message to all processes."""
        return [self.send(pid, message) for pid in to or self.known.processes]

    def signal(self, *control: Any, payload: Any = NO_PAYLOAD) -> object:
        """Send any other control message."""
        self.peer.writer.write(self.peer.session.signal(0, control, payload))
        return None

    def exit2(self, to: Pid, reason: Any) -> object:
        """Send an exit signal."""
        return self.signal(26, self.pid, to, payload=reason)

    def call(self, module: str, function: str, args: list[Any]) -> object:
        """Start a process that applies a function, as ``erpc`` does; its answer is not read."""
        ref = Reference(self.name, self.peer.creation, [next(self._numbers), 0, 0])
        mfa = (atoms.erpc, atoms.execute_call, 4)
        request: Any = (29, ref, self.pid, self.pid, mfa, [])
        return self.signal(*request, payload=[ref, atoms[module], atoms[function], args])

    async def obeyed(self) -> None:
        """Wait until all that C has sent has been read: by an answer, or by the end of its link."""
        self.send(atoms.rex, (self.pid, atoms.features_request))
        while True:
            data = await asyncio.wait_for(self.peer.reader.read(65536), 10)
            if not data or any("features_reply" in repr(event) for event in self.peer.events_of(data)):
                break


Forgery: TypeAlias = "Callable[[Intruder, Known], object]"


def guesses(refs: Iterable[Reference], node: Atom) -> list[Reference]:
    """Return what C would guess who knows the counters of all references, and not their random words."""
    return [
        Reference(node, ref.creation, words)
        for ref in refs
        for words in [(1, 0, 0, *ref.words[3:]), (0, 0, 0, *ref.words[3:]), (ref.words[3], 0, 0)]
    ]


def unsubscribed(known: Known) -> Any:
    """Return instructions to unsubscribe from all that is watched at A."""
    return [(atoms.unsubscribe, target) for target in known.on_a]


def zen_down(ref: Any, pid: Any, reason: Any = atoms.forged) -> Any:
    return atoms.DOWN, ref, atoms.process, pid, reason


TRIED: dict[str, Forgery] = {
    "nodedown to the Proxy": lambda c, k: c.send(ZenMonitor.Proxy, (atoms.nodedown, k.b)),
    "DOWN of the subscriber to Local": lambda c, k: c.send(ZenMonitor.Local, zen_down(atoms.x, k.subscriber, atoms.x)),
    "DOWN of B's Connector to all": lambda c, k: c.send_to_all(zen_down(atoms.x, k.connector_of_b)),
    "nodedown to all": lambda c, k: c.send_to_all((atoms.nodedown, k.b)),
    "dead summary to all": lambda c, k: c.send_to_all((atoms.dead, k.b, [(t, atoms.forged) for t in k.on_b])),
    "DOWNs with the Proxy's references": lambda c, k: [
        c.send(ZenMonitor.Proxy, zen_down(ref, pid)) for ref in k.monitors_of(k.proxy) for pid in k.on_a
    ],
    "ends of the Proxy's monitors": lambda c, k: [
        c.signal(28, c.pid, k.proxy, ref, payload=atoms.forged) for ref in k.monitors_of(k.proxy)
    ],
    "ends of all monitors, by pid and by name": lambda c, k: [
        c.signal(28, who, pid, ref, payload=atoms.forged)
        for pid in k.everybody
        for ref in k.monitors_of(pid)
        for who in (c.pid, k.on_b[0], atoms.name)
    ],
    "demonitor with B's reference": lambda c, k: [
        c.signal(20, c.pid, worker, ref) for worker in k.on_a for ref in k.watchers_of(worker)
    ],
    "demonitor with B's reference and B's pid": lambda c, k: [
        c.signal(20, k.subscriber_of_b, worker, ref) for worker in k.on_a for ref in k.watchers_of(worker)
    ],
    "second monitor with B's reference": lambda c, k: [
        c.signal(19, c.pid, worker, ref) for worker in k.on_a for ref in k.watchers_of(k.on_a[0])
    ],
    "unsubscribe for B's Connector": lambda c, k: c.send(
        ZenMonitor.Proxy,
        (CAST, (atoms.process, k.connector_of_b, [(atoms.unsubscribe, target) for target in k.on_a])),
    ),
    "suspend all": lambda c, k: c.send_to_all((atoms.system, (c.pid, atoms.x), atoms.suspend), k.system),
    "EXIT as a message to the supervisors": lambda c, k: [
        c.send(name, (atoms.EXIT, pid, atoms.boom))
        for name in (ZenMonitor.Supervisor, ZenMonitor.Local.Supervisor, ZenMonitor.Proxy.Supervisor)
        for pid in (c.pid, *k.system)
    ],
    "kill the Connector of B": lambda c, k: c.exit2(k.connector, atoms.kill),
    "kill the Proxy": lambda c, k: c.exit2(k.proxy, atoms.kill),
}
"""What was tried and worked once."""

OTHERS: dict[str, Forgery] = {
    "kill all processes of the node itself": lambda c, k: [c.exit2(pid, atoms.kill) for pid in k.system],
    "exit all processes of the node itself": lambda c, k: [c.exit2(pid, atoms.boom) for pid in k.system],
    "normal exit": lambda c, k: [c.exit2(pid, atoms.normal) for pid in k.system],
    "links that end": lambda c, k: [
        (c.signal(1, c.pid, pid), c.signal(24, c.pid, pid, payload=atoms.boom)) for pid in k.system
    ],
    "terminate by sys": lambda c, k: c.send_to_all(
        (atoms.system, (c.pid, atoms.x), (atoms.terminate, atoms.kill)), k.system
    ),
    "sys orders by name": lambda c, k: [
        c.send(name, (atoms.system, (c.pid, ImproperList([atoms.alias], Reference("c@127.0.0.1", 9, [n]))), order))
        for n, name in enumerate((ZenMonitor.Proxy, ZenMonitor.Local, ZenMonitor.Local.Connector, atoms.rex))
        for order in (atoms.suspend, (atoms.replace_state, 1), (atoms.change_code, 1, 2, 3), (atoms.terminate, 1))
    ],
    "EXIT as a message to all, of all": lambda c, k: [
        c.send(to, (atoms.EXIT, pid, atoms.boom)) for to in k.processes for pid in k.system
    ],
    "nodeup and dial_failed to all": lambda c, k: [
        c.send_to_all(message)
        for message in ((atoms.nodeup, k.b), (atoms.dial_failed, k.b, b"x"), (atoms.nodedown, c.name))
    ],
    "a ping of B's": lambda c, k: c.send(ZenMonitor.Proxy, (CALL, (k.connector_of_b, atoms.x), atoms.ping)),
    "instructions for B's Connector": lambda c, k: c.send(
        ZenMonitor.Proxy,
        (CAST, (atoms.process, k.connector_of_b, [(atoms.subscribe, Pid(k.a, 99_999, 0, k.creation))])),
    ),
    "targets for B's Connector": lambda c, k: c.send(
        ZenMonitor.Proxy,
        (CAST, (atoms.subscribe, k.connector_of_b, [(atoms.nobody, k.a), (atoms.x, k.b)])),
    ),
    "instructions of the own Connector": lambda c, k: c.send(
        ZenMonitor.Proxy, (CAST, (atoms.process, k.connector, [(atoms.subscribe, k.on_a[0])]))
    ),
    "summary in the name of C": lambda c, k: c.send_to_all((atoms.dead, c.name, [(t, atoms.forged) for t in k.on_b])),
    "summary in the name of A": lambda c, k: c.send_to_all((atoms.dead, k.a, [(t, atoms.forged) for t in k.on_b])),
    "answers to a ping": lambda c, k: [
        c.send(k.connector, (ref, answer)) for ref in k.monitors_of(k.connector) for answer in (atoms.pong, 1)
    ],
    "DOWNs of what the Connector watches": lambda c, k: [
        c.send(k.connector, zen_down(ref, (ZenMonitor.Proxy, k.b))) for ref in k.monitors_of(k.connector)
    ],
    "DOWNs of the Batchers' monitors": lambda c, k: [
        c.send(pid, zen_down(ref, k.connector_of_b)) for pid in k.system for ref in k.monitors_of(pid)
    ],
    "guessed ends of monitors": lambda c, k: [
        c.signal(28, c.pid, pid, guess, payload=atoms.forged)
        for pid in k.everybody
        for guess in guesses(k.monitors_of(pid), k.a)
    ],
    "unlink and acknowledge": lambda c, k: [
        (c.signal(35, 7, c.pid, pid), c.signal(36, 1, c.pid, pid), c.signal(4, c.pid, pid)) for pid in k.processes
    ],
    "exits in the name of B": lambda c, k: c.signal(24, k.on_b[0], k.subscriber, payload=atoms.boom),
    "spawn replies": lambda c, k: [
        c.signal(31, ref, pid, 3, c.pid) for pid in k.everybody for ref in k.monitors_of(pid)
    ],
    "exits by a call": lambda c, k: [c.call("Elixir.Process", "exit", [pid, atoms.kill]) for pid in k.system],
    "exits by a call of an old node": lambda c, k: [
        c.send(atoms.rex, (c.pid, (atoms.call, atoms["Elixir.Process"], atoms.exit, [pid, atoms.kill], c.pid)))
        for pid in k.system
    ],
    "orders by way of rex": lambda c, k: [
        c.send(atoms.rex, (c.pid, (atoms.sbcast, name, (atoms.system, (c.pid, atoms.x), order))))
        for name in (ZenMonitor.Proxy, ZenMonitor.Local, ZenMonitor.Local.Connector, ZenMonitor.Supervisor)
        for order in (atoms.suspend, (atoms.terminate, atoms.kill))
    ],
    "instructions by way of rex": lambda c, k: [
        c.send(atoms.rex, (c.pid, (atoms.sbcast, ZenMonitor.Proxy, (CAST, (atoms.process, who, unsubscribed(k))))))
        for who in (k.connector_of_b, *k.system)
    ],
    "instructions as a reply": lambda c, k: [
        c.send(to, (CALL, (k.proxy, CAST), (atoms.process, who, unsubscribed(k))))
        for to in k.echoes
        for who in (k.connector_of_b, *k.system)
    ],
    "group leaders": lambda c, k: [c.signal(7, c.pid, pid) for pid in k.system],
    "casts and calls of nonsense": lambda c, k: [
        c.send(pid, message)
        for pid in k.system
        for message in ((CAST, (atoms.process, c.pid, atoms.x)), (CALL, (c.pid, 1), atoms.x), (CAST, 7), 7, ())
    ],
}
"""Others of these kinds."""

FORGERIES = TRIED | OTHERS
