"""``kernel_sup``: keeps the processes that every peer expects; one that ends comes back, however often.

A service that fails again and again is started after a wait, which grows: the node lives on without it meanwhile.

Source: OTP, ``lib/kernel/src/kernel.erl``, whose supervisor has this name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyzen.actor.guarded import GuardedSupervisor
from pyzen.actor.supervisor import ChildSpec, children_of
from pyzen.node.services.logger_proxy import LoggerProxy
from pyzen.node.services.net_kernel import NetKernel
from pyzen.node.services.rex import Rex
from pyzen.node.services.user import User
from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.node.router import Router
    from pyzen.node.services.caller import Caller
    from pyzen.node.services.exports import Exports
    from pyzen.node.services.output import Output

__all__ = ["KERNEL_SUP", "start_kernel"]

KERNEL_SUP: Final = atoms.kernel_sup


def start_kernel(router: Router, exports: Exports, caller: Callable[[], Caller], output: Output) -> None:
    """Start the processes of the node itself; they are registered when this returns.

    Args:
        router: The node's processes.
        exports: What peers may call.
        caller: Returns a new process in whose name the node sends and calls.
        output: Where ``user`` writes.
    """
    supervisor = GuardedSupervisor(
        [
            ChildSpec("user", lambda: User(output), name=atoms.user),
            ChildSpec("caller", caller),
            ChildSpec("logger_proxy", LoggerProxy, name=atoms.logger_proxy),
            ChildSpec("net_kernel", NetKernel, name=atoms.net_kernel),
            ChildSpec("rex", lambda: Rex(exports, router.births), name=atoms.rex),
        ]
    )
    children = children_of(supervisor)
    children.never_gives_up = children.is_fixed = True
    router.spawn(supervisor, name=KERNEL_SUP)
    router.scheduler.run()
