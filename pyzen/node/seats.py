"""Seats: how many links peers may have that connect by themselves.

Whoever knows the cookie may come under any number of names, and each link takes a descriptor. So there is a bound, and
no address gets all of it: one that holds as many as are left has to wait (see `pyzen.shares`). What the program dials
counts, and is never refused.
"""

from __future__ import annotations

import resource
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, final

from pyzen.errors import NotAllowed
from pyzen.shares import Shares

if TYPE_CHECKING:
    from pyzen.config import Limits

__all__ = ["Seats"]


@final
class Seats:
    """The links of a node, by the address that they came from; None for those that the node has dialled."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._shares = Shares()
        self._hosts: dict[int, str | None] = {}

    def check(self, peer: str, host: str | None) -> None:
        """Raise ``NotAllowed`` if no further link may come from there."""
        maximum = most(self._limits)
        if host is not None and not self._shares.may_take(network(host), maximum - len(self._hosts)):
            text = f"{peer} at {host} can't come in: of {maximum} links {len(self._hosts)} are up (Limits.max_links)"
            raise NotAllowed(text, peer=peer)

    def take(self, link_id: int, host: str | None) -> None:
        """A link is up."""
        holder = None if host is None else network(host)
        self._hosts[link_id] = holder
        self._shares.take(holder)

    def give(self, link_id: int) -> None:
        """It is gone."""
        self._shares.give(self._hosts.pop(link_id))


def most(limits: Limits) -> int:
    """Return how many links there may be: a quarter of the descriptors that handshakes leave is for everything else."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return limits.max_links
    left = descriptors - min(limits.max_handshakes, descriptors // 2)
    return min(limits.max_links, left * 3 // 4)


def network(host: str) -> str:
    """Return what counts as one address: in IPv6 all of a network of 64 bits."""
    address = ip_address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((int(address) >> 64 << 64, 64)))
    return host
