"""Cookies: the own one, and those for single peers.

Source: Erlang Reference Manual, "Distributed Erlang", section "Security".
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import final

from pyzen.dist.names import check_cookie
from pyzen.errors import ConfigError


@final
class Cookies:
    """Finds the cookie for a peer. Never shows one."""

    def __init__(self, own: str | None) -> None:
        self._own = check_cookie(own) if own is not None else read_cookie_file()
        self._by_peer: dict[str, str] = {}

    def set(self, peer: str, cookie: str) -> None:
        """Use ``cookie`` with ``peer``. Raises ``ConfigError``."""
        self._by_peer[peer] = check_cookie(cookie)

    def __call__(self, peer: str) -> str:
        """Return the cookie for ``peer``."""
        return self._by_peer.get(peer, self._own)


def read_cookie_file(path: Path | None = None) -> str:
    """Return the cookie in ``path``, by default ``~/.erlang.cookie``.

    Raises:
        ConfigError: The file can't be read, is readable by others, or holds no cookie.
    """
    path = Path(os.environ.get("HOME", "~")).expanduser() / ".erlang.cookie" if path is None else path
    try:
        mode = path.stat().st_mode
        text = path.read_text("latin-1")
    except OSError as error:
        raise ConfigError(f"no cookie: give one, or put it into {path} ({error.strerror})") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"cookie file {path} must be accessible by its owner only: chmod 400 {path}")
    return check_cookie(text.strip())
