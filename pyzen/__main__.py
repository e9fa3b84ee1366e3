"""``python -m pyzen``: the same as the command ``pyzen``."""

from __future__ import annotations

import sys

from pyzen.cli import main

if __name__ == "__main__":
    sys.exit(main())
