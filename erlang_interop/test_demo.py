"""The demo with a real Elixir node."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


async def test_demo_with_an_elixir_node_balances(mix_fixture: Path) -> None:
    del mix_fixture  # compiled, that is all
    arguments = ["-m", "pyzen", "demo", "--peer", "elixir", "--processes", "1000", "--kill", "400"]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    out, _err = await process.communicate()

    assert process.returncode == 0
    assert b"Elixir, process" in out
    assert b"1000 monitors = 940 DOWNs + 60 demonitored" in out
