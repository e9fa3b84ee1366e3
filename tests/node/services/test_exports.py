from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from pyzen.errors import ConfigError
from pyzen.node.services.exports import Exports
from pyzen.terms import Atom, atoms


def test_nothing_is_found_that_was_not_exported() -> None:
    assert Exports().find(atoms.math, atoms.sqrt, 1) is None


def test_an_exported_function_is_found_by_its_arity() -> None:
    exports = Exports()
    exports.add("calc", "add", lambda one, other=1: one + other)

    assert [exports.find(atoms.calc, atoms.add, arity) is not None for arity in range(4)] == [False, True, True, False]
    assert exports.find(atoms.calc, atoms.sub, 1) is None


def test_a_function_without_a_signature_takes_any_number() -> None:
    exports = Exports()
    exports.add("os", "getattr", getattr)

    assert exports.find(atoms.os, atoms.getattr, 2) is not None


def test_public_functions_of_an_allowed_module_are_found() -> None:
    exports = Exports(["string"])

    assert exports.find(atoms.string, atoms.capwords, 1) is not None
    assert exports.find(atoms.string, atoms._re, 0) is None
    assert exports.find(atoms.string, atoms.ascii_letters, 0) is None
    assert exports.find(atoms.math, atoms.sqrt, 1) is None


def test_all_lets_peers_import_any_module() -> None:
    exports = Exports("all")

    assert exports.find(atoms.math, atoms.sqrt, 1) is not None
    assert exports.find(atoms["no.such.module"], atoms.f, 0) is None
    assert exports.find(atoms[""], atoms.f, 0) is None


def test_a_module_that_can_not_be_imported_is_named() -> None:
    with pytest.raises(ConfigError, match="no_such_module"):
        Exports(["no_such_module"])


def test_only_what_can_be_called_is_exported() -> None:
    not_callable: Any = 1
    with pytest.raises(TypeError, match="int"):
        Exports().add("m", "f", not_callable)


SOURCE = """
import functools
from functools import partial, reduce, wraps
from os import system
from string import capwords
from time import sleep as nap

__all__ = ["capwords", "named", "Shown", "_hidden", "missing"]

def plain(): pass
async def asynchronous(): pass
cached = functools.lru_cache(plain)
def traced(function):
    @wraps(function)
    def wrapper(*args): return function(*args)
    return wrapper
wrapped = traced(plain)
wrapping = traced(system)
bound_elsewhere = [].append
class Shown:
    def __call__(self): pass
    def method(self): pass
method = Shown().method
instance = Shown()
half = partial(plain)
named = partial(plain)
def _hidden(): pass
value = 1
"""

OWN = ["asynchronous", "cached", "method", "plain", "traced", "wrapped"]
NAMED = ["capwords", "named"]


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> str:
    module = types.ModuleType("own_module")
    exec(SOURCE, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


@pytest.mark.parametrize("allowed", [["own_module"], "all"])
def test_a_module_gives_what_it_defines_or_names(own_module: str, allowed: Any) -> None:
    """What it has merely imported, ``os.system`` say, is nothing that its operator has offered."""
    exports = Exports(allowed)
    names = [*vars(sys.modules[own_module]), "missing"]

    found = [
        name
        for name in names
        if exports.find(Atom(own_module), Atom(name), 0) or exports.find(Atom(own_module), Atom(name), 1)
    ]

    assert sorted(found) == sorted(OWN + NAMED)


def test_functions_of_c_belong_to_the_module_that_they_say() -> None:
    exports = Exports(["math", "os"])

    assert exports.find(atoms.math, atoms.sqrt, 1) is not None
    assert exports.find(atoms.os, atoms.getpid, 0) is not None  # of `posix`, and named in `__all__`


def test_strange_all_names_nothing(own_module: str) -> None:
    for strange in (None, 1, [1, None], "plain"):
        vars(sys.modules[own_module])["__all__"] = strange
        exports = Exports([own_module])
        assert exports.find(Atom(own_module), atoms.plain, 0) is not None
        assert exports.find(Atom(own_module), atoms.capwords, 1) is None
