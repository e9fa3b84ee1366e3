"""Tasks, as all of the package starts them: none has begun when its starter goes on.

Knows nothing of the rest of the package.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from pyzen.contained import contained

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context

__all__ = ["cancel", "current_task", "start_task"]

T = TypeVar("T")


def start_task(
    coroutine: Coroutine[Any, Any, T], *, context: Context | None = None, name: str | None = None
) -> asyncio.Task[T]:
    """Start a task, whose first step comes in a later turn of the event loop whatever its task factory.

    ``asyncio.eager_task_factory`` runs a coroutine up to its first wait before ``create_task`` returns: before its
    starter can keep the task, monitor the process, or come to the end of the step that it is in.

    Args:
        coroutine: Closed where no task can be started.
        context: Its context; None for a copy of the starter's.
        name: Of the task, for who looks at all of them.

    Raises:
        RuntimeError: No event loop runs.
    """
    try:
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), context=context, name=name)
    except BaseException:
        coroutine.close()
        raise


def current_task() -> asyncio.Task[Any] | None:
    """Return the running task, None outside of one."""
    try:
        return asyncio.current_task()
    except RuntimeError:  # no running loop
        return None


def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task of a process that has ended; what it awaits may be a future of a user, which refuses."""
    with contained:
        task.cancel()
