"""The command ``pyzen``.

Errors go to stderr as one line that says what to do, exit 1; usage errors exit 2; SIGINT and SIGTERM stop in
order, exit 0.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pyzen import commands, consult
from pyzen.config import EpmdConfig, ZenConfig, parse_setting
from pyzen.demo import demo
from pyzen.errors import ConfigError, PyzenError
from pyzen.logs import escaped
from pyzen.node.epmd import EpmdServer, answers, names
from pyzen.tasks import start_task
from pyzen.terms import Atom

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

__all__ = ["main"]

DAEMON_LINGER: Final = 60.0  # seconds that an epmd outlives the last node it knew
READY: Final = b"ready"
LEVELS: Final = ("debug", "info", "warning", "error")
CONNECT_TIME: Final = 7.0  # seconds, as `Node.connect`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Without the program's name; None reads ``sys.argv``.

    Raises:
        SystemExit: With code 2, for arguments that make no sense; with 0, after ``--help``.
    """
    options = make_parser().parse_args(arguments)
    # What a node logs about a failure is told once more by the error; `pyzen node` logs once it has its peers.
    logging.getLogger("pyzen").addHandler(logging.NullHandler())
    try:
        code = int(options.command(options))
        sys.stdout.flush()  # here, where a reader that has gone is still one of the cases
        return code
    except PyzenError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # Whoever read the output has gone; what is left in the buffer would raise once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def fail(message: str) -> int:
    """Tell in one line of stderr what went wrong; returns the exit code."""
    print("pyzen:", escaped(" ".join(message.split())), file=sys.stderr)
    return 1


def run(body: Coroutine[Any, Any, int]) -> int:
    """Run a command until it is done, or until SIGINT or SIGTERM ask it to stop; returns the exit code."""
    return asyncio.run(until_stopped(body))


async def until_stopped(body: Coroutine[Any, Any, int]) -> int:
    """Run ``body``; a signal cancels it, so that it stops in order."""
    task = start_task(body)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 0


# ---- epmd


def epmd(options: argparse.Namespace) -> int:
    """Run an epmd: in the foreground until it is stopped, or as a daemon that ends when it is needed no more."""
    port = EpmdConfig(port=options.port).resolved_port()
    if options.daemon:
        return start_daemon(port)
    return run(serve_epmd(port, linger=None, ready=lambda: print(f"ready epmd 127.0.0.1:{port}", flush=True)))


async def serve_epmd(port: int, *, linger: float | None, ready: Callable[[], object]) -> int:
    """Serve until told to end; ``ready`` is called when the server listens."""
    addresses = [one.strip() for one in os.environ.get("ERL_EPMD_ADDRESS", "").split(",")]
    server = EpmdServer(addresses=[one for one in addresses if one not in {"", "127.0.0.1"}], linger=linger)
    await server.start(port)
    try:
        ready()
        await server.wait_ended()
    finally:
        await server.stop()
    return 0


def start_daemon(port: int) -> int:
    """Leave an epmd running in the background; one that answers already will do."""
    if asyncio.run(answers("127.0.0.1", port)):
        return 0
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        be_daemon(port, writing)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    return 0 if told == READY else fail(told.decode() or "the epmd in the background ended at once")


def be_daemon(port: int, writing: int) -> NoReturn:
    """Become a process without terminal, session and folder, and serve; ``writing`` hears how that went."""
    code = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        code = run(serve_epmd(port, linger=DAEMON_LINGER, ready=lambda: tell(writing, READY)))
    except PyzenError as error:
        tell(writing, str(error).encode())
    finally:
        # The way out of a forked process: what the parent has registered for its own end is not ours to run.
        os._exit(code)


def tell(writing: int, message: bytes) -> None:
    """Write ``message`` to a pipe and close it."""
    os.write(writing, message)
    os.close(writing)


def list_names(options: argparse.Namespace) -> int:
    """Print the nodes that are registered on a host, newest first."""
    for name, port in asyncio.run(names(options.host)):
        print(f"name {escaped(name)} at port {port}")
    return 0


# ---- the command line


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; ``command`` of its result takes that result."""
    parser = argparse.ArgumentParser(prog="pyzen", description="A Python process as a node of an Erlang cluster.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (add_node, add_monitor, add_demo, add_epmd, add_names, add_ping, add_call):
        add(subparsers)
    return parser


def add_command(subparsers: Any, name: str, command: Callable[[argparse.Namespace], Any]) -> argparse.ArgumentParser:
    """Add the command ``name``, described by the first line of ``command``: a function or a coroutine."""
    summary = (command.__doc__ or "").partition("\n")[0]
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=summary, description=summary)
    awaited = inspect.iscoroutinefunction(command)
    parser.set_defaults(command=(lambda options: run(command(options))) if awaited else command)
    return parser


def add_node(subparsers: Any) -> None:
    """Add ``pyzen node``."""
    parser = add_command(subparsers, "node", commands.run_node)
    parser.add_argument("--name", required=True, help="alive@host; a host with a dot makes it a long name")
    add_cookie(parser)
    parser.add_argument("--connect", metavar="PEER", action="append", default=[], help="connect to this node")
    parser.add_argument(
        "--join", metavar="PEER", action="append", default=[], help="connect to this node and to all it knows"
    )
    parser.add_argument("--hidden", action="store_true", help="do not be listed by nodes() of others")
    parser.add_argument(
        "--listen", metavar="HOST:PORT", type=address, help="where others connect; port 0 is a free one"
    )
    parser.add_argument("--exports", metavar="MODULE", nargs="+", default=[], help="what others may call, or: all")
    parser.add_argument(
        "--metrics", metavar="[HOST:]PORT", type=metrics_address, help="where to serve /metrics (default: nowhere)"
    )
    parser.add_argument(
        "--zen",
        metavar="NAME=VALUE",
        type=zen_setting,
        action="append",
        default=[],
        help="a setting of ZenMonitor, such as demand_amount=500; goes before PYZEN_<NAME> of the environment",
    )
    parser.add_argument(
        "--log", choices=LEVELS, help="what to tell on stderr (default: warning, once it has its peers)"
    )
    add_tls(parser)
    parser.set_defaults(timeout=CONNECT_TIME)


def add_monitor(subparsers: Any) -> None:
    """Add ``pyzen monitor``."""
    parser = add_command(subparsers, "monitor", commands.monitor)
    add_dialling(parser)
    parser.add_argument("process", metavar="PROCESS", nargs="+", type=atom, help="a name registered there")


def add_demo(subparsers: Any) -> None:
    """Add ``demo``."""
    parser = add_command(subparsers, "demo", demo)
    parser.add_argument("--peer", choices=["auto", "python", "elixir"], default="auto", help="what is watched")
    parser.add_argument("--processes", type=int, default=1000, metavar="N", help="how many processes are watched")
    parser.add_argument("--kill", type=int, default=500, metavar="N", help="how many of them are ended one by one")


def add_epmd(subparsers: Any) -> None:
    """Add ``pyzen epmd``."""
    parser = add_command(subparsers, "epmd", epmd)
    parser.add_argument(
        "--daemon", action="store_true", help="go to the background; end 60 s after the last registration is gone"
    )
    parser.add_argument("--port", type=port_number, help="where to listen (default: ERL_EPMD_PORT, else 4369)")


def add_names(subparsers: Any) -> None:
    """Add ``pyzen names``."""
    parser = add_command(subparsers, "names", list_names)
    parser.add_argument("host", nargs="?", default="127.0.0.1", help="whose epmd to ask (default: this machine's)")


def add_ping(subparsers: Any) -> None:
    """Add ``pyzen ping``."""
    add_dialling(add_command(subparsers, "ping", commands.ping))


def add_call(subparsers: Any) -> None:
    """Add ``pyzen call``."""
    parser = add_command(subparsers, "call", commands.call)
    add_dialling(parser)
    parser.add_argument("module", metavar="MODULE", type=atom, help="such as lists, or Elixir.Enum")
    parser.add_argument("function", metavar="FUNCTION", type=atom)
    parser.add_argument("term", metavar="TERM", nargs="*", type=term, help="an argument, in Erlang's syntax")


def add_dialling(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes that dials one node."""
    parser.add_argument("--name", help="own name (default: a random one)")
    add_cookie(parser)
    add_tls(parser)
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=CONNECT_TIME, help="for each step (default: %(default)g)"
    )
    parser.add_argument("peer", metavar="PEER", help="alive@host")


def add_cookie(parser: argparse.ArgumentParser) -> None:
    """Add the two ways to give a cookie."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--cookie", help="the cookie; others on this machine can see it (default: ~/.erlang.cookie)")
    group.add_argument("--cookie-file", metavar="FILE", type=Path, help="a file that holds the cookie")


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Add what encrypts links; without any of it they are plain."""
    group = parser.add_argument_group("TLS", "As erl -proto_dist inet_tls; the peers have to do the same.")
    group.add_argument("--tls-certfile", metavar="FILE", help="own certificate, for the host part of the own name")
    group.add_argument("--tls-keyfile", metavar="FILE", help="its key (default: in the certificate's file)")
    group.add_argument("--tls-cafile", metavar="FILE", help="certificates of authorities, or of peers, to trust")
    group.add_argument("--tls-no-verify", action="store_true", help="trust every node that has the cookie")
    group.add_argument("--tls-optfile", metavar="FILE", help="instead of these, a file for erl -ssl_dist_optfile")


# ---- values of arguments: each raises for argparse, which tells them from what goes wrong later


def port_number(text: str) -> int:
    """Return the port that ``text`` says."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"an address is HOST:PORT, not {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def metrics_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, or of a port alone, which is on the loopback."""
    return address(text if ":" in text else f"{commands.LOOPBACK}:{text}")


def zen_setting(text: str) -> tuple[str, str]:
    """Return name and value of ``NAME=VALUE``, which can be set."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"a setting is NAME=VALUE, not {text!r}")
    try:
        setattr(ZenConfig(), name, parse_setting(name, value))
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name, value


def seconds(text: str) -> float:
    """Return the duration that ``text`` says."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a duration is a positive number of seconds, not {text!r}")
    return value


def atom(text: str) -> Atom:
    """Return the atom of a name."""
    try:
        return Atom(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def term(text: str) -> Any:
    """Return the term that ``text`` says in Erlang's syntax."""
    try:
        return consult.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no Erlang term: {error}") from error
