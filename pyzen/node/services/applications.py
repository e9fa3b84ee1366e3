"""``Application`` of Elixir and ``application`` of Erlang, for the two that run here: ``zen_monitor`` and ``pyzen``.

An operator reads and changes the environment of ``zen_monitor``, asks what runs, and stops and starts it. ``pyzen`` is
the node itself, which no peer stops. Others are not there: that is answered as OTP answers for an application whose
file it does not find.

Source: Elixir, ``Application``; OTP, "application".
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.errors import RpcError
from pyzen.node.services.builtins import badarg, too_many
from pyzen.terms import Atom, atoms, elixir, struct
from pyzen.zen.calls import REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.node.services.zen_settings import ZenSettings
    from pyzen.zen.system import ZenSystem

__all__ = ["MODULES", "Applications", "charlist"]

ZEN_MONITOR: Final = atoms.zen_monitor
PYZEN: Final = atoms.pyzen
OK: Final = atoms.ok
ERROR: Final = atoms.error
UNDEFINED: Final = atoms.undefined
UNSET: Final = object()

ZEN_MONITOR_VERSION: Final = "2.1.0"
"""Whose functions, names and messages these are."""

MAX_ENTRIES: Final = 1000
"""Applications, or settings of all of them, that one call may name."""

MODULES: Final = tuple(
    Atom(f"Elixir.ZenMonitor{name}")
    for name in (
        "", ".Application", ".Local", ".Local.Connector", ".Local.Dispatcher", ".Local.Supervisor", ".Local.Tables",
        ".Metrics", ".Proxy", ".Proxy.Batcher", ".Proxy.Supervisor", ".Proxy.Tables", ".Supervisor", ".Truncator",
    )
)  # fmt: skip
"""The modules of the original that peers find here."""


def charlist(text: str) -> list[int]:
    """Return a text as Erlang has its strings."""
    return [ord(character) for character in text]


def pyzen_version() -> str:
    """Return the version of this package."""
    try:
        return version("pyzen-node")
    except PackageNotFoundError:
        return "0"


@final
class Applications:
    """The applications of one node.

    Args:
        system: Its ZenMonitor.
        settings: The environment of that.
    """

    def __init__(self, system: ZenSystem, settings: ZenSettings) -> None:
        self._system = system
        self._settings = settings

    def functions(self) -> dict[tuple[str, str], Callable[..., Any]]:
        """Return the functions that peers may call."""
        both: dict[str, Callable[..., Any]] = {
            "ensure_all_started": self.ensure_all_started,
            "ensure_started": self.ensure_started,
            "get_all_env": self.get_all_env,
            "load": self.load,
            "loaded_applications": lambda: self._shown([ZEN_MONITOR, PYZEN]),
            "start": self.start,
            "stop": self.stop,
            "unload": self.unload,
        }
        elixirs: dict[str, Callable[..., Any]] = {
            "delete_env": self.delete_env,
            "ensure_loaded": lambda application: OK if self._is_known(application) else self._not_found(application),
            "fetch_env": self.fetch_env,
            "fetch_env!": self.fetch_env_or_raise,
            "get_application": self.get_application,
            "get_env": self.get_env,
            "put_all_env": self.put_all_env,
            "put_env": self.put_env,
            "spec": self.spec,
            "started_applications": self.started_applications,
        }
        erlangs: dict[str, Callable[..., Any]] = {
            "get_all_key": self.get_all_key,
            "get_application": self.erlang_get_application,
            "get_env": self.erlang_get_env,
            "get_key": self.get_key,
            "set_env": self.set_env,
            "unset_env": self.delete_env,
            "which_applications": self.started_applications,
        }
        return {
            **{("Elixir.Application", name): function for name, function in (both | elixirs).items()},
            **{("application", name): function for name, function in (both | erlangs).items()},
        }

    # ---- the environment

    def _has(self, application: Any, key: Any) -> bool:
        return application is ZEN_MONITOR and self._settings.knows(key)

    def get_env(self, application: Any, key: Any, default: Any = None) -> Any:
        """``Application.get_env/2`` and ``/3``: the value in force, set or not."""
        return self._settings.get(key) if self._has(application, key) else default

    def get_all_env(self, application: Any) -> list[tuple[Atom, Any]]:
        """``Application.get_all_env/1``: every setting."""
        return self._settings.pairs() if application is ZEN_MONITOR else []

    def fetch_env(self, application: Any, key: Any) -> Any:
        """``Application.fetch_env/2``."""
        return (OK, self._settings.get(key)) if self._has(application, key) else ERROR

    def fetch_env_or_raise(self, application: Any, key: Any) -> Any:
        """``Application.fetch_env!/2``."""
        if self._has(application, key):
            return self._settings.get(key)
        text = f"could not fetch application environment {shown(key)} for application {shown(application)} because "
        text += f"configuration at {shown(key)} was not set" if self._is_known(application) else NOT_LOADED
        raise RpcError("error", struct("ArgumentError", __exception__=True, message=text.encode()))

    def erlang_get_env(self, application: Any, key: Any = UNSET, default: Any = UNSET) -> Any:
        """``application:get_env/1``, ``/2`` and ``/3``; whoever calls by rpc belongs to no application."""
        if default is not UNSET:
            return self.get_env(application, key, default)
        return (OK, self._settings.get(key)) if self._has(application, key) else UNDEFINED

    def put_env(self, application: Any, key: Any, value: Any, _options: Any = ()) -> Atom:
        """``Application.put_env/3`` and ``/4``; a key that nobody knows is ``ok``, as there."""
        return self._settings.set(key, value) if self._has(application, key) else OK

    def set_env(self, config: Any, key: Any = (), value: Any = UNSET, _options: Any = ()) -> Atom:
        """``application:set_env/3`` and ``/4``, or ``/1`` and ``/2`` with many at once."""
        return self.put_all_env(config) if value is UNSET else self.put_env(config, key, value)

    def put_all_env(self, config: Any, _options: Any = ()) -> Atom:
        """``Application.put_all_env/1`` and ``/2``."""
        try:
            if len(config) > MAX_ENTRIES:
                raise too_many()
            entries = ((application, key, value) for application, env in config for key, value in env)
            pairs = list(islice(entries, MAX_ENTRIES + 1))
        except (TypeError, ValueError):
            raise badarg() from None
        if len(pairs) > MAX_ENTRIES:
            raise too_many()
        for application, key, value in pairs:
            self.put_env(application, key, value)
        return OK

    def delete_env(self, application: Any, key: Any, _options: Any = ()) -> Atom:
        """``Application.delete_env/2`` and ``/3``: the default counts again."""
        if self._has(application, key):
            self._settings.reset(key)
        return OK

    # ---- what runs

    def _is_known(self, application: Any) -> bool:
        return application is ZEN_MONITOR or application is PYZEN

    def _is_started(self, application: Any) -> bool:
        return application is PYZEN or (application is ZEN_MONITOR and self._system.is_running)

    def _shown(self, applications: list[Atom]) -> list[tuple[Atom, list[int], list[int]]]:
        return [(one, *self._texts(one)) for one in applications]

    def _texts(self, application: Atom) -> tuple[list[int], list[int]]:
        """Return description and version."""
        if application is PYZEN:
            return charlist("a node of Erlang's distribution in Python"), charlist(pyzen_version())
        return charlist(f"ZenMonitor, as pyzen {pyzen_version()} carries it"), charlist(ZEN_MONITOR_VERSION)

    def started_applications(self, _timeout: Any = None) -> list[tuple[Atom, list[int], list[int]]]:
        """``Application.started_applications/0`` and ``/1``, the last one started first."""
        return self._shown([one for one in (ZEN_MONITOR, PYZEN) if self._is_started(one)])

    def spec(self, application: Any, key: Any = None) -> Any:
        """``Application.spec/1`` and ``/2``."""
        if not self._is_known(application):
            return None
        found = self._keys(application)
        if key is None:
            return list(found.items())
        if not isinstance(key, Atom) or key not in found:
            raise RpcError("error", atoms.function_clause)
        return found[key]

    def get_all_key(self, application: Any) -> Any:
        """``application:get_all_key/1``."""
        return (OK, list(self._keys(application).items())) if self._is_known(application) else UNDEFINED

    def get_key(self, application: Any, key: Any) -> Any:
        """``application:get_key/2``."""
        found = self._keys(application) if self._is_known(application) else {}
        return (OK, found[key]) if isinstance(key, Atom) and key in found else UNDEFINED

    def _keys(self, application: Atom) -> dict[Atom, Any]:
        """Return what stands in the file of an application, in the order of OTP."""
        is_zen = application is ZEN_MONITOR
        description, vsn = self._texts(application)
        return {
            atoms.description: description,
            atoms.id: [],
            atoms.vsn: vsn,
            atoms.modules: list(MODULES) if is_zen else [],
            atoms.maxP: atoms.infinity,
            atoms.maxT: atoms.infinity,
            atoms.registered: [],
            atoms.included_applications: [],
            atoms.optional_applications: [],
            atoms.applications: [PYZEN] if is_zen else [],
            atoms.mod: (elixir.ZenMonitor.Application, []) if is_zen else [],
            atoms.start_phases: UNDEFINED,
        }

    def get_application(self, module: Any) -> Any:
        """``Application.get_application/1``."""
        return ZEN_MONITOR if module in MODULES else None

    def erlang_get_application(self, module: Any = None) -> Any:
        """``application:get_application/0`` and ``/1``."""
        return (OK, ZEN_MONITOR) if module in MODULES else UNDEFINED

    # ---- to stop and to start it

    def _not_found(self, application: Any) -> Any:
        if not isinstance(application, Atom):
            raise badarg()
        return ERROR, (charlist("no such file or directory"), charlist(f"{application}.app"))

    def load(self, application: Any, _distributed: Any = None) -> Any:
        """``Application.load/1``."""
        return (
            (ERROR, (atoms.already_loaded, application))
            if self._is_known(application)
            else self._not_found(application)
        )

    def unload(self, application: Any) -> Any:
        """``Application.unload/1``: what is part of the node stays."""
        if not self._is_known(application):
            return ERROR, (atoms.not_loaded, application)
        return (ERROR, (atoms.running, application)) if self._is_started(application) else REFUSED

    def start(self, application: Any, _type: Any = None) -> Any:
        """``Application.start/1`` and ``/2``."""
        if self._is_started(application):
            return ERROR, (atoms.already_started, application)
        return self.ensure_started(application)

    def ensure_started(self, application: Any, _type: Any = None) -> Any:
        """``Application.ensure_started/1`` and ``/2``."""
        if not self._is_known(application):
            return self._not_found(application)
        if not self._is_started(application):
            self._system.start()
        return OK

    def ensure_all_started(self, application: Any, _type: Any = None, _mode: Any = None) -> Any:
        """``Application.ensure_all_started/1`` and ``/2``, of one or a list: answers what it has started."""
        if isinstance(application, list):
            return self._ensure_all(application)
        if not self._is_known(application):
            return ERROR, (application, self._not_found(application)[1])
        if self._is_started(application):
            return OK, []
        self._system.start()
        return OK, [application]

    def _ensure_all(self, applications: list[Any]) -> Any:
        if len(applications) > MAX_ENTRIES:
            raise too_many()
        started: list[Any] = []
        for application in applications:
            answer = self.ensure_all_started(application) if isinstance(application, Atom) else (ERROR, application)
            if answer[0] is ERROR:
                return answer
            started += answer[1]
        return OK, started

    def stop(self, application: Any) -> Any:
        """``Application.stop/1``: ends the monitor system; references that have not fired never do."""
        if application is PYZEN:
            return REFUSED
        if not self._is_started(application):
            return ERROR, (atoms.not_started, application)
        self._system.stop()
        return OK


NOT_LOADED: Final = "the application was not loaded nor configured"


def shown(term: Any) -> str:
    """Return an atom as Elixir prints a plain one."""
    return f":{term}" if isinstance(term, Atom) else str(term)
