"""Every Python that is supported: a wheel for each, and ``tests/`` against that wheel.

| Python | where it comes from |
|---|---|
| 3.11, 3.12, 3.13, 3.14t | the first that works of the path and of pyenv's versions, the newest first |
| 3.14 | the same; else Debian sid, in a folder of its own by debootstrap, which needs root |

The wheel is installed into a virtual environment of its own. The tests run in a copy of what they need: there is no
package ``pyzen`` beside it, so what they import is the wheel. ``python -m tests.pythons`` takes pytest's arguments.
With ``PYZEN_REQUIRE_PYTHONS=1`` it is a failure if one of 3.11, 3.12 and 3.13 can't be had, else it is told.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from tests.places import Place, Unavailable, debootstrap, fetched, step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Outcome", "Python", "main", "obtain"]

ROOT: Final = Path(__file__).parent.parent
BUILD: Final = ROOT / ".build" / "pythons"
NAMES: Final = ("3.14", "3.14t", "3.13", "3.12", "3.11")  # what takes longest first
REQUIRED: Final = frozenset({"3.11", "3.12", "3.13"})
NEEDED: Final = ("tests", "erlang_interop", "docs", "README.md", "pyproject.toml", "constraints.txt")

SUITE: Final = "sid"
DEBIAN: Final = "3.14"
PACKAGES: Final = "python3.14-venv"
NETWORK: Final = (Path("/etc/resolv.conf"), Path("/etc/ssl/certs/ca-certificates.crt"))  # for pip

# Prints what it is, if it can make virtual environments.
PROBE: Final = """
import ensurepip, platform, sys, sysconfig, venv
print("%d.%d" % sys.version_info[:2], "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "", sep="")
print(platform.python_version())
print(sys.executable)
"""
BUILDING: Final = Lock()  # all wheels are built in one folder

SUMMARY: Final = re.compile(r"^=* ?(\d+ .*) in [0-9.]+s", re.MULTILINE)
TAIL: Final = 60  # lines of the log of one that failed


@dataclass(frozen=True, slots=True)
class Python:
    """A Python that has been seen to run.

    Attributes:
        name: Its minor version, with a ``t`` where it is built without a GIL: ``3.14t``.
        version: What runs, as in ``3.14.2``.
        program: Its path, as seen from inside.
        place: How to run it.
    """

    name: str
    version: str
    program: str
    place: Place

    @property
    def folder(self) -> Path:
        """Where its wheel, its virtual environment and its copy of the tests are."""
        return (self.place.scratch or BUILD) / f"python{self.name}"

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs the Python of its virtual environment in its copy of the tests."""
        copy, python = (self.place.inside(self.folder / name) for name in ("copy", "venv/bin/python"))
        settings = {**self.place.environment, **({"PYTHON_GIL": "1"} if self.name.endswith("t") else {})}
        words = [f"{name}={value}" for name, value in settings.items()]
        return self.place.command("env", f"--chdir={copy}", *words, python, *arguments)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the tests on one Python.

    Attributes:
        name: Which.
        version: What has run; ``-`` where it can't be had.
        seconds: How long all took, the wheel and the environment included.
        summary: pytest's last line, or what went wrong before.
        passed: Whether all is well.
    """

    name: str
    version: str
    seconds: float
    summary: str
    passed: bool


# ---- where they come from


def obtain(name: str) -> Python:
    """Return the Python ``name``, fetched if need be.

    Raises:
        Unavailable: It can't be had here.
    """
    for program in _programs(f"python{name}"):
        try:
            return _describe(name, str(program), Place())
        except Unavailable:
            continue  # a shim of pyenv whose Python is switched off, or one without `venv`
    if name != DEBIAN:
        raise Unavailable(f"no python{name} on the path or under pyenv")
    return _debian(name)


def _programs(program: str) -> Iterator[Path]:
    folders = [Path(folder) for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += [version / "bin" for version in sorted((pyenv / "versions").glob("*"), key=_numbers, reverse=True)]
    return (folder / program for folder in folders if os.access(folder / program, os.X_OK))


def _numbers(version: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.name)]


def _describe(name: str, program: str, place: Place) -> Python:
    found, version, executable = place.run(program, "-c", PROBE).splitlines()
    if found != name:
        raise Unavailable(f"{program} is Python {found}")
    return Python(name, version, executable, place)


def _debian(name: str) -> Python:
    describe = partial(_describe, name, f"/usr/bin/python{name}")
    root = fetched(f"python{name}", partial(debootstrap, SUITE, PACKAGES), describe)
    for path in NETWORK:
        shutil.copyfile(path, root / path.relative_to("/"))
    return describe(Place(root=root, proc=True))


# ---- what is done with each


def tested(name: str, arguments: Sequence[str]) -> Outcome:
    """Run the tests on one Python; what goes wrong there is its outcome."""
    started, version, trouble = time.monotonic(), "-", ""
    log = BUILD / f"{name}.log"
    log.write_text("")
    try:
        python = obtain(name)
        version = python.version
        install(python, build(python, log), log)
        step(python.command("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments), log)
    except Unavailable as error:
        trouble = str(error)
    ran = SUMMARY.findall(log.read_text())
    return Outcome(name, version, time.monotonic() - started, ran[-1] if ran else trouble, passed=not trouble)


def build(python: Python, log: Path) -> Path:
    """Build a wheel for a Python and return where it is."""
    shutil.rmtree(python.folder, ignore_errors=True)
    python.folder.mkdir(parents=True)
    maturin = str(Path(sys.executable).with_name("maturin"))
    # maturin knows every Python by its name, those it can't run as well.
    with BUILDING:
        step([maturin, "build", "--locked", "--interpreter", python.name, "--out", str(python.folder)], log)
    (wheel,) = python.folder.glob("*.whl")
    return wheel


def install(python: Python, wheel: Path, log: Path) -> None:
    """Make a virtual environment with the wheel and what tests need, and the folder in which they run."""
    place, copy = python.place, python.folder / "copy"
    copy.mkdir()
    for name in NEEDED:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile)(ROOT / name, copy / name)
    step(place.command(python.program, "-m", "venv", place.inside(python.folder / "venv")), log)
    packages = ["--constraint", "constraints.txt", f"{place.inside(wheel)}[test]"]
    step(python.command("-m", "pip", "install", "--quiet", *packages), log)


# ---- the command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests on every Python, two at a time, and print a line each; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests.pythons", epilog="All else is handed on to pytest.")
    parser.add_argument("--python", metavar="NAME", action="append", choices=NAMES, help="such as 3.12 (default: all)")
    options, rest = parser.parse_known_args(arguments)
    BUILD.mkdir(parents=True, exist_ok=True)
    print(f"{'Python':8}{'runs':10}{'seconds':9}tests", flush=True)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(tested, name, rest) for name in options.python or NAMES]
        outcomes = [tell(job.result()) for job in as_completed(jobs)]
    return 1 if any(map(counts_as_failed, outcomes)) else 0


def tell(outcome: Outcome) -> Outcome:
    """Print what became of one Python; of a failure the end of its log as well."""
    print(f"{outcome.name:8}{outcome.version:10}{outcome.seconds:<9.0f}{outcome.summary}", flush=True)
    if counts_as_failed(outcome):
        lines = (BUILD / f"{outcome.name}.log").read_text().splitlines()
        print(*lines[-TAIL:], sep="\n", flush=True)
    return outcome


def counts_as_failed(outcome: Outcome) -> bool:
    """Return whether an outcome is a failure: of a Python that is not there, only where it must be."""
    missing = outcome.version == "-"
    required = os.environ.get("PYZEN_REQUIRE_PYTHONS") == "1" and outcome.name in REQUIRED
    return required if missing else not outcome.passed


if __name__ == "__main__":
    sys.exit(main())
