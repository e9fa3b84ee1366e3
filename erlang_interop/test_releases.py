"""The harness of the matrix: where releases come from, and the table of what ran."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from erlang_interop import releases
from erlang_interop.matrix import Case, Matrix
from erlang_interop.nodes import ON_PATH
from erlang_interop.releases import Place, Release, Unavailable, fetched, main, obtain

ROOT = Path(__file__).parent.parent


def report(outcome: str, when: str = "call", reason: str = "") -> pytest.TestReport:
    longrepr = ("file", 1, f"Skipped: {reason}") if reason else None
    return pytest.TestReport("id", ("file", 1, "id"), {}, outcome, longrepr, when)  # type: ignore[arg-type]


# ---- places


def test_programs_of_the_path_run_as_they_are() -> None:
    assert Place().command("erl", "-noinput") == ["erl", "-noinput"]
    assert Place().inside(Path("/some/where")) == "/some/where"
    assert Place().environment == {}


def test_programs_of_a_folder_are_found_there() -> None:
    place = Place(programs=Path("/some/bin"))

    assert place.command("erl", "-noinput") == ["/some/bin/erl", "-noinput"]
    assert place.command("/bin/sh") == ["/bin/sh"]


def test_programs_of_a_root_see_that_only() -> None:
    place = Place(root=Path("/some/place"))

    assert place.command("erl", "-noinput")[1:] == ["/some/place", "erl", "-noinput"]
    assert place.inside(Path("/some/place/tmp/x")) == "/tmp/x"
    assert place.environment["PATH"] == "/usr/bin:/bin"
    with pytest.raises(ValueError, match="not in the subpath"):
        place.inside(Path("/elsewhere"))


def test_what_does_not_run_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="no-such-program does not run"):
        ON_PATH.run("no-such-program")
    with pytest.raises(Unavailable, match="sh does not run: alas"):
        ON_PATH.run("sh", "-c", "echo alas >&2; exit 3")


# ---- fetching


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


def test_fetch_happens_once(erlang: None, tmp_path: Path) -> None:
    calls = []

    def fetch(folder: Path) -> Place:
        calls.append(folder)
        (folder / "content").touch()
        return ON_PATH

    for _ in range(2):
        folder = fetched("1", fetch, under=tmp_path)
        assert folder == tmp_path / "1"
        assert (folder / "content").is_file()
    assert len(calls) == 1
    assert not calls[0].exists()


def test_fetch_that_failed_leaves_no_release_and_is_tried_again(erlang: None, tmp_path: Path) -> None:
    def breaks(folder: Path) -> Place:
        (folder / "half").touch()
        raise Unavailable("no network")

    def brings_nothing(folder: Path) -> Place:
        return Place(programs=folder)

    for fetch in (breaks, brings_nothing):
        with pytest.raises(Unavailable):
            fetched("1", fetch, under=tmp_path)
        assert not (tmp_path / "1").exists()

    folder = fetched("1", lambda _: ON_PATH, under=tmp_path)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("required", "outcome"), [("0", "1 skipped"), ("1", "1 error")])
def test_release_that_cannot_be_had_skips_or_fails(tmp_path: Path, required: str, outcome: str) -> None:
    # A copy without fetched releases, on a machine without a network.
    shutil.copytree(ROOT / "erlang_interop", tmp_path / "erlang_interop", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in ("pyzen", "tests", "mix_fixture"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {"PIP_NO_INDEX": "1", "PYZEN_REQUIRE_MATRIX": required}
    arguments = ["-q", "-p", "no:cacheprovider", "--releases", "28", "--table", "table.md", "-k", "test_we_connect"]

    run = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "erlang_interop/conformance/test_connect.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert outcome in run.stdout, run.stdout + run.stderr
    assert run.returncode == int(required)
    assert "failed, see .releases/28.log" in run.stdout
    assert "26, 28 not run." in (tmp_path / "table.md").read_text()


# ---- the table


def test_table_tells_what_ran_and_what_did_not() -> None:
    matrix = Matrix(["25", "28"])
    matrix.ran("25", Release("25", "25.2.3", frozenset(), "1.14.0", ON_PATH))
    matrix.ran("28", Release("28", "28.5", frozenset(), None, ON_PATH))
    zen, ping = Case("Zen", "watches"), Case("Connecting", "ping")
    for number in ("25", "28"):
        matrix.add(ping, number, report("passed", "setup"))
        matrix.add(ping, number, report("passed"))
    matrix.add(zen, "25", report("failed"))
    matrix.add(zen, "28", report("skipped", "setup", "not available: no Elixir"))

    document = matrix.markdown()
    assert "OTP 25, 28 run; 26 not run." in document
    assert "| release run | 25.2.3 | not run | 28.5 |" in document
    assert "| Elixir | 1.14.0 | not run | - |" in document
    assert "| ping | ok | not run | ok |" in document
    assert "| watches | failed | not run | not available (1) |" in document
    assert "(1) no Elixir" in document
    assert document.index("## Connecting") < document.index("## Zen")
    assert "OTP 28.5: 1 ok, 0 failed, 1 not available" in matrix.text()


def test_case_that_fails_in_its_end_has_failed() -> None:
    matrix = Matrix(["25"])
    case = Case("Connecting", "ping")

    matrix.add(case, "25", report("passed"))
    matrix.add(case, "25", report("failed", "teardown"))

    assert matrix.cases == {case: {"25": "failed"}}
