from __future__ import annotations

import asyncio
import sys

import pytest


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
