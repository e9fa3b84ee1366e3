"""How the Pythons are found on which the tests run, and what counts as a failure."""

from __future__ import annotations

import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from tests import pythons
from tests.places import Unavailable
from tests.pythons import Outcome, counts_as_failed, main, obtain

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"3.{sys.version_info.minor}{'t' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''}"
FAILED = Outcome("3.12", "3.12.1", 60.0, "1 failed, 4000 passed", passed=False)
MISSING = Outcome("3.12", "-", 0.1, "no python3.12", passed=False)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is the whole path, and pyenv's: both empty."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setattr(pythons, "BUILD", tmp_path / "build")
    return tmp_path


def add(folder: Path, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"python{NAME}").write_text(f"#!/bin/sh\n{script}\n")
    (folder / f"python{NAME}").chmod(0o755)


@pytest.mark.parametrize("script", ["exit 127", "echo 3.9; echo 3.9.1; echo /python"])
def test_python_is_the_first_that_works_and_is_what_its_name_says(nowhere: Path, script: str) -> None:
    add(nowhere, script)
    add(nowhere / "versions" / "3.9.1" / "bin", f'exec {sys.executable} "$@"')

    found = obtain(NAME)

    assert (found.name, found.version, found.program) == (NAME, sys.version.split()[0], sys.executable)


def test_newest_of_pyenv_comes_first(nowhere: Path) -> None:
    for version in ("3.9.1", "3.10.1"):
        add(nowhere / "versions" / version / "bin", f"echo {NAME}; echo {version}; echo /python")

    assert obtain(NAME).version == "3.10.1"


def test_python_that_is_not_there_is_unavailable(nowhere: Path) -> None:
    with pytest.raises(Unavailable, match=r"no python3\.12 on the path or under pyenv"):
        obtain("3.12")


@pytest.mark.parametrize(("required", "code"), [("1", 1), ("0", 0)])
def test_python_that_is_not_there_is_told_and_fails_where_it_must_be(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], required: str, code: int
) -> None:
    monkeypatch.setenv("PYZEN_REQUIRE_PYTHONS", required)

    assert main(["--python", "3.12", "-x"]) == code

    assert "3.12    -         0        no python3.12 on the path or under pyenv\n" in capsys.readouterr().out


def test_failure_counts_always_and_an_absence_where_it_must_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for required in ("0", "1"):
        monkeypatch.setenv("PYZEN_REQUIRE_PYTHONS", required)
        assert counts_as_failed(FAILED)
        assert counts_as_failed(MISSING) is (required == "1")
        assert not counts_as_failed(Outcome("3.14", "-", 0.1, "debootstrap failed", passed=False))
