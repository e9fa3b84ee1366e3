from __future__ import annotations

from typing import Any

import pytest

from pyzen.config import EpmdConfig, Limits, ZenConfig, setting_names
from pyzen.errors import ConfigError


def test_defaults_are_the_originals() -> None:
    config = ZenConfig()

    assert (config.connector_sweep_interval, config.connector_chunk_size) == (100, 5000)
    assert (config.batcher_sweep_interval, config.batcher_chunk_size) == (100, 5000)
    assert (config.demand_interval, config.demand_amount) == (100, 1000)
    assert (config.max_binary_size, config.truncation_depth) == (1024, 3)


@pytest.mark.parametrize("value", [0, -1, 2**31, True, 1.5, "10", None])
@pytest.mark.parametrize("name", [n for n in setting_names() if n not in {"auto_connect", "fair", "incompatible"}])
def test_integer_out_of_range_is_refused_with_the_range_and_changes_nothing(name: str, value: object) -> None:
    config = ZenConfig()
    before = getattr(config, name)

    with pytest.raises(ConfigError, match=rf"{name} must be an integer from \d to 2147483647"):
        setattr(config, name, value)

    assert getattr(config, name) == before


def test_limits_of_the_range_are_accepted() -> None:
    config = ZenConfig(max_binary_size=4, demand_amount=1)
    config.demand_amount = 2**31 - 1

    with pytest.raises(ConfigError, match="from 4 to"):
        config.max_binary_size = 3


def test_unknown_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="demand_interval"):
        ZenConfig().demand_intervall = 1


def test_choices_are_checked() -> None:
    with pytest.raises(ConfigError, match="'nodedown' or 'erts'"):
        ZenConfig(incompatible="other")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="True or False"):
        ZenConfig(fair=1)  # type: ignore[arg-type]


def test_watchers_hear_of_changes_and_copies_have_none() -> None:
    heard: list[str] = []
    config = ZenConfig(demand_amount=5)
    config.watch(heard.append)

    config.demand_interval = 10
    copy = config.copy()
    copy.demand_interval = 20

    assert heard == ["demand_interval"]
    assert (copy.demand_amount, config.demand_interval) == (5, 10)


@pytest.mark.parametrize("value", ["other", b"erts", 1, None, [], {}])
def test_incompatible_is_one_of_two_words(value: Any) -> None:
    config = ZenConfig()

    with pytest.raises(ConfigError, match="'nodedown' or 'erts'"):
        config.incompatible = value

    assert config.incompatible == "nodedown"


def test_environment_overrides_defaults() -> None:
    environment = {"PYZEN_DEMAND_AMOUNT": "7", "PYZEN_FAIR": "false", "PYZEN_INCOMPATIBLE": "erts"}

    config = ZenConfig.from_environment(environment)

    assert (config.demand_amount, config.fair, config.incompatible) == (7, False, "erts")


@pytest.mark.parametrize(("text", "what"), [("many", "from 1 to"), ("0", "from 1 to")])
def test_bad_environment_names_the_variable(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"PYZEN_DEMAND_AMOUNT.*{what}"):
        ZenConfig.from_environment({"PYZEN_DEMAND_AMOUNT": text})


@pytest.mark.parametrize("text", ["many", "7"])
def test_text_of_an_unknown_setting_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--zen: there is no setting 'demand'; the settings are .*demand_interval"):
        ZenConfig().set_text("demand", text, source="--zen")


def test_limits_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="max_atoms"):
        Limits(max_atoms=0)
    with pytest.raises(ConfigError, match="max_depth"):
        Limits(max_depth=10_001)


def test_epmd_port_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERL_EPMD_PORT", "5000")

    assert EpmdConfig().resolved_port() == 5000
    assert EpmdConfig(port=6000).resolved_port() == 6000

    monkeypatch.setenv("ERL_EPMD_PORT", "none")
    with pytest.raises(ConfigError, match="ERL_EPMD_PORT"):
        EpmdConfig().resolved_port()
