"""Places to run programs of another system in: folders under ``.releases/``, each fetched once.

A folder appears under its final name only when it is complete and its programs have been seen to run. What was seen to
run is what tests report: the name asked for is only a label.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Place", "Unavailable", "debootstrap", "fetched", "step"]

FOLDER: Final = Path(__file__).parent.parent / ".releases"

FETCH_TIMEOUT: Final = 900.0
PROBE_TIMEOUT: Final = 60.0
MOUNT_PROC: Final = 'mount -t proc proc "$1/proc" && exec "$0" "$@"'


class Unavailable(Exception):
    """Something can't be had on this machine; the text says why, in words for a person."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where programs are, and how to run them.

    Attributes:
        root: The folder that is the root of their file system, for chroot; None for that of this machine.
        programs: The folder of those that are called by name; None where the path leads to them.
        proc: Whether those of a root see ``/proc``, too.
    """

    root: Path | None = None
    programs: Path | None = None
    proc: bool = False

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line that runs a program, in the same operating system process.

        A ``program`` with a slash is a path as seen from inside.
        """
        if self.programs is not None and "/" not in program:
            program = str(self.programs / program)
        return [*self._prefix, program, *arguments]

    @property
    def _prefix(self) -> list[str]:
        if self.root is None:
            return []
        # The PATH that the program gets is not the one that leads to chroot.
        chroot, root = system_program("chroot") or "chroot", str(self.root)
        # What is mounted in a name space of its own is gone with the last process there.
        return ["unshare", "--mount", "sh", "-c", MOUNT_PROC, chroot, root] if self.proc else [chroot, root]

    @property
    def environment(self) -> Mapping[str, str]:
        """What programs here need of the environment."""
        return {} if self.root is None else {"PATH": "/usr/bin:/bin", "HOME": "/root"}

    def inside(self, path: Path) -> str:
        """Return ``path`` as programs here see it; raises ``ValueError`` for what they can't see."""
        return str(path) if self.root is None else f"/{path.relative_to(self.root)}"

    def mirror(self) -> None:
        """Let programs inside find the files of this place under the paths that they have outside, too."""
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


def system_program(name: str) -> str | None:
    """Return where a program of administrators is; None if it is not there."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


# ---- fetching


def fetched(name: str, fetch: Callable[[Path], Place], run: Callable[[Place], object], *, under: Path = FOLDER) -> Path:
    """Return the folder ``name``; where it is not there yet, ``fetch`` fills it and ``run`` tries what is in it.

    Raises:
        Unavailable: ``fetch`` failed, or what it has brought does not run; the next call tries again.
    """
    folder = under / name
    if folder.is_dir():
        return folder
    under.mkdir(exist_ok=True)
    with _one_at_a_time(under / f"{name}.lock"):
        if not folder.is_dir():
            partial = under / f"{name}.partial"
            _remove(partial)
            partial.mkdir()
            # Seen to run before it gets its name: a folder with its final name works.
            run(fetch(partial))
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
        step(["umount", mount], folder.with_suffix(".log"))
    if folder.exists():
        shutil.rmtree(folder)


def debootstrap(suite: str, packages: str, folder: Path) -> Place:
    """Fill ``folder`` with a release of Debian and some packages of it, joined by commas.

    Raises:
        Unavailable: It can't be had here; the text says why.
    """
    if os.geteuid() != 0:
        raise Unavailable("chroot needs root")
    program = _debootstrap_program()
    step([program, "--variant=minbase", f"--include={packages}", suite, str(folder)], folder.with_suffix(".log"))
    for cache in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(folder / cache, ignore_errors=True)
    # A bare system knows no names at all, not even the one that nodes with short names dial.
    (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")
    return Place(root=folder)


def _debootstrap_program() -> str:
    if system_program("debootstrap") is None and shutil.which("apt-get") is not None:
        options = ["-qq", "-o", "DPkg::Lock::Timeout=300"]
        log = FOLDER / "apt-get.log"
        # Where the lists can't be renewed, those that are there may do.
        with log.open("w") as output:
            subprocess.run(["apt-get", *options, "update"], stdout=output, stderr=output, check=False)
        step(["apt-get", *options, "-y", "install", "--no-install-recommends", "debootstrap"], log)
    program = system_program("debootstrap")
    if program is None:
        raise Unavailable("debootstrap is not installed")
    return program


def step(command: Sequence[str], log: Path) -> None:
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
