"""Real nodes for tests: an epmd of our own, Elixir nodes that run ``mix_fixture``, and plain Erlang nodes.

They are those of the path, or those of a `Place`: another release, perhaps in a root folder of its own.

Every operating system process started here is ended by its pid, also when a test fails; should the test run
itself be killed, the end of its pipes ends them. Names and cookies are random, everything listens on loopback.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypedDict, TypeVar, Unpack

from pyzen import etf
from tests.places import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "BeamNode",
    "CommandError",
    "ElixirNode",
    "Epmd",
    "ErlNode",
    "ErlangCluster",
    "NodeEnded",
    "NodeOptions",
    "free_port",
]

ON_PATH: Final = Place()
FIXTURE: Final = Path(__file__).parent.parent / "mix_fixture"
START_TIMEOUT: Final = 30.0
CALL_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 5.0
# An answer is one line, and a hundred thousand pids are four megabytes of it.
MAX_LINE: Final = 1 << 28
STDERR_LINES: Final = 200


class CommandError(Exception):
    """A node answered a command with an error; the text is the node's."""


class NodeEnded(Exception):
    """A node's operating system process ended while somebody was waiting for it."""


# ---- epmd --------------------------------------------------------------------------------------------


class Epmd:
    """An epmd on a free port of its own; a child process that ends with this one.

    Attributes:
        port: Where it listens, on all addresses of the loopback interface.
        pid: Its process.
    """

    # The shell outlives neither us (its input ends) nor epmd's user (`close`), and takes epmd along.
    _SCRIPT: Final = (
        '"$@" -address 127.0.0.1 -port "$0" -relaxed_command_check & echo $!; cat >/dev/null; kill $!; wait $!'
    )

    def __init__(self, port: int, place: Place = ON_PATH) -> None:
        self.port = port
        self._place = place
        self.pid = 0
        self._shell: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, place: Place = ON_PATH) -> Self:
        """Start an epmd on a port that nobody uses; another try where somebody was quicker."""
        for _ in range(5):
            epmd = cls(free_port(), place)
            epmd.open()
            if epmd.answers(within=10.0):
                return epmd
            epmd.close()
        raise RuntimeError("no epmd came up")

    def open(self) -> None:
        """Start the process, on the same port again after ``close``. It may take a moment to answer."""
        arguments = ["sh", "-c", self._SCRIPT, str(self.port), *self._place.command("epmd")]
        pipe = subprocess.PIPE
        # Its errors are what ``answers`` finds out; a shell's word on the end of a child is none.
        self._shell = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        assert self._shell.stdout is not None
        self.pid = int(self._shell.stdout.readline())

    def close(self) -> None:
        """End the process. Does nothing the second time."""
        shell, self._shell = self._shell, None
        if shell is None:
            return
        with shell:
            assert shell.stdin is not None
            shell.stdin.close()
            shell.wait(timeout=10)

    def answers(self, *, within: float) -> bool:
        """Wait until epmd answers; false when ``within`` seconds pass first, or it ended."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and _alive(self.pid):
            with contextlib.suppress(OSError):
                return self._asks_for_names()
            time.sleep(0.02)
        return False

    def names(self) -> list[str]:
        """The alive names that are registered now."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"\0\x01n")
            text = b"".join(iter(lambda: connection.recv(65536), b""))[4:].decode()
        return sorted(line.split()[1] for line in text.splitlines())

    def _asks_for_names(self) -> bool:
        self.names()
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stopped(pid: int) -> bool:
    """Say whether every thread of a process is stopped, or gone."""
    states = []
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            states.append(stat.read_text().rpartition(") ")[2][0])
    return set(states) <= {"T", "Z", "X"}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# ---- nodes -------------------------------------------------------------------------------------------


class NodeOptions(TypedDict, total=False):
    """How a node is started; all may be left out.

    Attributes:
        cookie: Defaults to the cluster's.
        names: ``long`` (the default) gives ``x@127.0.0.1``, ``short`` gives ``x@localhost``.
        hidden: Whether the node hides from ``nodes()`` of the others.
        net_ticktime: Seconds, 60 by default.
        flags: Further flags of ``erl``, without spaces inside them.
        environment: Added to this process's environment.
    """

    cookie: str
    names: Literal["long", "short"]
    hidden: bool
    net_ticktime: int
    flags: Sequence[str]
    environment: Mapping[str, str]


def _erl_flags(options: NodeOptions) -> list[str]:
    hidden = ["-hidden"] if options.get("hidden") else []
    ticktime = ["-kernel", "net_ticktime", str(options["net_ticktime"])] if "net_ticktime" in options else []
    return [*hidden, *ticktime, *options.get("flags", ())]


class BeamNode:
    """A running node that answers requests, a line each, on its standard input and output.

    Attributes:
        name: The node name.
        cookie: Its cookie.
        ready: What the node said of itself when it came up.
        events: What it reports unasked, oldest first.
        stderr: The last lines of its standard error.
    """

    def __init__(self, name: str, cookie: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.cookie = cookie
        self.ready: dict[str, str] = {}
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._readers = [asyncio.create_task(self._read_answers()), asyncio.create_task(self._read_errors())]

    @property
    def pid(self) -> int:
        """The operating system process, which is the VM itself."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process.returncode is None

    @property
    def status(self) -> int | None:
        """How it has ended: the status of its exit, or less than 0 for a signal; None while it runs."""
        return self._process.returncode

    async def call(self, command: str, *arguments: object, timeout: float = CALL_TIMEOUT) -> str:
        """Run a command and return the text of its answer.

        Several calls may be under way; the README of ``mix_fixture`` tells which commands run beside each other.

        Args:
            command: Name of the command, with ``/text``, ``/erl`` or ``/etf`` for another form of the answer.
            *arguments: Joined with spaces. Only the last may contain spaces; none may contain a line end.
            timeout: Seconds.

        Raises:
            CommandError: The node says that the command failed.
            NodeEnded: The node ended before it answered.
            TimeoutError: No answer in time; a late one is dropped.
        """
        identity = str(next(self._ids))
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[identity] = answer
        try:
            await self._send(" ".join([identity, command, *map(str, arguments)]))
            async with asyncio.timeout(timeout):
                return await answer
        finally:
            del self._waiting[identity]

    async def call_etf(self, command: str, *arguments: object, timeout: float = CALL_TIMEOUT) -> bytes:
        """Run a command and return its answer in the external term format, leading 131 included."""
        return base64.b64decode(await self.call(f"{command}/etf", *arguments, timeout=timeout))

    async def eval(self, code: str, *, timeout: float = CALL_TIMEOUT) -> str:
        """Evaluate code in the node's language, in a process of its own, and return its value as text."""
        return await self.call("eval64", base64.b64encode(code.encode()).decode(), timeout=timeout)

    async def event(self, text: str, *, timeout: float = CALL_TIMEOUT) -> None:
        """Wait for the event ``text``, dropping the events before it."""
        async with asyncio.timeout(timeout):
            while await self.events.get() != text:
                pass

    def stop_signal(self) -> None:
        """Freeze the node: it keeps its connections and says nothing once this returns (SIGSTOP).

        Raises:
            TimeoutError: It goes on.
        """
        self._process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + STOP_TIMEOUT
        # Each thread stops by itself, the next time it is about to run.
        while not _stopped(self.pid):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} does not stop")
            time.sleep(0.001)

    def cont_signal(self) -> None:
        """Let a frozen node go on (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    def close_input(self) -> None:
        """End the node in its own time: it halts at the end of its input. ``wait`` waits for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def kill(self) -> None:
        """End the node at once, frozen or not (SIGKILL), and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self.wait()

    async def wait(self) -> int:
        """Wait for the end of the node and return its exit status; every pending call fails."""
        status = await self._process.wait()
        await asyncio.gather(*self._readers)
        self.close_input()
        return status

    async def until_ready(self) -> Self:
        """Wait until the node serves commands; whatever goes wrong ends it."""
        try:
            async with asyncio.timeout(START_TIMEOUT):
                greeting = await self._greeting()
        except BaseException:
            await self.kill()
            raise
        self.ready = fields(greeting)
        return self

    async def _greeting(self) -> str:
        ended = asyncio.ensure_future(self._process.wait())
        greeting = asyncio.ensure_future(self.events.get())
        try:
            await asyncio.wait([ended, greeting], return_when=asyncio.FIRST_COMPLETED)
            if greeting.done():
                return greeting.result().removeprefix("ready ")
            await asyncio.gather(*self._readers)
            raise self._ended()
        finally:
            ended.cancel()
            greeting.cancel()

    async def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise self._ended() from error

    async def _read_answers(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._take(line.decode(errors="replace").rstrip("\n"))
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(self._ended())

    def _take(self, line: str) -> None:
        identity, _, rest = line.partition(" ")
        if identity == "!":
            self.events.put_nowait(rest)
            return
        answer = self._waiting.get(identity)
        if answer is None or answer.done():
            self.stderr.append(line)
            return
        verdict, _, value = rest.partition(" ")
        if verdict == "ok":
            answer.set_result(value)
        else:
            answer.set_exception(CommandError(value))

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.stderr.append(line.decode(errors="replace").rstrip("\n"))

    def _ended(self) -> NodeEnded:
        return NodeEnded(f"{self.name} ended, its last words: " + "\n".join(self.stderr))


class ErlNode(BeamNode):
    """A plain Erlang node; its one command is ``eval``, in Erlang."""

    async def run(self, module: str, function: str, *arguments: object, timeout: float = CALL_TIMEOUT) -> Any:
        """Apply a function in a process of its own; arguments and result are terms.

        Raises:
            CommandError: It failed.
        """
        packed = base64.b64encode(etf.encode(list(arguments))).decode()
        code = f'apply({module}, {function}, binary_to_term(base64:decode("{packed}")))'
        answer = await self.call_etf("eval64", base64.b64encode(code.encode()).decode(), timeout=timeout)
        return etf.decode(answer)


class ElixirNode(BeamNode):
    """A node that runs ``mix_fixture``, ZenMonitor included."""

    async def fields(self, command: str, *arguments: object, timeout: float = CALL_TIMEOUT) -> dict[str, str]:
        """Run a command that answers named figures."""
        return fields(await self.call(command, *arguments, timeout=timeout))

    async def ledger(self) -> dict[str, int]:
        """The balance of the node's own monitors; the README of ``mix_fixture`` names the figures."""
        return {name: int(value) for name, value in (await self.fields("ledger")).items()}

    async def await_downs(self, count: int, *, timeout: float) -> dict[str, int]:
        """Wait until the node's own monitors have received ``count`` downs; then as ``ledger``."""
        figures = await self.fields("await_downs", count, round(timeout * 1000), timeout=timeout + CALL_TIMEOUT)
        return {name: int(value) for name, value in figures.items()}


def fields(text: str) -> dict[str, str]:
    """Named figures, ``name=figure name=figure``, as a dict."""
    return dict(word.split("=", 1) for word in text.split(" "))


Node = TypeVar("Node", bound=BeamNode)

# ---- the cluster -------------------------------------------------------------------------------------


class ErlangCluster:
    """Starts nodes that share an epmd and a cookie, and ends them all.

    Attributes:
        epmd_port: Where their epmd listens.
        cookie: What they share unless told otherwise.
        fixture: The compiled ``mix_fixture`` that ``elixir`` starts.
        flags: Flags of ``erl`` for every node, before its own.
    """

    def __init__(self, epmd_port: int, drivers: Path, place: Place = ON_PATH) -> None:
        """Store what nodes need.

        Args:
            epmd_port: See above.
            drivers: Folder of the compiled Erlang modules of the harness.
            place: Whose nodes these are; it has to see ``drivers`` and ``fixture``.
        """
        self.epmd_port = epmd_port
        self.cookie = secrets.token_hex(8)
        self._place = place
        self._drivers = place.inside(drivers)
        self.fixture = FIXTURE
        self.flags: Sequence[str] = ()
        self._nodes: list[BeamNode] = []

    async def elixir(self, alive_name: str | None = None, **options: Unpack[NodeOptions]) -> ElixirNode:
        """Start an Elixir node with ``mix_fixture``.

        Args:
            alive_name: First half of the name; random if None.
            **options: Fields of ``NodeOptions``.
        """
        name, cookie = self._identity(alive_name, options)
        start = self._place.inside(self.fixture / "start")
        node = ElixirNode(name, cookie, await self._execute([start, name, cookie, *self._flags(options)], options))
        return await self._add(node).until_ready()

    async def erl(self, alive_name: str | None = None, **options: Unpack[NodeOptions]) -> ErlNode:
        """Start a plain Erlang node; arguments as for ``elixir``."""
        name, cookie = self._identity(alive_name, options)
        kind = "-name" if options.get("names", "long") == "long" else "-sname"
        arguments = ["erl", "-noinput", "+fnu", kind, name, "-setcookie", cookie, "-start_epmd", "false"]
        arguments += ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-pa", self._drivers]
        arguments += ["-s", "eval_server", *self._flags(options)]
        node = ErlNode(name, cookie, await self._execute(arguments, options))
        return await self._add(node).until_ready()

    async def close(self) -> None:
        """End every node. Does nothing the second time."""
        nodes, self._nodes = self._nodes, []
        await asyncio.gather(*(node.kill() for node in nodes))

    def _identity(self, alive_name: str | None, options: NodeOptions) -> tuple[str, str]:
        host = "127.0.0.1" if options.get("names", "long") == "long" else "localhost"
        alive_name = alive_name or f"n{secrets.token_hex(5)}"
        return f"{alive_name}@{host}", options.get("cookie", self.cookie)

    def _flags(self, options: NodeOptions) -> list[str]:
        return [*self.flags, *_erl_flags(options)]

    async def _execute(self, arguments: list[str], options: NodeOptions) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        environment = {
            **os.environ,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_CRASH_DUMP_SECONDS": "0",
            "FIXTURE_NAMES": options.get("names", "long"),
            "LC_ALL": "C.UTF-8",
            **self._place.environment,
            **options.get("environment", {}),
        }
        return await asyncio.create_subprocess_exec(
            *self._place.command(*arguments), stdin=pipe, stdout=pipe, stderr=pipe, limit=MAX_LINE, env=environment
        )

    def _add(self, node: Node) -> Node:
        self._nodes.append(node)
        return node
