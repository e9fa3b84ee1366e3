from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.errors import ConfigError
from pyzen.node.cookies import Cookies, read_cookie_file

if TYPE_CHECKING:
    from pathlib import Path


def cookie_file(folder: Path, text: str = "secret\n", mode: int = 0o400) -> Path:
    path = folder / ".erlang.cookie"
    path.write_text(text, "latin-1")
    path.chmod(mode)
    return path


def test_cookie_given_is_used_for_every_peer() -> None:
    assert Cookies("secret")("a@host") == "secret"


def test_cookie_of_one_peer_is_used_for_that_one_only() -> None:
    cookies = Cookies("secret")

    cookies.set("b@host", "other")

    assert (cookies("a@host"), cookies("b@host")) == ("secret", "other")


@pytest.mark.parametrize("cookie", ["", "x" * 256, "\u20ac"])
def test_cookie_that_no_node_could_have_is_refused_untold(cookie: str) -> None:
    with pytest.raises(ConfigError, match="Latin-1") as caught:
        Cookies("secret").set("b@host", cookie)

    assert not cookie or cookie not in str(caught.value)


def test_no_cookie_given_reads_the_one_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie_file(tmp_path, "at home\n")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert Cookies(None)("a@host") == "at home"


def test_missing_file_is_told_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(ConfigError, match=r"no cookie: give one, or put it into .*/\.erlang\.cookie \(No such file"):
        Cookies(None)


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o620, 0o601])
def test_file_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = cookie_file(tmp_path, mode=mode)

    with pytest.raises(ConfigError, match="owner only: chmod 400") as caught:
        read_cookie_file(path)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_file_of_its_owner_is_read_without_white_space(tmp_path: Path, mode: int) -> None:
    assert read_cookie_file(cookie_file(tmp_path, " se cret \n", mode)) == "se cret"


def test_empty_file_is_no_cookie(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_cookie_file(cookie_file(tmp_path, "\n"))


def test_folder_instead_of_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        read_cookie_file(tmp_path)
