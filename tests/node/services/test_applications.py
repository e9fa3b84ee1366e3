from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.config import ZenConfig, setting_names
from pyzen.errors import RpcError
from pyzen.node.services.applications import MAX_ENTRIES, MODULES, Applications, charlist
from pyzen.node.services.zen_settings import ZenSettings
from pyzen.terms import Atom, atoms, elixir
from pyzen.testing import Cluster

if TYPE_CHECKING:
    from pyzen.zen.system import ZenSystem

ZEN, PYZEN, KERNEL = atoms.zen_monitor, atoms.pyzen, atoms.kernel
NO_FILE = (charlist("no such file or directory"), charlist("kernel.app"))


class Node:
    """A node in memory, and what peers may call there."""

    def __init__(self) -> None:
        self.system: ZenSystem = Cluster().node("a@memory", zen=ZenConfig()).zen
        self.functions = Applications(self.system, ZenSettings(self.system.config)).functions()

    def app(self, function: str, *arguments: Any) -> Any:
        return self.functions["Elixir.Application", function](*arguments)

    def erl(self, function: str, *arguments: Any) -> Any:
        return self.functions["application", function](*arguments)


@pytest.fixture
def node() -> Node:
    return Node()


def test_what_runs_is_told_with_its_version(node: Node) -> None:
    for found in (
        node.app("started_applications"),
        node.app("started_applications", 1000),
        node.erl("which_applications"),
    ):
        assert [name for name, _, _ in found] == [ZEN, PYZEN]
        assert found[0][2] == charlist("2.1.0")
    assert [name for name, _, _ in node.erl("loaded_applications")] == [ZEN, PYZEN]

    node.app("stop", ZEN)

    assert [name for name, _, _ in node.app("started_applications")] == [PYZEN]
    assert [name for name, _, _ in node.app("loaded_applications")] == [ZEN, PYZEN]


def test_the_specification_has_the_keys_of_otp(node: Node) -> None:
    spec = dict(node.app("spec", ZEN))

    assert spec[atoms.vsn] == node.app("spec", ZEN, atoms.vsn) == charlist("2.1.0")
    assert spec[atoms.modules] == list(MODULES)
    assert spec[atoms.mod] == (elixir.ZenMonitor.Application, [])
    assert node.erl("get_key", ZEN, atoms.vsn) == (atoms.ok, charlist("2.1.0"))
    assert node.erl("get_all_key", ZEN) == (atoms.ok, list(spec.items()))
    assert node.app("spec", PYZEN, atoms.modules) == []


def test_the_specification_of_what_is_not_there(node: Node) -> None:
    assert node.app("spec", KERNEL) is None
    assert node.app("spec", KERNEL, atoms.vsn) is None
    assert node.erl("get_all_key", KERNEL) is atoms.undefined
    assert node.erl("get_key", KERNEL, atoms.vsn) is atoms.undefined
    assert node.erl("get_key", ZEN, atoms.nonsense) is atoms.undefined
    with pytest.raises(RpcError, match="function_clause"):
        node.app("spec", ZEN, atoms.nonsense)


def test_a_module_belongs_to_its_application(node: Node) -> None:
    assert node.app("get_application", elixir.ZenMonitor.Local) is ZEN
    assert node.app("get_application", elixir.Enum) is None
    assert node.erl("get_application", elixir.ZenMonitor) == (atoms.ok, ZEN)
    assert node.erl("get_application", []) is atoms.undefined
    assert node.erl("get_application") is atoms.undefined


@pytest.mark.parametrize("name", setting_names())
def test_a_setting_is_fetched(node: Node, name: str) -> None:
    value = node.app("get_env", ZEN, atoms[name])

    assert node.app("fetch_env", ZEN, atoms[name]) == (atoms.ok, value)
    assert node.app("fetch_env!", ZEN, atoms[name]) == value
    assert node.erl("get_env", ZEN, atoms[name]) == (atoms.ok, value)
    assert node.erl("get_env", ZEN, atoms[name], 7) == value


@pytest.mark.parametrize("application", [ZEN, KERNEL, 5])
def test_what_nobody_has_set_is_not_fetched(node: Node, application: Any) -> None:
    assert node.app("fetch_env", application, atoms.nothing) is atoms.error
    assert node.app("get_env", application, atoms.nothing) is None
    assert node.erl("get_env", application, atoms.nothing) is atoms.undefined
    assert node.erl("get_env", application, atoms.nothing, 7) == 7
    assert node.erl("get_env", atoms.nothing) is atoms.undefined
    with pytest.raises(RpcError) as caught:
        node.app("fetch_env!", application, atoms.nothing)
    assert caught.value.reason[Atom("__struct__")] is elixir.ArgumentError


def test_many_settings_are_set_at_once(node: Node) -> None:
    assert (
        node.app("put_all_env", [(ZEN, [(atoms.demand_amount, 700), (atoms.fair, False)]), (KERNEL, [(atoms.a, 1)])])
        is atoms.ok
    )
    assert (node.system.config.demand_amount, node.system.config.fair) == (700, False)
    assert node.erl("set_env", [(ZEN, [(atoms.demand_amount, 800)])]) is atoms.ok
    assert node.erl("set_env", ZEN, atoms.demand_interval, 90) is atoms.ok
    assert (node.system.config.demand_amount, node.system.config.demand_interval) == (800, 90)
    with pytest.raises(RpcError, match="badarg"):
        node.app("put_all_env", [(ZEN, 5)])


def test_a_deleted_setting_has_its_default(node: Node) -> None:
    node.app("put_env", ZEN, atoms.demand_amount, 700)

    assert node.app("delete_env", ZEN, atoms.demand_amount) is atoms.ok
    assert node.erl("unset_env", ZEN, atoms.nothing) is atoms.ok
    assert node.app("delete_env", ZEN, atoms.gen_module) is atoms.ok

    assert node.app("get_env", ZEN, atoms.demand_amount) == 1000


def test_it_is_started_if_it_is_not_running(node: Node) -> None:
    assert node.app("ensure_started", ZEN) is atoms.ok
    assert node.app("start", ZEN) == (atoms.error, (atoms.already_started, ZEN))
    assert node.app("stop", ZEN) is atoms.ok
    assert node.app("stop", ZEN) == (atoms.error, (atoms.not_started, ZEN))

    assert node.app("ensure_started", ZEN, atoms.temporary) is atoms.ok
    assert node.system.is_running
    node.app("stop", ZEN)
    assert node.app("start", ZEN) is atoms.ok
    assert node.system.is_running
    node.app("stop", ZEN)
    assert node.app("ensure_all_started", [PYZEN, ZEN]) == (atoms.ok, [ZEN])
    assert node.app("ensure_all_started", ZEN) == (atoms.ok, [])


def test_the_node_itself_stays(node: Node) -> None:
    assert node.app("stop", PYZEN) == (atoms.error, atoms.refused)
    assert node.app("ensure_started", PYZEN) is atoms.ok
    assert node.app("unload", PYZEN) == (atoms.error, (atoms.running, PYZEN))


def test_code_is_neither_loaded_nor_unloaded(node: Node) -> None:
    assert node.app("load", ZEN) == (atoms.error, (atoms.already_loaded, ZEN))
    assert node.app("ensure_loaded", ZEN) is atoms.ok
    assert node.app("unload", ZEN) == (atoms.error, (atoms.running, ZEN))
    node.app("stop", ZEN)
    assert node.app("unload", ZEN) == (atoms.error, atoms.refused)
    assert node.app("unload", KERNEL) == (atoms.error, (atoms.not_loaded, KERNEL))


@pytest.mark.parametrize("function", ["load", "ensure_loaded", "start", "ensure_started"])
def test_others_are_not_there(node: Node, function: str) -> None:
    assert node.app(function, KERNEL) == (atoms.error, NO_FILE)
    with pytest.raises(RpcError, match="badarg"):
        node.app(function, 5)


def test_others_are_not_started_with_all(node: Node) -> None:
    assert node.app("ensure_all_started", KERNEL) == (atoms.error, (KERNEL, NO_FILE))
    assert node.app("ensure_all_started", [ZEN, KERNEL]) == (atoms.error, (KERNEL, NO_FILE))
    assert node.app("stop", KERNEL) == (atoms.error, (atoms.not_started, KERNEL))


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        ("ensure_all_started", [PYZEN] * (MAX_ENTRIES + 1)),
        ("set_env", [(ZEN, [(atoms.fair, True)] * (MAX_ENTRIES + 1))]),
        ("set_env", [(ZEN, [(atoms.fair, True)])] * (MAX_ENTRIES + 1)),
        ("set_env", [(ZEN, [])] * (MAX_ENTRIES + 1)),
    ],
)
def test_a_list_that_is_too_long_is_refused(node: Node, function: str, argument: Any) -> None:
    with pytest.raises(RpcError, match="system_limit"):
        node.erl(function, argument)
