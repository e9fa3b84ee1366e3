"""Fixtures of the tests against real nodes: ``cluster``, ``elixir_node``, ``erl_node``, ``epmd_port``, ``release``.

A test that cannot run for want of Erlang or Elixir skips and says so; ``PYZEN_REQUIRE_ERLANG=1`` makes that a
failure. ``elixir_node`` and ``erl_node`` are functions that start a node, ``python_node`` one that starts a node of
ours; they and the nodes they have started last for one test, the epmd and the compiled fixture for the whole run.

With ``--releases``, whatever starts a node through these fixtures runs once per release: OTP 25 is the ``erl`` on the
path, `erlang_interop.releases` fetches the others. A release that can't be had skips; ``PYZEN_REQUIRE_MATRIX=1`` makes
that a failure. What a release does not have is "not available", which is no failure: it says so in the table.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from erlang_interop import releases
from erlang_interop.matrix import Matrix, run_of
from erlang_interop.nodes import FIXTURE, ON_PATH, ElixirNode, Epmd, ErlangCluster, ErlNode
from pyzen.config import EpmdConfig
from pyzen.node.node import Node
from tests import profiles
from tests.certificates import Authority
from tests.places import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

    from erlang_interop.releases import Release

__all__ = ["profiles"]  # imported for its effect on Hypothesis

HERE: Final = Path(__file__).parent
MISSING: Final = "needs a real node"
NOT_AVAILABLE: Final = "not available: "
MATRIX: Final = pytest.StashKey[Matrix]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--releases`` and ``--table``."""
    text = "OTP releases to test against, joined by commas, or all; 25 stands for the erl on the path"
    parser.addoption("--releases", default="25", help=text)
    parser.addoption("--table", type=Path, metavar="FILE", help="write the table case by release to FILE")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse releases that nobody can provide."""
    for release in _asked_for(config):
        if release not in releases.NUMBERS:
            known = ", ".join(releases.NUMBERS)
            raise pytest.UsageError(f"--releases: {release!r} is not available; there is {known}")
    config.stash[MATRIX] = Matrix(_asked_for(config))


def _asked_for(config: pytest.Config) -> list[str]:
    asked: str = config.getoption("--releases")
    return list(releases.NUMBERS) if asked == "all" else asked.split(",")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs a release once for each; those of one release run together."""
    asked = _asked_for(metafunc.config)
    if "release" in metafunc.fixturenames and len(asked) > 1:
        metafunc.parametrize("release", asked, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the one release of this run is too old for; a run over several shows it in its table."""
    asked = _asked_for(config)
    if len(asked) > 1:
        return
    too_new = [item for item in items if _first_release(item) > int(asked[0])]
    config.hook.pytest_deselected(items=too_new)
    items[:] = [item for item in items if item not in too_new]


def _first_release(item: pytest.Item) -> int:
    return max((int(marker.args[0]) for marker in item.iter_markers("since")), default=0)


def _forbidden_by(report: pytest.TestReport) -> str | None:
    """Return the variable that makes a failure of a skip; a part that a release lacks may be missing."""
    if not report.skipped:
        return None
    required = {
        "PYZEN_REQUIRE_ERLANG": MISSING in str(report.longrepr),
        "PYZEN_REQUIRE_MATRIX": NOT_AVAILABLE not in str(report.longrepr),
    }
    return next((name for name, applies in required.items() if applies and os.environ.get(name) == "1"), None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for want of Erlang into a failure where Erlang is required; fill the table."""
    del call
    report = yield
    forbidden_by = _forbidden_by(report)
    if forbidden_by is not None:
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr}, and {forbidden_by}=1 forbids to skip"
    if isinstance(item, pytest.Function) and "release" in item.fixturenames:
        _note(item, report)
    return report


def _note(item: pytest.Function, report: pytest.TestReport) -> None:
    matrix = item.config.stash[MATRIX]
    run = run_of(item, _asked_for(item.config)[0])
    matrix.add(run, report)
    for marker in item.iter_markers("not_applicable"):
        matrix.exclude(run.case, *marker.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of a run over several releases, and write it where asked to."""
    matrix = config.stash[MATRIX]
    if len(_asked_for(config)) > 1 and matrix.cases:
        terminalreporter.section("case by release")
        terminalreporter.write_line(matrix.text())
    path: Path | None = config.getoption("--table")
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(matrix.markdown())
        terminalreporter.write_line(f"wrote {path}")


def _need(*programs: str) -> None:
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        pytest.skip(f"{MISSING}, and {', '.join(absent)} is not on the path")


@pytest.fixture(scope="session")
def erlang() -> None:
    """Skip unless Erlang is on the path."""
    _need("erl", "erlc", "epmd")


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest) -> Release:
    """The release whose nodes a test meets."""
    number: str = getattr(request, "param", None) or _asked_for(request.config)[0]
    if number == "25":
        request.getfixturevalue("erlang")
    try:
        found = releases.obtain(number)
    except Unavailable as error:
        if os.environ.get("PYZEN_REQUIRE_MATRIX") == "1":
            pytest.fail(f"OTP {number}: {error}, and PYZEN_REQUIRE_MATRIX=1 forbids to skip")
        pytest.skip(f"{NOT_AVAILABLE}{error}")
    request.config.stash[MATRIX].ran(number, found)
    return found


@pytest.fixture(autouse=True)
def needs(request: pytest.FixtureRequest) -> None:
    """Skip what the release does not have, as the markers ``needs`` and ``since`` tell."""
    wanted = [one for marker in request.node.iter_markers("needs") for one in marker.args]
    first = _first_release(request.node)
    if not wanted and not first:
        return
    found: Release = request.getfixturevalue("release")
    if found.major < first:
        pytest.skip(f"{NOT_AVAILABLE}new in OTP {first}")
    for one in wanted:
        _need_part(found, one)


def _need_part(release: Release, part: str) -> None:
    if release.lacks(part):
        pytest.skip(f"{NOT_AVAILABLE}this OTP {release.version} comes without {part}")


@pytest.fixture(scope="session")
def workplace(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that this process and the nodes of the release see."""
    if release.place.scratch is None:
        yield tmp_path_factory.mktemp("erlang")
        return
    with tempfile.TemporaryDirectory(prefix="pyzen-", dir=release.place.scratch) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def tls_folder(release: Release, workplace: Path) -> Path:
    """A folder for certificates: nodes of the release find its files under the same paths as we do."""
    release.place.mirror()
    folder = workplace.resolve() / "tls"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def authority(tls_folder: Path) -> Authority:
    """Who signs the certificates of this run and release."""
    return Authority(tls_folder)


@pytest.fixture(scope="session")
def epmd(release: Release) -> Iterator[Epmd]:
    """The epmd of this run and release; a test that stops epmd starts one of its own with ``Epmd.start``."""
    daemon = Epmd.start(release.place)
    try:
        yield daemon
    finally:
        daemon.close()


@pytest.fixture(scope="session")
def epmd_port(epmd: Epmd) -> int:
    """Where the epmd of this run listens, on loopback."""
    return epmd.port


@pytest.fixture(scope="session")
def erlang_drivers(release: Release, workplace: Path) -> Path:
    """The folder with the compiled ``*.erl`` of this folder and of ``conformance``."""
    # Code of an older release runs on a newer one; where there is no compiler that has to do.
    place = release.place if release.can_compile else ON_PATH
    sources = [shutil.copy(source, workplace) for source in sorted([*HERE.glob("*.erl"), *HERE.glob("*/*.erl")])]
    arguments = [place.inside(Path(source)) for source in sources]
    # Newer compilers find new faults; those of the supported floor are the rule.
    strict = ["-Werror"] if place == ON_PATH else []
    place.run("erlc", *strict, "-o", place.inside(workplace), *arguments)
    return workplace


@pytest.fixture(scope="session")
def mix_fixture(release: Release, workplace: Path) -> Path:
    """The ``mix_fixture``, compiled by the Elixir of the release."""
    if release.place == ON_PATH:
        _need("elixir", "mix")
    _need_part(release, "Elixir")
    folder = FIXTURE
    if release.place != ON_PATH:
        folder = shutil.copytree(FIXTURE, workplace / "mix_fixture", ignore=shutil.ignore_patterns("_build"))
    strict = "--warnings-as-errors" if release.place == ON_PATH else ""
    script = f"cd {release.place.inside(folder)} && MIX_ENV=prod exec mix compile {strict}"
    release.place.run("/bin/sh", "-c", script)
    return folder


@pytest.fixture
async def cluster(release: Release, epmd_port: int, erlang_drivers: Path) -> AsyncIterator[ErlangCluster]:
    """Nodes that share a cookie; whatever the test started ends with it."""
    nodes = ErlangCluster(epmd_port, erlang_drivers, release.place)
    try:
        yield nodes
    finally:
        await nodes.close()


@pytest.fixture
async def python_node(cluster: ErlangCluster) -> AsyncIterator[Callable[..., Awaitable[Node]]]:
    """``await python_node(**options)`` starts a node of ours in the cluster; options are those of ``Node``."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Node:
            settings: dict[str, Any] = {
                "cookie": cluster.cookie,
                "epmd": EpmdConfig(port=cluster.epmd_port, start=False),
            } | options
            return await stack.enter_async_context(Node(f"z{secrets.token_hex(5)}@127.0.0.1", **settings))

        yield start


@pytest.fixture
def elixir_node(cluster: ErlangCluster, mix_fixture: Path) -> Callable[..., Awaitable[ElixirNode]]:
    """``await elixir_node(alive_name=None, **options)`` starts an Elixir node; see ``NodeOptions``."""
    cluster.fixture = mix_fixture
    return cluster.elixir


@pytest.fixture
def erl_node(cluster: ErlangCluster) -> Callable[..., Awaitable[ErlNode]]:
    """``await erl_node(alive_name=None, **options)`` starts a plain Erlang node; see ``NodeOptions``."""
    return cluster.erl
