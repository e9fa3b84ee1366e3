"""The rows of ZenMonitor that are per monitor: typed names for what the native module has.

`MonitorTable` is the Local half (references of this node's subscribers), `SubscriptionTable` the Proxy half (what other
nodes' Connectors are subscribed to). `Unreads` has the DOWNs that lie in mailboxes, as `Downs`. All hold terms only and
never call back; none takes part in cycles.
"""

from __future__ import annotations

from typing import Final

from pyzen._native import Downs, MonitorTable, SubscriptionTable, Unreads

__all__ = [
    "BATCHER",
    "FIRED",
    "IDLE",
    "LIVE",
    "MONITOR",
    "MORE",
    "SUBSCRIBER",
    "WOKEN",
    "Downs",
    "MonitorTable",
    "SubscriptionTable",
    "Unreads",
]

SUBSCRIBER: Final = 1
"""From ``add``: the subscriber needs a reciprocal monitor."""

WOKEN: Final = 2
"""A node has instructions to send and had none: ``take_woken`` names it."""

IDLE: Final = 4
"""A subscriber has no reference left: ``retire`` removes it."""

LIVE: Final = 8
"""From ``remove``: the reference had not fired."""

FIRED: Final = 16
"""From ``remove``: the reference had fired; its DOWN will not be delivered."""

MORE: Final = 32
"""From ``settle``: call again."""

BATCHER: Final = 1
"""From ``subscribe``: the Connector was not known."""

MONITOR: Final = 2
"""From ``subscribe``: the target has no ERTS monitor."""
