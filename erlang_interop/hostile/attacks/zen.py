"""What a peer says to ZenMonitor."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import CALL, CAST, framed, term
from pyzen.terms import Atom, Pid, atoms
from tests.forgeries import FORGERIES, Intruder, Known

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Peer, Stage

PROXY: Final = "Elixir.ZenMonitor.Proxy"
SUBSCRIBERS: Final = atoms["Elixir.ZenMonitor.Proxy.Tables.Subscribers"]
MIB: Final = 1 << 20


def connector(peer: Peer, number: int) -> Pid:
    """Return a process of the peer."""
    return Pid(peer.name, 100 + number, 0, peer.creation)


def subscriptions(peer: Peer, number: int, count: int, targets: bytes) -> bytes:
    """Return a message by which a process of the peer subscribes to targets, given in bytes."""
    head = b"h\x03" + term(atoms.subscribe) + term(connector(peer, number))
    return peer.raw(PROXY, b"h\x02" + term(CAST) + head + b"l" + struct.pack(">I", count) + targets + b"j")


async def processes(peer: Peer) -> list[Pid]:
    """Return the processes of the node."""
    found: list[Pid] = await peer.ask("erlang", "processes")
    return found


@attack("proxy.CONNECTOR_LIMIT", 64, "drops the link to foe.*subscribe")
async def three_thousand_connectors(stage: Stage) -> None:
    """3000 processes of a peer that subscribe."""
    peer = await stage.peer()
    target = await peer.ask("erlang", "whereis", atoms.echo)
    await stage.begin()
    await peer.push([subscriptions(peer, number, 1, term(target)) for number in range(3000)])
    await peer.obeyed()
    stage.expect(peer.is_lost, "the link is left")


@attack("proxy.ROW_LIMIT", 1024, "drops the link to foe.*subscriptions", longest=40.0)
async def millions_of_rows(stage: Stage) -> None:
    """1000 processes of a peer that subscribe to 4500 processes each: 4.5 million rows."""
    peer = await stage.peer()
    await peer.push([peer.rex("cast", "Elixir.Process", "sleep", atoms.infinity)] * 4500)
    await peer.obeyed()
    targets = await processes(peer)
    data = b"".join(map(term, targets))
    await stage.begin()
    await peer.push(subscriptions(peer, number, len(targets), data) for number in range(1000))
    await stage.told("drops the link to foe.*subscriptions")


LITTLE: Final = {"max_unsent_bytes": 16 * MIB}
"""What waits on the link itself, before the Proxy keeps anything."""

PARTED: Final = "drops the link to foe.*certificates"


@attack("proxy.WAITING_LIMIT", 1024, PARTED, limits=LITTLE, longest=30.0)
async def certificates_unread(stage: Stage) -> None:
    """Subscriptions to 2.6 million processes that are dead, by a peer that reads none of the certificates."""
    peer = await stage.peer()
    echo = await peer.ask("erlang", "whereis", atoms.echo)
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await stage.begin()
    await peer.push(subscriptions(peer, 1, 20_000, dead(echo, batch)) for batch in range(130))
    await stage.told(PARTED)


def dead(pid: Pid, batch: int) -> bytes:
    """Return 20 000 pids of the node of a process, of none that has ever lived."""
    head, tail = b"X" + term(pid.node), struct.pack(">II", 0, pid.creation)
    start = 1_000_000 + batch * 20_000
    return b"".join(head + struct.pack(">I", number) + tail for number in range(start, start + 20_000))


@attack("proxy.WAITING_SIZE_LIMIT", 768, "drops the link to foe.*bytes of reasons", limits=LITTLE, longest=20.0)
async def reasons_unread(stage: Stage) -> None:
    """6000 processes that end with 60 KB of reason each, for a subscriber that reads none of it."""
    peer, deaf = await stage.peer(), await stage.peer()
    before = await processes(peer)
    await peer.push([peer.rex("cast", "Elixir.Process", "sleep", atoms.infinity)] * 6000)
    await peer.obeyed()
    targets = [pid for pid in await processes(peer) if pid not in before]
    deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await deaf.push(subscriptions(deaf, 1, len(targets), b"".join(map(term, targets))))
    await stage.begin()
    reason = (atoms.shutdown, bytes(60_000))
    await peer.push(peer.control(26, peer.pid, pid, payload=reason) for pid in targets)
    await stage.told("drops the link to foe.*bytes of reasons")


@attack("ZenConfig.max_reason_size", 384)
async def summary_with_a_huge_reason(stage: Stage) -> None:
    """Summaries in the name of the peer and of others, with reasons of 64 MB, to all processes of the node itself."""
    peer = await stage.peer()
    names = [
        PROXY,
        "Elixir.ZenMonitor.Local",
        "Elixir.ZenMonitor.Local.Connector",
        "Elixir.ZenMonitor.Local.Dispatcher",
    ]
    summary = (atoms.dead, peer.name, [(peer.pid, bytes(64 * MIB))])
    await stage.begin()
    await peer.push([peer.message(name, summary) for name in names])
    await peer.obeyed()


def useless(peer: Peer, name: Atom, count: int) -> bytes:
    """Return a message of instructions that cancel out, of ten bytes each: the head has all atoms."""
    words = [b"subscribe", b"unsubscribe", b"echo", str(name).encode()]
    head = b"\x83D\x04\x88\x88\x00" + b"".join(bytes([place, len(word)]) + word for place, word in enumerate(words))
    control = term((6, peer.pid, Atom(""), Atom(PROXY)))
    start = b"h\x02" + term(CAST) + b"h\x03" + term(atoms.process) + term(connector(peer, 1))
    pair = b"h\2R\0h\2R\2R\3" + b"h\2R\1h\2R\2R\3"
    return framed(head + control + start + b"l" + struct.pack(">I", count) + pair * (count // 2) + b"j")


@attack("peers take turns", 512, longest=20.0)
async def instructions_that_cancel_out(stage: Stage) -> None:
    """2.4 million instructions that leave no row; the Proxy answers a ping of another peer within five seconds."""
    peer, other = await stage.peer(), await stage.peer()
    message = useless(peer, stage.name, 100_000)
    await stage.begin()
    await peer.push(message for _ in range(24))
    before = other.replies
    await other.push(other.gen_call(PROXY, atoms.ping))
    with suppress(TimeoutError):
        async with asyncio.timeout(5.0):
            while other.replies == before:
                await asyncio.sleep(0.01)
    stage.expect(other.replies > before, "the Proxy does not answer a ping of another peer within 5 s")


@attack("peers take turns", 128)
async def a_thousand_connectors_leave(stage: Stage) -> None:
    """Three peers with 1000 processes each that subscribe, and leave at one moment, beside Connectors of 2000 nodes."""
    peers = [await stage.peer() for _ in range(3)]
    for start in range(0, 2000, 20):
        names = [Atom(f"none{number}@127.0.0.1") for number in range(start, start + 20)]
        await peers[0].push(peers[0].call("Elixir.ZenMonitor.Local.Connector", "get_for_node", name) for name in names)
        await peers[0].obeyed()
    echo = term(await peers[0].ask("erlang", "whereis", atoms.echo))
    for peer in peers:
        await peer.push(subscriptions(peer, number, 1, echo) for number in range(1000))
        await peer.obeyed()
    await stage.begin()
    for peer in peers:
        peer.writer.transport.abort()
    await asyncio.sleep(1.0)


@attack("what is said of others is ignored", 64, "refuses|make no sense|does not handle")
async def forgeries(stage: Stage) -> None:
    """Every forgery of the catalogue: DOWNs, losses, summaries, instructions, orders in the name of the honest peer."""
    peer = await stage.peer()
    (b,) = [node for node in await peer.ask("erlang", "nodes") if node is not peer.name]
    victims = [await peer.ask("erlang", "whereis", Atom(f"victim_{number}")) for number in range(10)]
    proxy = await peer.ask("erlang", "whereis", Atom(PROXY))
    rows = await peer.ask("ets", "tab2list", SUBSCRIBERS)
    theirs = next((row[0][1] for row in rows if row[0][1].node is b), Pid(b, 200, 0, 1))
    system = [Pid(stage.name, number, 0, proxy.creation) for number in range(1, 18)]
    known = Known(
        a=stage.name,
        creation=proxy.creation,
        b=b,
        processes=[*system, *victims],
        system=system,
        proxy=proxy,
        connector=system[-1],
        connector_of_b=theirs,
        subscriber=victims[0],
        subscriber_of_b=Pid(b, theirs.id + 1, 0, theirs.creation),
        on_a=victims,
        on_b=[Pid(b, number, 0, theirs.creation) for number in range(80, 400)],
        echoes=[await peer.ask("erlang", "whereis", atoms.echo)],
    )
    await stage.begin()
    for forgery in FORGERIES.values():
        one = await stage.peer()
        forgery(Intruder(one, known), known)
        await one.push(b"")
        await one.obeyed()


@attack("one line for what makes no sense", 64, "make no sense|does not handle")
async def nonsense(stage: Stage) -> None:
    """40 000 casts, calls and messages of no known shape to every process of ZenMonitor."""
    peer = await stage.peer()
    names = [
        "", ".Local", ".Local.Connector", ".Local.Dispatcher", ".Local.Tables", ".Proxy", ".Proxy.Batcher",
        ".Proxy.Tables", ".Supervisor", ".Local.Supervisor", ".Proxy.Supervisor",
    ]  # fmt: skip
    shapes: list[Any] = [
        7, (), (CAST, 7), (CAST, (atoms.process, peer.pid, [7, (1, 2), peer.pid])), (CALL, 7, 7),
        (CALL, (peer.pid, 1), (atoms.x, [])), (atoms.DOWN, 1, 2, 3, 4), (atoms.dead, atoms.x, [[]]),
    ]  # fmt: skip
    packets = [peer.message(f"Elixir.ZenMonitor{name}", shape) for name in names for shape in shapes]
    await stage.begin()
    await peer.push(packets * (40_000 // len(packets)))
    await peer.obeyed()


@attack("settings are the operator's, and cheap", 64)
async def settings(stage: Stage) -> None:
    """5000 changes of ZenMonitor's settings, and looks at its tables."""
    peer = await stage.peer()
    zen = atoms.zen_monitor
    packets = [
        packet
        for number in range(1, 2500)
        for packet in (
            peer.call("Elixir.Application", "put_env", zen, atoms.demand_interval, 100 + number % 2),
            peer.call("ets", "tab2list", SUBSCRIBERS),
        )
    ]
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()


@attack("PEER_RANGES, proxy.WAITING_SIZE_LIMIT", 384, limits=LITTLE, longest=20.0)
async def bounds_of_reasons_lifted(stage: Stage) -> None:
    """Settings that would let reasons of any size wait for 24 days, and the ends of 60 processes with 8 MiB each."""
    peer = await stage.peer()
    before = await processes(peer)
    await peer.push([peer.rex("cast", "Elixir.Process", "sleep", atoms.infinity)] * 60)
    await peer.obeyed()
    targets = [pid for pid in await processes(peer) if pid not in before]
    await peer.push(subscriptions(peer, 1, len(targets), b"".join(map(term, targets))))
    for setting in (atoms.max_reason_size, atoms.batcher_sweep_interval, atoms.max_binary_size):
        await peer.ask("Elixir.Application", "put_env", atoms.zen_monitor, setting, 2**31 - 1)
    await stage.begin()
    await peer.push(peer.control(26, peer.pid, pid, payload=(atoms.shutdown, bytes(8 * MIB))) for pid in targets)
    await peer.obeyed()
    stage.expect(peer.results["error"] == 3, f"settings are not refused: {dict(peer.results)}")
