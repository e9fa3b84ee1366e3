"""What all tests share."""

from __future__ import annotations

from tests import profiles

__all__ = ["profiles"]
