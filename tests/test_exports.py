from __future__ import annotations

import re
from pathlib import Path

import pytest

import pyzen


@pytest.mark.parametrize("name", pyzen.__all__)
def test_exported_name_is_there(name: str) -> None:
    assert getattr(pyzen, name) is not None


def test_stub_tells_the_same_names() -> None:
    stub = Path(pyzen.__file__).with_suffix(".pyi").read_text()

    assert set(re.findall(r'^    "(\w+)",$', stub, re.MULTILINE)) == set(pyzen.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        pyzen.no_such_name  # type: ignore[attr-defined]  # noqa: B018
