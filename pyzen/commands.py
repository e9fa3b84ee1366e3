"""The commands that run a node while they last: ``node``, ``monitor``, ``ping`` and ``call``.

Each is a coroutine that takes the parsed options and returns an exit code; what goes wrong is a ``PyzenError``.
Being cancelled stops the node in order.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from pyzen import consult
from pyzen.config import ZenConfig
from pyzen.dist.names import check_node_name
from pyzen.errors import ConfigError, ConnectionLost, DistributionError, RpcError
from pyzen.node.cookies import read_cookie_file
from pyzen.node.epmd import lookup
from pyzen.node.metrics_server import MetricsServer
from pyzen.node.node import Node
from pyzen.node.services.output import StderrHandler
from pyzen.node.tls import TLSConfig
from pyzen.terms import atoms

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncIterator

__all__ = ["call", "monitor", "ping", "run_node"]

LOOPBACK: Final = "127.0.0.1"


async def run_node(options: Namespace) -> int:
    """Run a node until it is stopped."""
    if options.log is not None:
        log_to_stderr(options.log)
    node = Node(
        options.name,
        cookie=cookie(options),
        hidden=options.hidden,
        listen=options.listen,
        tls=tls(options),
        exports="all" if options.exports == ["all"] else options.exports,
        zen=zen_config(options),
    )
    async with node, serve_metrics(node, options.metrics):
        print(f"ready {node.name} {listening(node)}", flush=True)
        for peer in options.connect:
            await reach(node, peer, options.timeout)
        for peer in options.join:
            await node.join(peer)
        if options.log is None:
            log_to_stderr("warning")
        await asyncio.Event().wait()
    return 0


async def monitor(options: Namespace) -> int:
    """Watch registered processes of a node, and print each DOWN, until all are down."""
    # Visible: a ZenMonitor takes hidden nodes for dead.
    name = options.name or visitor_name(options.peer)
    node = Node(name, cookie=cookie(options), listen=(LOOPBACK, 0), tls=tls(options))
    async with node, node.mailbox() as me:
        await reach(node, options.peer, options.timeout)
        if await node.zen.connect(options.peer, options.timeout) == "incompatible":
            raise DistributionError(f"{options.peer} has no ZenMonitor: start zen_monitor there", peer=options.peer)
        watched = {node.zen.monitor((name, atoms[options.peer]), subscriber=me.pid): name for name in options.process}
        while watched:
            match await me.receive():
                case (atoms.DOWN, ref, _, _, (atoms.zen_monitor, reason)) if ref in watched:
                    print(f"{watched.pop(ref)} down {consult.format(reason)}", flush=True)
    return 0


async def ping(options: Namespace) -> int:
    """Print pong if a node can be reached and answers."""
    async with visitor(options) as node:
        await reach(node, options.peer, options.timeout)
        if not await node.ping(options.peer, options.timeout):
            raise ConnectionLost(f"{options.peer} is connected but does not answer: is it overloaded?")
        print("pong")
    return 0


async def call(options: Namespace) -> int:
    """Call a function on a node and print its result."""
    async with visitor(options) as node:
        await reach(node, options.peer, options.timeout)
        try:
            result = await node.rpc(options.peer, options.module, options.function, options.term, options.timeout)
        except RpcError as error:
            function = f"{options.module}:{options.function}/{len(options.term)}"
            raise DistributionError(f"{function} failed there: {error.kind} {consult.format(error.reason)}") from error
        print(consult.format(result))
    return 0


def visitor(options: Namespace) -> Node:
    """Return a hidden node for one errand."""
    return Node(
        options.name or visitor_name(options.peer),
        cookie=cookie(options),
        hidden=True,
        listen=(LOOPBACK, 0),
        tls=tls(options),
        zen=None,
    )


def visitor_name(peer: str) -> str:
    """Return a name nobody has, in the form of the peer's: long or short."""
    _, host = check_node_name(peer)
    own = host
    if host not in {"localhost", LOOPBACK}:
        own = socket.getfqdn() if "." in host else socket.gethostname().partition(".")[0]
    if ("." in own) != ("." in host):
        own = LOOPBACK if "." in host else "localhost"
    return f"pyzen-{secrets.token_hex(6)}@{own}"


@asynccontextmanager
async def serve_metrics(node: Node, address: tuple[str, int] | None) -> AsyncIterator[None]:
    """Serve a node's metrics meanwhile; without an address do nothing.

    Raises:
        ConfigError: The address can't be listened on.
    """
    server = MetricsServer(node.metrics.text)
    try:
        if address is not None:
            await server.start(*address)
        yield
    finally:
        await server.stop()


def log_to_stderr(level: str) -> None:
    """Let the log lines of a level, and those above it, go to stderr."""
    text = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level.upper(), format=text, handlers=[StderrHandler()])


def zen_config(options: Namespace) -> ZenConfig:
    """Return the settings of ZenMonitor: defaults, below the environment, below the options.

    Raises:
        ConfigError: A variable of the environment can't be used.
    """
    config = ZenConfig.from_environment()
    for name, text in options.zen:
        config.set_text(name, text, source="--zen")
    return config


def cookie(options: Namespace) -> str | None:
    """Return the cookie that the options give; None for the one of ``~/.erlang.cookie``."""
    given: str | None = options.cookie
    return given if options.cookie_file is None else read_cookie_file(options.cookie_file)


def tls(options: Namespace) -> TLSConfig | None:
    """Return how the options want links to be encrypted; None for plain ones.

    Raises:
        ConfigError: They contradict each other.
    """
    files = (options.tls_certfile, options.tls_keyfile, options.tls_cafile)
    given = options.tls_no_verify or any(files)
    if options.tls_optfile is not None:
        if given:
            raise ConfigError("--tls-optfile says everything about TLS: leave the other --tls options out")
        return TLSConfig.from_optfile(options.tls_optfile)
    return TLSConfig(*files, verify=not options.tls_no_verify) if given else None


def listening(node: Node) -> str:
    """Return ``host:port`` of a node that runs."""
    assert node.address is not None, "a node that runs listens"
    host, port = node.address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def reach(node: Node, peer: str, timeout: float) -> None:  # handed on
    """Connect to a peer.

    Raises:
        DistributionError: It refuses, or can't be reached; the message says why.
    """
    if not await node.connect(peer, timeout):
        raise ConnectionLost(await why_not(peer, timeout), peer=peer)


async def why_not(peer: str, timeout: float) -> str:  # a number to be told
    """Return why a peer can't be reached, and what to do; raises ``EpmdError`` where epmd is the cause."""
    alive, host = check_node_name(peer)
    found = await lookup(alive, host)
    if found is None:
        return f"{peer} is not registered with epmd on {host}: start it, or see `pyzen names {host}` for who is there"
    return f"{peer} does not answer at {host}:{found.port} within {timeout:g} s: is a firewall in between?"
