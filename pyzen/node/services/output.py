"""Output: writes to standard output in a thread of its own, so that a reader who does not read holds up nobody.

A terminal that was stopped by Ctrl-S, or a pipe whose reader is busy, takes nothing more at some point, and whoever
writes then waits: that is this thread, and not the event loop with all its links.

What waits has a bound. Past it texts are dropped and counted; who wrote them is answered all the same, for a process
of a peer that fails because nobody reads our output would be harmed more than a lost line is worth.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import sys
from collections import deque
from contextlib import suppress
from functools import partial
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.contained import contained
from pyzen.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_WAITING", "Output", "StderrHandler", "write"]

log = get_logger("pyzen.io")

MAX_WAITING: Final = 4 * 1024 * 1024
"""Bytes of what waits to be written, as sent; a single larger request is taken when nothing else waits."""

REQUEST: Final = 1000
"""Bytes that each request counts beside its text."""

STOP_TIMEOUT: Final = 1.0
"""Seconds in which what waits is still written when the node stops."""


@final
class Output:
    """The way to standard output.

    Attributes:
        dropped: Requests that found no room.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[tuple[int, Callable[[], object]]] = deque()
        self._size = 0
        self._stopped = False
        self._at_end: Callable[[], object] = bool
        self._thread: Thread | None = None
        self.dropped = 0

    def offer(self, size: int, work: Callable[[], object]) -> bool:
        """Let the thread do ``work``, in order; false when there is no room for so many bytes."""
        size += REQUEST
        with self._changed:
            if self._stopped or (self._size and self._size + size > MAX_WAITING):
                self.dropped += 1
                return False
            self._size += size
            self._waiting.append((size, work))
            self._changed.notify_all()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="pyzen-output", daemon=True)
            self._thread.start()
        return True

    async def stop(self) -> None:
        """Write what waits, for a second at most, and end the thread unless it is held up."""
        ended = asyncio.Event()
        self._at_end = partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set)
        self._take_no_more()
        if self._thread is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT):
                    await ended.wait()
                    self._thread.join()  # it does nothing any more

    def close(self) -> None:
        """Take nothing more, and wait for a second at most until what waits is written."""
        self._take_no_more()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT)

    def _take_no_more(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        self._work()
        with contained:  # the event loop may be closed
            self._at_end()

    def _work(self) -> None:
        while (next_ := self._next()) is not None:
            size, work = next_
            with contained:
                work()
            with self._changed:
                self._size -= size

    def _next(self) -> tuple[int, Callable[[], object]] | None:
        """Wait for work; None when there will be none."""
        with self._changed:
            while not self._waiting and not self._stopped:
                self._changed.wait()
            return self._waiting.popleft() if self._waiting else None


def write(text: str) -> None:
    """Write to standard output and wait until it is taken; a process without one has its log instead."""
    stream: Any = sys.stdout
    is_real = stream is sys.__stdout__
    try:
        if stream is None:
            log.info("%s", text.rstrip("\n"))
        elif is_real:
            write_all(stream.fileno(), text.encode(stream.encoding, "backslashreplace"))
        else:
            stream.write(text)
            stream.flush()
    except (OSError, ValueError):  # closed, or nobody will read it any more
        log.info("%s", text.rstrip("\n"))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all, and wait until it is taken.

    Past the buffer of the stream: a program could not end while this thread waits in there with its lock.
    """
    left: Any = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # whoever started the program made it so
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


@final
class StderrHandler(logging.Handler):
    """Writes the lines of ``logging`` to standard error, and leaves them out while nobody reads that.

    Args:
        descriptor: Where it writes.
    """

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._output = Output()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line to the thread that writes."""
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        except Exception:  # as every handler of `logging` does
            self.handleError(record)
            return
        self._output.offer(len(line), partial(write_all, self._descriptor, line))

    def close(self) -> None:
        """Write what waits."""
        self._output.close()
        super().close()
