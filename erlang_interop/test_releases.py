"""The harness of the matrix: where releases come from, and the table of what ran."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from erlang_interop import releases
from erlang_interop.matrix import Case, Matrix, Run
from erlang_interop.nodes import ON_PATH
from erlang_interop.releases import Release, main, obtain
from tests.places import Unavailable

ROOT = Path(__file__).parent.parent


def report(outcome: str, when: str = "call", reason: str = "") -> pytest.TestReport:
    longrepr = ("file", 1, f"Skipped: {reason}") if reason else None
    return pytest.TestReport("id", ("file", 1, "id"), {}, outcome, longrepr, when)  # type: ignore[arg-type]


# ---- releases


def test_release_on_the_path_is_what_its_erl_says(erlang: None, capsys: pytest.CaptureFixture[str]) -> None:
    release = obtain("25")

    out = subprocess.run(["erl", "-noinput", "-eval", "io:put_chars(erlang:system_info(otp_release)), halt()."],
                         capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert release.major == int(out)
    assert release.can_compile
    assert main(["25"]) == 0
    assert release.version in capsys.readouterr().out


def test_source_that_has_moved_on_is_no_longer_that_release(erlang: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "PROVIDERS", {"7": lambda _: ON_PATH})

    with pytest.raises(Unavailable, match=r"moved on to OTP \d"):
        obtain("7")


# ---- skips


def run_copy(folder: Path, *arguments: str, required: str) -> subprocess.CompletedProcess[str]:
    """Run tests of a copy without fetched releases, on a machine without a network."""
    shutil.copytree(ROOT / "erlang_interop", folder / "erlang_interop", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("pyzen", "tests", "mix_fixture"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "erlang_interop/test_idle.py").write_text(
        "import pytest\n\ndef test_idle():\n    pytest.skip('no time')\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {"PIP_NO_INDEX": "1", "PYZEN_REQUIRE_MATRIX": required}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--releases", "28", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("required", "outcome"), [("0", "5 skipped"), ("1", "5 errors")])
def test_release_that_cannot_be_had_skips_or_fails(tmp_path: Path, required: str, outcome: str) -> None:
    cases = ["erlang_interop/conformance/test_connect.py", "-k", "test_we_connect or test_peer_lets"]

    run = run_copy(tmp_path, "--table", "table.md", *cases, required=required)

    assert outcome in run.stdout, run.stdout + run.stderr
    assert run.returncode == int(required)
    assert "failed, see .releases/28.log" in run.stdout
    table = (tmp_path / "table.md").read_text()
    assert "26, 28 not run." in table
    assert "| we connect | tcp tls hidden | not run |" in table
    assert "| peer lets only some nodes in | tcp hidden; tls not applicable (" in table


@pytest.mark.parametrize(("required", "outcome"), [("0", "1 skipped"), ("1", "1 failed")])
def test_skip_for_no_reason_of_a_release_fails_where_it_must_not(tmp_path: Path, required: str, outcome: str) -> None:
    run = run_copy(tmp_path, "erlang_interop/test_idle.py", required=required)

    assert outcome in run.stdout, run.stdout + run.stderr
    assert run.returncode == int(required)


# ---- the table


def ran(matrix: Matrix, case: Case, number: str, way: str = "") -> None:
    matrix.add(Run(case, number, way), report("passed", "setup"))
    matrix.add(Run(case, number, way), report("passed"))


def lacks(matrix: Matrix, case: Case, number: str, way: str = "", *, reason: str) -> None:
    matrix.add(Run(case, number, way), report("skipped", "setup", reason))


def test_table_tells_what_ran_and_what_did_not() -> None:
    matrix = Matrix(["25", "28"])
    matrix.ran("25", Release("25", "25.2.3", frozenset(), "1.14.0", ON_PATH))
    matrix.ran("28", Release("28", "28.5", frozenset(), None, ON_PATH))
    zen, ping = Case("Zen", "watches"), Case("Connecting", "ping")
    ran(matrix, ping, "25")
    ran(matrix, ping, "28")
    matrix.add(Run(zen, "25"), report("failed"))
    lacks(matrix, zen, "28", reason="not available: no Elixir")

    document = matrix.markdown()
    assert "OTP 25, 28 run; 26 not run." in document
    assert "| release run | 25.2.3 | not run | 28.5 |" in document
    assert "| Elixir | 1.14.0 | not run | - |" in document
    assert "| ping | ok | not run | ok |" in document
    assert "| watches | failed | not run | not available (1) |" in document
    assert "(1) no Elixir" in document
    assert document.index("## Connecting") < document.index("## Zen")
    assert "OTP 28.5: 1 ok, 0 failed, 1 not available" in matrix.text()


def test_case_over_several_ways_has_one_row() -> None:
    matrix = Matrix(["25", "28"])
    ping, call, alone = (Case("Connecting", name) for name in ("ping", "call", "alone"))
    for way in ("tcp", "tls", "hidden"):
        ran(matrix, ping, "25", way)
    for way in ("tcp", "hidden"):
        ran(matrix, ping, "28", way)
    lacks(matrix, ping, "28", "tls", reason="not available: no ssl")
    ran(matrix, call, "25", "tcp")
    matrix.add(Run(call, "25", "tls"), report("failed"))
    matrix.exclude(call, "hidden", "nobody hides")
    ran(matrix, alone, "25")

    document = matrix.markdown()

    assert "| case | ways | OTP 25 | OTP 26 | OTP 28 |" in document
    assert "| ping | tcp tls hidden | ok | not run | tcp hidden ok; tls not available (1) |" in document
    assert "| call | tcp tls; hidden not applicable (2) | tcp ok; tls failed | not run | not run |" in document
    assert "| alone |  | ok | not run | not run |" in document
    assert "(1) no ssl" in document
    assert "(2) nobody hides" in document


def test_sums_count_every_way() -> None:
    matrix = Matrix(["25"])
    matrix.ran("25", Release("25", "25.2.3", frozenset(), None, ON_PATH))
    case = Case("Connecting", "ping")
    ran(matrix, case, "25", "tcp")
    matrix.add(Run(case, "25", "tls"), report("failed"))
    lacks(matrix, case, "25", "hidden", reason="not available: no cloak")

    assert "OTP 25.2.3: 1 ok, 1 failed, 1 not available" in matrix.text()
    assert "| runs ok | 1 | not run |" in matrix.markdown()


def test_columns_for_a_terminal_are_as_wide_as_what_is_in_them() -> None:
    matrix = Matrix(["25", "28"])
    for number in ("25", "28"):
        ran(matrix, Case("Connecting", "ping"), number, "tcp")
    lacks(matrix, Case("Connecting", "ping"), "25", "tls", reason="not available: no ssl")

    head, _, row = matrix.text().splitlines()[:3]

    assert row == "ping  tcp tls  tcp ok; tls not available (1)  ok"
    assert head.index("OTP 25") == row.index("tcp ok")
    assert head.index("OTP 28") == row.rindex("ok")


def test_case_that_fails_in_its_end_has_failed() -> None:
    matrix = Matrix(["25"])
    run = Run(Case("Connecting", "ping"), "25", "tcp")

    matrix.add(run, report("passed"))
    matrix.add(run, report("failed", "teardown"))

    assert matrix.cases == {run.case: {"25": {"tcp": "failed"}}}
