"""What peers may call: the functions of this node that have been exported, and nothing else.

Source: OTP, "Erlang Reference Manual", "Errors and Error Handling", for ``undef``.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

from pyzen.actor.reasons import as_atom
from pyzen.config import Limits
from pyzen.errors import ConfigError
from pyzen.logs import get_logger
from pyzen.node.services.threads import Threads
from pyzen.terms import Atom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

__all__ = ["Exported", "Exports"]

log = get_logger("pyzen.node")


class Exported(NamedTuple):
    """A function that peers may call.

    Attributes:
        function: Plain or ``async def``.
        blocking: Run it in a thread, so that the event loop goes on.
        signature: What it takes; None where Python does not tell, as of some built-in functions.
    """

    function: Callable[..., Any]
    blocking: bool
    signature: inspect.Signature | None

    def takes(self, arity: int) -> bool:
        """Say whether it can be called with that many arguments; true where Python does not tell."""
        if self.signature is None:
            return True
        try:
            self.signature.bind(*[None] * arity)
        except TypeError:
            return False
        return True


def exported(function: Callable[..., Any], *, blocking: bool = False) -> Exported:
    """Return a function as peers may call it."""
    try:
        return Exported(function, blocking, inspect.signature(function))
    except ValueError:
        return Exported(function, blocking, None)


@final
class Exports:
    """The exported functions of one node, by module and name.

    Args:
        allowed: Python modules whose own functions peers may call by their names, see `is_public`; ``"all"`` lets them
            import any module.
        limits: Bounds on what can be answered, and on the calls of functions that block.

    Attributes:
        threads: Those of functions that block.

    Raises:
        ConfigError: A module can't be imported.
    """

    def __init__(self, allowed: Literal["all"] | Iterable[str] = (), limits: Limits = Limits()) -> None:  # noqa: B008
        self.limits = limits
        self._rows: dict[tuple[Atom, Atom], Exported] = {}
        self._all = allowed == "all"
        self._modules = {} if self._all else {name: load(name) for name in allowed}
        self.threads = Threads(limits.max_blocking_calls)

    def stop(self) -> None:
        """Let go of the threads."""
        self.threads.stop()

    def add(
        self, module: Atom | str, function: Atom | str, callable_: Callable[..., Any], *, blocking: bool = False
    ) -> None:
        """Export a function; another one of that name is replaced.

        Raises:
            TypeError: It can't be called.
        """
        if not callable(callable_):
            raise TypeError(f"a function is needed, not {type(callable_).__name__}")
        self._rows[as_atom(module), as_atom(function)] = exported(callable_, blocking=blocking)

    def find(self, module: Any, function: Any, arity: int) -> Exported | None:
        """Return what ``module:function/arity`` is, None when it is not exported; the names may be any terms."""
        if not (isinstance(module, Atom) and isinstance(function, Atom)):
            return None
        found = self._rows.get((module, function)) or self._imported(str(module), str(function))
        return found if found is not None and found.takes(arity) else None

    def _imported(self, module: str, function: str) -> Exported | None:
        loaded = self._modules.get(module)
        if loaded is None and self._all:
            try:
                loaded = importlib.import_module(module)
            except (ImportError, ValueError):
                return None
        return exported(getattr(loaded, function)) if loaded is not None and is_public(loaded, function) else None


def is_public(module: ModuleType, name: str) -> bool:
    """Say whether a module gives a function to others. What it has merely imported stays its own.

    ==========================================  ====================  ====================
    what has the name                           not in ``__all__``    in ``__all__``
    ==========================================  ====================  ====================
    a function that is defined there, plain,    yes                   yes
    ``async def``, of C, or cached
    a bound method of a class defined there     yes                   yes
    a function that a decorator has returned    if it has the         yes
                                                ``__module__`` of the
                                                module, by ``wraps``
    a function of another module                no                    yes
    a ``partial`` or another object that can    no                    yes
    be called
    a class; a name with a leading underscore   no                    no
    ==========================================  ====================  ====================
    """
    found = vars(module).get(name)
    if name.startswith("_") or not callable(found) or isinstance(found, type):
        return False
    named = vars(module).get("__all__")
    if isinstance(named, list | tuple) and name in named:
        return True
    return inspect.isroutine(found) and getattr(found, "__module__", None) == module.__name__


def load(name: str) -> Any:
    """Import a module that the operator has named."""
    try:
        return importlib.import_module(name)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"exports: the module {name!r} can't be imported: {error}") from error
