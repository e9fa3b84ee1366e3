"""A hostile peer: it is authenticated, knows more than a peer can find out, and speaks for others."""

from __future__ import annotations

import asyncio
import secrets
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.zen.names import PROXY
from tests.forgeries import FORGERIES, Intruder, Known
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from pyzen.actor.runtime import Runtime
    from pyzen.actor.verbs import Verbs
    from pyzen.node.node import Node

__all__ = ["intrude", "told"]

SAMPLE: Final = 40
"""Targets, and references of one process, that an intruder is told of."""

PATIENCE: Final = 20.0
"""Seconds for a node to take what it was sent: it may be stopped, or frozen."""


def told(node: Node, peer: Atom, targets: Sequence[Verbs], subscriber: Pid, lives: Mapping[str, Any]) -> Any:
    """Return what an intruder knows of a node and one of its peers, as a term."""
    runtime = node.runtime
    system = [pid for pid in runtime.processes() if (actor := runtime.actor(pid)) is not None and actor.guarded]
    theirs = [pids for label, life in lives.items() if label.startswith(f"{peer}#") for pids in life.blocks.values()]
    proxy = node.whereis(PROXY) or system[0]
    ours = [target.pid for target in targets[-SAMPLE:]]
    return (
        runtime.creation,
        system,
        proxy,
        node.zen.system.connector_pid(peer) or proxy,
        _watched_connector(runtime, system, peer) or proxy,
        subscriber,
        ours,
        [pids[0] for pids in theirs[:SAMPLE]] or ours,
        [(pid, _monitors(runtime, pid), _watchers(runtime, pid, peer)) for pid in (*system, *ours, subscriber)],
    )


def _watched_connector(runtime: Runtime, system: Iterable[Pid], peer: Atom) -> Pid | None:
    """Return the Connector of a peer, which its Batcher monitors."""
    for pid in system:
        actor = runtime.actor(pid)
        for target in islice(actor.relations.monitors.values(), 1) if actor is not None else ():
            if isinstance(target, Pid) and target.node is peer:
                return target
    return None


def _monitors(runtime: Runtime, pid: Pid) -> list[Reference]:
    actor = runtime.actor(pid)
    return [] if actor is None else list(islice(actor.relations.monitors, SAMPLE))


def _watchers(runtime: Runtime, pid: Pid, peer: Atom) -> list[Reference]:
    actor = runtime.actor(pid)
    watchers = {} if actor is None else actor.relations.watchers
    return [ref for ref, (who, _) in islice(watchers.items(), SAMPLE) if who.node is peer]


def known_of(a: Atom, b: Atom, told: Any) -> Known:
    """Return what a node has told as an intruder has it."""
    creation, system, proxy, connector, connector_of_b, subscriber, on_a, on_b, references = told
    return Known(
        a=a,
        creation=creation,
        b=b,
        processes=[*system, *on_a],
        system=system,
        proxy=proxy,
        connector=connector,
        connector_of_b=connector_of_b,
        subscriber=subscriber,
        subscriber_of_b=on_b[0],
        on_a=on_a,
        on_b=on_b,
        monitors={pid: monitors for pid, monitors, _ in references},
        watchers={pid: watchers for pid, _, watchers in references},
    )


async def intrude(
    address: tuple[str, int], cookie: str, names: tuple[str, str], told: Any, dice: random.Random
) -> list[str]:
    """Connect to a node, try a few forgeries against it and one of its peers, and leave; return what was tried."""
    a, b = (atoms[name] for name in names)
    tried = dice.sample(sorted(FORGERIES), dice.randrange(1, 8))
    peer = RawPeer(f"c{secrets.token_hex(4)}@127.0.0.1")
    try:
        async with asyncio.timeout(PATIENCE):
            await peer.connect_to(address, a, cookie)
            intruder = Intruder(peer, known_of(a, b, told))
            for forgery in tried:
                FORGERIES[forgery](intruder, intruder.known)
                await peer.writer.drain()
            await intruder.obeyed()
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        pass  # it was stopped, killed, or has thrown the intruder out
    finally:
        await peer.close()
    return tried
