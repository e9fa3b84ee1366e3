"""What the log tells an operator of one remote node: when it turns incompatible or compatible, what fired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from pyzen.logs import get_logger
from pyzen.throttle import Throttle

if TYPE_CHECKING:
    from pyzen.terms import Atom
    from pyzen.zen.names import Loss

__all__ = ["PeerLog"]

log = get_logger("pyzen.zen")

ADVICE: Final[dict[Loss, str]] = {
    "no proxy": "start zen_monitor there",
    "proxy ended": "see its log",
    "ping timeout": "is it overloaded?",
    "incompatible answer": "which version runs there?",
}


@final
class PeerLog:
    """Log lines about one remote node; outlives its Connectors.

    Args:
        peer: The remote node.
    """

    def __init__(self, peer: Atom) -> None:
        self._peer = peer
        self._cause: Loss | None = None
        self._fired = Throttle()

    def incompatible(self, node: Atom, cause: Loss, penalty: float) -> None:
        """It is incompatible, as far as ``node`` can tell, for ``penalty`` seconds: a warning, once per cause."""
        if cause == self._cause:
            log.debug("%s: %s is still incompatible: next attempt in %.1f s", node, self._peer, penalty)
            return
        self._cause = cause
        text = "%s: %s is incompatible: %s (%s), next attempt in %.1f s"
        log.warning(text, node, self._peer, cause, ADVICE.get(cause, "see the lines before"), penalty)

    def compatible(self, node: Atom) -> None:
        """An epoch begins. A line only where there was one before; what the epoch's end fires is told at once."""
        self._fired = Throttle()
        if self._cause is not None:
            self._cause = None
            log.info("%s: %s is compatible now", node, self._peer)

    def fired(self, node: Atom, count: int, cause: Loss, now: float) -> None:
        """``count`` monitors fired ``nodedown``; of what fires while it is out of reach, a line per ten seconds."""
        count = self._fired.let(now, count)
        if count:
            log.info("%s: %d monitors of processes on %s fired nodedown: %s", node, count, self._peer, cause)
