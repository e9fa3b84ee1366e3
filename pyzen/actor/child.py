"""Child: what a supervisor knows of one of its children.

Source: OTP, "supervisor", ``which_children/1`` and ``get_childspec/2``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.reasons import as_atom
from pyzen.actor.states import module_of, name_of, presentable
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.child_spec import ChildSpec
    from pyzen.terms import Pid

__all__ = ["Child"]

UNDEFINED: Final = atoms.undefined
RESTARTING: Final = atoms.restarting


@final
class Child:
    """One child, running or not.

    ::

        state         pid    is_restarting    shown as
        running       set    no               its pid
        restarting    None   yes              restarting
        ended         None   no               undefined

    Attributes:
        spec: How it is started and kept.
        pid: Its pid while it runs.
        is_restarting: It has ended and will be started again.
    """

    __slots__ = ("_kind", "_modules", "is_restarting", "pid", "spec")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.pid: Pid | None = None
        self.is_restarting = False
        self._kind = atoms.worker
        self._modules: list[Atom] = []

    def __repr__(self) -> str:
        return f"<Child {self.spec.id!s} {self.state!r}>"

    @property
    def state(self) -> Pid | Atom:
        """What ``which_children`` shows in place of a pid."""
        return self.pid or (RESTARTING if self.is_restarting else UNDEFINED)

    @property
    def is_supervisor(self) -> bool:
        """Whether it was a supervisor when it was last started."""
        return self._kind is atoms.supervisor

    def start(self, supervisor: Actor) -> Pid:
        """Start it, linked with the supervisor. Raises what the start raises."""
        self.is_restarting = False
        self.pid = pid = self.spec.start(supervisor)
        actor = supervisor.runtime.actor(pid)
        if actor is not None:
            self._kind = atoms.supervisor if actor.loop.supervises else atoms.worker
            self._modules = [module_of(actor.instance)]
        return pid

    def ended(self) -> None:
        """Note that it runs no more."""
        self.pid, self.is_restarting = None, False

    def shown(self) -> tuple[Any, Any, Atom, list[Atom]]:
        """Return ``{Id, Child, Type, Modules}``."""
        return as_atom(self.spec.id), self.state, self._kind, self._modules

    def shown_spec(self) -> dict[Atom, Any]:
        """Return the specification as a map of OTP's; in place of what Python starts stands what it is called."""
        spec = self.spec
        module = self._modules[0] if self._modules else name_of(spec.target)
        return {
            atoms.id: as_atom(spec.id),
            atoms.start: (module, atoms.start_link, [presentable(one) for one in spec.args]),
            atoms.restart: atoms[spec.restart],
            atoms.significant: False,
            atoms.shutdown: shown_time(spec.shutdown),
            atoms.type: self._kind,
            atoms.modules: self._modules or [module],
        }


def shown_time(shutdown: float | None) -> Any:
    """Return a time to end in milliseconds, or OTP's words for none and for all."""
    if shutdown is None or shutdown == float("inf"):
        return atoms.infinity
    return round(shutdown * 1000) if shutdown else atoms.brutal_kill
