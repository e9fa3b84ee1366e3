"""The Hypothesis profiles; importing this module loads the one that ``HYPOTHESIS_PROFILE`` names.

``dev`` (the default) is quick, ``ci`` thorough. Both print what reproduces a failure.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

NAME: Final = os.environ.get("HYPOTHESIS_PROFILE", "dev")

COMMON: Final = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("dev", COMMON, max_examples=100)
settings.register_profile("ci", COMMON, max_examples=300)
settings.load_profile(NAME)
