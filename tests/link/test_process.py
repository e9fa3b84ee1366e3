"""The I/O thread and its process: a held interpreter, stops, forks and exits. Each in a process of its own."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from pyzen._native import ACCEPTED, DOWN, ENDED, LinkThread, Session, guard_fd, release_fd
from pyzen.config import Limits
from pyzen.terms import Pid
from tests.link.peer import FLAGS, HERE, THERE, TICK, at_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREAMBLE = f"""
import ctypes, os, select, signal, socket, sys, time
from pyzen._native import ACCEPTED, DOWN, LinkThread, MESSAGE, guard_fd
from pyzen.config import Limits
from pyzen.terms import Atom, Pid

HERE, THERE = Atom("here@test"), Atom("there@test")
OUR, THEIR = Pid(HERE, 5, 0, 7), Pid(THERE, 9, 0, 8)
thread = None
more = False  # waits in the thread, which says so only once

def link_up(ticktime):
    "One active link to whoever connects to the port that is printed."
    global thread
    thread = LinkThread(Limits(), ticktime)
    print(thread.listen("127.0.0.1", 0)[1], flush=True)
    kind, link, *_ = next_event()
    assert kind == ACCEPTED
    thread.activate(
        link, node=HERE, creation=7, peer=THERE, flags={FLAGS}, last_frame=None, first=[]
    )
    return link

def next_events():
    "At least one event."
    global more
    events = []
    while not events:
        assert more or select.select([thread.fileno()], [], [], 10)[0], "nothing happens"
        events, more = thread.drain()
    return events

def next_event():
    (event,) = next_events()
    return event
"""


class Script:
    """A process that runs a script after `PREAMBLE`."""

    def __init__(self, body: str) -> None:
        command = [sys.executable, "-W", "ignore", "-c", PREAMBLE + textwrap.dedent(body)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the script has ended: {self.process.poll()}"
        return line.strip()

    def connect(self) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", int(self.line())), timeout=10)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer

    def wait(self) -> int:
        return self.process.wait(timeout=20)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def run_script() -> Iterator[Callable[[str], Script]]:
    scripts = []

    def run(body: str) -> Script:
        scripts.append(Script(body))
        return scripts[-1]

    yield run
    for script in scripts:
        script.end()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def kernel_threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


# ---- a process that does not run


def test_ticks_and_messages_pass_while_the_interpreter_is_held(run_script: Callable[[str], Script]) -> None:
    script = run_script(
        """
        link = link_up(1.6)
        print("held", flush=True)
        ctypes.PyDLL(None).sleep(4)
        print("free", flush=True)
        received = []
        while len(received) < 800:
            received += [message for event in next_events() if event[0] == MESSAGE for message in event[3]]
        print(received == list(range(800)), flush=True)
        print(next_event()[2], flush=True)
        """
    )
    with script.connect() as peer:
        there = Session(Limits(), node=THERE, creation=8, peer=HERE, flags=FLAGS)
        our, their = Pid(HERE, 5, 0, 7), Pid(THERE, 9, 0, 8)
        assert script.line() == "held"

        peer.settimeout(0.01)
        arrivals = [time.monotonic()]
        for n in range(800):  # for twice as long as the interpreter is held
            peer.sendall(there.send(their, our, n))
            with suppress(TimeoutError):
                assert set(peer.recv(100)) == {0}
                arrivals.append(time.monotonic())

        assert script.line() == "free"
        assert script.line() == "True"
    assert script.line() == "closed"
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert len(gaps) >= 8
    assert max(gaps) < 0.4 + 0.6, gaps  # a tick is due every 0.4 s; past 1.6 s a peer would give us up


def test_process_that_was_stopped_does_not_blame_its_peers(run_script: Callable[[str], Script]) -> None:
    script = run_script(
        """
        link = link_up(0.8)
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            select.select([thread.fileno()], [], [], 0.1)
            events = thread.drain()[0]
            if events:
                print(events[0][2], flush=True)
                break
        """
    )
    with script.connect() as peer:
        started, stopped, goes_on = time.monotonic(), False, False
        peer.settimeout(0.05)
        while time.monotonic() - started < 3.5:
            elapsed = time.monotonic() - started
            if elapsed > 0.5 and not stopped:
                script.process.send_signal(signal.SIGSTOP)
                stopped = True
            if elapsed > 2.0 and not goes_on:
                script.process.send_signal(signal.SIGCONT)
                goes_on = True
            # The peer is alive, but silent around the moment when the process goes on.
            if not 1.8 < elapsed < 2.2:
                peer.sendall(TICK)
            with suppress(TimeoutError):
                assert peer.recv(100), "the link was closed"


def test_process_that_was_stopped_still_finds_out_who_is_gone(run_script: Callable[[str], Script]) -> None:
    script = run_script(
        """
        link = link_up(0.4)
        print(next_event()[2], flush=True)
        """
    )
    with script.connect():
        script.process.send_signal(signal.SIGSTOP)
        select.select([], [], [], 0.8)
        script.process.send_signal(signal.SIGCONT)

        assert script.line() == "net_tick_timeout"


# ---- nothing stays behind


def kinds_until_the_end(thread: LinkThread) -> list[int]:
    """Drain a stopped thread; on a busy machine one drain may end after any event."""
    kinds: list[int] = []
    while ENDED not in kinds:
        kinds += [event[0] for event in thread.drain()[0]]
    return kinds


def test_a_hundred_stops_leave_no_thread_and_no_descriptor() -> None:
    files, tasks = descriptors(), kernel_threads()

    for _ in range(100):
        thread = LinkThread(Limits(), 60.0)
        with socket.create_connection(thread.listen("127.0.0.1", 0)) as peer:
            select.select([thread.fileno()], [], [], 10)
            assert thread.drain()[0][0][0] == ACCEPTED
            assert len(descriptors()) > len(files)
            thread.stop()
            assert kinds_until_the_end(thread) == [DOWN, ENDED]
            assert at_end(peer)

    assert descriptors() == files
    assert kernel_threads() == tasks


def test_a_thread_that_nobody_stops_ends_with_its_object() -> None:
    files, tasks = descriptors(), kernel_threads()
    thread = LinkThread(Limits(), 60.0)
    thread.listen("127.0.0.1", 0)
    assert kernel_threads() != tasks

    del thread

    assert descriptors() == files
    assert kernel_threads() == tasks


@pytest.mark.parametrize("how", ["", "import atexit; atexit.register(thread.stop)", "thread.stop(); thread.stop()"])
def test_an_interpreter_exits_with_a_live_link(run_script: Callable[[str], Script], how: str) -> None:
    script = run_script(f"link = link_up(60.0)\n{how}")
    with script.connect() as peer:
        assert at_end(peer)
        assert script.wait() == 0


# ---- forks


def test_a_forked_child_does_not_disturb_its_parent(run_script: Callable[[str], Script]) -> None:
    script = run_script(
        """
        link = link_up(60.0)
        child = os.fork()
        if child == 0:
            Atom("made in the child")
            del thread
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        thread.send(link, OUR, THEIR, b"still up")
        print("sent", flush=True)
        assert next_event()[3] == [1]
        print("received", flush=True)
        """
    )
    with script.connect() as peer:
        assert script.line() == "sent"
        assert peer.recv(1000).endswith(b"still up")
        there = Session(Limits(), node=THERE, creation=8, peer=HERE, flags=FLAGS)
        peer.sendall(there.send(Pid(THERE, 9, 0, 8), Pid(HERE, 5, 0, 7), 1))
        assert script.line() == "received"


def test_a_child_that_outlives_its_parent_holds_no_link_up(run_script: Callable[[str], Script]) -> None:
    script = run_script(
        """
        link = link_up(60.0)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            signal.pause()
        print(child, flush=True)
        signal.pause()
        """
    )
    with script.connect() as peer:
        address = peer.getpeername()
        peer.settimeout(1)
        child = int(script.line())
        try:
            script.process.kill()
            script.wait()

            assert at_end(peer)
            os.kill(child, 0)  # still there
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=1)
        finally:
            os.kill(child, signal.SIGKILL)


def test_links_can_not_be_used_in_a_forked_child(run_script: Callable[[str], Script]) -> None:
    script = run_script(
        """
        link = link_up(60.0)
        calls = [
            thread.fileno, thread.drain, thread.statistics,
            lambda: thread.listen("127.0.0.1", 0), lambda: thread.dial("127.0.0.1", 1),
            lambda: thread.read_frame(link), lambda: thread.write_frame(link, b""),
            lambda: thread.send(link, OUR, THEIR, 1), lambda: thread.signal(link, 0, (1, OUR, THEIR)),
            lambda: thread.close(link, ""),
            lambda: thread.activate(
                link, node=HERE, creation=7, peer=THERE, flags=0, last_frame=None, first=[]
            ),
        ]
        child = os.fork()
        if child == 0:
            for call in calls:
                try:
                    call()
                except RuntimeError as error:
                    assert "after fork" in str(error)
                else:
                    os._exit(1)
            thread.stop()
            own = LinkThread(Limits(), 60.0)
            own.listen("127.0.0.1", 0)
            own.stop()
            os._exit(0)
        print(os.waitpid(child, 0)[1], flush=True)
        """
    )
    with script.connect():
        assert script.line() == "0"


def test_forks_at_any_moment_leave_usable_children(run_script: Callable[[str], Script]) -> None:
    script = run_script(
        """
        link = link_up(60.0)
        for n in range(200):
            thread.drain()
            child = os.fork()
            if child == 0:
                signal.alarm(5)
                Atom(f"made in child {n}")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        print("done", flush=True)
        """
    )
    with script.connect() as peer:
        # New atoms in every header keep the I/O thread busy in the atom table.
        peer.setblocking(False)
        n = 0
        assert script.process.stdout is not None
        while script.process.stdout not in select.select([script.process.stdout], [peer], [], 10)[0]:
            text = b"%08d" % (n % 100_000_000)
            packet = b"\x83\x44\x01\x08\x05\x08" + text + b"h\x03a\x01a\x01a\x01"
            with suppress(BlockingIOError):
                peer.send(len(packet).to_bytes(4, "big") + packet)
            n += 1
        assert script.line() == "done"
        assert n > 200


def test_released_descriptor_stays_open_in_a_child() -> None:
    left, right = socket.socketpair()
    with left, right:
        guard_fd(left.fileno())
        release_fd(left.fileno())
        assert (
            subprocess.call(
                [sys.executable, "-c", f"import os; os.fstat({left.fileno()})"],
                pass_fds=[left.fileno()],
                preexec_fn=lambda: None,
            )
            == 0
        )
