"""What a peer starts at a node, and lets stand there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import CALL
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Peer, Stage

LONG: Final = 3_600_000
FEW: Final = {"max_processes": 20_000}
LINKS: Final = {"max_relations": 100_000}
FULL: Final = "max_processes|system_limit"


async def flood(stage: Stage, packet: Any, count: int, *, each: bool = False) -> Peer:
    """Send a packet again and again, or a new one each time; returns the peer."""
    peer = await stage.peer()
    packets = [packet(peer) for _ in range(count)] if each else [packet(peer)] * count
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()
    return peer


@attack("Limits.max_processes of 20 000", 256, FULL, limits=FEW)
async def casts_of_rex(stage: Stage) -> None:
    """100 000 casts by rex of a function that waits for an hour."""
    await flood(stage, lambda peer: peer.rex("cast", "hostile", "rest", LONG), 100_000)


@attack("Limits.max_processes of 20 000", 256, FULL, limits=FEW)
async def calls_of_rex(stage: Stage) -> None:
    """60 000 calls by rex of a function that waits for an hour."""
    await flood(stage, lambda peer: peer.rex("call", "hostile", "rest", LONG), 60_000)


@attack("Limits.max_processes of 20 000", 256, limits=FEW)
async def spawn_requests(stage: Stage) -> None:
    """60 000 calls by erpc of a function that waits for an hour: past the bound each is answered system_limit."""
    peer = await flood(stage, lambda peer: peer.call("hostile", "rest", LONG), 60_000, each=True)
    stage.expect(peer.results["system_limit"] > 30_000, f"too few are refused: {dict(peer.results)}")


@attack("Limits.max_processes of 20 000", 256, limits=FEW)
async def sleepers(stage: Stage) -> None:
    """60 000 calls of Process.sleep(:infinity), which no node has to export."""
    await flood(stage, lambda peer: peer.call("Elixir.Process", "sleep", atoms.infinity), 60_000, each=True)


@attack("unread.MAX_UNREAD", 256, "ends a process that foe.* has started", longest=20.0)
async def messages_for_a_sleeper(stage: Stage) -> None:
    """A million small lists for a process that the peer has started, and that reads none of them."""
    peer = await stage.peer()
    before = await processes(peer)
    await peer.push(peer.rex("cast", "Elixir.Process", "sleep", atoms.infinity))
    await peer.obeyed()
    (pid,) = await processes(peer) - before
    packet = peer.message(pid, [1, [2, [3]]])
    await stage.begin()
    await peer.push([packet * 1000] * 1000)
    await peer.obeyed()


@attack("rex.MAX_BLOCKED", 128)
async def blocked_calls(stage: Stage) -> None:
    """30 000 block_calls behind one that waits for an hour."""
    await flood(stage, lambda peer: peer.rex("block_call", "hostile", "rest", LONG), 30_000)


@attack("one packet, one answer", 64)
async def spawns_of_what_is_not_there(stage: Stage) -> None:
    """20 000 starts of functions that nobody exports."""
    await flood(stage, lambda peer: peer.call("os", "cmd", b"true"), 20_000, each=True)


@attack("a monitor ends with its link", 256)
async def monitors_of_one_process(stage: Stage) -> None:
    """300 000 monitors of one process, and then the link is lost."""
    peer = await flood(stage, lambda peer: peer.control(19, peer.pid, Atom("echo"), peer.ref()), 300_000, each=True)
    await peer.end()


@attack("Limits.max_relations of 100 000", 96, "drops the link to foe.*links and monitors", limits=LINKS)
async def links_without_an_end(stage: Stage) -> None:
    """200 000 links of made-up processes with one process."""
    peer = await stage.peer()
    pid = await peer.ask("erlang", "whereis", atoms.hoard)
    packets = [peer.control(1, Pid(peer.name, 1000 + number, 0, peer.creation), pid) for number in range(200_000)]
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()
    stage.expect(peer.is_lost, "the link is left")


@attack("a link ends with its link", 64)
async def links_to_what_is_not_there(stage: Stage) -> None:
    """100 000 links to processes that there are not, each of which is answered."""

    def link(peer: Peer) -> bytes:
        return peer.control(1, peer.pid, Pid(stage.name, 77_777, 0, 1))

    await flood(stage, link, 100_000)


@attack("process_info.MAX_ITEMS, process_info.MAX_RELATIONS", 64)
async def items_of_a_process(stage: Stage) -> None:
    """process_info of one process, asked for an item 300 000 times, for its messages 500 times, for 50 000 watchers."""
    peer = await stage.peer()
    await peer.push([peer.message("hoard", bytes(100))] * 10_000)
    pid = await peer.ask("erlang", "whereis", atoms.hoard)
    await stage.begin()
    await peer.push(peer.call("erlang", "process_info", pid, [atoms.reductions] * 300_000))
    await peer.push(peer.call("erlang", "process_info", pid, [atoms.messages] * 500))
    await peer.push(peer.call("erlang", "process_info", pid, [atoms.current_stacktrace] * 100_000))
    await peer.push([peer.control(19, peer.pid, pid, peer.ref()) for _ in range(50_000)])
    await peer.push([peer.call("erlang", "process_info", pid, atoms.monitored_by) for _ in range(50)])
    await peer.obeyed()


@attack("applications.MAX_ENTRIES, remote_call.MAX_ARITY, births.MAX_OPTIONS, process_info.MAX_ITEMS", 256)
async def lists_without_an_end(stage: Stage) -> None:
    """Lists of 200 000 elements in calls: applications, kinds of nodes, arguments, options, and items alike."""
    peer = await stage.peer()
    pid = await peer.ask("erlang", "whereis", atoms.hoard)
    many = 200_000
    alike = [[*range(8000), number] for number in range(64)]
    options = (29, peer.ref(), peer.pid, peer.pid, (atoms.erpc, atoms.execute_call, 4), [(atoms.priority, 1)] * many)
    packets = [
        peer.call("application", "ensure_all_started", [atoms.pyzen] * many),
        peer.call("application", "set_env", [(atoms.zen_monitor, [])] * many),
        peer.call("erlang", "nodes", [atoms.this] * many),
        peer.call("erlang", "process_info", pid, alike),
        peer.call("offered", "twice", *[1] * many),
        peer.control(*options, payload=[]),
    ]
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()


@attack("a peer ends no process of the node itself", 64, "refuses")
async def kills_of_the_system(stage: Stage) -> None:
    """Exit signals to all processes of the node itself, by signal and by Process.exit: none may end."""
    peer = await stage.peer()
    system = list(await processes(peer) - await programs(peer))
    await stage.begin()
    for reason in (atoms.kill, atoms.boom, atoms.normal):
        await peer.push([peer.control(26, peer.pid, pid, payload=reason) for pid in system * 10])
        await peer.push([peer.call("Elixir.Process", "exit", pid, reason) for pid in system])
    left = await processes(peer)
    gone = [pid for pid in system if pid not in left]
    stage.expect(not gone, f"ended: {gone[:5]}")


async def processes(peer: Peer) -> set[Any]:
    """Return the processes of the node, without those that live for a call."""
    return set(await peer.ask("erlang", "processes")) & set(await peer.ask("erlang", "processes"))


async def programs(peer: Peer) -> set[Any]:
    """Return the processes of `attacked`, which anybody may end."""
    names = ["echo", "mirror", "sup", "plain", "hoard", "other_hoard", *(f"victim_{number}" for number in range(10))]
    return {await peer.ask("erlang", "whereis", Atom(name)) for name in names}


@attack("calls.STARTED_LIMIT", 128)
async def connectors_by_call(stage: Stage) -> None:
    """10 000 calls that start a Connector for a node that there is not."""
    peer = await stage.peer()
    packets = [
        peer.call("Elixir.ZenMonitor.Local.Connector", "get_for_node", Atom(f"none{number}@127.0.0.1"))
        for number in range(10_000)
    ]
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()


@attack("calls.WAITING_LIMIT", 256)
async def compatibilities_that_wait(stage: Stage) -> None:
    """20 000 calls that wait for a node which can't be reached to turn out compatible."""
    peer = await stage.peer()
    calls = [
        peer.message("Elixir.ZenMonitor.Local", (CALL, (peer.pid, peer.ref()), (atoms.compatibility, number)))
        for number in range(100)
    ]
    connects = [
        peer.call("Elixir.ZenMonitor", "connect", Atom(f"none{number % 500}@127.0.0.1")) for number in range(20_000)
    ]
    await stage.begin()
    await peer.push([*calls, *connects])
    await peer.obeyed()


def elsewhere(number: int) -> str:
    """Return the name of a node that there is not, on a host of its own."""
    return f"none@127.{1 + number // 250}.{number % 250}.1"


@attack("router.ANSWERING_DIALS", 64)
async def answers_to_elsewhere(stage: Stage) -> None:
    """5000 calls whose caller is a process of a node that there is not, each on a host of its own."""
    peer = await stage.peer()
    packets = [
        peer.message("mirror", (CALL, (Pid(elsewhere(number), 1, 0, 1), peer.ref()), number)) for number in range(5000)
    ]
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()


@attack("connections.MAX_DIALS", 128)
async def dials_to_elsewhere(stage: Stage) -> None:
    """5000 calls that have the node dial others, each on a host of its own."""
    peer = await stage.peer()
    packets = [peer.call("Elixir.ZenMonitor", "connect", Atom(elsewhere(number))) for number in range(5000)]
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()


@attack("peers take turns", 384)
async def calls_that_take_long(stage: Stage) -> None:
    """200 calls of process_info that show 10 000 watchers each, which the peer has made itself."""
    peer = await stage.peer()
    echo = await peer.ask("erlang", "whereis", atoms.echo)
    await peer.push([peer.control(19, peer.pid, echo, peer.ref()) for _ in range(10_000)])
    await peer.obeyed()
    calls = [peer.call("erlang", "process_info", echo, [atoms.monitored_by]) for _ in range(200)]
    before = peer.results.total()
    await stage.begin()
    await peer.push(calls)
    while peer.results.total() < before + len(calls):
        await asyncio.sleep(0.1)


@attack("peers take turns", 256, limits=FEW, longest=20.0)
async def sleepers_of_one_moment(stage: Stage) -> None:
    """15 000 calls of Process.sleep that come due at one moment."""
    peer = await stage.peer()
    loop = asyncio.get_running_loop()
    due = loop.time() + 6.0
    for _ in range(0, 15_000, 100):
        left = max(1, round(1000 * (due - loop.time())))
        await peer.push(peer.call("Elixir.Process", "sleep", left) for _ in range(100))
    await peer.obeyed()
    await stage.begin()
    await asyncio.sleep(max(0.0, due - loop.time()) + 1.0)


@attack("one look at each message", 128)
async def junk_for_a_waiting_receive(stage: Stage) -> None:
    """500 000 messages for a process that waits for another one by a match."""
    await flood(stage, lambda peer: peer.message("victim_3", 7), 500_000)
