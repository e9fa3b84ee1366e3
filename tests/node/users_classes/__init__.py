"""The catalogue of users' classes; importing it fills ``CASES``."""

from __future__ import annotations

from tests.node.users_classes import forms, names, styles
from tests.node.users_classes.ordinary import CASES, Case, Ordinary

__all__ = ["CASES", "Case", "Ordinary", "forms", "names", "styles"]
