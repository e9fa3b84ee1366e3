from __future__ import annotations

import asyncio
import re
from contextvars import Context, ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pyzen
from pyzen.tasks import cancel, current_task, start_task
from tests.loops import LOOPS, runner_of

if TYPE_CHECKING:
    from collections.abc import Iterator

which: ContextVar[str] = ContextVar("which", default="none")


@pytest.fixture(params=LOOPS)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    yield from runner_of(request.param, [])


def test_task_has_not_begun_when_its_starter_goes_on(runner: asyncio.Runner) -> None:
    async def main() -> None:
        begun: list[Any] = []

        async def step() -> str:
            begun.append(1)
            return which.get()

        context = Context()
        context.run(which.set, "mine")
        task = start_task(step(), context=context, name="a step")
        assert begun == []
        assert task.get_name() == "a step"
        assert await task == "mine"
        assert which.get() == "none"

    runner.run(main())


def test_coroutine_that_can_not_be_started_is_closed() -> None:
    async def step() -> None:
        """Never begins: a warning that it was never awaited would be an error here."""

    coroutine = step()
    with pytest.raises(RuntimeError, match="no running event loop"):
        start_task(coroutine)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        coroutine.send(None)


async def test_current_task_is_the_one_that_runs() -> None:
    assert current_task() is asyncio.current_task()


def test_there_is_no_current_task_without_a_loop() -> None:
    assert current_task() is None


async def test_task_that_refuses_to_be_cancelled_raises_nothing() -> None:
    class Refusing(asyncio.Future[None]):
        def cancel(self, msg: Any = None) -> bool:
            raise RuntimeError("not to be cancelled")

    future = Refusing()

    async def wait() -> None:
        await future

    task = start_task(wait())
    await asyncio.sleep(0)
    cancel(task)
    future.set_result(None)
    await task


EAGER = re.compile(r"\b(create_task|ensure_future|TaskGroup|to_thread|wait_for)\(")


def test_package_starts_its_tasks_in_one_way() -> None:
    """What begins at once under ``asyncio.eager_task_factory`` is what all other tests can't see."""
    root = Path(pyzen.__file__).parent
    found = [
        f"{path.relative_to(root)}:{number}"
        for path in root.rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if EAGER.search(line) and "runtime.create_task(" not in line and "def create_task(" not in line
    ]

    assert found == []
