"""Every process of ours ends once, as a real node sees it: it monitors, links, calls and starts them."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from erlang_interop.nodes import ErlangCluster
from pyzen import GenServer, Stop, atoms, etf
from pyzen.config import EpmdConfig
from pyzen.node.node import Node
from tests.loops import LOOPS, runner_of
from tests.node.ends import ENDS, End, crashed, is_reason
from tests.node.export_ends import EXPORTS, ExportEnd, export_all
from tests.node.stage import left_on, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from erlang_interop.releases import Release
    from pyzen.actor.process import Process


class Pair:
    """A node of ours in a loop of some kind, and a real one that watches it."""

    def __init__(self, runner: asyncio.Runner, cluster: ErlangCluster) -> None:
        self._runner = runner
        self._cluster = cluster

    async def begin(self, epmd_port: int) -> None:
        name = f"p{secrets.token_hex(5)}@127.0.0.1"
        epmd = EpmdConfig(port=epmd_port, start=False)
        self.node = await Node(name, cookie=self._cluster.cookie, epmd=epmd, zen=None).start()
        self.erlang = await self._cluster.erl()
        assert await self.node.connect(self.erlang.name)
        export_all(self.node)

    async def close(self) -> None:
        await self.node.stop()
        await self._cluster.close()

    def eval(self, code: str, start: Callable[[], Awaitable[Any]] | None = None) -> Any:
        """Return the value of code on the real node, where ``N`` is ours, once nothing is left of it on ours.

        Args:
            code: Erlang.
            start: Starts first what the code is about.
        """
        return self._runner.run(self._eval(f"N = '{self.node.name}', {code}", start))

    async def _eval(self, code: str, start: Callable[[], Awaitable[Any]] | None) -> Any:
        before = left_on(self.node)
        if start is not None:
            await start()
        answer = await self.erlang.call_etf("eval64", base64.b64encode(code.encode()).decode())
        async with asyncio.timeout(5):
            await until(lambda: left_on(self.node) == before)
        return etf.decode(answer)


@pytest.fixture(scope="module", params=LOOPS)
def pair(request: pytest.FixtureRequest, epmd_port: int, erlang_drivers: Path, release: Release) -> Iterator[Pair]:
    for runner in runner_of(request.param, []):
        pair = Pair(runner, ErlangCluster(epmd_port, erlang_drivers, release.place))
        runner.run(pair.begin(epmd_port))
        yield pair
        runner.run(pair.close())


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Processes crash on purpose."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


# ---- processes of ours that a real node watches

WATCH = """
process_flag(trap_exit, true),
Pid = erpc:call(N, erlang, whereis, [tried]),
link(Pid), ByPid = monitor(process, Pid), ByName = monitor(process, {tried, N}),
pong = net_adm:ping(N),
{tried, N} ! go,
Down = receive {'DOWN', ByPid, process, Pid, R1} -> R1 after 5000 -> timeout end,
Named = receive {'DOWN', ByName, process, {tried, N}, R2} -> R2 after 5000 -> timeout end,
Exit = receive {'EXIT', Pid, R3} -> R3 after 5000 -> timeout end,
undefined = erpc:call(N, erlang, whereis, [tried]),
More = receive Any -> {more, Any} after 0 -> none end,
{Down, Named, Exit, More}
"""


async def body(process: Process, end: End) -> None:
    await process.receive()
    await end.how(process)


class Callbacks(GenServer):
    """Ends in a coroutine of a callback, or of the last one."""

    def init(self, end: End, where: str) -> None:
        self.end, self.where = end, where

    async def handle_info(self, message: Any) -> None:
        if self.where == "terminate":
            raise Stop(atoms.asked)
        await self.end.how(self)

    async def terminate(self, reason: Any) -> None:
        if self.where == "terminate":
            await self.end.how(self)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("kind", ["body", "callback", "terminate"])
def test_process_that_is_watched(pair: Pair, kind: str, end: End) -> None:
    async def start() -> None:
        if kind == "body":
            pair.node.spawn(body, end, name="tried")
        else:
            await Callbacks.start(pair.node, end, kind, name="tried")

    expected = atoms.asked if kind == "terminate" and end.reason is atoms.shutdown else end.reason

    *reasons, more = pair.eval(WATCH, start)

    assert more is atoms.none
    for reason in reasons:
        assert is_reason(expected, reason), reason


def test_mailbox_that_is_watched(pair: Pair) -> None:
    """It is left by another task than the one that has opened it."""

    async def start() -> None:
        mailbox = await asyncio.create_task(pair.node.mailbox("tried").__aenter__())

        async def leave() -> None:
            assert await mailbox.receive(timeout=10) is atoms.go
            await mailbox.__aexit__(None, None, None)

        leaving.append(asyncio.ensure_future(leave()))

    leaving: list[asyncio.Future[None]] = []

    assert pair.eval(WATCH, start) == (atoms.normal,) * 3 + (atoms.none,)
    assert leaving[0].done()


# ---- functions that a real node calls, and processes that it starts

CASES = [pytest.param(f"end_{number}", end, id=name) for number, (name, end) in enumerate(EXPORTS.items())]

ERPC = """
try {{return, erpc:call(N, ends, {function}, [], 5000)}}
catch throw:T -> {{throw, T}};
      exit:{{exception, R}} -> {{exit, R}};
      exit:{{signal, R}} -> {{signal, R}};
      error:{{exception, R, _}} -> {{error, R}}
end
"""


def is_value(end: ExportEnd, value: Any) -> bool:
    """Say whether a value or a reason is as the table says; of an error without its stack."""
    if isinstance(end.value, str):
        return bool(isinstance(value, dict) and value[atoms.message].decode() == end.value)
    return bool(value == etf.decode(etf.encode(end.value)))


@pytest.mark.parametrize(("function", "end"), CASES)
def test_erpc(pair: Pair, function: str, end: ExportEnd) -> None:
    kind, value = pair.eval(ERPC.format(function=function))

    assert kind is atoms[end.kind]
    assert is_value(end, value), value


@pytest.mark.parametrize(("function", "end"), CASES)
def test_rpc(pair: Pair, function: str, end: ExportEnd) -> None:
    answer = pair.eval(f"rpc:call(N, ends, {function}, [], 5000)")

    match end.kind, answer:
        case (("return" | "throw"), value):
            assert is_value(end, value)
        case (("exit" | "signal"), (atoms.badrpc, (atoms.EXIT, reason))):
            assert is_value(end, reason)
        case "error", (atoms.badrpc, (atoms.EXIT, (reason, list()))):
            assert is_value(end, reason)
        case _:
            pytest.fail(f"answered {answer!r}")


SPAWN_MONITOR = """
{{Pid, Ref}} = spawn_monitor(N, ends, {function}, []),
Reason = receive {{'DOWN', Ref, process, Pid, R}} -> R after 5000 -> timeout end,
false = erpc:call(N, erlang, is_process_alive, [Pid]),
More = receive Any -> {{more, Any}} after 0 -> none end,
{{Reason, More}}
"""

SPAWN_LINK = """
process_flag(trap_exit, true),
Pid = spawn_link(N, ends, {function}, []),
Reason = receive {{'EXIT', Pid, R}} -> R after 5000 -> timeout end,
false = erpc:call(N, erlang, is_process_alive, [Pid]),
More = receive Any -> {{more, Any}} after 0 -> none end,
{{Reason, More}}
"""


@pytest.mark.parametrize(("function", "end"), CASES)
@pytest.mark.parametrize("code", [SPAWN_MONITOR, SPAWN_LINK], ids=["spawn_monitor", "spawn_link"])
def test_started(pair: Pair, code: str, function: str, end: ExportEnd) -> None:
    reason, more = pair.eval(code.format(function=function))

    assert more is atoms.none
    match end.kind, reason:
        case "return", _:
            assert reason is atoms.normal
        case "throw", ((atoms.nocatch, value), list()):
            assert is_value(end, value)
        case "error", (value, list()):
            assert is_value(end, value), crashed(reason)
        case (("exit" | "signal"), value):
            assert is_value(end, value)
        case _:
            pytest.fail(f"ended {reason!r}")
