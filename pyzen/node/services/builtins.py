"""What peers find on every node without an export: a few functions of ``erlang``, ``Process`` and ``ets``.

They are those that operators and tools call on a node they can reach: who is here, what is it doing.

Source: OTP, "erlang"; Elixir, ``Process``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.signals import Exit2
from pyzen.actor.waiting import Waiting
from pyzen.errors import RpcError
from pyzen.node.services.process_info import MAX_ITEMS, item_of, items_of, usual_items
from pyzen.node.services.sleepers import Sleepers
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.actor import Actor
    from pyzen.node.router import Router
    from pyzen.node.services.exports import Exports

__all__ = ["Builtins", "badarg", "named"]

UNDEFINED: Final = atoms.undefined
NO_NAME: Final[Any] = (atoms.registered_name, [])


def badarg() -> RpcError:
    """Return the error that a function of Erlang raises for arguments it can't take."""
    return RpcError("error", atoms.badarg)


def too_many() -> RpcError:
    """Return the error for a list that is longer than any that makes sense: each element costs time."""
    return RpcError("error", atoms.system_limit)


@final
class Builtins:
    """Functions of one node under Erlang's and Elixir's names.

    Args:
        router: The node's processes.
        nodes: Returns the visible nodes connected, or the hidden ones.
    """

    def __init__(self, router: Router, nodes: Callable[[bool], list[Atom]]) -> None:
        self._router = router
        self._nodes = nodes
        self._sleepers = Sleepers(router)

    def export_to(self, exports: Exports) -> None:
        """Make all of them reachable."""
        table: dict[tuple[str, str], Callable[..., Any]] = {
            ("erlang", "node"): lambda: self._router.name,
            ("erlang", "nodes"): self.nodes,
            ("erlang", "whereis"): self.whereis,
            ("erlang", "registered"): lambda: list(self._router.names),
            ("erlang", "processes"): self._router.processes,
            ("erlang", "process_info"): self.process_info,
            ("erlang", "is_process_alive"): self.is_process_alive,
            ("erlang", "memory"): memory,
            ("Elixir.Process", "alive?"): self.is_process_alive,
            ("Elixir.Process", "whereis"): lambda name: self._router.whereis(named(name)),
            ("Elixir.Process", "info"): self.info,
            ("Elixir.Process", "list"): self._router.processes,
            ("Elixir.Process", "registered"): lambda: list(self._router.names),
            ("Elixir.Process", "exit"): self.exit,
            ("Elixir.Process", "sleep"): self.sleep,
            ("Elixir.Node", "self"): lambda: self._router.name,
            ("Elixir.Node", "list"): self.nodes,
        }
        for (module, function), callable_ in table.items():
            exports.add(module, function, callable_)

    def nodes(self, kind: Any = atoms.visible) -> list[Atom]:
        """``nodes/0`` and ``nodes/1``."""
        match kind:
            case atoms.visible:
                return self._nodes(False)
            case atoms.hidden:
                return self._nodes(True)
            case atoms.connected:
                return self._nodes(False) + self._nodes(True)
            case atoms.this:
                return [self._router.name]
            case atoms.known:
                return [self._router.name, *self._nodes(False), *self._nodes(True)]
            case list() if len(kind) > MAX_ITEMS:
                raise too_many()
            case list() if all(type(one) is Atom for one in kind):
                return list(dict.fromkeys(node for one in dict.fromkeys(kind) for node in self.nodes(one)))
        raise badarg()

    def whereis(self, name: Any) -> Any:
        """``whereis/1``."""
        return self._router.whereis(named(name)) or UNDEFINED

    def _own(self, pid: Any) -> Actor | None:
        if not isinstance(pid, Pid) or pid.node is not self._router.name:
            raise badarg()
        return self._router.actor(pid)

    def is_process_alive(self, pid: Any) -> bool:
        """``is_process_alive/1``."""
        return self._own(pid) is not None

    def process_info(self, pid: Any, items: Any = None) -> Any:
        """``process_info/1`` and ``process_info/2``."""
        actor = self._own(pid)
        if actor is None:
            return UNDEFINED
        if items is None:
            return usual_items(actor)
        try:
            if isinstance(items, list):
                return items_of(actor, items)
            found = item_of(actor, items)
        except LookupError:
            raise badarg() from None
        except OverflowError:
            raise too_many() from None
        return [] if found == NO_NAME else found

    def info(self, pid: Any, items: Any = None) -> Any:
        """``Process.info/1`` and ``/2``."""
        found = self.process_info(pid, items)
        return None if found is UNDEFINED else found

    def exit(self, pid: Any, reason: Any) -> bool:
        """``exit/2``: it is a peer who asks for it, and a peer ends no process of the node itself."""
        if not isinstance(pid, Pid):
            raise badarg()
        if self._router.link(pid.node) is None:
            return True  # nobody is dialled for a peer
        sender = self._router.running() or pid
        actor = self._router.actor(pid)
        if actor is not None and actor.is_immune:
            actor.instance.refused("a call of exit", self._router.name)  # the caller's word is all that says who it is
            return True
        self._router.route(Exit2(pid, sender, reason))
        return True

    def sleep(self, time: Any) -> Waiting:
        """``Process.sleep/1``, in milliseconds, or ``infinity``."""
        if time is atoms.infinity:
            return Waiting()
        if type(time) is not int or time < 0:
            raise badarg()
        return self._sleepers.sleep(time / 1000)


def named(name: Any) -> Atom:
    """Return a name that a peer gave."""
    if isinstance(name, Atom):
        return name
    raise badarg()


def memory(kind: Any = None) -> Any:
    """``memory/0`` and ``memory/1`` in bytes: the whole of this process, whose parts Python does not know."""
    sizes = dict.fromkeys(
        (atoms.total, atoms.processes, atoms.processes_used, atoms.system, atoms.atom, atoms.atom_used, atoms.binary,
         atoms.code, atoms.ets), 0,
    )  # fmt: skip
    sizes[atoms.total] = sizes[atoms.system] = resident_bytes()
    if isinstance(kind, list) and len(kind) > MAX_ITEMS:
        raise too_many()
    if kind is None:
        return list(sizes.items())
    try:
        return [(one, sizes[one]) for one in kind] if isinstance(kind, list) else sizes[kind]
    except (KeyError, TypeError):
        raise badarg() from None


def resident_bytes() -> int:
    """Return the resident memory of this process, 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
