"""``pyzen demo``: the main job of pyzen, told as it goes.

Two nodes: a watcher in this process, and a peer in a process of its own. The peer is a real Elixir node where `elixir`
and the fixture of a source checkout are at hand, else a second Python process; both find each other by an epmd that
runs here. What the summary says is counted, not assumed: monitors = DOWNs + demonitored.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from pyzen.actor.gen_server import GenServer
from pyzen.config import EpmdConfig, ZenConfig
from pyzen.errors import ConfigError, PyzenError
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node
from pyzen.terms import Pid, Reference, atoms

try:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
except ImportError:  # the extra `cli` is not installed: plain lines do
    Console = Progress = Table = None  # type: ignore[assignment, misc]

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["demo"]

FIXTURE: Final = Path(__file__).resolve().parent.parent / "mix_fixture"
PROCESSES: Final = atoms["Elixir.Fixture.Processes"]
START_TIMEOUT: Final = 60.0
STEP_TIMEOUT: Final = 120.0


async def demo(options: Namespace) -> int:
    """Show two nodes, monitors by the thousand, deaths, and the loss of a node."""
    if not 1 <= options.kill <= options.processes:
        raise ConfigError("--kill must be from 1 to --processes")
    epmd, cookie, host = EpmdServer(), secrets.token_hex(8), "127.0.0.1"
    port = await epmd.start(0)
    try:
        config = EpmdConfig(port=port, start=False)
        zen = ZenConfig(demand_amount=max(1000, options.processes // 20))
        async with (
            Node(f"watcher_{secrets.token_hex(3)}@{host}", cookie=cookie, epmd=config, zen=zen) as node,
            start_peer(options.peer, node, cookie, port) as peer,
        ):
            return await Story(node, peer, options.processes, options.kill).tell()
    finally:
        await epmd.stop()


# ---- the peer ----------------------------------------------------------------------------------------


class Peer(Protocol):
    """The node that is watched."""

    kind: str
    name: str
    process: asyncio.subprocess.Process

    async def spawn(self, count: int) -> list[Pid]:
        """Start processes that wait."""

    async def kill(self, count: int) -> None:
        """End the first ``count`` of them, for different reasons."""


class ElixirPeer:
    """A node of ``mix_fixture``: Elixir, with ZenMonitor's wire contract."""

    kind = "Elixir"

    def __init__(self, node: Node, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self._node = node

    async def spawn(self, count: int) -> list[Pid]:
        """Start processes that wait."""
        await self._node.rpc(self.name, PROCESSES, "spawn_idle", [count], timeout=STEP_TIMEOUT)
        pids: list[Pid] = await self._node.rpc(self.name, PROCESSES, "pids", [0, count], timeout=STEP_TIMEOUT)
        return pids

    async def kill(self, count: int) -> None:
        """End the first ``count`` of them, for different reasons."""
        pids = await self._node.rpc(self.name, PROCESSES, "pids", [0, count], timeout=STEP_TIMEOUT)
        for position, pid in enumerate(pids):
            await self._node.rpc(self.name, "erlang", "exit", [pid, REASONS[position % len(REASONS)]])


class PythonPeer:
    """A second Python process; it serves what ``Worker`` says."""

    kind = "Python"

    def __init__(self, node: Node, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self._dest = ("demo", name)
        self._node = node

    async def spawn(self, count: int) -> list[Pid]:
        """Start processes that wait."""
        pids: list[Pid] = await self._node.call(self._dest, (atoms.spawn, count), STEP_TIMEOUT)
        return pids

    async def kill(self, count: int) -> None:
        """End the first ``count`` of them, for different reasons."""
        await self._node.call(self._dest, (atoms.kill, count), STEP_TIMEOUT)


REASONS: Final = (atoms.boom, (atoms.error, atoms.timeout), b"out of coffee", (atoms.shutdown, 42))


class Idle(GenServer):
    """A process that waits for its end."""

    _pyzen_reports = False  # it is ended on purpose, and that is what the demo shows


class Worker(GenServer):
    """Starts and ends processes for the demo, on the Python peer."""

    def init(self) -> None:
        """Begin without processes."""
        self.pids: list[Pid] = []

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer ``{spawn, N}`` and ``{kill, N}``."""
        match request:
            case (atoms.spawn, int() as count):
                self.pids = [self.spawn(Idle()) for _ in range(count)]
                return self.pids
            case (atoms.kill, int() as count):
                for position, pid in enumerate(self.pids[:count]):
                    self.send_exit(pid, REASONS[position % len(REASONS)])
                return atoms.ok
        return super().handle_call(request, from_)


@asynccontextmanager
async def start_peer(wanted: str, node: Node, cookie: str, port: int) -> AsyncIterator[Peer]:
    """Run a peer; whatever happens, its process is ended."""
    kind = wanted if wanted != "auto" else "elixir" if has_elixir() else "python"
    if kind == "elixir" and not has_elixir():
        raise ConfigError("--peer elixir needs elixir on the path and a source checkout (mix_fixture)")
    name = f"peer_{secrets.token_hex(3)}@127.0.0.1"
    process = await (start_elixir if kind == "elixir" else start_python)(name, cookie, port)
    try:
        await ready(process)
        yield (ElixirPeer if kind == "elixir" else PythonPeer)(node, name, process)
    finally:
        await end(process)


def has_elixir() -> bool:
    """Say whether an Elixir node can be run here."""
    return shutil.which("elixir") is not None and shutil.which("mix") is not None and FIXTURE.is_dir()


async def start_elixir(name: str, cookie: str, port: int) -> asyncio.subprocess.Process:
    """Compile the fixture and start its node."""
    environment = {**os.environ, "MIX_ENV": "prod", "LC_ALL": "C.UTF-8", "ERL_EPMD_PORT": str(port)}
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    compiling = await asyncio.create_subprocess_exec("mix", "compile", cwd=FIXTURE, env=environment, stdout=null)
    if await compiling.wait() != 0:
        raise ConfigError("mix compile failed in mix_fixture: its output says why")
    return await asyncio.create_subprocess_exec(
        str(FIXTURE / "start"), name, cookie, stdin=pipe, stdout=pipe, env=environment
    )


async def start_python(name: str, cookie: str, port: int) -> asyncio.subprocess.Process:
    """Start a second Python process that runs `serve`."""
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "PYZEN_DEMO_COOKIE": cookie}
    arguments = [sys.executable, "-m", "pyzen.demo", name, str(port)]
    return await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, env=environment)


async def ready(process: asyncio.subprocess.Process) -> None:
    """Wait until the peer says that it is ready."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if b"ready" not in line:
        raise ConfigError("the peer did not start: run it by hand to see why (--peer python works without Elixir)")


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a peer that is still there, and wait for its end."""
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()


async def serve(name: str, port: int) -> None:
    """Be the Python peer, until standard input ends."""
    cookie = os.environ["PYZEN_DEMO_COOKIE"]
    async with Node(name, cookie=cookie, epmd=EpmdConfig(port=port, start=False)) as node:
        await Worker.start(node, name="demo")
        print("ready", name, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# ---- the story ---------------------------------------------------------------------------------------


class Watcher(GenServer):
    """The subscriber: counts what arrives."""

    def init(self) -> None:
        """Begin with empty books."""
        self.seen: Counter[Reference] = Counter()
        self.reasons: Counter[str] = Counter()

    def handle_info(self, message: Any) -> None:
        """Take a DOWN."""
        match message:
            case (atoms.DOWN, ref, atoms.process, _pid, (atoms.zen_monitor, reason)):
                self.seen[ref] += 1
                self.reasons[repr(reason)] += 1
            case _:
                super().handle_info(message)


class Story:
    """The steps of the demo, in order."""

    def __init__(self, node: Node, peer: Peer, processes: int, kill: int) -> None:
        self._node = node
        self._peer = peer
        self._processes = processes
        self._kill = kill
        self._started = time.monotonic()
        self._console = None if Console is None else Console()

    def say(self, text: str) -> None:
        """Print one line, with the seconds since the start."""
        line = f"{time.monotonic() - self._started:6.2f} s  {text}"
        if self._console is None:
            print(line, flush=True)
        else:
            self._console.print(line, highlight=False, markup=False)

    async def tell(self) -> int:
        """Run all steps; 0 when the books balance."""
        node, peer = self._node, self._peer
        self.say(f"watcher  {node.name}, Python")
        self.say(f"peer     {peer.name}, {peer.kind}, process {peer.process.pid}")
        answer = await node.zen.connect(peer.name, 10.0)
        self.say(f"ZenMonitor.Proxy there answers: {answer}")
        if answer != "compatible":
            raise PyzenError(f"{peer.name} is not compatible: {node.zen.last_loss(peer.name)}")
        watcher = node.runtime.process(await Watcher.start(node))
        assert isinstance(watcher, Watcher)
        return await self._watch(watcher)

    async def _watch(self, watcher: Watcher) -> int:
        zen = self._node.zen
        pids = await self._peer.spawn(self._processes)
        refs = [zen.monitor(pid, subscriber=watcher.pid) for pid in pids]
        await self._until("monitors established", len(refs), lambda: len(refs) - zen.statistics().pending)
        demonitored = self._demonitor(refs)
        await self._peer.kill(self._kill)
        deaths = self._kill
        await self._until("DOWNs of ended processes", deaths, lambda: len(watcher.seen))
        for reason, count in sorted(watcher.reasons.items()):
            self.say(f"         {count} x {reason}")
        await end(self._peer.process)
        self.say(f"the peer is killed (SIGKILL): {self._processes - deaths - demonitored} processes are gone with it")
        rest = len(refs) - demonitored
        await self._until("DOWNs in all", rest, lambda: len(watcher.seen))
        self.say(f"reason of the loss: {zen.last_loss(self._peer.name)}")
        return self._summary(len(refs), watcher, demonitored)

    def _demonitor(self, refs: list[Reference]) -> int:
        """Drop a tenth of the monitors of processes that are not going to be killed."""
        chosen = refs[self._kill :][: (self._processes - self._kill) // 10]
        for ref in chosen:
            self._node.zen.demonitor(ref, flush=True)
        self.say(f"{len(chosen)} monitors are dropped again")
        return len(chosen)

    async def _until(self, what: str, total: int, done: Callable[[], int]) -> None:
        """Show a bar until ``done()`` has reached ``total``."""
        async with asyncio.timeout(STEP_TIMEOUT):
            with self._bar(what, total) as show:
                while (now := done()) < total:
                    show(now)
                    await asyncio.sleep(0.02)
        self.say(f"{done()} {what}")

    @contextmanager
    def _bar(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a progress bar where rich is installed and somebody looks."""
        if self._console is None or not self._console.is_terminal:
            yield lambda _now: None
            return
        with Progress(console=self._console, transient=True) as progress:
            bar = progress.add_task(what, total=total)
            yield lambda now: progress.update(bar, completed=now)

    def _summary(self, monitors: int, watcher: Watcher, demonitored: int) -> int:
        downs = watcher.seen.total()
        lost = watcher.reasons[repr(atoms.nodedown)]
        rows = {
            "monitors": monitors,
            "DOWNs for deaths": downs - lost,
            "DOWNs for the lost node": lost,
            "demonitored": demonitored,
            "twice or more": sum(count > 1 for count in watcher.seen.values()),
            "missing": monitors - demonitored - len(watcher.seen),
        }
        balanced = monitors == downs + demonitored and not rows["twice or more"] and not rows["missing"]
        self._print_rows(rows)
        self.say(f"{monitors} monitors {'=' if balanced else '!='} {downs} DOWNs + {demonitored} demonitored")
        return 0 if balanced else 1

    def _print_rows(self, rows: dict[str, int]) -> None:
        if self._console is None or Table is None:
            print("(pip install 'pyzen-node[cli]' shows a progress bar and a table)")
            for name, value in rows.items():
                print(f"  {name:26}{value:>9}")
            return
        table = Table("outcome", show_edge=False)
        table.add_column("count", justify="right")
        for name, value in rows.items():
            table.add_row(name, str(value))
        self._console.print(table)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
