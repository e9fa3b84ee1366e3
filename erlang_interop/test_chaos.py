"""A short run of the chaos ledger; ``make chaos`` runs it for as long as one likes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from erlang_interop.chaos.__main__ import judged
from erlang_interop.chaos.run import Options, Run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_monitor_has_one_allowed_outcome_whatever_breaks(mix_fixture: Path, tmp_path: Path) -> None:
    del mix_fixture  # has to be compiled
    seed = secrets.randbelow(10**6)
    print(f"replay with: make chaos SEED={seed} MINUTES=0.5")
    run = Run(Options(seed, minutes=0.5, monitors=2000), tmp_path, print)

    await run.play()

    verdict, wrong = judged(run)
    assert wrong == []
    assert verdict.directions["python watches elixir"].outcomes["died"] > 0
