"""Records sessions of a real iex with a node of ours: ``python -m erlang_interop.transcript [PAGE]...``.

A page is named after its file in ``docs``: ``iex``, ``operator``, ``supervision``. What is typed is in `scripts`; what
iex answers is recorded as it stands on its terminal.
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
from erlang_interop.scripts import SCRIPTS
from pyzen import ChildSpec, EpmdConfig, GenServer, Node, Supervisor, atoms, current_process

if TYPE_CHECKING:
    from erlang_interop.releases import Release
    from erlang_interop.scripts import Script, Section
    from pyzen import Pid

DOCS: Final = Path(__file__).parent.parent / "docs"
PYTHON: Final = "py@127.0.0.1"
ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")
STEP_TIME: Final = 20.0


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
        self.count = 1

    async def prompt(self) -> str:
        """Wait for the prompt; return what stands before it."""
        pattern = re.compile(r"iex\([^)]*\)\d+> ?$")
        seen, text = b"", ""
        async with asyncio.timeout(STEP_TIME):
            while not pattern.search(text):
                seen += await asyncio.to_thread(os.read, self.terminal, 65536)
                # The whole each time: an escape sequence, or a character, may come in two pieces.
                text = ESCAPES.sub("", seen.decode(errors="replace"))
        return pattern.sub("", text)

    async def type(self, line: str) -> str:
        """Type a line and return what iex answers."""
        os.write(self.terminal, f"{line}\n".encode())
        answer = await self.prompt()
        self.count += 1
        # A terminal shows what is typed once; newer ones draw the whole line again.
        shown = [one for one in answer.partition("\n")[2].splitlines() if not one.startswith("iex(")]
        return "\n".join(shown).strip("\n")

    def close(self) -> None:
        """End it."""
        os.kill(self.process, 9)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


async def session(script: Script, release: Release) -> str:
    """Return the transcript of one session: its sections, each with what it is about and a block of what was typed."""
    cookie = secrets.token_hex(8)
    epmd = Epmd.start(release.place)
    async with AsyncExitStack() as stack:
        stack.callback(epmd.close)
        node = await stack.enter_async_context(
            Node(PYTHON, cookie=cookie, epmd=EpmdConfig(port=epmd.port, start=False))
        )
        await Counter.start(node, name="counter")
        node.spawn(
            Supervisor, [ChildSpec("worker", Counter), ChildSpec("once", Counter, restart="temporary")], name="sup"
        )
        node.export("reports", "summary", summary)
        node.export("reports", "greet", greet)
        iex = Iex(release, epmd, cookie)
        stack.callback(iex.close)
        await iex.prompt()
        sections = [await record(iex, section) for section in script.sections]
        return "\n\n".join(sections).replace(iex.name, "iex@127.0.0.1")


async def record(iex: Iex, section: Section) -> str:
    """Type the lines of a section."""
    lines = ["```"]
    for line in section.typed:
        prompt = f"iex({iex.count})> {line}"
        lines.append(f"{prompt}\n{await iex.type(line)}".rstrip())
    text = "\n".join([*lines, "```"])
    return f"{section.about}\n\n{text}" if section.about else text


async def write(name: str, script: Script) -> None:
    """Record a page."""
    parts = [f"# {script.title}", script.introduction]
    for number in script.releases:
        release = releases.obtain(number)
        parts += [f"## OTP {release.version}, Elixir {release.elixir}", await session(script, release)]
    (DOCS / f"{name}.md").write_text("\n\n".join(parts) + "\n")


async def main(names: list[str]) -> int:
    """Write the pages named, or all."""
    for name in names or SCRIPTS:
        await write(name, SCRIPTS[name])
    return 0


if __name__ == "__main__":
    shutil.which("iex") or sys.exit("iex is not on the path")
    sys.exit(asyncio.run(main(sys.argv[1:])))
