"""``pyzen node`` whose standard output nobody reads serves its peers, and ends when it is told to."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys

from pyzen.config import EpmdConfig
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node
from pyzen.terms import Atom, atoms

NAME = "unread@127.0.0.1"


def started(cookie: str, port: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "pyzen", "node", "--name", NAME, "--cookie", cookie]
    environment = {**os.environ, "ERL_EPMD_PORT": str(port)}
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


async def test_node_goes_on_and_ends_in_order() -> None:
    server, cookie = EpmdServer(), secrets.token_hex(8)
    port = await server.start(0)
    node = Node("me@127.0.0.1", cookie=cookie, epmd=EpmdConfig(port=port, start=False))
    with started(cookie, port) as program:
        try:
            assert program.stdout is not None
            assert (await asyncio.to_thread(program.stdout.readline)).startswith(b"ready ")
            async with node, node.mailbox() as me, asyncio.timeout(20):
                text = (atoms.put_chars, atoms.unicode, b"x" * 20_000)
                for number in range(300):
                    me.send((atoms.user, NAME), (atoms.io_request, me.pid, number, text))

                assert await me.call((atoms.rex, NAME), (atoms.call, atoms.erlang, atoms.node, [], me.pid)) is Atom(
                    NAME
                )
            program.terminate()
            assert await asyncio.to_thread(program.wait, 20) == 0
        finally:
            program.kill()
            await server.stop()
