from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from argparse import Namespace
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import demo
from pyzen.demo import PythonPeer, Story, Watcher, Worker
from pyzen.errors import ConfigError, PyzenError
from pyzen.node.node import Node
from pyzen.terms import Reference, atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def run(*arguments: str) -> tuple[int, str, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pyzen", "demo", *arguments, stdout=pipe, stderr=pipe
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.slow
async def test_demo_with_two_python_nodes_balances() -> None:
    code, out, err = await run("--peer", "python", "--processes", "200", "--kill", "100")

    assert (code, err) == (0, "")
    assert "compatible" in out
    assert "100 DOWNs of ended processes" in out
    assert "200 monitors = 190 DOWNs + 10 demonitored" in out


async def test_demo_refuses_to_kill_more_than_there_are() -> None:
    code, _out, err = await run("--processes", "5", "--kill", "6")

    assert code == 1
    assert "--kill" in err


# ---- its parts, in this process


def options(**changed: Any) -> Namespace:
    return Namespace(**{"peer": "python", "processes": 20, "kill": 10, **changed})


@pytest.mark.parametrize("console", [True, False], ids=["rich", "plain"])
async def test_story_tells_every_step_and_balances(
    console: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not console:
        monkeypatch.setattr(demo, "Console", None)

    assert await demo.demo(options()) == 0

    out = capsys.readouterr().out
    steps = [
        "ZenMonitor.Proxy there answers: compatible",
        "20 monitors established",
        "1 monitors are dropped again",
        "10 DOWNs of ended processes",
        "the peer is killed (SIGKILL): 9 processes are gone with it",
        "19 DOWNs in all",
        "reason of the loss: lost",
        "20 monitors = 19 DOWNs + 1 demonitored",
    ]
    assert [step for step in steps if step not in out] == []
    assert re.search(r"DOWNs for the lost node\W+9\b", out)
    assert ("pip install" in out) is not console


@pytest.mark.parametrize(("processes", "kill"), [(5, 6), (0, 0), (5, 0), (5, -1)])
async def test_numbers_that_make_no_sense_are_refused(processes: int, kill: int) -> None:
    with pytest.raises(ConfigError, match="--kill must be from 1 to --processes"):
        await demo.demo(options(processes=processes, kill=kill))


async def test_elixir_is_asked_for_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ConfigError, match="--peer elixir needs elixir on the path"):
        await demo.demo(options(peer="elixir"))


async def test_auto_takes_python_where_there_is_no_elixir(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")

    assert await demo.demo(options(peer="auto", processes=2, kill=1)) == 0

    assert ", Python, process" in capsys.readouterr().out


async def test_peer_that_does_not_start_is_told() -> None:
    process = await asyncio.create_subprocess_exec("true", stdout=asyncio.subprocess.PIPE)

    with pytest.raises(ConfigError, match="the peer did not start"):
        await demo.ready(process)

    await demo.end(process)


async def test_peer_without_zen_monitor_ends_the_story(
    nodes: tuple[Node, Node], capsys: pytest.CaptureFixture[str]
) -> None:
    watcher, _ = nodes
    async with Node("old@127.0.0.1", cookie="secret", epmd=watcher._epmd, zen=None) as old:
        process = await asyncio.create_subprocess_exec("true")
        peer = PythonPeer(watcher, str(old.name), process)

        with pytest.raises(PyzenError, match="is not compatible"):
            await Story(watcher, peer, 2, 1).tell()

        await demo.end(process)
    assert "incompatible" in capsys.readouterr().out


@pytest.fixture
async def nodes() -> AsyncIterator[tuple[Node, Node]]:
    async with (
        Node("watcher@127.0.0.1", cookie="secret", epmd="embedded") as watcher,
        Node("peer@127.0.0.1", cookie="secret", epmd=watcher._epmd) as peer,
    ):
        yield watcher, peer


async def test_python_peer_starts_and_ends_processes(nodes: tuple[Node, Node]) -> None:
    watcher, node = nodes
    await Worker.start(node, name="demo")
    process = await asyncio.create_subprocess_exec("true")
    peer = PythonPeer(watcher, str(node.name), process)

    pids = await peer.spawn(5)
    await peer.kill(2)

    assert [node.runtime.process(pid) is None for pid in pids] == [True, True, False, False, False]
    await demo.end(process)


async def test_serve_is_a_node_until_its_input_ends(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watcher, _ = nodes
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(os.fdopen(reading, "rb")))
    monkeypatch.setenv("PYZEN_DEMO_COOKIE", "secret")
    port = watcher._epmd.resolved_port()  # type: ignore[union-attr]
    serving = asyncio.ensure_future(demo.serve("second@127.0.0.1", port))
    async with asyncio.timeout(5):
        while "ready second@127.0.0.1" not in capsys.readouterr().out:
            await asyncio.sleep(0.005)

    assert await watcher.call(("demo", "second@127.0.0.1"), (atoms.spawn, 0)) == []
    os.close(writing)

    async with asyncio.timeout(5):
        await serving
    sys.stdin.close()


async def test_watcher_counts_downs_and_nothing_else(nodes: tuple[Node, Node]) -> None:
    node, _ = nodes
    watcher = Watcher()
    pid = node.runtime.spawn(watcher)
    ref = node.make_ref()

    for message in ((atoms.DOWN, ref, atoms.process, pid, (atoms.zen_monitor, atoms.boom)), atoms.stray):
        node.send(pid, message)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert watcher.seen == Counter({ref: 1})
    assert watcher.reasons == Counter({"Atom('boom')": 1})


class Books(Watcher):
    """A watcher whose books say what a test wants."""

    def __init__(self, seen: dict[Reference, int]) -> None:
        super().__init__()
        self.seen = Counter(seen)
        self.reasons = Counter({"Atom('boom')": sum(seen.values())})


@pytest.mark.parametrize(("counts", "code"), [([1, 1], 0), ([1], 1), ([1, 2], 1), ([2], 1)])
async def test_summary_fails_when_the_books_do_not_balance(
    nodes: tuple[Node, Node], counts: list[int], code: int
) -> None:
    """Two monitors: each DOWN once, one missing, one twice, one twice for one that is missing."""
    node, _ = nodes
    story = Story(node, PythonPeer(node, "x", None), 2, 1)  # type: ignore[arg-type]

    assert story._summary(2, Books({node.make_ref(): count for count in counts}), 0) == code
