"""What real nodes log of what Python has started there: it appears in Python's log."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlNode
    from pyzen.node.node import Node

    StartPython = Callable[..., Awaitable[Node]]
    StartElixir = Callable[..., Awaitable[ElixirNode]]
    StartErl = Callable[..., Awaitable[ErlNode]]

PLACE = {atoms.mfa: (atoms.m, atoms.f, 1)}


def charlist(text: str) -> list[int]:
    return [ord(one) for one in text]


class Logs:
    """A peer, and what it has logged here."""

    def __init__(self, node: Node, peer: str, caplog: pytest.LogCaptureFixture) -> None:
        self.node = node
        self.peer = peer
        self._caplog = caplog

    async def run(self, module: str, function: str, *args: Any) -> Any:
        """Start something there."""
        return await self.node.rpc(self.peer, module, function, list(args))

    async def record(self, text: str) -> logging.LogRecord:
        """Wait for a record with ``text`` in it."""
        async with asyncio.timeout(10):
            while True:
                for record in self._caplog.records:
                    if record.name == "pyzen.remote" and text in record.getMessage():
                        return record
                await asyncio.sleep(0.01)


@pytest.fixture
async def logs(python_node: StartPython, erl_node: StartErl, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Logs]:
    node, erl = await python_node(), await erl_node()
    with caplog.at_level(logging.DEBUG, "pyzen.remote"):
        yield Logs(node, erl.name, caplog)


async def test_a_format_is_logged_here(logs: Logs) -> None:
    began = time.time()

    await logs.run("logger", "error", charlist("it is ~p~nand ~ts"), [atoms.broken, b"gr\xc3\xbcn"])

    record = await logs.record("it is")
    assert record.getMessage() == f"{logs.peer}: it is broken\\nand gr\u00fcn"
    assert record.levelno == logging.ERROR
    assert record.node == logs.peer  # type: ignore[attr-defined]
    assert record.pid.startswith(f"<{logs.peer}.")  # type: ignore[attr-defined]
    assert began - 60 < record.time < time.time() + 60  # type: ignore[attr-defined]


async def test_a_text_is_logged_here_with_the_place_it_names(logs: Logs) -> None:
    await logs.run("logger", "warning", charlist("two\nlines"), PLACE)

    record = await logs.record("two")
    assert record.getMessage() == f"{logs.peer}: two\\nlines"
    assert (record.levelno, record.mfa) == (logging.WARNING, "m:f/1")  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["map", "list"])
async def test_a_report_is_logged_here(logs: Logs, form: str) -> None:
    report: Any = [(atoms.what, atoms.lost), (atoms.count, 3)]

    await logs.run("logger", "notice", dict(report) if form == "map" else report)

    record = await logs.record("lost")
    assert record.getMessage() in {
        f"{logs.peer}: what: lost, count: 3",
        f"{logs.peer}: count: 3, what: lost",
    }
    assert record.levelno == logging.INFO


async def test_a_crash_report_is_logged_here(logs: Logs) -> None:
    await logs.run("proc_lib", "spawn", atoms.erlang, atoms.error, [atoms.boom])

    record = await logs.record("crasher: ")
    assert "initial_call: {erlang,error," in record.getMessage()
    assert "error_info: {error,boom,[{" in record.getMessage()
    assert record.levelno == logging.ERROR


async def test_the_end_of_a_plain_process_is_logged_here(logs: Logs) -> None:
    await logs.run("erlang", "spawn", atoms.erlang, atoms.error, [atoms.boom])

    record = await logs.record("boom")
    assert "Error in process" in record.getMessage()
    assert record.levelno == logging.ERROR


async def test_what_elixir_logs_is_logged_here(
    python_node: StartPython, elixir_node: StartElixir, caplog: pytest.LogCaptureFixture
) -> None:
    node, elixir = await python_node(), await elixir_node()
    with caplog.at_level(logging.DEBUG, "pyzen.remote"):
        logs = Logs(node, elixir.name, caplog)
        await logs.run("Elixir.Logger", "bare_log", atoms.error, "plain text")
        await logs.run("Elixir.Task", "start", atoms.erlang, atoms.error, [atoms.boom])

        assert (await logs.record("plain text")).getMessage() == f"{elixir.name}: plain text"
        assert (await logs.record("boom")).levelno == logging.ERROR
