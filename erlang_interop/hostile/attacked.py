"""The node under attack, a program of its own: ``PYTHON attacked.py SETTINGS``, run by `erlang_interop.hostile.prey`.

It may run under an older build of pyzen, so it uses nothing but what ``api.md`` names, and nothing of the harness. It
says that it is ready, and what it logs, by lines of JSON in a file: standard output is what attacks may fill. It ends
on SIGTERM, and at the end of its standard input, so that none is left when the harness has been killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from pyzen import Atom, ChildSpec, EpmdConfig, GenServer, Limits, Node, Supervisor

COOKIE: Final = "PYZEN_HOSTILE_COOKIE"
VICTIMS: Final = 10
LARGE: Final = Atom("large")
STOP: Final = Atom("stop")


class Told(logging.Handler):
    """Writes each record as one line of JSON."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = Path(path).open("a", buffering=1)  # noqa: SIM115 - as long as the program

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record: its kind is the text before arguments are filled in."""
        self.write(level=record.levelname, logger=record.name, kind=str(record.msg), text=record.getMessage())

    def write(self, **what: object) -> None:
        """Write one line."""
        self._file.write(json.dumps(what) + "\n")


class Echo(GenServer):
    """Answers a call with the request."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        """Answer with the request, or with as many bytes as asked for."""
        del from_
        is_large = isinstance(request, tuple) and len(request) == 2 and request[0] is LARGE
        return bytes(request[1]) if is_large else request

    def handle_cast(self, request: Any) -> None:
        """Ignore it."""

    def handle_info(self, message: Any) -> None:
        """Ignore it."""


async def victim(process: Any) -> None:
    """Live until a message comes that says ``stop``."""
    await process.receive(lambda message: message is STOP)


async def hoard(process: Any) -> None:
    """Never look into the mailbox."""
    del process
    await asyncio.Event().wait()


class Offers:
    """What peers may call: some of it blocks, and some of it harms the node, for the tests of the harness."""

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop) -> None:
        self._node = node
        self._loop = loop
        self._kept: list[bytes] = []

    def export(self) -> None:
        """Make all of it reachable."""
        for name in ("rest", "join", "big", "hold", "grow", "shout", "part", "murder", "deafen"):
            self._node.export("hostile", name, getattr(self, name))
        for name in ("block", "back"):
            self._node.export("hostile", name, getattr(self, name), blocking=True)

    async def rest(self, milliseconds: int) -> int:
        """Wait without holding anything up."""
        await asyncio.sleep(milliseconds / 1000)
        return milliseconds

    async def join(self, peer: Any) -> bool:
        """Join the cluster of a peer that is connected."""
        return peer in await self._node.join(peer)

    def big(self, size: int) -> bytes:
        """Return so many bytes."""
        return bytes(size)

    def block(self, milliseconds: int) -> int:
        """Hold up a thread."""
        time.sleep(milliseconds / 1000)
        return milliseconds

    def back(self, name: Any) -> Any:
        """Hold up a thread until a server of the node has answered what another blocking function says."""
        calling = self._node.rpc(self._node.name, "hostile", "block", [name], timeout=20)
        return asyncio.run_coroutine_threadsafe(calling, self._loop).result(20)

    # ---- what no node should do

    def hold(self, milliseconds: int) -> int:
        """Hold up the event loop."""
        time.sleep(milliseconds / 1000)
        return milliseconds

    def grow(self, mebibytes: int) -> int:
        """Take memory and keep it."""
        self._kept.append(b"x" * (mebibytes << 20))
        return mebibytes

    def shout(self, lines: int) -> int:
        """Log without a bound."""
        for number in range(lines):
            logging.getLogger("pyzen.loud").warning("shouted %d", number)
        return lines

    def part(self, peer: Any) -> bool:
        """Leave a peer that has done nothing."""
        return bool(self._node.disconnect(peer))

    def deafen(self, milliseconds: int) -> int:
        """Hold up the event loop as soon as it is told to end."""
        self._loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: time.sleep(milliseconds / 1000))
        return milliseconds

    async def murder(self, number: int) -> int:
        """End a victim that nobody has asked to end."""
        self._node.send(self._node.whereis(f"victim_{number}"), STOP)  # type: ignore[arg-type]
        return number


def limits(given: dict[str, Any]) -> Limits:
    """Return the limits asked for, as far as this build has them."""
    known = {one.name for one in fields(Limits)}
    return Limits(**{name: value for name, value in given.items() if name in known})


def start_processes(node: Node) -> None:
    """Start what the honest peer and the attackers meet."""
    for name in ("echo", "mirror"):
        node.spawn(Echo, name=name)
    node.spawn(Supervisor, [ChildSpec("plain", GenServer, name="plain")], name="sup")
    for name in ("hoard", "other_hoard"):
        node.spawn(hoard, name=name)
    for number in range(VICTIMS):
        node.spawn(victim, name=f"victim_{number}")


def end_with_input(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """End when standard input does."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait, daemon=True).start()


async def main(settings: dict[str, Any]) -> None:
    """Be the node until told to end."""
    told = Told(settings["log"])
    logging.getLogger("pyzen").addHandler(told)
    logging.getLogger("pyzen").setLevel(logging.INFO)
    logging.getLogger("asyncio").addHandler(told)
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    end_with_input(loop, over)
    node = Node(
        settings["name"],
        cookie=os.environ[COOKIE],
        epmd=EpmdConfig(port=settings["epmd_port"], start=False),
        exports=["offered"],
        limits=limits(settings["limits"]),
    )
    async with node:
        Offers(node, loop).export()
        start_processes(node)
        assert node.address is not None
        told.write(ready=node.address[1])
        await over.wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
