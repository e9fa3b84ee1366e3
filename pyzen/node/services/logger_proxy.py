"""``logger_proxy``: the logs of other nodes about what this node has started there.

The logger of a node sends the events of a process to where its group leader is; the leader of what Python has started
is ``user`` of this node. They go on to ``logging``, as logger ``pyzen.remote``.

Messages in, plain ones::

    {log, Level, Format, Args, Meta}
    {log, Level, StringOrReport, Meta}

Level ``emergency``, ``alert`` and ``critical`` are CRITICAL, ``notice`` is INFO. Each record has ``node``, ``pid``,
``mfa`` and ``time``, the seconds since 1970 of the event itself, as attributes. The node is that of the link.

One event is one line, bounded and escaped; lines are bounded in number, for each node and for all of them together.

Source: OTP, ``logger.erl`` and ``logger_proxy.erl``.
"""

from __future__ import annotations

import logging
from typing import Any, Final, final

from pyzen.actor.guarded import GuardedServer
from pyzen.actor.server_loop import server_loop
from pyzen.actor.verbs import actor_of
from pyzen.logs import escaped, get_logger
from pyzen.node.services.log_events import details_of, text_of_format, text_of_message
from pyzen.terms import Atom, atoms
from pyzen.throttle import Throttle

__all__ = ["LoggerProxy"]

log = get_logger("pyzen.remote", bounded=False)

LEVELS: Final = {
    atoms.emergency: logging.CRITICAL,
    atoms.alert: logging.CRITICAL,
    atoms.critical: logging.CRITICAL,
    atoms.error: logging.ERROR,
    atoms.warning: logging.WARNING,
    atoms.notice: logging.INFO,
    atoms.info: logging.INFO,
    atoms.debug: logging.DEBUG,
}

INTERVAL: Final = 10.0
PEER_LINES: Final = 100
"""Lines of one node in each interval."""

ALL_LINES: Final = 500
"""Lines of all nodes in each interval."""

MAX_PEERS: Final = 1000
"""Nodes whose lines are counted apart; past them the one that came first is forgotten."""


@final
class Rate:
    """How often one node may write, and how many of its events nobody has seen."""

    __slots__ = ("missed", "throttle")

    def __init__(self) -> None:
        self.throttle = Throttle(PEER_LINES, INTERVAL)
        self.missed = 0


@final
class LoggerProxy(GuardedServer):
    """Hands log events of peers to ``logging``."""

    def init(self) -> None:
        """Begin with nobody known."""
        self._all = Throttle(ALL_LINES, INTERVAL)
        self._rates: dict[str, Rate] = {}

    def handle_info(self, message: Any) -> None:
        """Take an event."""
        match message:
            case (atoms.log, Atom() as level, control, list() as arguments, meta) if level in LEVELS:
                self._take(LEVELS[level], meta, text_of_format, control, arguments)
            case (atoms.log, Atom() as level, event, meta) if level in LEVELS:
                self._take(LEVELS[level], meta, text_of_message, event)
            case _:
                self.stray(message)

    def _take(self, level: int, meta: Any, text_of: Any, *event: Any) -> None:
        """Write a line, if anybody wants to see it, and there is room for one more."""
        if not log.is_enabled_for(level):
            return
        node = self._source()
        count = self._lines_for(node)
        if count:
            more = f" ({count - 1} more of this node were left out)" if count > 1 else ""
            log.log(level, "%s: %s%s", node, text_of(*event), more, extra={"node": node, **details_of(meta)})

    def _source(self) -> str:
        """Return the node that an event comes from, whatever it says itself."""
        actor = actor_of(self)
        via = server_loop(actor).via
        node = actor.runtime.peer_of(via) if via else actor.runtime.name
        return "a node that is gone" if node is None else escaped(str(node))

    def _lines_for(self, node: str) -> int:
        """Count an event; returns how many a line of it would stand for, 0 if there may be none."""
        now = actor_of(self).runtime.now()
        rate = self._rates.get(node)
        if rate is None:
            if len(self._rates) >= MAX_PEERS:
                del self._rates[next(iter(self._rates))]
            rate = self._rates[node] = Rate()
        rate.missed += 1
        if not (rate.throttle.let(now) and self._all.let(now)):
            return 0
        count, rate.missed = rate.missed, 0
        return count
