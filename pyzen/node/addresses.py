"""From a host's name to the addresses it has; the one place that asks the operating system's resolver."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from typing import TYPE_CHECKING

from pyzen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


async def resolve(host: str, port: int) -> Sequence[tuple[int, tuple[object, ...]]]:
    """Return family and socket address of each address of ``host``, IPv4 first.

    A host that is an address already is answered at once: the resolver would leave a thread with the event loop.

    Raises:
        OSError: If the resolver knows no such host, or none can have that name.
    """
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(host).version
        return [(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # from the codec of host names: a label is empty, or too long
        raise OSError(f"{host!r} is no name of a host") from error
    # Nodes of this protocol listen on IPv4 unless told otherwise.
    found.sort(key=lambda row: row[0] != socket.AF_INET)
    return [(family, address) for family, _, _, _, address in found]


async def resolve_host(host: str) -> str:
    """Return the first address of ``host`` that means the same on every link of this machine.

    Raises:
        OSError: There is none: ``fe80::1%eth0`` says by which link it is reached.
    """
    addresses = [str(address[0]) for _, address in await resolve(host, 0)]
    found = next((address for address in addresses if "%" not in address), None)
    if found is None:
        raise OSError(f"{host} has no address but {addresses[0]}, which is one of a single link")
    return found


async def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens at the first address of ``host``; port 0 is a free one.

    Made here rather than by ``loop.create_server``, which since Python 3.13 leaves out addresses that the machine
    does not have, and raises errors without a number.

    Raises:
        OSError: The address can't be listened on, or there is none.
    """
    family, address = (await resolve(host, port))[0]
    return socket.create_server(address, family=family)


def reason(error: OSError) -> str:
    """Return why an address can't be listened on, without what ``socket`` says around it."""
    if error.errno is not None and error.errno > 0:  # those of name resolution are negative
        return os.strerror(error.errno)
    return error.strerror or str(error)


async def listening_host(name: str, host: str) -> str:
    """Return where the node ``name`` on ``host`` listens: on loopback if its host is there, else on every interface.

    Raises:
        ConfigError: The host can't be the host of a node.
    """
    try:
        address = str((await resolve(host, 0))[0][1][0])
    except socket.gaierror:
        return "0.0.0.0"  # as `erl` does: a name that resolves elsewhere only
    except OSError as error:
        raise ConfigError(f"{name} can't be a node: {error}") from error
    loopback = address.startswith("127.") or address == "::1"
    return address if loopback else "::" if ":" in address else "0.0.0.0"
