from __future__ import annotations

import pytest

from pyzen.terms import Atom
from pyzen.zen import names


@pytest.mark.parametrize("text", ["_", "$0", "$1", "$123"])
def test_names_that_mean_something_in_a_match_pattern_are_reserved(text: str) -> None:
    assert names.is_reserved_name(Atom(text))


@pytest.mark.parametrize("text", ["", "__", "_a", "$", "$a", "$1a", "$$", "$_", "$\u0663", "1", "a$1"])
def test_any_other_name_can_be_monitored(text: str) -> None:
    assert not names.is_reserved_name(Atom(text))


def test_processes_have_the_names_of_the_original() -> None:
    """Peers send to these by name; whoever changes one is not compatible any more."""
    assert {str(name) for name in (names.PROXY, names.BATCHERS, names.LOCAL, names.CONNECTORS, names.DISPATCHER)} == {
        "Elixir.ZenMonitor.Proxy",
        "Elixir.ZenMonitor.Proxy.Batcher",
        "Elixir.ZenMonitor.Local",
        "Elixir.ZenMonitor.Local.Connector",
        "Elixir.ZenMonitor.Local.Dispatcher",
    }
