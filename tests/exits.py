"""Programs that end while threads are at work: ``python -m tests.exits --times N``.

Each is a program of its own with two nodes that are linked, and six blocking exports that never return and share the
interpreter with the event loop: Python code, the codec, callbacks into the loop. After a moment it ends, in one of
the ways below, with exit code 0 within seconds; a thread that touches the interpreter while it goes down would end it
by a signal, or never.

| way | what ends |
|---|---|
| leave | the body, after its nodes have stopped |
| abandon | the body; the nodes were never stopped |
| exit | ``sys.exit`` in the body |
| signal | SIGTERM, as ``pyzen node`` takes it |
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Final

from pyzen import etf
from pyzen.cli import until_stopped
from pyzen.config import EpmdConfig
from pyzen.errors import PyzenError
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node
from pyzen.tasks import start_task

if TYPE_CHECKING:
    from collections.abc import Callable

WAYS: Final = ("leave", "abandon", "exit", "signal")
LONGEST: Final = 30.0
"""Seconds that a program may take; it does in less than two."""

PACKED: Final = etf.encode(
    [list(range(200)), b"x" * 5000, {number: str(number) for number in range(300)}], compressed=6
)


begun: list[str] = []
"""The exports of this program that are at work."""


def decode_for_ever() -> None:
    begun.append("decode")
    while True:
        etf.decode(PACKED)


def count_for_ever() -> None:
    begun.append("count")
    while True:
        sum(range(100))


def call_back_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    begun.append("call_back")
    while True:
        called = Event()
        loop.call_soon_threadsafe(called.set)
        called.wait()


async def ask(asked: Node, asking: Node, function: str) -> None:
    with suppress(PyzenError):  # the node goes, and the call with it
        await asking.rpc(asked.name, "work", function, [], timeout=LONGEST)


async def work(nodes: list[Node]) -> list[asyncio.Task[None]]:
    """Have each node run blocking exports that the other has called."""
    call_back = partial(call_back_for_ever, asyncio.get_running_loop())
    functions: dict[str, Callable[[], None]] = {
        "decode": decode_for_ever, "count": count_for_ever, "call_back": call_back,
    }  # fmt: skip
    calls = []
    for asked, asking in (nodes, nodes[::-1]):
        for name, function in functions.items():
            asked.export("work", name, function, blocking=True)
        calls += [start_task(ask(asked, asking, name)) for name in functions]
    while len(begun) < len(calls):
        await asyncio.sleep(0.001)
    return calls


async def live(way: str, moment: float) -> int:
    server, cookie = EpmdServer(), secrets.token_hex(8)
    epmd = EpmdConfig(port=await server.start(0), start=False)
    nodes = [Node(f"{name}@127.0.0.1", cookie=cookie, epmd=epmd) for name in ("one", "two")]
    for node in nodes:
        await node.start()
    calls = await work(nodes)
    await asyncio.sleep(moment)
    match way:
        case "exit":
            sys.exit(0)
        case "signal":
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(LONGEST)
        case "leave":
            for node in nodes:
                await node.stop()
            await asyncio.gather(*calls)
            await server.stop()
    return 0


def end_once(way: str, seed: int) -> tuple[int | str, str]:
    """Run one program; return its exit code and what it wrote."""
    arguments = [sys.executable, "-m", "tests.exits", "--way", way, "--seed", str(seed)]
    try:
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired as error:
        return "did not end", str(error.stderr)
    return ended.returncode, ended.stderr


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.exits")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    if options.way:
        return asyncio.run(until_stopped(live(options.way, random.Random(options.seed).uniform(0.0, 0.2))))
    counts: Counter[tuple[str, int | str]] = Counter()
    for number in range(options.times):
        way = WAYS[number % len(WAYS)]
        code, text = end_once(way, options.seed + number)
        counts[way, code] += 1
        if code:
            print(f"{way}, seed {options.seed + number}: {code}\n{text[-2000:]}", flush=True)
    print(sys.version.split()[0], dict(counts))
    return 0 if all(code == 0 for _, code in counts) else 1


if __name__ == "__main__":
    sys.exit(main())
