"""The page of the original's functions is what both answer today."""

from __future__ import annotations

from erlang_interop.original.conftest import original_only
from erlang_interop.original_functions import PAGE, UNEXPLAINED, page


@original_only
async def test_page_is_what_both_answer() -> None:
    text = await page()

    assert UNEXPLAINED not in text
    assert text == PAGE.read_text()
