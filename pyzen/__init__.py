"""A Python process as a visible node of an Erlang/Elixir cluster, with the whole of ZenMonitor.

What most programs need is here: `Node`, the kinds of processes, terms, settings. The external term format is in
`pyzen.etf`, every error in `pyzen.errors`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

# Looked up when first used: a program that only wants terms does not load a node. The stub beside this file tells
# type checkers the same.
_HOMES: Final = {
    "pyzen.actor.answers": (
        "NOREPLY",
        "Continue",
        "Reply",
        "Stop",
    ),
    "pyzen.actor.gen_server": ("GenServer",),
    "pyzen.actor.process": (
        "Mailbox",
        "Process",
        "current_process",
    ),
    "pyzen.actor.registry": ("DynamicRegistry",),
    "pyzen.actor.supervisor": (
        "ChildSpec",
        "Supervisor",
    ),
    "pyzen.config": (
        "EpmdConfig",
        "Limits",
        "ZenConfig",
    ),
    "pyzen.errors": (
        "CallTimeout",
        "ConfigError",
        "DecodeError",
        "EncodeError",
        "EpmdError",
        "HandshakeError",
        "LimitExceeded",
        "LinkOverloaded",
        "NameTaken",
        "NodeDown",
        "NoProcess",
        "ProcessExit",
        "PyzenError",
        "RpcError",
    ),
    "pyzen.node.node": ("Node",),
    "pyzen.node.tls": ("TLSConfig",),
    "pyzen.terms": (
        "Atom",
        "BitString",
        "Export",
        "FrozenList",
        "Fun",
        "ImproperList",
        "Pid",
        "Port",
        "Record",
        "Reference",
        "Term",
        "TermMap",
        "atoms",
        "elixir",
        "struct",
    ),
}
_HOME: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["etf", *_HOME]  # noqa: PLE0604  # strings, all of them


def __getattr__(name: str) -> Any:
    if name == "etf":
        return import_module("pyzen.etf")
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'pyzen' has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
