"""The command line against real nodes."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from erlang_interop.nodes import ElixirNode, ErlangCluster, ErlNode


@pytest.fixture
async def peer(cluster: ErlangCluster) -> ErlNode:
    return await cluster.erl()


class Command:
    """Runs ``pyzen`` beside the nodes of a cluster."""

    def __init__(self, cluster: ErlangCluster) -> None:
        self.environment = {**os.environ, "ERL_EPMD_PORT": str(cluster.epmd_port)}

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "pyzen", *arguments], env=self.environment, stdout=pipe, stderr=pipe
        )

    async def run(self, *arguments: str) -> tuple[int | None, str, str]:
        process = await self.start(*arguments)
        out, errors = await process.communicate()
        return process.returncode, out.decode(), errors.decode()


@pytest.fixture
def pyzen(cluster: ErlangCluster) -> Command:
    return Command(cluster)


async def test_ping_prints_pong(pyzen: Command, peer: ErlNode) -> None:
    assert await pyzen.run("ping", peer.name, "--cookie", peer.cookie) == (0, "pong\n", "")


async def test_ping_takes_the_cookie_from_a_file(pyzen: Command, peer: ErlNode, tmp_path: Path) -> None:
    file = tmp_path / "cookie"
    file.write_text(f"{peer.cookie}\n")
    file.chmod(0o400)

    assert await pyzen.run("ping", peer.name, "--cookie-file", str(file)) == (0, "pong\n", "")


async def test_ping_reaches_a_node_with_a_short_name(pyzen: Command, cluster: ErlangCluster) -> None:
    peer = await cluster.erl(names="short")

    assert await pyzen.run("ping", peer.name, "--cookie", peer.cookie) == (0, "pong\n", "")


WATCH = """
register(watcher, spawn(fun() ->
    net_kernel:monitor_nodes(true, [{node_type, all}]),
    (fun Loop(Seen) -> receive
        {nodeup, _, [{node_type, Type}]} -> Loop([Type | Seen]);
        {nodedown, _, _} -> Loop(Seen);
        {seen, From} -> From ! {seen, Seen}, Loop(Seen)
    end end)([])
end))
"""


async def test_ping_comes_as_a_hidden_node(pyzen: Command, peer: ErlNode) -> None:
    await peer.eval(WATCH.replace("\n", " "))
    assert await peer.eval("watcher ! {seen, self()}, receive {seen, Types} -> Types end") == "[]"

    await pyzen.run("ping", peer.name, "--cookie", peer.cookie)

    assert await peer.eval("watcher ! {seen, self()}, receive {seen, Types} -> Types end") == "[hidden]"


@pytest.mark.parametrize(
    ("name", "cookie", "words"),
    [
        ("{alive}@127.0.0.1", "wrong", "it has another cookie; start both with the same one"),
        ("{alive}@localhost", "{cookie}", "the node at this address is"),
        ("nobody@127.0.0.1", "{cookie}", "nobody@127.0.0.1 is not registered with epmd on 127.0.0.1: start it"),
        ("a.b@127.0.0.1", "{cookie}", "the part before @ may have letters a-z, digits, _ and - only"),
    ],
)
async def test_ping_says_in_one_line_why_there_is_no_pong(
    pyzen: Command, peer: ErlNode, name: str, cookie: str, words: str
) -> None:
    dialled = name.format(alive=peer.name.partition("@")[0])

    code, out, errors = await pyzen.run("ping", dialled, "--cookie", cookie.format(cookie=peer.cookie))

    assert (code, out) == (1, "")
    assert errors.startswith("pyzen: ")
    assert errors.count("\n") == 1
    assert words in errors


async def test_ping_by_a_short_name_refuses_a_long_one(pyzen: Command, peer: ErlNode) -> None:
    code, _, errors = await pyzen.run("ping", peer.name, "--cookie", peer.cookie, "--name", "me@localhost")

    assert code == 1
    assert f"me@localhost has a short name and {peer.name} a long one" in errors


async def test_call_prints_the_result_in_erlang_syntax(pyzen: Command, peer: ErlNode) -> None:
    done = await pyzen.run("call", peer.name, "lists", "zip", "[1,-2]", '[a,{<<"b">>,2.5}]', "--cookie", peer.cookie)

    assert done == (0, '[{1,a},{-2,{<<"b">>,2.5}}]\n', "")


async def test_call_tells_what_failed_there(pyzen: Command, peer: ErlNode) -> None:
    code, out, errors = await pyzen.run("call", peer.name, "erlang", "error", "{bad,thing}", "--cookie", peer.cookie)

    assert (code, out) == (1, "")
    assert errors == "pyzen: erlang:error/1 failed there: error {bad,thing}\n"


async def test_call_ends_by_its_timeout(pyzen: Command, peer: ErlNode) -> None:
    code, _, errors = await pyzen.run(
        "call", peer.name, "timer", "sleep", "60000", "--cookie", peer.cookie, "--timeout", "0.5"
    )

    assert code == 1
    assert "no result of timer:sleep/1" in errors


async def test_node_says_when_it_is_ready_and_stops_by_a_signal(pyzen: Command, peer: ErlNode) -> None:
    name = f"py{os.getpid()}@127.0.0.1"
    process = await pyzen.start("node", "--name", name, "--cookie", peer.cookie)
    assert process.stdout is not None

    ready = (await process.stdout.readline()).decode()
    reached = await peer.eval(f"net_adm:ping('{name}')")
    process.terminate()
    _, errors = await process.communicate()

    assert ready.startswith(f"ready {name} 127.0.0.1:")
    assert reached == "pong"
    assert (process.returncode, errors) == (0, b"")


async def test_node_connects_to_the_peers_it_is_given(pyzen: Command, peer: ErlNode) -> None:
    name = f"py{os.getpid()}@127.0.0.1"
    process = await pyzen.start("node", "--name", name, "--cookie", peer.cookie, "--connect", peer.name)

    async with asyncio.timeout(10):
        while await peer.eval("nodes()") != f"['{name}']":
            await asyncio.sleep(0.02)
    process.terminate()

    assert await process.wait() == 0
    await process.communicate()


async def test_node_of_a_taken_name_says_so(pyzen: Command, peer: ErlNode) -> None:
    code, out, errors = await pyzen.run("node", "--name", peer.name, "--cookie", peer.cookie)

    assert (code, out) == (1, "")
    assert "end it or take another name" in errors


async def test_monitor_prints_each_down_of_an_elixir_node(
    pyzen: Command, elixir_node: Callable[..., Awaitable[ElixirNode]]
) -> None:
    peer = await elixir_node()
    for name in ("first", "second"):
        await peer.call("name", name)
    process = await pyzen.start("monitor", peer.name, "missing", "first", "second", "--cookie", peer.cookie)
    assert process.stdout is not None

    # One sweep subscribes all three, so the answer to the first tells that the others are watched.
    assert await process.stdout.readline() == b"missing down noproc\n"
    await peer.call("kill_name", "first", "{odd,<<1>>}")
    assert await process.stdout.readline() == b"first down {odd,<<1>>}\n"
    await peer.kill()

    assert await process.communicate() == (b"second down nodedown\n", b"")
    assert process.returncode == 0


async def test_monitor_says_that_a_node_has_no_zen_monitor(pyzen: Command, peer: ErlNode) -> None:
    code, out, errors = await pyzen.run("monitor", peer.name, "somebody", "--cookie", peer.cookie)

    assert (code, out) == (1, "")
    assert errors == f"pyzen: {peer.name} has no ZenMonitor: start zen_monitor there\n"


async def test_node_joins_all_that_its_peer_knows(pyzen: Command, cluster: ErlangCluster, peer: ErlNode) -> None:
    other = await cluster.erl()
    assert await peer.eval(f"net_adm:ping('{other.name}')") == "pong"
    name = f"py{os.getpid()}@127.0.0.1"

    process = await pyzen.start("node", "--name", name, "--cookie", peer.cookie, "--join", peer.name)

    async with asyncio.timeout(10):
        while name not in await other.eval("nodes()"):
            await asyncio.sleep(0.02)
    process.terminate()
    assert await process.wait() == 0
    await process.communicate()
