"""The honest peers, which are real nodes: one asks all the time, the other comes while the attack lasts."""

from __future__ import annotations

import base64
import secrets
import subprocess
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.benchmarks.rig import NO_SPINNING, compile_fixture
from erlang_interop.nodes import ElixirNode, Epmd, ErlangCluster, ErlNode
from pyzen import etf
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["Answers", "Figures", "Judge", "court"]

DRIVERS: Final = (Path(__file__).parent / "hostile_judge.erl", Path(__file__).parent.parent / "eval_server.erl")
ALONE: Final = ("-connect_all", "false", *NO_SPINNING)
"""Nodes that connect to nobody but whom they are told to: no talk of ``global`` among them."""


@dataclass(frozen=True)
class Answers:
    """What one probe has had.

    Attributes:
        worst: Seconds until the answer that took longest, the one that is still awaited included.
        count: Answers.
        failures: Questions that failed.
        last_failure: The last of them, as Erlang writes it.
        waiting: Seconds that the question under way has waited.
    """

    worst: float
    count: int
    failures: int
    last_failure: str
    waiting: float


@dataclass(frozen=True)
class Figures:
    """What the honest peer has seen.

    Attributes:
        probes: By name.
        nodedowns: How often it has lost the attacked node.
        downs: Kind of monitor, number of the victim and reason of each DOWN, oldest first.
    """

    probes: Mapping[str, Answers]
    nodedowns: int
    downs: list[tuple[str, int, str]]


class Judge:
    """Asks an attacked node, watches it, and sends it a newcomer.

    Attributes:
        cluster: The epmd and the cookie of all.
    """

    def __init__(self, cluster: ErlangCluster, peer: ElixirNode, newcomer: ErlNode) -> None:
        self.cluster = cluster
        self._peer = peer
        self._newcomer = newcomer

    async def start(self, node: str, victims: int, probes: Mapping[str, tuple[Any, ...]]) -> None:
        """Connect to a node, watch its victims, and begin to ask.

        Raises:
            RuntimeError: It can't.
        """
        result = await self._apply("start", Atom(node), victims, [(Atom(name), what) for name, what in probes.items()])
        if not (isinstance(result, tuple) and result[0] is atoms.ok):
            raise RuntimeError(f"the honest peer can't begin: {result!r}")

    async def reset(self) -> None:
        """Begin a new span of time."""
        await self._apply("reset")

    async def figures(self) -> Figures:
        """Return what has been seen since `reset`; losses and DOWNs since `start`."""
        probes, nodedowns, downs = await self._apply("figures")
        return Figures(
            {str(name): _answers(*row) for name, row in probes.items()},
            nodedowns,
            [(str(kind), number, reason.decode()) for kind, number, reason in reversed(downs)],
        )

    async def end_victims(self, node: str, numbers: list[int]) -> None:
        """Tell processes of the attacked node to end."""
        await self._apply("end_victims", Atom(node), numbers)

    async def stop(self) -> None:
        """Ask no more."""
        await self._apply("stop")

    async def newcomer(self, node: str, server: str, within: float) -> float | str:
        """Connect another node, and have it say an atom that is new; returns seconds, or what went wrong."""
        arguments = (Atom(node), Atom(server), f"new_{secrets.token_hex(8)}".encode(), round(within * 1000))
        result = await self._newcomer.run("hostile_judge", "newcomer", *arguments, timeout=within + 60)
        return came(result)

    async def newcomer_at_epmd(self, port: int, within: float) -> float | str:
        """Register a new name with an epmd; returns as `newcomer`."""
        arguments = (port, f"new_{secrets.token_hex(8)}".encode(), round(within * 1000))
        result = await self._newcomer.run("hostile_judge", "registered", *arguments, timeout=within + 60)
        return came(result)

    async def _apply(self, function: str, *arguments: Any) -> Any:
        packed = base64.b64encode(etf.encode(list(arguments))).decode()
        code = f'apply(:hostile_judge, :{function}, :erlang.binary_to_term(Base.decode64!("{packed}")))'
        answer = await self._peer.call_etf("eval64", base64.b64encode(code.encode()).decode(), timeout=60)
        return etf.decode(answer)


def came(result: Any) -> float | str:
    """Return the seconds that a newcomer took, or what went wrong."""
    return float(result[0]) / 1000 if isinstance(result, tuple) else str(result.decode())


def _answers(worst: int, count: int, failures: int, last: Any, waiting: int) -> Answers:
    told = last.decode() if isinstance(last, bytes) else ""
    return Answers(max(worst, waiting) / 1e6, count, failures, told, waiting / 1e6)


def compile_drivers(folder: str) -> None:
    """Compile what runs on the honest nodes."""
    subprocess.run(["erlc", "-Werror", "-o", folder, *map(str, DRIVERS)], check=True, timeout=60)


@asynccontextmanager
async def court() -> AsyncIterator[Judge]:
    """Start the honest nodes and an epmd, for any number of attacks; all end with it."""
    compile_fixture()
    epmd = Epmd.start()
    with tempfile.TemporaryDirectory(prefix="pyzen-hostile-") as drivers:
        compile_drivers(drivers)
        cluster = ErlangCluster(epmd.port, Path(drivers))
        try:
            peer = await cluster.elixir(flags=("-pa", drivers, *ALONE))
            yield Judge(cluster, peer, await cluster.erl(flags=ALONE))
        finally:
            await cluster.close()
            epmd.close()
