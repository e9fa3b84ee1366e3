from __future__ import annotations

import runpy
import subprocess
import sys

import pytest


def test_python_m_pyzen_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "pyzen", "--help"], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("usage: pyzen ")


def test_exit_code_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pyzen", "ping"])

    with pytest.raises(SystemExit) as caught:
        runpy.run_module("pyzen", run_name="__main__")

    assert caught.value.code == 2
