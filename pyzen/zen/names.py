"""Registered names and atoms of ZenMonitor; what the peers rely on."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from pyzen.terms import Atom, atoms

PREFIX: Final = "Elixir.ZenMonitor."

SUPERVISOR: Final = Atom(PREFIX + "Supervisor")
LOCAL_SUPERVISOR: Final = Atom(PREFIX + "Local.Supervisor")
LOCAL_TABLES: Final = Atom(PREFIX + "Local.Tables")
LOCAL: Final = Atom(PREFIX + "Local")
CONNECTORS: Final = Atom(PREFIX + "Local.Connector")
DISPATCHER: Final = Atom(PREFIX + "Local.Dispatcher")
PROXY_SUPERVISOR: Final = Atom(PREFIX + "Proxy.Supervisor")
PROXY_TABLES: Final = Atom(PREFIX + "Proxy.Tables")
PROXY: Final = Atom(PREFIX + "Proxy")
BATCHERS: Final = Atom(PREFIX + "Proxy.Batcher")

LOCAL_PARTS: Final = (LOCAL_TABLES, LOCAL, CONNECTORS, DISPATCHER)
PROXY_PARTS: Final = (PROXY_TABLES, PROXY, BATCHERS)
NAMES: Final = (SUPERVISOR, LOCAL_SUPERVISOR, *LOCAL_PARTS, PROXY_SUPERVISOR, *PROXY_PARTS)
"""All of them, in the order of their start."""

PING: Final = atoms.ping
PONG: Final = atoms.pong
PROCESS: Final = atoms.process
SUBSCRIBE: Final = atoms.subscribe
UNSUBSCRIBE: Final = atoms.unsubscribe
DEAD: Final = atoms.dead
DOWN: Final = atoms.DOWN
NODEUP: Final = atoms.nodeup
NODEDOWN: Final = atoms.nodedown
DIAL_FAILED: Final = atoms.dial_failed
NOPROC: Final = atoms.noproc
NOCONNECTION: Final = atoms.noconnection
ZEN_MONITOR: Final = atoms.zen_monitor
TRUNCATED: Final = atoms.truncated

PROBE: Final = atoms.pyzen_probe
"""A name nobody registers: subscribing to it makes an Elixir Proxy start a Batcher, which watches our Connector."""

Compatibility: TypeAlias = Literal["compatible", "incompatible"]

Loss: TypeAlias = Literal[
    "lost", "never connected", "no proxy", "proxy ended", "ping timeout", "incompatible answer", "restarted"
]
"""Why references fired with ``nodedown``; ``restarted``: all of this node's ZenMonitor had failed."""


def is_reserved_name(name: Atom) -> bool:
    """Say whether a name can't be monitored: in an Elixir peer ``_`` fires every name, ``$1`` never fires."""
    text = str(name)
    return text == "_" or (text.startswith("$") and text[1:].isascii() and text[1:].isdecimal())
