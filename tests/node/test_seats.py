"""Links have a bound, of which no address gets all."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING

import pytest

from pyzen.config import Limits
from pyzen.errors import HandshakeError, NotAllowed
from pyzen.node import seats
from pyzen.node.seats import Seats
from tests.node.conftest import MakeNode, epmd, make_node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["epmd", "make_node"]


def came(one: Seats, hosts: Sequence[str | None]) -> list[bool]:
    """Say who was let in."""
    return [_came(one, number, host) for number, host in enumerate(hosts)]


def _came(one: Seats, number: int, host: str | None) -> bool:
    try:
        one.check("x@y", host)
    except NotAllowed:
        return False
    one.take(number, host)
    return True


def test_an_address_gets_half_and_others_find_room() -> None:
    few = Seats(Limits(max_links=4))

    assert came(few, ["10.0.0.1"] * 4 + ["10.0.0.2", "10.0.0.3"]) == [True, True, False, False, True, True]


def test_what_is_dialled_counts_and_is_not_refused() -> None:
    few = Seats(Limits(max_links=2))

    assert came(few, [None, None, None, "10.0.0.1"]) == [True, True, True, False]


def test_a_network_of_64_bits_is_one_address() -> None:
    few = Seats(Limits(max_links=2))

    assert came(few, ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]) == [True, False, True]
    assert came(Seats(Limits(max_links=2)), ["::ffff:10.0.0.1", "::ffff:10.0.0.2"]) == [True, True]


def test_a_seat_is_given_back() -> None:
    one = Seats(Limits(max_links=1))
    one.take(7, "10.0.0.1")
    one.give(7)

    assert came(one, ["10.0.0.1"]) == [True]


@pytest.mark.parametrize(
    ("descriptors", "places", "links"),
    [(1024, 1024, 384), (1024, 16, 756), (1_048_576, 1024, 16_384), (resource.RLIM_INFINITY, 1024, 16_384)],
)
def test_descriptors_are_left_for_everything_else(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, places: int, links: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))

    assert seats.most(Limits(max_handshakes=places)) == links


async def test_a_peer_past_the_bound_is_not_allowed_until_another_has_left(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    node = await make_node("small", limits=Limits(max_links=2))
    first, second, third = [await make_node(f"peer{number}") for number in range(3)]
    assert await first.connect(node.name)

    with pytest.raises(HandshakeError):
        await second.connect(node.name)

    refused = f"refused a connection from {second.name}: {second.name} at 127.0.0.1 can't come in"
    assert f"{refused}: of 2 links 1 are up (Limits.max_links)" in caplog.text
    assert await node.connect(third.name)
    assert await node.connect(second.name)
    for peer in (first, second, third):
        peer.disconnect(node.name)
    await lost_all(node.nodes)
    assert await first.connect(node.name)


async def lost_all(nodes: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while nodes():
            await asyncio.sleep(0.01)
