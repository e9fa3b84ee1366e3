import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyzen.config import EpmdConfig
from pyzen.dist.epmd import KillRequest, NodeEntry, NodeType, serialize_request
from pyzen.errors import EpmdError, NameTaken
from pyzen.node import epmd
from pyzen.node.epmd import Endpoint, Registration, connect, ensure_epmd, lookup, names
from pyzen.node.epmd_server import EpmdServer

HOST = "127.0.0.1"


@pytest.fixture
async def server() -> AsyncIterator[EpmdServer]:
    one = EpmdServer()
    await one.start(0)
    yield one
    await one.stop()


@pytest.fixture
def config(server: EpmdServer) -> EpmdConfig:
    return EpmdConfig(port=server.port, start=False)


@pytest.fixture
async def free_port() -> int:
    one = EpmdServer()
    port = await one.start(0)
    await one.stop()
    return port


async def answering(data: bytes) -> tuple[asyncio.Server, EpmdConfig]:
    """Start something that is no epmd: it sends ``data`` and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(data)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, HOST, 0)
    return server, EpmdConfig(port=server.sockets[0].getsockname()[1])


# ---- questions


async def test_lookup_gives_port_and_versions(server: EpmdServer, config: EpmdConfig) -> None:
    server.table.register(NodeEntry("a", 1234), now=0)

    assert await lookup("a", HOST, config) == Endpoint(1234, (5, 6))


async def test_lookup_of_a_name_nobody_has_gives_none(config: EpmdConfig) -> None:
    assert await lookup("a", HOST, config) is None


async def test_lookup_refuses_a_node_of_other_versions(server: EpmdServer, config: EpmdConfig) -> None:
    server.table.register(NodeEntry("a", 1234, highest=9, lowest=7), now=0)

    with pytest.raises(EpmdError, match=r"a@127\.0\.0\.1 speaks versions 7 to 9"):
        await lookup("a", HOST, config)


async def test_lookup_finds_an_address_by_its_name(server: EpmdServer, config: EpmdConfig) -> None:
    server.table.register(NodeEntry("a", 1234), now=0)

    assert await lookup("a", "localhost", config) is not None


async def test_names_lists_nodes_newest_first(server: EpmdServer, config: EpmdConfig) -> None:
    server.table.register(NodeEntry("a", 1), now=0)
    server.table.register(NodeEntry("b", 2), now=0)

    assert await names(HOST, config) == [("b", 2), ("a", 1)]


async def test_questions_say_what_to_do_when_no_epmd_answers(free_port: int) -> None:
    config = EpmdConfig(port=free_port)

    for question in (names(HOST, config), lookup("a", HOST, config)):
        with pytest.raises(
            EpmdError, match=f"no epmd answers at {HOST}:{free_port}: start one .epmd -daemon"
        ) as caught:
            await question
        assert str(caught.value).endswith("(Connection refused)")
        assert "\n" not in str(caught.value)


async def test_questions_tell_an_unknown_host() -> None:
    with pytest.raises(EpmdError, match=r"the host 'nowhere\.invalid' is unknown"):
        await names("nowhere.invalid")


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 400 Bad Request\r\n", b"\x77"])
async def test_questions_tell_something_that_is_no_epmd(data: bytes) -> None:
    server, config = await answering(data)

    for question in (names(HOST, config), lookup("a", HOST, config)):
        with pytest.raises(EpmdError, match="is no epmd that works"):
            await question

    server.close()
    await server.wait_closed()


async def test_questions_end_when_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epmd, "ANSWER_TIME", 0.01)
    silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, HOST, 0)
    config = EpmdConfig(port=silent.sockets[0].getsockname()[1])

    with pytest.raises(EpmdError, match=r"does not answer within 0\.01 s"):
        await names(HOST, config)

    silent.close()


async def test_questions_bound_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epmd, "MAX_RESPONSE_SIZE", 1000)
    server, config = await answering(b"\x00\x00\x11\x11" + b"x" * 2000)

    with pytest.raises(EpmdError, match="has no end"):
        await names(HOST, config)

    server.close()
    await server.wait_closed()


# ---- registration


async def test_registration_holds_the_name_from_start_to_stop(server: EpmdServer, config: EpmdConfig) -> None:
    one = Registration("a", 1234, config)

    creation = await one.start()

    assert server.table.lookup("a") == NodeEntry("a", 1234)
    assert creation == one.creation > 3
    registered = one.registered
    await one.stop()
    assert (registered, one.registered) == (True, False)
    assert await lookup("a", HOST, config) is None


async def test_registration_has_the_creation_that_epmd_gave() -> None:
    server = EpmdServer(clock=lambda: 1000.0)
    one = Registration("a", 1234, EpmdConfig(port=await server.start(0)))

    assert await one.start() == one.creation == 1000

    await one.stop()
    await server.stop()


async def test_registration_of_a_hidden_node_says_so(server: EpmdServer, config: EpmdConfig) -> None:
    one = Registration("a", 1, config, hidden=True)

    await one.start()

    entry = server.table.lookup("a")
    assert entry is not None
    assert entry.node_type == NodeType.HIDDEN
    await one.stop()


async def test_registration_of_a_taken_name_raises_and_leaves_nothing(config: EpmdConfig) -> None:
    first, second = Registration("a", 1, config), Registration("a", 2, config)
    await first.start()

    with pytest.raises(NameTaken, match=f"a node named 'a' is registered at epmd {HOST}:") as caught:
        await second.start()

    assert caught.value.name == "a"
    assert second.fileno() == -1
    await second.stop()
    await first.stop()


async def test_registration_without_epmd_says_what_to_do(free_port: int) -> None:
    one = Registration("a", 1, EpmdConfig(port=free_port))

    with pytest.raises(EpmdError, match="start one"):
        await one.start()


async def test_registration_tells_its_descriptor_when_it_opens_and_before_it_closes(config: EpmdConfig) -> None:
    told = []
    one = Registration(
        "a",
        1,
        config,
        guard=lambda fd: told.append(("guard", fd, os.fstat(fd).st_ino)),
        release=lambda fd: told.append(("release", fd, os.fstat(fd).st_ino)),
    )

    await one.start()
    fd = one.fileno()
    inode = os.fstat(fd).st_ino
    await one.stop()
    await one.stop()

    assert told == [("guard", fd, inode), ("release", fd, inode)]


async def registered_again(server: EpmdServer, one: Registration) -> None:
    """Wait until the table of a server has the registration."""
    async with asyncio.timeout(10):
        while len(server.table) == 0 or not one.registered:
            await asyncio.sleep(0.005)


async def test_registration_comes_back_with_its_old_creation(server: EpmdServer, config: EpmdConfig) -> None:
    one = Registration("a", 1234, config, retry_interval=0.01)
    creation = await one.start()

    await server.stop()
    server, port = EpmdServer(clock=lambda: creation + 1000.0), server.port
    await server.start(port)
    await registered_again(server, one)

    assert one.creation == creation
    assert server.table.lookup("a") == NodeEntry("a", 1234)
    await one.stop()
    await server.stop()


async def test_registration_goes_on_trying_while_there_is_no_epmd(
    server: EpmdServer, config: EpmdConfig, caplog: pytest.LogCaptureFixture
) -> None:
    one = Registration("a", 1234, config, retry_interval=0.01)
    await one.start()

    await server.stop()
    async with asyncio.timeout(10):
        while "a is not registered: no epmd answers" not in caplog.text:
            await asyncio.sleep(0.005)
    server, port = EpmdServer(), server.port
    await server.start(port)
    await registered_again(server, one)

    assert caplog.text.count("is not registered") == 1
    await one.stop()
    await server.stop()


async def test_registration_goes_on_trying_whatever_stands_in_its_way(
    server: EpmdServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERL_EPMD_PORT", str(server.port))
    one = Registration("a", 1234, EpmdConfig(), retry_interval=0.01)
    await one.start()

    monkeypatch.setenv("ERL_EPMD_PORT", "none")
    await server.stop()
    async with asyncio.timeout(10):
        while "a is not registered: epmd port must be" not in caplog.text:
            await asyncio.sleep(0.005)
    server, port = EpmdServer(), server.port
    await server.start(port)
    monkeypatch.setenv("ERL_EPMD_PORT", str(port))

    await registered_again(server, one)
    await one.stop()
    await server.stop()


async def test_registration_can_be_stopped_while_it_tries(server: EpmdServer, config: EpmdConfig) -> None:
    one = Registration("a", 1234, config)
    await one.start()
    await server.stop()

    await one.stop()

    assert not one.registered
    assert len(asyncio.all_tasks()) == 1


# ---- an epmd where there is none


async def kill(port: int) -> None:
    """Ask an epmd to end, as `epmd -kill` does, and wait until it did."""
    own = await connect(HOST, port)
    with own:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(own, serialize_request(KillRequest()))
        assert await loop.sock_recv(own, 10) == b"OK"


async def test_ensure_epmd_uses_one_that_answers(config: EpmdConfig) -> None:
    await ensure_epmd(config)


async def test_ensure_epmd_starts_none_where_it_may_not(free_port: int) -> None:
    with pytest.raises(EpmdError, match="start one"):
        await ensure_epmd(EpmdConfig(port=free_port, start=False))


async def test_ensure_epmd_starts_none_for_another_host(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_host: str, _port: int) -> bool:
        return False

    monkeypatch.setattr(epmd, "answers", refused)
    with pytest.raises(EpmdError, match=r"start one on 192\.0\.2\.1"):
        await ensure_epmd(EpmdConfig(host="192.0.2.1", port=free_port))


async def test_ensure_epmd_does_not_take_something_else_for_one() -> None:
    server, config = await answering(b"HTTP/1.1 400 Bad Request\r\n")

    with pytest.raises(EpmdError, match="is no epmd that works"):
        await ensure_epmd(config)

    server.close()
    await server.wait_closed()


async def test_ensure_epmd_starts_our_own_when_no_other_is_on_the_path(
    free_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    config = EpmdConfig(port=free_port)

    await ensure_epmd(config)

    assert await names(HOST, config) == []
    await kill(free_port)


async def test_ensure_epmd_prefers_the_epmd_on_the_path(
    free_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in = tmp_path / "epmd"
    stand_in.write_text(
        f'#!/bin/sh\necho "$@" $ERL_EPMD_PORT >{tmp_path}/args\nexec {sys.executable} -m pyzen epmd --daemon\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    await ensure_epmd(EpmdConfig(port=free_port))

    assert (tmp_path / "args").read_text() == f"-port {free_port} -daemon {free_port}\n"
    await kill(free_port)


async def test_ensure_epmd_tells_when_what_it_starts_does_not_answer(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epmd, "START_POLLS", 2)
    monkeypatch.setattr(epmd, "start_command", lambda _port: ["/bin/false"])

    with pytest.raises(EpmdError, match=r"no epmd answers at .*; /bin/false ended with status 1"):
        await ensure_epmd(EpmdConfig(port=free_port))


async def test_ensure_epmd_tells_what_cannot_be_run(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epmd, "start_command", lambda _port: ["/nowhere/epmd"])

    with pytest.raises(EpmdError, match="/nowhere/epmd can't be run"):
        await ensure_epmd(EpmdConfig(port=free_port))
