"""The recorded pages are what a real iex answers today."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from erlang_interop.scripts import SCRIPTS
from erlang_interop.transcript import DOCS, session

if TYPE_CHECKING:
    from erlang_interop.releases import Release


def steady(text: str) -> str:
    """Return a transcript without what differs from run to run, and from one width of a pid to the next."""
    text = re.sub(r"\s+", " ", re.sub(r"#(PID|Reference)<[\d.]+>", r"#\1<>", text)).strip()
    # What a new process prints races with the value of the call that has started it, from any node.
    return re.sub(r"(\{#PID<>, #Reference<>\}) (hello from Python)", r"\2 \1", text)


@pytest.mark.needs("Elixir")
@pytest.mark.parametrize("name", SCRIPTS)
async def test_page_is_what_iex_answers(release: Release, name: str) -> None:
    heading = f"## OTP {release.version}, Elixir {release.elixir}\n"
    _, _, recorded = (DOCS / f"{name}.md").read_text().partition(heading)
    if not recorded:
        pytest.skip(f"not available: {name}.md was recorded on other releases than {release.version}")

    found = await session(SCRIPTS[name], release)

    recorded = recorded.partition("\n## OTP ")[0]
    assert steady(found).replace(':"erlang_interop.transcript"', ":__main__") == steady(recorded)
