from __future__ import annotations

import threading
from typing import Any

import pytest

from pyzen.errors import ConfigError
from pyzen.node.services.exports import Exports
from pyzen.terms import atoms


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


def test_stop_lets_the_threads_end() -> None:
    exports = Exports()
    thread = exports.executor.submit(threading.current_thread).result(timeout=5)

    exports.stop()

    thread.join(timeout=5)
    assert not thread.is_alive()
