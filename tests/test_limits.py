"""The page of bounds has all of them, with their defaults."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from pyzen import logs
from pyzen.actor import debugging, guarded
from pyzen.config import Limits, ZenConfig
from pyzen.node import births, connections, epmd_server, join, metrics_server, router, unread
from pyzen.node.services import applications, output, process_info, remote_call, rex, user
from pyzen.node.services.zen_settings import PEER_RANGES
from pyzen.zen import calls, proxy

PAGE = Path(__file__).parent.parent / "docs" / "limits.md"
OWNERS: dict[str, Any] = {
    "Limits": Limits(), "ZenConfig": ZenConfig(), "rex": rex, "output": output, "user": user, "logs": logs,
    "calls": calls, "proxy": proxy, "guarded": guarded, "epmd_server": epmd_server, "metrics_server": metrics_server,
    "process_info": process_info, "router": router, "connections": connections, "join": join, "debugging": debugging,
    "births": births, "unread": unread, "applications": applications, "remote_call": remote_call,
}  # fmt: skip


def rows() -> dict[tuple[str, str], str]:
    """Return the default that the page gives each bound."""
    cells = re.findall(r"^\| [^|]+ \| `(\w+)\.(\w+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    return {(owner, name): default for owner, name, default in cells}


def number(text: str) -> float:
    value, _, unit = text.partition(" ")
    return float(value) * {"": 1, "MiB": 1024 * 1024}[unit]


def test_every_row_gives_the_bound_in_force() -> None:
    given = {row: number(text) for row, text in rows().items()}

    assert given == {(owner, name): getattr(OWNERS[owner], name) for owner, name in given}
    assert {owner for owner, _ in given} == set(OWNERS)


def test_every_limit_has_a_row() -> None:
    names = {one.name for one in fields(Limits)} - {"atom_cache"}

    assert {name for owner, name in rows() if owner == "Limits"} == names


def test_every_range_of_a_peer_has_a_row() -> None:
    given = re.findall(r"^\| (`[^|]+) \| (\d+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE)

    assert {
        name: (int(lowest), int(highest)) for names, lowest, highest in given for name in re.findall(r"`(\w+)`", names)
    } == PEER_RANGES
