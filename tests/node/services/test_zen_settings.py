from __future__ import annotations

from typing import Any

import pytest

from pyzen.config import ZenConfig
from pyzen.errors import RpcError
from pyzen.node.services.zen_settings import PEER_RANGES, SETTINGS, ZenSettings
from pyzen.terms import atoms, elixir


@pytest.fixture
def settings() -> ZenSettings:
    return ZenSettings(ZenConfig())


@pytest.mark.parametrize("place", SETTINGS)
def test_each_has_a_function_that_reads_and_sets_it(settings: ZenSettings, place: tuple[str, str]) -> None:
    function = settings.functions()[place]
    before = function()

    assert function(before + 1) is atoms.ok

    assert function() == before + 1 == settings.get(SETTINGS[place])


@pytest.mark.parametrize("name", PEER_RANGES)
def test_a_peer_may_set_what_harms_nobody(settings: ZenSettings, name: str) -> None:
    lowest, highest = PEER_RANGES[name]
    assert lowest <= settings.get(name) <= highest

    for value in (lowest, highest):
        assert settings.set(name, value) is atoms.ok
    for value in (lowest - 1, highest + 1) if lowest > 1 else (highest + 1,):
        with pytest.raises(RpcError) as caught:
            settings.set(name, value)
        assert caught.value.reason[atoms.message].decode().startswith(f"{name}: a peer may set {lowest} to {highest}")

    assert settings.get(name) == highest


def test_gen_module_is_there_and_stays(settings: ZenSettings) -> None:
    function = settings.functions()["Elixir.ZenMonitor", "gen_module"]

    assert function() is elixir.GenServer
    assert function(elixir.GenServer) is atoms.ok
    assert settings.knows(atoms.gen_module)
    with pytest.raises(RpcError, match="badarg"):
        function(elixir.Manifold)
    assert settings.get("gen_module") is elixir.GenServer


@pytest.mark.parametrize("key", [atoms.nothing, 5, b"fair", "fair", None, atoms["__setattr__"]])
def test_what_is_no_setting_is_not_known(settings: ZenSettings, key: Any) -> None:
    assert not settings.knows(key)


def test_an_atom_is_a_word_and_reset_gives_the_default(settings: ZenSettings) -> None:
    assert settings.set(atoms.incompatible, atoms.erts) is atoms.ok
    assert settings.get(atoms.incompatible) is atoms.erts

    settings.reset(atoms.incompatible)

    assert dict(settings.pairs())[atoms.incompatible] is atoms.nodedown
