"""Orders and questions to the processes of the node itself, and functions that are not on offer."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import CALL, CAST, LOST
from pyzen.errors import PyzenError
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from erlang_interop.hostile.stage import Peer, Stage

ZEN: Final = "Elixir.ZenMonitor"
NAMES: Final = (
    "rex", "user", "net_kernel", "kernel_sup", "logger_proxy", f"{ZEN}.Proxy", f"{ZEN}.Local", f"{ZEN}.Local.Connector",
    f"{ZEN}.Local.Dispatcher", f"{ZEN}.Supervisor", f"{ZEN}.Local.Supervisor", f"{ZEN}.Proxy.Supervisor",
)  # fmt: skip


async def to_all(stage: Stage, messages: Callable[[Peer], list[Any]], times: int) -> Peer:
    """Send messages to all processes of the node itself, and wait until it has come to them."""
    peer = await stage.peer()
    packets = [peer.message(name, message) for name in NAMES for message in messages(peer)]
    await stage.begin()
    await peer.push(packets * times)
    await peer.obeyed()
    return peer


@attack("a peer gives no orders to guarded processes", 64, "refuses")
async def orders(stage: Stage) -> None:
    """sys orders to suspend, end and change all processes of the node itself."""
    words: list[Any] = [
        atoms.suspend, (atoms.terminate, atoms.kill), (atoms.replace_state, 1), (atoms.change_code, 1, 2, 3),
        (atoms.debug, (atoms.log, True)), (atoms.debug, (atoms.trace, True)), atoms.get_state, atoms.get_status,
    ]  # fmt: skip
    await to_all(stage, lambda peer: [(atoms.system, (peer.pid, 1), word) for word in words], 50)


@attack("guarded.MAX_PEERS", 64, "refuses")
async def orders_of_many_peers(stage: Stage) -> None:
    """1200 peers, one after the other, of which each gives one order."""
    await stage.begin()
    for _ in range(1200):
        with suppress(PyzenError, *LOST):
            peer = await stage.peer()
            await peer.push(peer.message(f"{ZEN}.Proxy", (atoms.system, (peer.pid, 1), atoms.suspend)))
            await peer.obeyed()
            await peer.end()


@attack("what is no signal means nothing", 64)
async def exits_as_messages(stage: Stage) -> None:
    """EXIT and DOWN tuples, and stray messages, to all processes of the node itself."""
    await to_all(
        stage,
        lambda peer: [(atoms.EXIT, peer.pid, atoms.kill), (atoms.DOWN, peer.ref(), atoms.process, peer.pid, 1), 7, ()],
        500,
    )


@attack("a fault in a question is answered", 64)
async def senseless_calls(stage: Stage) -> None:
    """Calls and casts of no known shape to all processes of the node itself, rex included."""
    await to_all(
        stage,
        lambda peer: [
            (CALL, (peer.pid, peer.ref()), (atoms.call, [], {}, [1], 1)),
            (CALL, (peer.pid, peer.ref()), (atoms.block_call, {1: 2}, [], [], 1)),
            (CAST, (atoms.cast, 1, 2, 3, 4)),
            (CALL, 7, 8),
            (peer.pid, (atoms.sbcast, 7, 8)),
        ],
        300,
    )


@attack("debugging.MAX_LOG_SIZE", 160)
async def log_of_a_server(stage: Stage) -> None:
    """sys:log of 1000 events of a server of the program, and 30 messages of 8 MiB to it."""
    peer = await stage.peer()
    await peer.push(
        peer.message("mirror", (atoms.system, (peer.pid, peer.ref()), (atoms.debug, (atoms.log, (True, 1000)))))
    )
    await stage.begin()
    await peer.push(peer.message("mirror", (CAST, bytes(8 << 20))) for _ in range(30))
    await peer.obeyed()


@attack("supervisors answer", 64)
async def questions_to_supervisors(stage: Stage) -> None:
    """20 000 questions for children, and orders to start what can't be started."""
    await to_all(
        stage,
        lambda peer: [
            (CALL, (peer.pid, peer.ref()), request)
            for request in (
                atoms.which_children,
                atoms.count_children,
                (atoms.start_child, 7),
                (atoms.get_childspec, 7),
            )
        ],
        400,
    )


@attack("logger_proxy.PEER_LINES", 64, "pyzen|foe|error", lines=110)
async def logs_of_peers(stage: Stage) -> None:
    """50 000 events to logger_proxy, with texts that forge lines and paint the terminal."""
    peer = await stage.peer()
    text = b"x\nERROR pyzen.node the node is lost \x1b[31m"
    meta = {atoms.pid: peer.pid, atoms.gl: peer.pid, atoms.time: 1, atoms.error_logger: {}}
    events = [
        (atoms.log, atoms.error, b"~ts~n", [text], meta),
        (atoms.log, atoms.error, (atoms.string, text), meta),
        (atoms.log, atoms.error, b"~9999n~B", [2**100_000], meta),
    ]
    await stage.begin()
    await peer.push([peer.message("logger_proxy", event) for event in events[:2]] * 25_000)
    await peer.push([peer.message("logger_proxy", events[2])] * 20)
    await peer.obeyed()


@attack("answered without the interpreter", 32)
async def talk_of_global(stage: Stage) -> None:
    """100 000 messages to global_name_server, of the known shapes and of none."""
    peer = await stage.peer()
    shapes: list[Any] = [
        (CAST, (atoms.init_connect, (5, 7), peer.name, (atoms.locker, atoms.no_longer_a_pid, [], peer.pid))),
        (CALL, (peer.pid, peer.ref()), (atoms.set_lock, (atoms.global_, peer.pid))),
        (CAST, (atoms.in_sync, peer.name, True)),
        7,
    ]
    await stage.begin()
    await peer.push([peer.message("global_name_server", shape) for shape in shapes] * 25_000)
    await peer.obeyed()


@attack("only what is offered can be called", 64)
async def what_is_not_on_offer(stage: Stage) -> None:
    """Calls of os:cmd, erlang:halt, init:stop and the like, and of what an offered module has merely imported."""
    peer = await stage.peer()
    with tempfile.TemporaryDirectory(prefix="pyzen-hostile-") as folder:
        mark = Path(folder) / "mark"
        command = f"touch {mark}".encode()
        functions: list[tuple[str, str, list[Any]]] = [
            ("os", "cmd", [command]), ("os", "system", [command]), ("erlang", "halt", []), ("init", "stop", []),
            ("offered", "system", [command]), ("offered", "_hidden", []), ("offered", "Alias", []),
            ("offered", "__class__", []), ("builtins", "exec", [command]), ("subprocess", "run", [command]),
            ("Elixir.System", "halt", []), ("Elixir.Code", "eval_string", [b"System.halt"]),
            ("erlang", "apply", [atoms.os, atoms.system, [command]]), ("hostile", "_kept", []),
        ]  # fmt: skip
        calls = [peer.call(module, function, *arguments) for module, function, arguments in functions]
        for way in ("call", "cast", "block_call"):
            calls += [peer.rex(way, module, function, *arguments) for module, function, arguments in functions]
        calls += [
            peer.control(29, peer.ref(), peer.pid, peer.pid, (Atom(one), Atom(two), len(three)), [], payload=three)
            for one, two, three in functions
        ]
        await stage.begin()
        await peer.push(calls)
        while peer.results.total() < len(functions) and not peer.is_lost:
            await asyncio.sleep(0.02)
        await peer.obeyed()
        stage.expect(not mark.exists(), "a command has been run")
        stage.expect(not peer.results["return"], f"{peer.results['return']} functions that are not on offer returned")
        stage.expect(await peer.ask("offered", "twice", 21) == 42, "what is on offer can't be called")


@attack("one packet, one answer", 128)
async def questions_about_the_node(stage: Stage) -> None:
    """10 000 calls of erlang:processes, registered, memory and nodes."""
    peer = await stage.peer()
    functions = ("processes", "registered", "memory", "nodes")
    await stage.begin()
    await peer.push([peer.call("erlang", function) for function in functions for _ in range(2500)])
    await peer.obeyed()


@attack("a signal that nobody needs is dropped", 32)
async def group_leaders(stage: Stage) -> None:
    """100 000 signals that make the peer the group leader of every process, and unlinks that nobody asked for."""
    peer = await stage.peer()
    pids = await peer.ask("erlang", "processes")
    packets = [peer.control(7, peer.pid, pid) for pid in pids] + [peer.control(35, 7, peer.pid, pid) for pid in pids]
    await stage.begin()
    await peer.push(packets * (100_000 // len(packets)))
    await peer.obeyed()


@attack("a reason is kept once", 192)
async def huge_reasons(stage: Stage) -> None:
    """A server that fails with 5 MB in its reason, watched 300 times; and it is restarted, and fails again."""
    peer = await stage.peer()
    packets = [peer.control(19, peer.pid, atoms.plain, peer.ref()) for _ in range(300)]
    crash = peer.message("plain", (CAST, bytes(5_000_000)))
    await stage.begin()
    for _ in range(3):
        await peer.push([*packets, crash])
        await peer.obeyed()
