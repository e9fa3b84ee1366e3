"""Rows ``decode`` and ``encode``: ZenMonitor's two long messages as bytes, in the sizes of a full sweep.

All sides have the same terms, decoded from the same bytes. The processes in them are those of a third node, as in real
messages. Counted is the processor time of operating system processes that do nothing else, the garbage collector
included: what else the machine does is no work of theirs. Other codecs of Python run in a process of their own, so that
the terms of one are no burden on the garbage collector of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from erlang_interop.benchmarks.measure import CERTIFICATES, Options, Peer, Result, Row, check, cpu_seconds, interleave
from erlang_interop.benchmarks.rig import NO_SPINNING, introduce
from erlang_interop.nodes import CommandError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from erlang_interop.benchmarks.rig import Rig
    from erlang_interop.nodes import BeamNode

DECODE: Final = Row(
    "decode", f"decode a dead summary of {CERTIFICATES} certificates", "BEAM binary_to_term", "ms", "<=", 0.5
)
ENCODE: Final = Row("encode", f"encode a sweep of {CERTIFICATES} instructions", "BEAM term_to_binary", "ms", "<=", 1.0)
ROWS: Final = (DECODE, ENCODE)

TERMS: Final = {"decode": "summary", "encode": "sweep"}


PEERS: Final = ("erlang_py",)
PEER_ROUNDS: Final = 10
"""Pure Python is so slow that one round in as many will do."""


@dataclass(frozen=True, slots=True)
class Codecs:
    """Who codes what.

    Attributes:
        options: How much is measured.
        ours: Our node.
        rival: A BEAM node.
        peer: The node whose processes the terms are about.
        others: Other codecs of Python by name; no node where one is not installed.
    """

    options: Options
    ours: BeamNode
    rival: BeamNode
    peer: BeamNode
    others: Mapping[str, BeamNode | None]

    async def measure(self, row: Row) -> Result:
        """Measure a row, once everybody has read and written its term right."""
        term = TERMS[row.key]
        others = {name: node for name, node in self.others.items() if node is not None}
        data = await self.rival.call("codec_make", term, self.peer.name, CERTIFICATES)
        for node in (self.ours, *others.values()):
            await self._load(node, term, data)
        sides = [partial(self._sample, row, node, self.options.rounds) for node in (self.ours, self.rival)]
        rounds = max(1, self.options.rounds // PEER_ROUNDS)
        sides += [partial(self._sample, row, node, rounds) for node in others.values()]
        await interleave(1, *sides)  # the first round pays for growing heaps
        ours, rival, *theirs = await interleave(self.options.pairs, *sides)
        samples = dict(zip(others, theirs, strict=True))
        peers = [
            Peer(name, samples.get(name, ()), "" if node else "not installed") for name, node in self.others.items()
        ]
        return Result(row=row, ours=ours, rival=rival, peers=peers)

    async def _load(self, node: BeamNode, term: str, data: str) -> None:
        await node.call("codec_load", term, data)
        again = await node.call("codec_term", term)
        check(
            await self.rival.call("codec_same", term, again) == "true", f"{term}: {node.name} makes another term of it"
        )

    async def _sample(self, row: Row, node: BeamNode, rounds: int) -> float:
        before = cpu_seconds(node.pid)
        await node.call("codec_time", TERMS[row.key], row.key, rounds)
        return (cpu_seconds(node.pid) - before) / rounds * 1000


async def run(rig: Rig, options: Options, wanted: Collection[Row]) -> list[Result]:
    """Measure the rows of this module."""
    peer, rival, ours = await rig.elixir(), await rig.elixir(*NO_SPINNING), await rig.pyzen()
    await introduce(rival, peer)
    await peer.call("spawn", CERTIFICATES)
    others = dict([await _other(rig, name) for name in PEERS if options.peers])
    codecs = Codecs(options, ours, rival, peer, others)
    return [await codecs.measure(row) for row in ROWS if row in wanted]


async def _other(rig: Rig, name: str) -> tuple[str, BeamNode | None]:
    """Start a process with another codec; its name with the version."""
    node = await rig.pyzen()
    try:
        version = await node.call("codec_use", name)
    except CommandError:
        return name, None
    return f"{name} {version}", node
