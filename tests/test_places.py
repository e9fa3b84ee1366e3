"""Where programs of another system are, how they run, and how they are fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.places import Place, Unavailable, fetched

ON_PATH = Place()


def test_programs_of_the_path_run_as_they_are() -> None:
    assert ON_PATH.command("erl", "-noinput") == ["erl", "-noinput"]
    assert ON_PATH.inside(Path("/some/where")) == "/some/where"
    assert ON_PATH.environment == {}


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


def runs(place: Place) -> None:
    place.run("sh", "-c", "true")


def test_fetch_happens_once(tmp_path: Path) -> None:
    calls = []

    def fetch(folder: Path) -> Place:
        calls.append(folder)
        (folder / "content").touch()
        return ON_PATH

    for _ in range(2):
        folder = fetched("1", fetch, runs, under=tmp_path)
        assert folder == tmp_path / "1"
        assert (folder / "content").is_file()
    assert len(calls) == 1
    assert not calls[0].exists()


def test_fetch_that_failed_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    def breaks(folder: Path) -> Place:
        (folder / "half").touch()
        raise Unavailable("no network")

    def brings_nothing(folder: Path) -> Place:
        return Place(programs=folder)

    for fetch in (breaks, brings_nothing):
        with pytest.raises(Unavailable):
            fetched("1", fetch, runs, under=tmp_path)
        assert not (tmp_path / "1").exists()

    folder = fetched("1", lambda _: ON_PATH, runs, under=tmp_path)
    assert list(folder.iterdir()) == []
