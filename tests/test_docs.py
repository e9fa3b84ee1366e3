from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parent.parent


def named_tests() -> set[str]:
    """Return the names of all tests of the project."""
    sources = [*TOP.glob("tests/**/*.py"), *TOP.glob("erlang_interop/**/*.py")]
    return {name for source in sources for name in re.findall(r"def (test_\w+)\(", source.read_text())}


def test_every_test_that_a_page_names_exists() -> None:
    pages = {page.name: set(re.findall(r"`(test_\w+)`", page.read_text())) for page in TOP.glob("docs/*.md")}

    assert pages["mistakes.md"]
    assert {name: names - named_tests() for name, names in pages.items() if names - named_tests()} == {}
