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


def rows_of_faults() -> dict[int, str]:
    """Return the table of faults, by number."""
    page = (TOP / "docs" / "faults.md").read_text()
    return {int(number): row for number, row in re.findall(r"^\| (\d+) \|(.*)$", page, re.MULTILINE)}


def test_every_fault_has_a_row() -> None:
    assert sorted(rows_of_faults()) == list(range(1, 33))


def test_every_row_of_a_fault_names_tests_of_that_fault() -> None:
    without = {
        number for number, row in rows_of_faults().items() if not re.search(rf"`test_fault_(\d+_)*{number}_", row)
    }

    assert without == set()


def test_every_row_says_how_the_fault_is_known() -> None:
    for number, row in rows_of_faults().items():
        _, known, ours, shown = (cell.strip() for cell in row.strip(" |").split(" | "))
        assert re.search("reproduced|measured|read in its source", known), number
        assert ours, number
        assert re.fullmatch(r"`test_\w+`(, `test_\w+`)*", shown), number
        if "reproduced" in known:
            assert re.search(rf"`test_original_fault_(\d+_)*{number}_", known), number
