"""A process that runs meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyzen.actor.gen_server import GenServer

if TYPE_CHECKING:
    from collections.abc import Callable


class Bystander(GenServer):
    """Counts, when it is sent something, what the test is about."""

    def __init__(self, count: Callable[[], int]) -> None:
        super().__init__()
        self.count = count
        self.counted: list[int] = []

    def handle_info(self, message: Any) -> None:
        self.counted.append(self.count())
