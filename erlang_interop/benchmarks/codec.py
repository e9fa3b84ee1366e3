"""Rows ``decode`` and ``encode``: ZenMonitor's two long messages as bytes, in the sizes of a full sweep.

Both sides have the same terms. The processes in them are those of a third node, as in real messages. Wall time of a
loop without anything else, the garbage collector included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from erlang_interop.benchmarks.measure import CERTIFICATES, Options, Result, Row, check, interleave
from erlang_interop.benchmarks.rig import figures, introduce

if TYPE_CHECKING:
    from collections.abc import Collection

    from erlang_interop.benchmarks.rig import Rig
    from erlang_interop.nodes import BeamNode

DECODE: Final = Row(
    "decode", f"decode a dead summary of {CERTIFICATES} certificates", "BEAM binary_to_term", "ms", "<=", 0.5
)
ENCODE: Final = Row("encode", f"encode a sweep of {CERTIFICATES} instructions", "BEAM term_to_binary", "ms", "<=", 1.0)
ROWS: Final = (DECODE, ENCODE)

TERMS: Final = {"decode": "summary", "encode": "sweep"}


async def run(rig: Rig, options: Options, wanted: Collection[Row]) -> list[Result]:
    """Measure the rows of this module."""
    peer, rival, ours = await rig.elixir(), await rig.elixir(), await rig.pyzen()
    await introduce(rival, peer)
    await peer.call("spawn", CERTIFICATES)
    return [await _measure(row, ours, rival, peer, options) for row in ROWS if row in wanted]


async def _measure(row: Row, ours: BeamNode, rival: BeamNode, peer: BeamNode, options: Options) -> Result:
    term = TERMS[row.key]
    data = await rival.call("codec_make", term, peer.name, CERTIFICATES)
    await ours.call("codec_load", term, data)
    again = await ours.call("codec_term", term)
    check(await rival.call("codec_same", term, again) == "true", f"{term}: our bytes are another term")

    async def sample(node: BeamNode) -> float:
        elapsed = await figures(node, "codec_time", term, row.key, options.rounds)
        return elapsed["elapsed_us"] / options.rounds / 1000

    for node in (ours, rival):
        await sample(node)  # the first round pays for growing heaps
    our_samples, rival_samples = await interleave(options.pairs, lambda: sample(ours), lambda: sample(rival))
    return Result(row=row, ours=our_samples, rival=rival_samples)
