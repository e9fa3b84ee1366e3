"""Programs end while threads are at work; ``python -m tests.exits`` does it as often as wanted."""

from __future__ import annotations

import pytest

from tests.exits import WAYS, end_once


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", WAYS)
def test_program_ends_while_threads_are_at_work(way: str, seed: int) -> None:
    code, text = end_once(way, seed)

    assert code == 0, text
