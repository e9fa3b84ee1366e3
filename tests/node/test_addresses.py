from __future__ import annotations

import socket
import threading

import pytest

from pyzen.node.addresses import resolve, resolve_host


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
async def test_an_address_stands_for_itself(host: str, family: int) -> None:
    assert await resolve(host, 4369) == [(family, (host, 4369))]


async def test_an_address_leaves_no_thread_of_the_resolver() -> None:
    before = threading.active_count()

    await resolve_host("127.0.0.1")

    assert threading.active_count() == before


async def test_ipv4_comes_first() -> None:
    families = [family for family, _ in await resolve("localhost", 4369)]

    assert families == sorted(families, key=lambda family: family != socket.AF_INET)
    assert (await resolve_host("localhost")).startswith("127.")


async def test_a_host_that_is_not_there_is_an_error_of_the_system() -> None:
    with pytest.raises(socket.gaierror):
        await resolve("host.invalid", 4369)


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
async def test_a_host_that_there_can_not_be_is_an_error_of_the_system(host: str) -> None:
    with pytest.raises(OSError, match="is no name of a host"):
        await resolve(host, 4369)


async def test_an_address_of_a_single_link_is_none_of_a_node() -> None:
    with pytest.raises(OSError, match="has no address but fe80::1%lo"):
        await resolve_host("fe80::1%lo")
