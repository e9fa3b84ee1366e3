"""Our epmd against real nodes, and our client against the real epmd."""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from pyzen.config import EpmdConfig
from pyzen.errors import NameTaken
from pyzen.node.epmd import EpmdServer, Registration, answers, ensure_epmd, lookup, names

LOOPBACK = "127.0.0.1"

if shutil.which("erl") is None and os.environ.get("PYZEN_REQUIRE_ERLANG") != "1":
    pytest.skip("erl is not on the path: install Erlang (Debian: erlang-nox)", allow_module_level=True)


@pytest.fixture
def port() -> int:
    with socket.create_server((LOOPBACK, 0)) as one:
        return int(one.getsockname()[1])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


# ---- the real epmd


@asynccontextmanager
async def real_epmd(port: int) -> AsyncIterator[EpmdConfig]:
    epmd = await asyncio.create_subprocess_exec("epmd", "-port", str(port), "-address", LOOPBACK)
    try:
        async with asyncio.timeout(10):
            while not await answers(LOOPBACK, port):
                await asyncio.sleep(0.01)
        yield EpmdConfig(port=port, start=False)
    finally:
        epmd.terminate()
        await epmd.wait()


@pytest.fixture
async def real(port: int) -> AsyncIterator[EpmdConfig]:
    async with real_epmd(port) as config:
        yield config


async def test_registration_is_listed_by_a_real_epmd_while_it_lasts(real: EpmdConfig) -> None:
    one = Registration("a", 1234, real)

    creation = await one.start()

    assert creation > 3
    assert await names(LOOPBACK, real) == [("a", 1234)]
    assert await lookup("a", LOOPBACK, real) == (1234, (5, 6))
    await one.stop()
    assert await lookup("a", LOOPBACK, real) is None


async def test_registration_of_a_name_that_a_real_epmd_has_is_refused(real: EpmdConfig) -> None:
    first = Registration("a", 1234, real)
    await first.start()

    with pytest.raises(NameTaken):
        await Registration("a", 1, real).start()

    await first.stop()


async def test_registration_comes_back_at_a_real_epmd(port: int) -> None:
    config = EpmdConfig(port=port, start=False)
    ours = EpmdServer()
    await ours.start(port)
    one = Registration("a", 1234, config, retry_interval=0.01)
    creation = await one.start()
    await ours.stop()

    async with real_epmd(port), asyncio.timeout(10):
        while await names(LOOPBACK, config) != [("a", 1234)]:
            await asyncio.sleep(0.01)

    assert one.creation == creation
    await one.stop()


async def test_ensure_epmd_starts_the_real_one(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERL_EPMD_ADDRESS", LOOPBACK)

    await ensure_epmd(EpmdConfig(port=port))

    assert await names(LOOPBACK, EpmdConfig(port=port)) == []
    assert "Killed" in (await epmd_command(port, "-kill"))


# ---- real nodes at our epmd


@pytest.fixture
async def ours(port: int) -> AsyncIterator[EpmdServer]:
    server = EpmdServer()
    await server.start(port)
    yield server
    await server.stop()


async def epmd_command(port: int, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "epmd", "-port", str(port), *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode()


async def erl(port: int, alive: str, expression: str) -> str:
    """Run a real node that evaluates one expression and ends; returns what it prints."""
    process = await asyncio.create_subprocess_exec(
        *[
            "erl",
            "-sname",
            f"{alive}@localhost",
            "-setcookie",
            secrets.token_hex(8),
            "-start_epmd",
            "false",
            "-noshell",
        ],
        *["-eval", f'io:format("~0p", [{expression}]), halt().'],
        env={**os.environ, "ERL_EPMD_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode()


async def test_server_registers_a_real_node_and_tells_it_of_others(ours: EpmdServer, port: int) -> None:
    config = EpmdConfig(port=port, start=False)
    one = Registration("python", 1234, config)
    await one.start()

    listed = await erl(port, "real", "element(2, net_adm:names(localhost))")
    await until(lambda: len(ours.table) == 1)
    (real,) = ours.table.unused()
    assert real.name == "real"
    assert listed == f'[{{"python",1234}},{{"real",{real.port}}}]'
    assert await erl(port, "real", 'erl_epmd:port_please("python", localhost)') == "{port,1234,6}"
    assert await erl(port, "real", 'erl_epmd:port_please("nobody", localhost)') == "noport"
    await one.stop()


async def test_server_gives_a_real_node_that_comes_back_the_next_creation(ours: EpmdServer, port: int) -> None:
    creations = [int(await erl(port, "real", "erlang:system_info(creation)")) for _ in range(2)]

    assert creations[1] == creations[0] + 1 > 4


async def test_server_refuses_a_real_node_whose_name_is_taken(ours: EpmdServer, port: int) -> None:
    one = Registration("real", 1234, EpmdConfig(port=port, start=False))
    await one.start()

    assert "in use" in await erl(port, "real", "node()")
    await one.stop()


async def test_server_answers_the_real_epmd_command(ours: EpmdServer, port: int) -> None:
    one = Registration("python", 1234, EpmdConfig(port=port, start=False))
    await one.start()

    assert (
        await epmd_command(port, "-names")
        == f"epmd: up and running on port {port} with data:\nname python at port 1234\n"
    )
    assert "not allowed" in await epmd_command(port, "-kill")
    await one.stop()
    await until(lambda: len(ours.table) == 0)
    assert "Killed" in await epmd_command(port, "-kill")
    await ours.wait_ended()
