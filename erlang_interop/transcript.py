"""Records a session of a real iex with a node of ours: ``python -m erlang_interop.transcript`` writes ``docs/iex.md``.

What is typed is below, what iex answers is recorded as it stands on its terminal, on OTP 25 and on the newest release.
"""

from __future__ import annotations

import asyncio
import os
import pty
import re
import secrets
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from erlang_interop import releases
from erlang_interop.nodes import Epmd
from pyzen import EpmdConfig, GenServer, Node, atoms, current_process

if TYPE_CHECKING:
    from erlang_interop.releases import Release
    from pyzen import Pid

PAGE: Final = Path(__file__).parent.parent / "docs" / "iex.md"
PYTHON: Final = "py@127.0.0.1"
ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")
STEP_TIME: Final = 20.0

TYPED: Final = [
    'py = :"py@127.0.0.1"',
    "Node.ping(py)",
    "Node.list()",
    "GenServer.call({:counter, py}, {:add, 2})",
    "GenServer.call({:counter, py}, {:add, 40})",
    "GenServer.call({:nobody, py}, :hello)",
    ":sys.get_state({:counter, py})",
    ":rpc.call(py, :reports, :summary, [[3, 1, 2]])",
    ":erpc.call(py, :reports, :summary, [[]])",
    ":erpc.multicall([node(), py], :erlang, :node, [])",
    ":rpc.call(py, :os, :getpid, [])",
    "{pid, _ref} = Node.spawn_monitor(py, :reports, :greet, [])",
    "flush()",
    "counter = :rpc.call(py, Process, :whereis, [:counter])",
    "ref = Process.monitor(counter)",
    "Process.flag(:trap_exit, true)",
    "Process.link(counter)",
    "Process.exit(counter, :enough)",
    "Process.sleep(100); flush()",
    ":global.sync()",
    ":global.register_name(:iex, self())",
    "{:ok, _} = :pg.start_link()",
    ":pg.join(:group, self())",
    ":pg.get_members(:group) == [self()]",
    "ZenMonitor.Proxy.Batcher |> then(&:rpc.call(py, &1, :sweep_interval, []))",
    "Node.disconnect(py)",
    "Node.list()",
]


class Counter(GenServer):
    """Counts what it is told to add."""

    def init(self) -> None:
        """Begin at nothing."""
        self.total = 0

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer the new total."""
        match request:
            case (atoms.add, int() as number):
                self.total += number
                return self.total
        return super().handle_call(request, from_)


def summary(numbers: list[int]) -> dict[Any, Any]:
    """Return the least and the greatest."""
    return {atoms.least: min(numbers), atoms.greatest: max(numbers)}


async def greet() -> None:
    """Say hello where the caller is."""
    current_process().puts("hello from Python")


class Iex:
    """An iex on a terminal of its own."""

    def __init__(self, release: Release, epmd: Epmd, cookie: str) -> None:
        self.release = release
        self.name = f"iex{secrets.token_hex(3)}@127.0.0.1"
        environment = {
            "ERL_EPMD_PORT": str(epmd.port),
            "ERL_FLAGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "HOME": "/tmp",
            "PATH": os.environ["PATH"],
        }
        arguments = release.place.command("iex", "--name", self.name, "--cookie", cookie)
        self.process, self.terminal = pty.fork()
        if not self.process:
            os.execvpe(arguments[0], arguments, environment)
        self.seen = ""

    async def prompt(self) -> str:
        """Wait for the prompt; return what stands before it."""
        pattern = re.compile(r"iex\([^)]*\)\d+> ?$")
        async with asyncio.timeout(STEP_TIME):
            while not pattern.search(self.seen):
                data = await asyncio.to_thread(os.read, self.terminal, 65536)
                self.seen += ESCAPES.sub("", data.decode(errors="replace"))
        text, self.seen = self.seen, ""
        return pattern.sub("", text)

    async def type(self, line: str) -> str:
        """Type a line and return what iex answers."""
        os.write(self.terminal, f"{line}\n".encode())
        answer = await self.prompt()
        # A terminal shows what is typed once; newer ones draw the whole line again.
        shown = [one for one in answer.partition("\n")[2].splitlines() if not one.startswith("iex(")]
        return "\n".join(shown).strip("\n")

    def close(self) -> None:
        """End it."""
        os.kill(self.process, 9)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


async def session(release: Release) -> str:
    """Return the transcript of one session."""
    cookie = secrets.token_hex(8)
    epmd = Epmd.start(release.place)
    async with AsyncExitStack() as stack:
        stack.callback(epmd.close)
        node = await stack.enter_async_context(
            Node(PYTHON, cookie=cookie, epmd=EpmdConfig(port=epmd.port, start=False))
        )
        await Counter.start(node, name="counter")
        node.export("reports", "summary", summary)
        node.export("reports", "greet", greet)
        iex = Iex(release, epmd, cookie)
        stack.callback(iex.close)
        await iex.prompt()
        lines = []
        for number, line in enumerate(TYPED, 1):
            answer = await iex.type(line)
            lines.append(f"iex({number})> {line}\n{answer}".rstrip())
        return "\n".join(lines).replace(iex.name, "iex@127.0.0.1")


async def main() -> int:
    """Write the page."""
    parts = ["# From iex", "", INTRODUCTION]
    for number in ("25", releases.NUMBERS[-1]):
        release = releases.obtain(number)
        parts += ["", f"## OTP {release.version}, Elixir {release.elixir}", "", "```", await session(release), "```"]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(parts) + "\n")
    return 0


INTRODUCTION: Final = """\
Recorded by `python -m erlang_interop.transcript`: a real iex, and a Python node that runs this:

```python
class Counter(GenServer):
    def init(self):
        self.total = 0

    def handle_call(self, request, from_):
        match request:
            case (atoms.add, number):
                self.total += number
                return self.total
        return super().handle_call(request, from_)


def summary(numbers):
    return {atoms.least: min(numbers), atoms.greatest: max(numbers)}


async def greet():
    current_process().puts("hello from Python")


async with Node("py@127.0.0.1", cookie="secret") as node:
    await Counter.start(node, name="counter")
    node.export("reports", "summary", summary)
    node.export("reports", "greet", greet)
    await asyncio.Event().wait()
```"""


if __name__ == "__main__":
    shutil.which("iex") or sys.exit("iex is not on the path")
    sys.exit(asyncio.run(main()))
