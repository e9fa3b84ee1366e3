"""epmd as a node sees it: where others listen, the own registration, and how to get an epmd where there is none.

Every failure is an ``EpmdError`` of one line that says what to do. Sockets are plain ones, so that the owner of
a registration knows its descriptor from the first moment to the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
import socket
import sys
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pyzen.config import EpmdConfig
from pyzen.dist.epmd import (
    Alive2Request,
    NamesRequest,
    NamesResponse,
    NodeEntry,
    NodeType,
    PortPlease2Request,
    Request,
    common_version,
    parse_alive2_response,
    parse_names_response,
    parse_port2_response,
    serialize_request,
)
from pyzen.errors import EpmdError, NameTaken
from pyzen.logs import get_logger
from pyzen.node.addresses import resolve
from pyzen.node.epmd_server import EpmdServer
from pyzen.tasks import start_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Endpoint", "EpmdServer", "Registration", "answers", "ensure_epmd", "lookup", "names"]

logger = get_logger("pyzen.node")

ANSWER_TIME: Final = 5.0  # seconds for one question, connecting included
START_POLL: Final = 0.05  # seconds between two looks at an epmd that was started
START_POLLS: Final = 200
RETRY_INTERVAL: Final = 2.0  # as real nodes
MAX_RESPONSE_SIZE: Final = 1024 * 1024

Answer = TypeVar("Answer")


class Endpoint(NamedTuple):
    """Where a node listens.

    Attributes:
        port: TCP port.
        versions: Lowest and highest version of the distribution protocol it speaks.
    """

    port: int
    versions: tuple[int, int]


async def lookup(alive: str, host: str, config: EpmdConfig | None = None) -> Endpoint | None:
    """Ask the epmd of ``host`` where ``alive@host`` listens.

    Returns:
        None when there is no such node.

    Raises:
        EpmdError: If epmd there can't be reached, or the node speaks no version this one does.
        ConfigError: If ``ERL_EPMD_PORT`` is no port.
    """
    port = (config or EpmdConfig()).resolved_port()
    (node,) = await ask(PortPlease2Request(alive), host, port, parse_port2_response)
    if node is None:
        return None
    if not common_version(node):
        raise EpmdError(
            f"{alive}@{host} speaks versions {node.lowest} to {node.highest} of the distribution protocol, this node "
            "speaks version 6: it needs OTP 25 or newer",
            peer=f"{alive}@{host}",
        )
    return Endpoint(node.port, (node.lowest, node.highest))


async def names(host: str, config: EpmdConfig | None = None) -> list[tuple[str, int]]:
    """Return alive name and port of all nodes that are registered at the epmd of ``host``, newest first.

    Raises:
        EpmdError: If epmd there can't be reached.
        ConfigError: If ``ERL_EPMD_PORT`` is no port.
    """
    response = await ask_names(host, (config or EpmdConfig()).resolved_port())
    return list(response.names)


async def ensure_epmd(config: EpmdConfig) -> None:
    """Return when an epmd answers; start one if none does and ``config.start`` allows it.

    What is started outlives this process, whatever becomes of it: ``epmd -daemon`` where it is on the path, else
    ``pyzen epmd --daemon``.

    Raises:
        EpmdError: If none answers in the end, or something else listens on its port.
        ConfigError: If ``ERL_EPMD_PORT`` is no port.
    """
    port = config.resolved_port()
    if await answers(config.host, port):
        return
    if not config.start or not is_loopback(config.host):
        raise EpmdError(no_answer(config.host, port))
    command = start_command(port)
    status = await run_detached(command, port)
    for _ in range(START_POLLS):
        if await answers(config.host, port):
            return
        await asyncio.sleep(START_POLL)
    raise EpmdError(f"{no_answer(config.host, port)}; {' '.join(command)} ended with status {status}")


class Registration:
    """The name of a node at its epmd: kept from `start` to `stop`, re-registered when epmd goes away.

    A new epmd gives a new creation, which is ignored: it would change the identity of every pid there is.

    Args:
        alive: Alive name.
        port: Where the node listens.
        config: Where epmd is.
        hidden: Whether the node registers as a hidden one.
        guard: Called with the descriptor of each connection to epmd as soon as it is open.
        release: Called with it right before it is closed.
        retry_interval: Seconds between two attempts to register again.

    Attributes:
        creation: What epmd gave at `start`; 0 before.
    """

    def __init__(
        self,
        alive: str,
        port: int,
        config: EpmdConfig,
        *,
        hidden: bool = False,
        guard: Callable[[int], object] = lambda fd: None,
        release: Callable[[int], object] = lambda fd: None,
        retry_interval: float = RETRY_INTERVAL,
    ) -> None:
        self.creation = 0
        self._node = NodeEntry(alive, port, NodeType.HIDDEN if hidden else NodeType.NORMAL)
        self._config = config
        self._guard = guard
        self._release = release
        self._retry_interval = retry_interval
        self._socket: socket.socket | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Register.

        Returns:
            The creation of the node.

        Raises:
            NameTaken: If a node of this name is registered.
            EpmdError: If epmd can't be reached.
        """
        self.creation = await self._register()
        self._keeper = start_task(self._keep(), name=f"epmd registration of {self._node.name}")
        return self.creation

    async def stop(self) -> None:
        """Give the name back. Idempotent; the connection is closed even if this is cancelled."""
        keeper, self._keeper = self._keeper, None
        try:
            if keeper is not None:
                keeper.cancel()
                await asyncio.wait([keeper])
        finally:
            self._close()

    @property
    def registered(self) -> bool:
        """Whether epmd has the name now."""
        return self._socket is not None

    def fileno(self) -> int:
        """Return the descriptor of the connection to epmd, -1 while there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    async def _register(self) -> int:
        host, port = self._config.host, self._config.resolved_port()
        with told_as_epmd_error(host, port):
            async with asyncio.timeout(ANSWER_TIME):
                self._socket = await connect(host, port)
                self._guard(self._socket.fileno())
                try:
                    response = await exchange(self._socket, Alive2Request(self._node), parse_alive2_response)
                except BaseException:
                    self._close()
                    raise
        if response.result != 0:
            self._close()
            raise NameTaken(
                self._node.name,
                f"a node named {self._node.name!r} is registered at epmd {host}:{port}: end it or take another name",
            )
        return response.creation

    async def _keep(self) -> None:
        while True:
            await self._lost()
            self._close()
            logger.warning("epmd closed the registration of %s; trying again", self._node.name)
            await self._register_again()
            logger.info("%s is registered at epmd again", self._node.name)

    async def _lost(self) -> None:
        assert self._socket is not None, "only a registration that is there can be lost"
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while await loop.sock_recv(self._socket, 1024):
                pass

    async def _register_again(self) -> None:
        told = ""
        while self._socket is None:
            await asyncio.sleep(self._retry_interval)
            try:
                await self._register()
            except Exception as error:  # whatever it is: who gives up is never found again
                if str(error) != told:
                    told = str(error)
                    logger.warning("%s is not registered: %s", self._node.name, told)

    def _close(self) -> None:
        own, self._socket = self._socket, None
        if own is not None:
            self._release(own.fileno())
            own.close()


# ---- one question


async def ask(request: Request, host: str, port: int, parse: Callable[[bytes], Answer | None]) -> Answer:
    """Send one request to an epmd and return its answer."""
    with told_as_epmd_error(host, port):
        async with asyncio.timeout(ANSWER_TIME):
            own = await connect(host, port)
            with own:
                return await exchange(own, request, parse)


async def ask_names(host: str, port: int) -> NamesResponse:
    """Return the answer to NAMES_REQ."""
    with told_as_epmd_error(host, port):
        async with asyncio.timeout(ANSWER_TIME):
            own = await connect(host, port)
            with own:
                return await exchange_names(own)


async def answers(host: str, port: int) -> bool:
    """Return whether an epmd answers; raises ``EpmdError`` if what listens there is something else."""
    with told_as_epmd_error(host, port):
        async with asyncio.timeout(ANSWER_TIME):
            try:
                own = await connect(host, port)
            except ConnectionRefusedError:
                return False
            with own:
                await exchange_names(own)
                return True


async def connect(host: str, port: int) -> socket.socket:
    """Return a socket connected to the first address of ``host`` that answers; raises ``OSError`` if none does."""
    failure = OSError(f"{host} has no address")
    for family, address in await resolve(host, port):
        own = socket.socket(family, socket.SOCK_STREAM)
        try:
            own.setblocking(False)
            await asyncio.get_running_loop().sock_connect(own, address)
        except OSError as error:
            own.close()
            failure = error
        except BaseException:
            own.close()
            raise
        else:
            return own
    raise failure


async def exchange(own: socket.socket, request: Request, parse: Callable[[bytes], Answer | None]) -> Answer:
    """Send ``request`` and read until ``parse`` has its answer."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(own, serialize_request(request))
    data = b""
    while (answer := parse(data)) is None:
        chunk = await loop.sock_recv(own, 65536)
        if not chunk or len(data) > MAX_RESPONSE_SIZE:
            raise EpmdError("it closed the connection without an answer" if not chunk else "its answer has no end")
        data += chunk
    return answer


async def exchange_names(own: socket.socket) -> NamesResponse:
    """Ask for all names; their answer ends with the connection."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(own, serialize_request(NamesRequest()))
    data = b""
    while chunk := await loop.sock_recv(own, 65536):
        data += chunk
        if len(data) > MAX_RESPONSE_SIZE:
            raise EpmdError("its answer has no end")
    return parse_names_response(data)


@contextlib.contextmanager
def told_as_epmd_error(host: str, port: int) -> Iterator[None]:
    """Turn whatever goes wrong with an epmd into an ``EpmdError`` that names it."""
    where = f"{host}:{port}"
    try:
        yield
    except EpmdError as error:
        raise EpmdError(f"what listens at {where} is no epmd that works ({error}): see ERL_EPMD_PORT") from error
    except socket.gaierror as error:
        raise EpmdError(f"the host {host!r} is unknown ({error.strerror}): see /etc/hosts", peer=where) from error
    except TimeoutError as error:
        raise EpmdError(f"epmd at {where} does not answer within {ANSWER_TIME:g} s", peer=where) from error
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno else str(error)
        raise EpmdError(f"{no_answer(host, port)} ({cause})", peer=where) from error


def no_answer(host: str, port: int) -> str:
    """Return what to do about an epmd that is not there."""
    where = "" if is_loopback(host) else f" on {host}"
    return f"no epmd answers at {host}:{port}: start one{where} (epmd -daemon, or pyzen epmd --daemon)"


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this machine for certain."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


# ---- starting one


def start_command(port: int) -> list[str]:
    """Return the command that starts an epmd and returns while it runs on."""
    if (found := shutil.which("epmd")) is not None:
        return [found, "-port", str(port), "-daemon"]
    return [sys.executable, "-m", "pyzen", "epmd", "--daemon"]


async def run_detached(command: list[str], port: int) -> int:
    """Run ``command`` in a session of its own, so that no signal to this one reaches what it starts."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "ERL_EPMD_PORT": str(port)},
        )
    except OSError as error:
        raise EpmdError(f"{command[0]} can't be run ({error.strerror}): start epmd yourself") from error
    return await process.wait()
