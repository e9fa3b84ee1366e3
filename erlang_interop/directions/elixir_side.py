"""An Elixir node that runs ``mix_fixture`` as a `Side`."""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING, Any, final

from erlang_interop.directions.sides import Down, Side, Subscriber, Target
from pyzen import etf
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from erlang_interop.nodes import ElixirNode

__all__ = ["ElixirSide", "literal"]


def packed(term: Any) -> str:
    """Return a term as the line protocol wants its ``DEST``."""
    return base64.b64encode(etf.encode(term)).decode()


def literal(term: Any) -> str:
    """Return Elixir code that makes a term."""
    return f':erlang.binary_to_term(Base.decode64!("{packed(term)}"))'


@final
class ElixirSubscriber(Subscriber):
    """A subscriber of the fixture, with books of its own."""

    def __init__(self, node: ElixirNode, name: str, watched: Atom) -> None:
        super().__init__(watched)
        self._node = node
        self._name = name

    async def _ask(self, command: str, *arguments: object) -> Any:
        return etf.decode(await self._node.call_etf("by", self._name, command, *arguments))

    async def monitor(self, *targets: Target) -> list[int]:
        made = await self._ask("monitor", "zen", packed(list(targets)))
        return list(range(made - len(targets), made))

    async def demonitor(self, index: int, *, flush: bool = False) -> None:
        await self._ask("demonitor", index, index + 1, *(["flush"] if flush else []))

    async def live(self, index: int) -> list[int]:
        indices: list[int] = await self._ask("live", index)
        return indices

    async def hold(self) -> None:
        await self._ask("hold")

    async def unread(self) -> int:
        return int(await self._ask("unread"))

    async def _received(self) -> list[Down]:
        await self._ask("read")
        figures = await self._node.fields("by/text", self._name, "ledger")
        assert {name: figures[name] for name in ("duplicates", "late", "unknown", "wrong")} == {
            "duplicates": "0",
            "late": "0",
            "unknown": "0",
            "wrong": "0",
        }
        return [Down(index, target, unwrapped(reason)) for index, target, reason in await self._ask("downs")]

    async def end(self) -> None:
        await self._node.call("kill_name", self._name, "kill")


def unwrapped(reason: Any) -> Any:
    """Take ZenMonitor's mark off a reason."""
    mark, inner = reason
    assert mark is atoms.zen_monitor
    return inner


@final
class ElixirSide(Side):
    """A node of its own, with the stand-in or the original."""

    is_original = True
    dials = False

    def __init__(self, node: ElixirNode) -> None:
        self.name = Atom(node.name)
        self._node = node
        self._numbers = itertools.count()

    # ---- the end that watches

    async def subscriber(self, watched: Atom) -> Subscriber:
        name = f"subscriber_{next(self._numbers)}"
        await self._node.call("subscriber", name)
        return ElixirSubscriber(self._node, name, watched)

    async def link(self, peer: Atom) -> None:
        assert await self._node.call("connect", peer) == "true"

    async def unlink(self, peer: Atom) -> None:
        assert await self._node.call("disconnect", peer) == "true"

    async def nodes(self) -> list[Atom]:
        names: list[Atom] = etf.decode(await self._node.call_etf("nodes"))
        return names

    async def connect(self, peer: Atom) -> str:
        return await self._word("zen_connect", peer)

    async def compatibility(self, target: Target) -> str:
        return (await self._node.eval(f"ZenMonitor.compatibility({literal(target)})")).removeprefix(":")

    async def compatibility_for_node(self, peer: Atom) -> str:
        return await self._word("compatibility", peer)

    async def cached_compatibility(self, peer: Atom) -> str:
        return await self._word("cached_compatibility", peer)

    async def _word(self, command: str, peer: Atom) -> str:
        answer = etf.decode(await self._node.call_etf(command, peer))
        return str(answer if isinstance(answer, Atom) else answer[0])

    # ---- the end that is watched

    async def spawn(self, count: int) -> list[Pid]:
        total = int(await self._node.call("spawn", count))
        pids: list[Pid] = etf.decode(await self._node.call_etf("pids", total - count, total))
        return pids

    async def register(self, name: Atom) -> Pid:
        pid = etf.decode(await self._node.call_etf("name", name))
        assert isinstance(pid, Pid)
        return pid

    async def kill(self, reasons: Iterable[tuple[Pid, Any]]) -> None:
        await self._node.eval(
            f"Enum.each({literal(list(reasons))}, fn {{pid, reason}} -> Process.exit(pid, reason) end)"
        )

    async def let_return(self, pid: Pid) -> None:
        await self._node.eval(f"send({literal(pid)}, :stop)")

    async def rows(self) -> int:
        size = await self._node.eval(":ets.info(ZenMonitor.Proxy.Tables.Subscribers, :size)")
        return 0 if size == ":undefined" else int(size)

    async def end_proxy(self) -> None:
        await self._node.eval("Process.exit(Process.whereis(ZenMonitor.Proxy), :kill)")

    async def stop_application(self) -> None:
        assert await self._node.eval("Application.stop(:zen_monitor)") == ":ok"

    async def start_application(self) -> None:
        # The original registers metrics under names that outlive it, unless that application is stopped as well.
        await self._node.eval("Application.stop(:instruments)")
        assert (await self._node.eval("Application.ensure_all_started(:zen_monitor)")).startswith("{:ok")

    async def end(self) -> None:
        await self._node.kill()

    # ---- the node itself

    async def eval(self, code: str) -> str:
        """Evaluate Elixir there, in a process of its own; return the value as text."""
        return await self._node.eval(code)

    async def set(self, settings: dict[str, int]) -> None:
        """Change settings of ZenMonitor."""
        for name, value in settings.items():
            await self._node.call("setting", name, value)
