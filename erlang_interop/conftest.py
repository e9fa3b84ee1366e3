"""Fixtures of the tests against real nodes: ``cluster``, ``elixir_node``, ``erl_node``, ``epmd_port``.

A test that cannot run for want of Erlang or Elixir skips and says so; ``PYZEN_REQUIRE_ERLANG=1`` makes that a
failure. ``elixir_node`` and ``erl_node`` are functions that start a node; they and the nodes they have started last
for one test, the epmd and the compiled fixture for the whole run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from erlang_interop.nodes import FIXTURE, ElixirNode, Epmd, ErlangCluster, ErlNode
from tests import profiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

__all__ = ["profiles"]  # imported for its effect on Hypothesis

MISSING: Final = "needs a real node"
RELEASES: Final = ("25",)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--releases``."""
    text = "OTP releases to test against, joined by commas; 25 stands for the erl on the path"
    parser.addoption("--releases", default="25", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse releases that nobody can provide."""
    for release in config.getoption("--releases").split(","):
        if release not in RELEASES:
            known = ", ".join(RELEASES)
            raise pytest.UsageError(f"--releases: {release!r} is not available; there is {known}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for want of Erlang into a failure where Erlang is required."""
    del item, call
    report = yield
    if report.skipped and os.environ.get("PYZEN_REQUIRE_ERLANG") == "1" and MISSING in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr}, and PYZEN_REQUIRE_ERLANG=1 forbids to skip"
    return report


def _need(*programs: str) -> None:
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        pytest.skip(f"{MISSING}, and {', '.join(absent)} is not on the path")


@pytest.fixture(scope="session")
def erlang() -> None:
    """Skip unless Erlang is on the path."""
    _need("erl", "erlc", "epmd")


@pytest.fixture(scope="session")
def epmd(erlang: None) -> Iterator[Epmd]:
    """The epmd of this run; a test that stops epmd starts one of its own with ``Epmd.start``."""
    daemon = Epmd.start()
    try:
        yield daemon
    finally:
        daemon.close()


@pytest.fixture(scope="session")
def epmd_port(epmd: Epmd) -> int:
    """Where the epmd of this run listens, on loopback."""
    return epmd.port


@pytest.fixture(scope="session")
def erlang_drivers(erlang: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled ``*.erl`` of this folder."""
    folder = tmp_path_factory.mktemp("erlang")
    sources = sorted(str(source) for source in Path(__file__).parent.glob("*.erl"))
    subprocess.run(["erlc", "-Werror", "-o", str(folder), *sources], check=True)
    return folder


@pytest.fixture(scope="session")
def mix_fixture() -> Path:
    """The compiled ``mix_fixture``."""
    _need("elixir", "mix")
    environment = {**os.environ, "MIX_ENV": "prod", "LC_ALL": "C.UTF-8"}
    subprocess.run(["mix", "compile", "--warnings-as-errors"], check=True, cwd=FIXTURE, env=environment)
    return FIXTURE


@pytest.fixture
async def cluster(epmd_port: int, erlang_drivers: Path) -> AsyncIterator[ErlangCluster]:
    """Nodes that share a cookie; whatever the test started ends with it."""
    nodes = ErlangCluster(epmd_port, erlang_drivers)
    try:
        yield nodes
    finally:
        await nodes.close()


@pytest.fixture
def elixir_node(cluster: ErlangCluster, mix_fixture: Path) -> Callable[..., Awaitable[ElixirNode]]:
    """``await elixir_node(alive_name=None, **options)`` starts an Elixir node; see ``NodeOptions``."""
    del mix_fixture
    return cluster.elixir


@pytest.fixture
def erl_node(cluster: ErlangCluster) -> Callable[..., Awaitable[ErlNode]]:
    """``await erl_node(alive_name=None, **options)`` starts a plain Erlang node; see ``NodeOptions``."""
    return cluster.erl
