"""Names of nodes and cookies: what real nodes accept, and who wins when two dial each other.

Source: ``lib/kernel/src/net_kernel.erl`` and ``dist_util.erl`` of OTP.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from pyzen.errors import ConfigError, HandshakeError

__all__ = ["Verdict", "check_cookie", "check_name_form", "check_node_name", "simultaneous", "split_name"]

MAX_NAME_LENGTH: Final = 255
ALIVE_NAME: Final = re.compile(r"[0-9A-Za-z_-]+", re.ASCII)

# What an acceptor may answer to a name. The node decides; `simultaneous` has the rule for two attempts at once.
Verdict = Literal["ok", "ok_simultaneous", "nok", "not_allowed", "alive"]


def split_name(name: str) -> tuple[str, str] | None:
    """Return alive name and host, or None where there is not exactly one ``@`` between two parts."""
    alive, at, host = name.partition("@")
    if not alive or not at or not host or "@" in host or len(name) > MAX_NAME_LENGTH:
        return None
    return alive, host


def check_node_name(name: str) -> tuple[str, str]:
    """Return alive name and host of a name that every node accepts.

    Raises:
        ConfigError: If a real node would refuse it, or the handshake can't carry it.
    """
    parts = split_name(name)
    if parts is None:
        raise ConfigError(f"node name must be alive@host, at most {MAX_NAME_LENGTH} characters, not {name!r:.300}")
    alive, host = parts
    if not ALIVE_NAME.fullmatch(alive):
        raise ConfigError(f"the part before @ may have letters a-z, digits, _ and - only, not {alive!r}")
    if not host.isascii() or not host.isprintable() or " " in host:
        raise ConfigError(f"the host of a node name must be plain ASCII, not {host!r}")
    return alive, host


def check_name_form(own: str, peer: str) -> None:
    """Raise ``HandshakeError`` unless both names are long (the host has a dot) or both are short.

    Real nodes refuse to dial a name of the other form, so a link between the two forms could be made from one
    side only.
    """
    if ("." in own.rpartition("@")[2]) != ("." in peer.rpartition("@")[2]):
        forms = ("long", "short") if "." in own.rpartition("@")[2] else ("short", "long")
        raise HandshakeError(
            f"{own} has a {forms[0]} name and {peer} a {forms[1]} one: name both with a dot in the host (-name) "
            "or both without (-sname)",
            peer=peer,
            state="start",
        )


def check_cookie(cookie: str) -> str:
    """Return ``cookie``, if a real node could have it.

    Raises:
        ConfigError: If it is empty, longer than an atom, or has characters outside Latin-1. The message does not
            tell it.
    """
    if not 0 < len(cookie) <= MAX_NAME_LENGTH or any(ord(character) > 0xFF for character in cookie):
        raise ConfigError(f"a cookie has 1 to {MAX_NAME_LENGTH} characters, all of them Latin-1")
    return cookie


def simultaneous(own: str, peer: str) -> Verdict:
    """Return what to answer to a peer that we are dialling ourselves: the greater name's attempt survives.

    After ``ok_simultaneous`` the own attempt has to be dropped, once the peer has proved to know the cookie.
    """
    return "nok" if own > peer else "ok_simultaneous"
