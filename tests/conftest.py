"""What all tests share."""

from __future__ import annotations

import pytest

from pyzen.logs import forget_bounds
from tests import profiles

__all__ = ["profiles"]


@pytest.fixture(autouse=True)
def _all_lines() -> None:
    """Let every test see the lines that it causes, however many others have caused."""
    forget_bounds()
