"""Names that nobody has used: each is kept for as long as somebody holds it."""

from __future__ import annotations

import itertools
import secrets
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import LOST, framed, term
from pyzen.errors import PyzenError
from pyzen.terms import Atom

if TYPE_CHECKING:
    from collections.abc import Iterator

    from erlang_interop.hostile.stage import Peer, Stage

BATCH: Final = 10_000
MILLION: Final = 1_050_000
SPENT: Final = r"foe.*max_(peer_)?atoms"


def fresh(count: int) -> Iterator[bytes]:
    """Return atoms in bytes, which nobody has used."""
    mark = secrets.token_hex(4).encode()
    return (b"w\x10" + mark + b"%08x" % number for number in range(count))


def batches(peer: Peer, to: str, count: int, size: int = BATCH) -> list[bytes]:
    """Return messages that have so many new atoms."""
    packets, atoms = [], fresh(count)
    while chunk := list(itertools.islice(atoms, size)):
        packets.append(peer.raw(to, b"l" + struct.pack(">I", len(chunk)) + b"".join(chunk) + b"j"))
    return packets


def all_atoms(peer: Peer, to: str) -> list[bytes]:
    """Return messages with more atoms than there may be, the last ones with one each: then there is room for none."""
    return batches(peer, to, MILLION - BATCH) + batches(peer, to, BATCH, 1)


@attack("Limits.max_peer_atoms", 512, SPENT, comes=3.0)
async def a_million_atoms(stage: Stage) -> None:
    """1 050 000 atoms, in messages to a process that keeps them."""
    peer = await stage.peer()
    packets = all_atoms(peer, "hoard")
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()
    stage.expect(peer.is_lost, "the link is left that has spent its atoms")


@attack("Limits.max_peer_atoms", 512)
async def a_million_atoms_for_nobody(stage: Stage) -> None:
    """1 050 000 atoms, in messages that nobody gets and calls that are answered: none of them lives on."""
    peer = await stage.peer()
    packets = [*batches(peer, "nobody", MILLION // 2), *batches(peer, "echo", MILLION // 2)]
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()


@attack("Limits.max_peer_atoms", 512, SPENT, comes=3.0)
async def atoms_again_and_again(stage: Stage) -> None:
    """A peer that leaves after 200 000 atoms and comes again under its name, ten times."""
    name = f"foe{secrets.token_hex(4)}@127.0.0.1"
    await stage.begin()
    for _ in range(10):
        with suppress(PyzenError, *LOST):
            peer = await stage.peer(name)
            await peer.push(batches(peer, "hoard", 190_000) + batches(peer, "hoard", 10_000, 1))
            await peer.obeyed()
            await peer.end()


@attack("Limits.max_atoms", 768, r"max_(peer_)?atoms", comes=3.0)
async def atoms_under_many_names(stage: Stage) -> None:
    """Twelve peers with 85 000 to 160 000 atoms each: every one stays below its budget."""
    peers = [await stage.peer() for _ in range(12)]
    packets = [batches(peer, "hoard", 85_000) for peer in peers[1:]] + [batches(peers[0], "hoard", 160_000, 100)]
    await stage.begin()
    for peer, own in zip([*peers[1:], peers[0]], packets, strict=True):
        await peer.push(own)
        await peer.obeyed()


@attack("Limits.max_peer_atoms", 512, SPENT, comes=3.0)
async def atoms_in_headers(stage: Stage) -> None:
    """A million atoms by way of the atom cache, 250 in each packet."""
    peer = await stage.peer()
    atoms = fresh(1_000_000)
    packets = [with_header(peer, list(itertools.islice(atoms, 250))) for _ in range(4000)]
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()
    stage.expect(peer.is_lost, "the link is left that has spent its atoms")


def with_header(peer: Peer, atoms: list[bytes]) -> bytes:
    """Return a message to the hoard whose atoms are told by the header: new entries of the atom cache."""
    count = len(atoms)
    nibbles = [8] * count + [0] + [0] * (count % 2 == 1)
    flags = bytes(low | high << 4 for low, high in zip(nibbles[::2], [*nibbles[1::2], 0], strict=False))
    entries = b"".join(bytes([number]) + atom[1:] for number, atom in enumerate(atoms))
    control = term((6, peer.pid, Atom(""), Atom("hoard")))
    payload = b"l" + struct.pack(">I", count) + b"".join(b"R" + bytes([number]) for number in range(count)) + b"j"
    return framed(b"\x83D" + bytes([count]) + flags[: count // 2 + 1] + entries + control + payload)


@attack("Limits.max_peer_atoms", 256)
async def names_of_nobody(stage: Stage) -> None:
    """20 000 monitors of names that nobody has, and 1000 calls of functions that nobody exports."""
    peer = await stage.peer()
    names = [f"n{secrets.token_hex(6)}" for _ in range(1000)]
    packets = [
        peer.control(19, peer.pid, Atom(names[number % 1000] + str(number)), peer.ref()) for number in range(20_000)
    ]
    calls = [peer.call(f"{name}_m", f"{name}_f") for name in names]
    await stage.begin()
    await peer.push([*packets, *calls])
    await peer.obeyed()
