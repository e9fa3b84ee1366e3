"""The operating system process under attack: a node, ``pyzen node`` or ``pyzen epmd``, run by any interpreter."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from erlang_interop.hostile.attacked import COOKIE
from erlang_interop.nodes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Line", "Prey"]

PROGRAM: Final = Path(__file__).parent / "attacked.py"
START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 10.0
POLL: Final = 0.02
LEFT_OUT: Final = " (%d more of this kind left out)"
CHANGING: Final = re.compile(r"'[^']*'|\S*@\S*|0x[0-9a-f]+|\d+(\.\d+)*")
"""What differs in lines of one kind, where the log is text."""


@dataclass(frozen=True)
class Line:
    """One line of the log.

    Attributes:
        level: As ``WARNING``.
        kind: Level and text before arguments are filled in; where only text is known, without numbers and names.
        text: What an operator reads.
    """

    level: str
    kind: str
    text: str


class Prey:
    """A process that is attacked.

    Attributes:
        name: The node's name.
        port: Where it listens: for nodes, for HTTP, or for what epmd is asked.
    """

    def __init__(self, name: str, log: Path, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.port = 0
        self._log = log
        self._process = process
        self._level = 0

    # ---- start

    @classmethod
    async def node(
        cls, python: str, folder: Path, cookie: str, epmd_port: int, limits: Mapping[str, Any], unread: bool
    ) -> Self:
        """Start a node of ours; with ``unread`` its standard output is a pipe that nobody reads."""
        name, log = f"prey{secrets.token_hex(4)}@127.0.0.1", folder / f"{secrets.token_hex(4)}.log"
        settings = json.dumps({"name": name, "epmd_port": epmd_port, "limits": dict(limits), "log": str(log)})
        command = [python, str(PROGRAM), settings]
        prey = cls(name, log, await _execute(command, {COOKIE: cookie}, folder / "stderr", unread))
        prey.port = int(await prey._told(r'"ready": (\d+)'))
        return prey

    @classmethod
    async def command(cls, python: str, folder: Path, cookie: str, epmd_port: int) -> Self:
        """Start ``pyzen node`` with metrics."""
        name, log, port = f"prey{secrets.token_hex(4)}@127.0.0.1", folder / f"{secrets.token_hex(4)}.log", free_port()
        command = [python, "-P", "-m", "pyzen", "node", "--name", name, "--cookie", cookie, "--log", "info"]
        command += ["--metrics", f"127.0.0.1:{port}"]
        prey = cls(name, log, await _execute(command, {"ERL_EPMD_PORT": str(epmd_port)}, log, False))
        await prey._told(r"(metrics are at)")
        prey.port = port
        return prey

    @classmethod
    async def epmd(cls, python: str, folder: Path) -> Self:
        """Start ``pyzen epmd``."""
        log, port = folder / f"{secrets.token_hex(4)}.log", free_port()
        command = [python, "-P", "-m", "pyzen", "epmd", "--port", str(port)]
        prey = cls("pyzen epmd", log, await _execute(command, {}, log, False))
        prey.port = port
        await prey._listens()
        return prey

    async def _told(self, pattern: str) -> str:
        """Wait for a line of the log."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self.is_running:
            text = self._log.read_text() if self._log.exists() else ""
            if found := re.search(pattern, text):
                return found[1]
            await asyncio.sleep(POLL)
        raise RuntimeError(f"{self.name} does not start: see {self._log.parent}")

    async def _listens(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self.is_running:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(POLL)
            else:
                writer.close()
                return
        raise RuntimeError(f"{self.name} does not start: see {self._log.parent}")

    # ---- what it takes

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process.returncode is None

    def begin(self) -> None:
        """Count memory from here on: the peak of the resident set begins anew (``clear_refs`` of Linux)."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        self._level = self._status("VmRSS")

    def grown(self) -> int:
        """Return how far the resident set has ever been above its level at `begin`, in bytes; 0 when it has ended."""
        try:
            return max(0, self._status("VmHWM") - self._level)
        except OSError:
            return 0

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
        return 0 if found is None else int(found[1]) << 10

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        if self.is_running:
            self._process.send_signal(number)

    # ---- end

    async def stop(self) -> tuple[float, int | None]:
        """Tell it to end in order: the seconds that takes, and its exit status, None if it had to be killed."""
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
            return time.monotonic() - begun, None
        return time.monotonic() - begun, self._process.returncode

    async def kill(self) -> None:
        """End it at once. Does nothing the second time."""
        if self.is_running:
            self._process.kill()
        await self._process.wait()

    def lines(self) -> list[Line]:
        """Return what it has logged."""
        return [line for text in self._log.read_text().splitlines() if (line := line_of(text)) is not None]


def line_of(text: str) -> Line | None:
    """Return a line of the log, which is JSON of `attacked` or text of ``pyzen node``."""
    try:
        record = json.loads(text)
    except ValueError:
        level, _, rest = text.partition(" ")
        return Line(level, f"{level} {CHANGING.sub('*', rest)}", text) if rest else None
    if not isinstance(record, dict) or "level" not in record:
        return None
    level, kind = record["level"], record["kind"].removesuffix(LEFT_OUT)
    return Line(level, f"{level} {kind}", record["text"])


async def _execute(
    command: list[str], environment: Mapping[str, str], log: Path, unread: bool
) -> asyncio.subprocess.Process:
    with log.open("ab") as file, standard_output(unread) as output:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=file,
            env={**os.environ, **environment},
        )


@contextmanager
def standard_output(unread: bool) -> Iterator[int]:
    """Yield where a process writes: nowhere, or to a pipe whose other end stays open here, and is not read."""
    writing = os.pipe()[1] if unread else os.open(os.devnull, os.O_WRONLY)
    try:
        yield writing
    finally:
        os.close(writing)
