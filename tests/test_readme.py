from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

from pyzen import EpmdConfig, GenServer, Node, atoms
from pyzen.node.epmd_server import EpmdServer

README = Path(__file__).parent.parent / "README.md"


class Worker(GenServer):
    def handle_cast(self, request: Any) -> None:
        self.exit(request)


async def test_the_example_prints_the_down_of_the_worker() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    epmd = EpmdServer()
    port = await epmd.start(0)
    async with Node("app@127.0.0.1", cookie="secret", epmd=EpmdConfig(port=port, start=False)) as node:
        node.spawn(Worker, name="worker")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "ERL_EPMD_PORT": str(port)},
        )
        async with asyncio.timeout(30):
            # The first is the probe that opens an epoch, the second is about the worker.
            while node.zen.statistics().counters.get("instructions_received", 0) < 2:
                await asyncio.sleep(0.01)
        node.cast("worker", atoms.tired)
        out, _err = await process.communicate()
    await epmd.stop()

    assert process.returncode == 0
    assert b"went down: tired" in out
