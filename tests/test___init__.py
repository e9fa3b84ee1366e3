"""Names are imported when they are first used; which there are is tested in `test_exports`."""

from __future__ import annotations

import subprocess
import sys

import pyzen
from pyzen import etf


def test_etf_is_the_module() -> None:
    assert pyzen.etf is etf


def test_names_are_listed() -> None:
    assert dir(pyzen) == sorted(pyzen.__all__)


def test_import_alone_loads_no_node() -> None:
    code = "import sys, pyzen; sys.exit('pyzen.node' in sys.modules or 'asyncio' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
