"""Event loops that a program may run the package on: asyncio's, with eager tasks, and uvloop's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LOOPS", "runner_of"]


def eager_loop() -> asyncio.AbstractEventLoop:
    """A loop whose tasks begin within ``create_task``."""
    factory = getattr(asyncio, "eager_task_factory", None)
    if factory is None:
        pytest.skip("eager tasks came with Python 3.12")
    loop = asyncio.new_event_loop()
    loop.set_task_factory(factory)
    return loop


def uv_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop, which has no wheel for every Python and machine."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed", exc_type=ImportError)
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


LOOPS: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.new_event_loop,
    "eager": eager_loop,
    "uvloop": uv_loop,
}


def runner_of(kind: str, complaints: list[Any]) -> Iterator[asyncio.Runner]:
    """Yield the runner of a loop of one kind; what the loop complains about goes to the list."""
    with asyncio.Runner(loop_factory=LOOPS[kind]) as runner:
        runner.get_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        yield runner
