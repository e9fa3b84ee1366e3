"""Links and monitors of one process: its half of the pairwise state, without any delivery.

States of a link, per pair of processes (the other end keeps the same table)::

    event              entry absent     active              unlinking (id remembered)
    link()             add, send LINK   -                   activate, send LINK
    unlink()           -                unlinking, send ID  -
    LINK received      add              -                   -
    UNLINK_ID received ack              ack, remove         ack
    UNLINK_ID_ACK      -                -                   remove if the id is equal
    EXIT received      -                remove, deliver     -

When the connection is lost, active links are given away (`Relations.detach`) and stay here until their exit signal
takes effect; ``unlink()`` removes such a one at once, since nobody is left to acknowledge it.

Source: OTP, "Distribution Protocol", section "New link protocol".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from pyzen.shares import Shares
    from pyzen.terms import Atom, Pid, Reference


@final
class LinkState:
    """One link: active, or waiting for the acknowledgement of ``unlink_id``."""

    __slots__ = ("active", "unlink_id")

    def __init__(self) -> None:
        self.active = True
        self.unlink_id = 0


@final
class PeerRelations:
    """What a process shares with the processes of one other node; given away whole when the link is lost."""

    __slots__ = ("links", "monitors", "watchers")

    def __init__(self) -> None:
        self.links: dict[Pid, LinkState] = {}
        self.monitors: set[Reference] = set()
        self.watchers: set[Reference] = set()

    def __bool__(self) -> bool:
        return bool(self.links or self.monitors or self.watchers)

    @property
    def weight(self) -> int:
        """How much of it the other node has caused: links of either end, and who watches from there."""
        return len(self.links) + len(self.watchers)


@final
class Relations:
    """Links, monitors and watchers of one process.

    Args:
        node: Its own node.
        shared: Counts the links with each other node, and the watchers there, of all processes of the node.

    Attributes:
        links: Other pid -> state.
        monitors: Reference -> the object a DOWN will name: a pid, or ``(name, node)``.
        watchers: Reference -> (watching pid, the name it monitored or None for the pid).
        peers: Node -> the part of the above that ends with the link to that node.
    """

    __slots__ = ("_shared", "_unlink_id", "links", "monitors", "node", "peers", "watchers")

    def __init__(self, node: Atom, shared: Shares) -> None:
        self.node = node
        self._shared = shared
        self.links: dict[Pid, LinkState] = {}
        self.monitors: dict[Reference, Any] = {}
        self.watchers: dict[Reference, tuple[Pid, Atom | None]] = {}
        self.peers: dict[Atom, PeerRelations] = {}
        self._unlink_id = 0

    def _peer(self, node: Atom) -> PeerRelations | None:
        """Return the relations to ``node``, made when absent; None for the own node."""
        if node is self.node:
            return None
        peer = self.peers.get(node)
        if peer is None:
            peer = self.peers[node] = PeerRelations()
        return peer

    # ---- links

    def is_linked(self, pid: Pid) -> bool:
        """Whether the link to ``pid`` is active: no LINK has to be sent."""
        state = self.links.get(pid)
        return state is not None and state.active

    def add_link(self, pid: Pid) -> None:
        """Make the link to ``pid`` active."""
        state = self.links.get(pid)
        if state is None:
            self._insert_link(pid)
        elif not state.active:
            state.active, state.unlink_id = True, 0

    def _insert_link(self, pid: Pid) -> None:
        state = self.links[pid] = LinkState()
        peer = self._peer(pid.node)
        if peer is not None:
            peer.links[pid] = state
            self._shared.take(pid.node)

    def start_unlink(self, pid: Pid) -> int | None:
        """Deactivate the link; returns the id of the UNLINK_ID to send, None when there is nothing to send."""
        state = self.links.get(pid)
        if state is None or not state.active:
            return None
        if self._is_lost(pid, state):
            self._remove_link(pid)  # nobody is left to acknowledge
            return None
        self._unlink_id += 1
        state.active, state.unlink_id = False, self._unlink_id
        return self._unlink_id

    def _is_lost(self, pid: Pid, state: LinkState) -> bool:
        """Whether the link was given away, and its exit signal is on the way."""
        if pid.node is self.node:
            return False
        peer = self.peers.get(pid.node)
        return peer is None or peer.links.get(pid) is not state

    def receive_link(self, pid: Pid) -> None:
        """A LINK from ``pid`` came."""
        if pid not in self.links:
            self._insert_link(pid)

    def receive_lost_link(self, pid: Pid) -> PeerRelations | None:
        """A LINK from ``pid`` came, and its connection is lost already: given away at once, if it is the first."""
        if pid in self.links:
            return None
        lost = PeerRelations()
        lost.links[pid] = self.links[pid] = LinkState()
        return lost

    def receive_unlink(self, pid: Pid) -> None:
        """An UNLINK_ID from ``pid`` came (the caller has acknowledged it)."""
        state = self.links.get(pid)
        if state is not None and state.active:
            self._remove_link(pid)

    def receive_unlink_ack(self, pid: Pid, unlink_id: int) -> None:
        """An UNLINK_ID_ACK from ``pid`` came."""
        state = self.links.get(pid)
        if state is not None and not state.active and state.unlink_id == unlink_id:
            self._remove_link(pid)

    def receive_exit(self, pid: Pid) -> bool:
        """A link's exit signal from ``pid`` came; true when it counts."""
        state = self.links.get(pid)
        if state is None or not state.active:
            return False
        self._remove_link(pid)
        return True

    def _remove_link(self, pid: Pid) -> None:
        del self.links[pid]
        peer = self.peers.get(pid.node)
        if peer is not None:
            if peer.links.pop(pid, None) is not None:
                self._shared.give(pid.node)
            self._tidy(pid.node, peer)

    # ---- monitors

    def add_monitor(self, ref: Reference, target: Any, node: Atom) -> None:
        """Remember an own monitor of ``target`` on ``node``."""
        self.monitors[ref] = target
        peer = self._peer(node)
        if peer is not None:
            peer.monitors.add(ref)

    def remove_monitor(self, ref: Reference) -> Any | None:
        """Forget an own monitor; returns its target, None when it is not there."""
        target = self.monitors.pop(ref, None)
        if target is not None and self.peers:
            node = target[1] if type(target) is tuple else target.node
            peer = self.peers.get(node)
            if peer is not None:
                peer.monitors.discard(ref)
                self._tidy(node, peer)
        return target

    def add_watcher(self, ref: Reference, watcher: Pid, name: Atom | None) -> None:
        """Remember that ``watcher`` monitors this process."""
        self.watchers[ref] = (watcher, name)
        peer = self._peer(watcher.node)
        if peer is not None and ref not in peer.watchers:
            peer.watchers.add(ref)
            self._shared.take(watcher.node)

    def remove_watcher(self, ref: Reference) -> bool:
        """Forget a watcher; an unknown reference is ignored. True when it watched by a name."""
        row = self.watchers.pop(ref, None)
        if row is None:
            return False
        node = row[0].node
        peer = self.peers.get(node)
        if peer is not None:
            if ref in peer.watchers:
                peer.watchers.remove(ref)
                self._shared.give(node)
            self._tidy(node, peer)
        return row[1] is not None

    def _tidy(self, node: Atom, peer: PeerRelations) -> None:
        if not (peer.watchers or peer.monitors or peer.links):
            del self.peers[node]

    def detach(self, node: Atom) -> PeerRelations | None:
        """Give away what ends with the link to ``node``; what is made from now on belongs to the next link."""
        lost = self.peers.pop(node, None)
        if lost is not None:
            self._shared.give(node, lost.weight)
            # No acknowledgement will come for what was being undone; its state must not meet the next link.
            for pid in [pid for pid, state in lost.links.items() if not state.active]:
                del lost.links[pid]
                self.links.pop(pid, None)
        return lost

    def leave(self) -> None:
        """The process has ended: nothing of this counts any more."""
        for node, peer in self.peers.items():
            self._shared.give(node, peer.weight)
