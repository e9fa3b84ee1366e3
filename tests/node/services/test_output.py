"""Standard output that nobody reads holds up nobody."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING

from pyzen.node.services.output import MAX_WAITING, Output, StderrHandler, write, write_all
from pyzen.terms import atoms

if TYPE_CHECKING:
    import pytest

    from tests.node.services.conftest import Two


class Reader:
    """Makes standard output a pipe, which is read when somebody says so; made in the test, for pytest has its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read_end, self.write_end = os.pipe()
        stream = io.TextIOWrapper(io.FileIO(self.write_end, "w", closefd=False), encoding="utf-8")
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        self.read = b""
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while data := os.read(self.read_end, 1 << 20):
            self.read += data

    def close(self) -> bytes:
        """Read to the end."""
        if self._thread is None:
            self.begin()
        os.close(self.write_end)
        assert self._thread is not None
        self._thread.join()
        os.close(self.read_end)
        return self.read


async def test_work_is_done_in_order() -> None:
    output, done = Output(), []
    for number in range(100):
        assert output.offer(10, lambda number=number: done.append(number))  # type: ignore[misc]

    await output.stop()

    assert done == list(range(100))


async def test_work_that_fails_takes_nothing_else_along() -> None:
    output, done = Output(), []
    output.offer(0, lambda: 1 / 0)
    output.offer(0, lambda: done.append(1))

    await output.stop()

    assert done == [1]


async def test_what_waits_has_a_bound() -> None:
    output, gate, done = Output(), threading.Event(), []
    output.offer(MAX_WAITING // 2, gate.wait)
    offered = [output.offer(MAX_WAITING // 10, lambda: done.append(1)) for _ in range(10)]

    gate.set()
    await output.stop()

    assert offered == [True] * 4 + [False] * 6
    assert (len(done), output.dropped) == (4, 6)


async def test_single_large_text_is_taken() -> None:
    output, done = Output(), []

    assert output.offer(10 * MAX_WAITING, lambda: done.append(1))
    await output.stop()

    assert done == [1]


async def test_stop_leaves_no_thread() -> None:
    output = Output()
    output.offer(0, lambda: None)

    await output.stop()

    assert "pyzen-output" not in {thread.name for thread in threading.enumerate()}
    assert not output.offer(0, lambda: None)


async def test_stop_waits_for_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyzen.node.services.output.STOP_TIMEOUT", 0.01)
    output, gate = Output(), threading.Event()
    output.offer(0, gate.wait)

    async with asyncio.timeout(5):
        await output.stop()
    gate.set()


def test_text_goes_past_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(monkeypatch)
    write("gr\u00fc\u00dfe \ud800\n")

    assert reader.close() == "gr\u00fc\u00dfe \\ud800\n".encode()


def test_pipe_that_never_waits_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(monkeypatch)
    os.set_blocking(reader.write_end, False)
    text = b"x" * 1_000_000
    reader.begin()

    write_all(reader.write_end, text)

    assert reader.close() == text


async def test_node_goes_on_while_nobody_reads(
    two: Two, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Reader(monkeypatch)
    text = "x" * 99_999
    async with two.caller.mailbox() as me:
        for number in range(100):
            request = (atoms.io_request, me.pid, number, (atoms.put_chars, atoms.unicode, text.encode() + b"\n"))
            me.send((atoms.user, two.callee.name), request)

        async with asyncio.timeout(5):
            assert await two.caller.call(("rex", two.callee.name), atoms.nonsense) is atoms.ignored
            assert await two.callee.call("rex", atoms.nonsense) is atoms.ignored
        reader.begin()
        answers = [await me.receive(timeout=5) for _ in range(100)]

    assert {answer[2] for answer in answers} == {atoms.ok}
    assert sum("were dropped" in record.getMessage() for record in caplog.records) == 1
    await two.callee.stop()
    lines = reader.close().decode().splitlines()
    assert set(lines) == {text}
    assert MAX_WAITING // 100_000 - 2 <= len(lines) < 50


# ---- what is logged


def logger_to(descriptor: int) -> tuple[logging.Logger, StderrHandler]:
    logger, handler = logging.Logger("test"), StderrHandler(descriptor)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    return logger, handler


def test_lines_are_written_in_order() -> None:
    read_end, write_end = os.pipe()
    logger, handler = logger_to(write_end)
    for number in range(3):
        logger.warning("line %d \ud800", number)

    handler.close()

    os.close(write_end)
    assert os.read(read_end, 1000) == b"".join(b"WARNING line %d \\ud800\n" % number for number in range(3))
    os.close(read_end)


def test_logging_goes_on_while_nobody_reads() -> None:
    read_end, write_end = os.pipe()
    logger, handler = logger_to(write_end)

    for _ in range(1000):
        logger.warning("x" * 10_000)
    assert handler._output.dropped > 500

    os.close(read_end)  # the thread is let go of
    handler.close()
    os.close(write_end)


async def test_stop_holds_up_no_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time between two turns stays well below that for which the thread is waited for."""
    monkeypatch.setattr("pyzen.node.services.output.STOP_TIMEOUT", 0.2)
    gaps = []
    for _ in range(3):  # the machine may have other things to do once
        output, gate = Output(), threading.Event()
        output.offer(0, gate.wait)
        loop = asyncio.get_running_loop()
        stopping, last, longest = asyncio.ensure_future(output.stop()), loop.time(), 0.0
        while not stopping.done():
            await asyncio.sleep(0)
            longest, last = max(longest, loop.time() - last), loop.time()
        gate.set()
        gaps.append(longest)

    assert min(gaps) < 0.05
