import asyncio
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest

from pyzen.cli import address, main, metrics_address
from pyzen.config import EpmdConfig
from pyzen.dist.epmd import Alive2Request, KillRequest, NodeEntry, serialize_request
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node

HOST = "127.0.0.1"
PEER = "peer@127.0.0.1"


@pytest.fixture
def port() -> int:
    with socket.create_server((HOST, 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture
def environment(port: int) -> dict[str, str]:
    return {**os.environ, "ERL_EPMD_PORT": str(port)}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pyzen", *arguments]


def pyzen(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def epmd(environment: dict[str, str], port: int) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(command("epmd"), env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"ready epmd {HOST}:{port}\n"
        yield process
        process.terminate()


def asked(port: int, request: bytes) -> bytes:
    with socket.create_connection((HOST, port)) as one:
        one.sendall(request)
        return b"".join(iter(lambda: one.recv(4096), b""))


# ---- usage


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["epmd", "--port", "0"],
        ["epmd", "--port", "x"],
        ["names", "a", "b"],
        ["node"],
        ["node", "--name", "a@h", "--listen", "localhost"],
        ["node", "--name", "a@h", "--listen", "localhost:65536"],
        ["node", "--name", "a@h", "--metrics", "9100x"],
        ["node", "--name", "a@h", "--metrics", "127.0.0.1:65536"],
        ["node", "--name", "a@h", "--log", "loud"],
        ["monitor", "a@h"],
        ["ping"],
        ["ping", "a@h", "--timeout", "0"],
        ["ping", "a@h", "--timeout", "inf"],
        ["ping", "a@h", "--timeout", "soon"],
        ["ping", "a@h", "--cookie", "c", "--cookie-file", "f"],
        ["call", "a@h", "lists"],
        ["call", "a@h", "lists", "seq", "{1,"],
        ["call", "a@h", "true", "seq"],
    ],
)
def test_usage_errors_exit_2(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: pyzen")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("demand_amount=0", "demand_amount must be an integer from 1 to 2147483647, not 0"),
        ("demand_amount=many", "demand_amount must be an integer from 1 to 2147483647, not 'many'"),
        ("max_binary_size=3", "max_binary_size must be an integer from 4 to 2147483647, not 3"),
        ("fair=maybe", "fair must be true or false, not 'maybe'"),
        ("incompatible=other", "incompatible must be 'nodedown' or 'erts', not 'other'"),
        ("demand=1", "there is no setting 'demand'; the settings are connector_sweep_interval,"),
        ("demand_amount", "a setting is NAME=VALUE, not 'demand_amount'"),
    ],
)
def test_bad_setting_of_zen_monitor_is_a_usage_error_that_tells_the_range(
    setting: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["node", "--name", "a@h", "--zen", setting])

    assert caught.value.code == 2
    assert f"argument --zen: {words}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "found"), [("9100", ("127.0.0.1", 9100)), ("0.0.0.0:0", ("0.0.0.0", 0)), ("[::1]:9", ("::1", 9))]
)
def test_metrics_are_on_the_loopback_unless_a_host_is_given(text: str, found: tuple[str, int]) -> None:
    assert metrics_address(text) == found


def test_bad_setting_in_the_environment_is_one_line_of_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYZEN_DEMAND_AMOUNT", "0")

    assert main(["node", "--name", "a@127.0.0.1", "--cookie", "c"]) == 1

    told = "pyzen: PYZEN_DEMAND_AMOUNT: demand_amount must be an integer from 1 to 2147483647, not 0\n"
    assert capsys.readouterr() == ("", told)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])

    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("node", "monitor", "epmd", "names", "ping", "call"))


@pytest.mark.parametrize(
    ("text", "found"),
    [("localhost:0", ("localhost", 0)), ("127.0.0.1:65535", ("127.0.0.1", 65535)), ("[::1]:9", ("::1", 9))],
)
def test_address_is_host_and_port(text: str, found: tuple[str, int]) -> None:
    assert address(text) == found


# ---- names


def test_names_prints_what_is_registered(epmd: "subprocess.Popen[str]", environment: dict[str, str], port: int) -> None:
    with socket.create_connection((HOST, port)) as node:
        node.sendall(serialize_request(Alive2Request(NodeEntry("a", 1234))))
        assert len(node.recv(6)) == 6

        done = pyzen(environment, "names")

    assert (done.returncode, done.stdout, done.stderr) == (0, "name a at port 1234\n", "")


def test_names_without_epmd_is_one_line_that_says_what_to_do(environment: dict[str, str], port: int) -> None:
    done = pyzen(environment, "names")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"pyzen: no epmd answers at {HOST}:{port}: start one")


def test_names_tells_a_bad_port_in_the_environment(environment: dict[str, str]) -> None:
    done = pyzen({**environment, "ERL_EPMD_PORT": "x"}, "names")

    assert done.returncode == 1
    assert done.stderr == "pyzen: epmd port must be from 1 to 65535, not 'x' (see ERL_EPMD_PORT)\n"


# ---- epmd


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_epmd_stops_in_order_by_a_signal(epmd: "subprocess.Popen[str]", number: signal.Signals) -> None:
    epmd.send_signal(number)

    assert epmd.wait(10) == 0


def test_epmd_ends_when_it_is_told_to(epmd: "subprocess.Popen[str]", port: int) -> None:
    assert asked(port, serialize_request(KillRequest())) == b"OK"
    assert epmd.wait(10) == 0


def test_epmd_tells_that_its_port_is_in_use(epmd: "subprocess.Popen[str]", environment: dict[str, str]) -> None:
    done = pyzen(environment, "epmd")

    assert done.returncode == 1
    assert done.stderr.startswith("pyzen: can't listen on port")


def test_epmd_daemon_returns_when_it_answers_and_goes_on(environment: dict[str, str], port: int) -> None:
    done = pyzen({**environment, "PYTHONWARNINGS": "error"}, "epmd", "--daemon")  # such as those about forks

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert asked(port, b"\x00\x01\x6e") == port.to_bytes(4, "big")
    assert asked(port, serialize_request(KillRequest())) == b"OK"


def test_epmd_daemon_is_content_with_one_that_answers(
    epmd: "subprocess.Popen[str]", environment: dict[str, str], port: int
) -> None:
    assert pyzen(environment, "epmd", "--daemon").returncode == 0
    epmd.terminate()
    assert epmd.wait(10) == 0
    with pytest.raises(ConnectionRefusedError):
        asked(port, b"\x00\x01\x6e")


def test_epmd_daemon_tells_why_it_cannot_start(environment: dict[str, str]) -> None:
    done = pyzen({**environment, "ERL_EPMD_ADDRESS": "192.0.2.1"}, "epmd", "--daemon")

    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"pyzen: can't listen on port \d+ of 192.0.2.1 \(Cannot assign requested .*\n", done.stderr)


def test_epmd_daemon_lets_go_of_what_it_was_started_with(environment: dict[str, str], port: int) -> None:
    """Who reads its output to the end does not wait for the daemon to end."""
    reading, writing = os.pipe()
    try:
        subprocess.run(command("epmd", "--daemon"), env=environment, stdout=writing, stderr=writing, check=True)
        os.close(writing)

        ready, _, _ = select.select([reading], [], [], 10)

        assert ready
        assert os.read(reading, 100) == b""
    finally:
        os.close(reading)
        assert asked(port, serialize_request(KillRequest())) == b"OK"


# ---- commands that dial, in this process; the node that they meet runs in a thread of its own


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An epmd, and a node with the cookie ``secret``."""
    started: list[int] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        server = EpmdServer()
        started.append(await server.start(0))
        async with Node(PEER, cookie="secret", epmd=EpmdConfig(port=started[0], start=False)):
            ready.set()
            await ended.wait()
        await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    monkeypatch.setenv("ERL_EPMD_PORT", str(started[0]))
    yield PEER
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def when() -> Iterator[Callable[[Callable[[], bool], signal.Signals], None]]:
    """Send this process a signal once a condition is true."""
    threads: list[threading.Thread] = []

    def send(condition: Callable[[], bool], number: signal.Signals) -> None:
        def wait() -> None:
            while not condition():
                select.select([], [], [], 0.01)
            os.kill(os.getpid(), number)

        threads.append(threading.Thread(target=wait, daemon=True))
        threads[-1].start()

    yield send
    for thread in threads:
        thread.join(10)


def is_registered(name: str) -> bool:
    with suppress(OSError):
        return name.encode() in asked(int(os.environ["ERL_EPMD_PORT"]), b"\x00\x01n")
    return False


def test_ping_of_a_node_prints_pong(peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ping", peer, "--cookie", "secret"]) == 0

    assert capsys.readouterr() == ("pong\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ping", "nobody@127.0.0.1", "--cookie", "c"], "nobody@127.0.0.1 is not registered with epmd"),
        (["ping", PEER, "--cookie", "wrong"], "has another cookie"),
        (["ping", "nonsense", "--cookie", "c"], "nonsense"),
        (["ping", PEER, "--cookie-file", "/nowhere/cookie"], "no cookie: give one, or put it into /nowhere/cookie"),
        (["call", PEER, "lists", "max", "[]", "--cookie", "secret"], "lists:max/1 failed there: error undef"),
        (["monitor", PEER, "worker", "--cookie", "wrong"], "has another cookie"),
        (["node", "--name", "nonsense", "--cookie", "c"], "nonsense"),
        (["node", "--name", PEER, "--cookie", "c"], "another name"),
        (["node", "--name", "a@127.0.0.1", "--cookie", "c", "--listen", "192.0.2.1:0"], "can't listen on 192.0.2.1:0"),
        (
            ["node", "--name", "a@127.0.0.1", "--cookie", "secret", "--metrics", "192.0.2.1:9100"],
            "can't listen on 192.0.2.1:9100 for metrics: Cannot assign requested address",
        ),
    ],
)
def test_what_goes_wrong_is_one_line_of_stderr(
    peer: str, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], words: str
) -> None:
    assert main(arguments) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pyzen: ")
    assert err.count("\n") == 1
    assert words in err


def test_names_in_this_process(peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["names"]) == 0

    assert capsys.readouterr().out.startswith("name peer at port ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_node_stops_in_order_by_a_signal(
    peer: str,
    when: Callable[[Callable[[], bool], signal.Signals], None],
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    when(lambda: is_registered("name n at port"), number)

    assert main(["node", "--name", "n@127.0.0.1", "--cookie", "secret"]) == 0

    assert capsys.readouterr().out.startswith("ready n@127.0.0.1 127.0.0.1:")
    assert not is_registered("name n at port")


def test_node_whose_metrics_have_no_port_prints_one_line(peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]

        assert main(["node", "--name", "n@127.0.0.1", "--cookie", "secret", "--metrics", f"{HOST}:{port}"]) == 1

    assert capsys.readouterr() == ("", f"pyzen: can't listen on {HOST}:{port} for metrics: Address already in use\n")
    assert not is_registered("name n at port")


@pytest.mark.usefixtures("epmd")
def test_node_tells_on_stderr_what_it_is_asked_for(environment: dict[str, str]) -> None:
    arguments = command("node", "--name", "n@127.0.0.1", "--cookie", "c", "--metrics", "0", "--log", "info")
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, env=environment, stdout=pipe, stderr=pipe, text=True) as node:
        assert node.stdout is not None
        ready = node.stdout.readline()
        node.terminate()
        _, told = node.communicate(timeout=10)

    assert ready.startswith("ready n@127.0.0.1 127.0.0.1:")
    assert re.search(r"^INFO pyzen\.node: metrics are at http://127\.0\.0\.1:\d+/metrics$", told, re.MULTILINE)


def test_monitor_stops_in_order_by_a_signal(
    peer: str, when: Callable[[Callable[[], bool], signal.Signals], None], capsys: pytest.CaptureFixture[str]
) -> None:
    when(lambda: is_registered("name pyzen-"), signal.SIGTERM)

    # Nothing is monitored yet when the name appears: what counts is that no DOWN and no error is printed.
    assert main(["monitor", peer, "rex", "--cookie", "secret"]) == 0

    assert capsys.readouterr() == ("", "")


def test_epmd_in_this_process_is_one_for_nodes(
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    when: Callable[[Callable[[], bool], signal.Signals], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ERL_EPMD_PORT", str(port))

    def answers() -> bool:
        with suppress(OSError):
            return asked(port, b"\x00\x01n") == port.to_bytes(4, "big")
        return False

    when(answers, signal.SIGTERM)

    assert main(["epmd"]) == 0

    assert capsys.readouterr().out == f"ready epmd {HOST}:{port}\n"


def test_epmd_daemon_is_not_started_where_one_answers(peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["epmd", "--daemon"]) == 0

    assert capsys.readouterr() == ("", "")


def test_interrupt_of_a_command_that_waits_is_an_orderly_end(
    monkeypatch: pytest.MonkeyPatch,
    when: Callable[[Callable[[], bool], signal.Signals], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server((HOST, 0)) as silent:
        monkeypatch.setenv("ERL_EPMD_PORT", str(silent.getsockname()[1]))
        when(lambda: bool(select.select([silent], [], [], 0)[0]), signal.SIGINT)

        assert main(["names"]) == 0

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_reader_that_has_gone_is_no_traceback(
    epmd: "subprocess.Popen[str]", environment: dict[str, str], unbuffered: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with socket.create_connection((HOST, int(environment["ERL_EPMD_PORT"]))) as node:
        node.sendall(serialize_request(Alive2Request(NodeEntry("a", 1234))))
        node.recv(6)

        environment = {**environment, "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(command("names"), env=environment, stdout=writing, stderr=subprocess.PIPE, check=False)

    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


async def test_name_from_epmd_has_no_power_over_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever is on the host can register any bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\x00\x00\x11\x11name evil\x1b[2J at port 5\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        monkeypatch.setenv("ERL_EPMD_PORT", str(server.sockets[0].getsockname()[1]))

        assert await asyncio.to_thread(main, ["names", "127.0.0.1"]) == 0

    assert capsys.readouterr().out == "name evil\\x1b[2J at port 5\n"
