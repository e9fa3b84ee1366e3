import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from pyzen.dist.epmd import (
    Alive2Request,
    DumpRequest,
    KillRequest,
    NamesRequest,
    NodeEntry,
    PortPlease2Request,
    Request,
    StopRequest,
    parse_alive2_response,
    parse_names_response,
    parse_port2_response,
    serialize_request,
)
from pyzen.errors import EpmdError
from pyzen.node import epmd_server
from pyzen.node.epmd_server import EpmdServer, is_local

NOW = 1_700_000_000.0
HOST = "127.0.0.1"


class Client:
    """A connection to a server under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: EpmdServer) -> "Client":
        return cls(*await asyncio.open_connection(HOST, server.port))

    async def close(self) -> None:
        self.writer.close()
        await asyncio.wait([asyncio.ensure_future(self.writer.wait_closed())])

    async def rest(self) -> bytes:
        """Read to the end, which may be a reset."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""
        finally:
            await self.close()

    async def register(self, node: NodeEntry) -> int:
        self.writer.write(serialize_request(Alive2Request(node)))
        response = parse_alive2_response(await self.reader.readexactly(6))
        assert response is not None
        assert response.result == 0
        return response.creation


@pytest.fixture
async def server() -> AsyncIterator[EpmdServer]:
    one = EpmdServer(clock=lambda: NOW)
    await one.start(0)
    yield one
    await one.stop()


async def asked(server: EpmdServer, request: Request | bytes) -> bytes:
    client = await Client.connect(server)
    client.writer.write(request if isinstance(request, bytes) else serialize_request(request))
    return await client.rest()


async def test_server_registers_a_node_while_its_connection_lasts(server: EpmdServer) -> None:
    node = NodeEntry("a", 1234, extra=b"x")
    client = await Client.connect(server)

    creation = await client.register(node)
    found = parse_port2_response(await asked(server, PortPlease2Request("a")))

    assert creation == NOW
    assert found == (node,)
    await client.close()


async def test_server_frees_the_name_at_once_when_the_connection_ends(server: EpmdServer) -> None:
    first = await Client.connect(server)
    before = await first.register(NodeEntry("a", 1))

    await first.close()
    second = await Client.connect(server)
    after = await second.register(NodeEntry("a", 2))

    assert after == before + 1
    await second.close()


async def test_server_refuses_a_name_in_use_and_closes(server: EpmdServer) -> None:
    first = await Client.connect(server)
    await first.register(NodeEntry("a", 1))

    assert await asked(server, Alive2Request(NodeEntry("a", 2))) == bytes.fromhex("76 01 00000063")
    await first.close()


async def test_server_answers_version_5_in_its_own_form(server: EpmdServer) -> None:
    client = await Client.connect(server)

    client.writer.write(serialize_request(Alive2Request(NodeEntry("a", 1, highest=5))))

    assert (await client.reader.readexactly(4))[:2] == b"\x79\x00"
    await client.close()


async def test_server_does_not_know_other_names(server: EpmdServer) -> None:
    assert await asked(server, PortPlease2Request("nobody")) == b"\x77\x01"


async def test_server_lists_names_newest_first(server: EpmdServer) -> None:
    clients = [await Client.connect(server) for _ in "ab"]
    for client, name in zip(clients, "ab", strict=True):
        await client.register(NodeEntry(name, ord(name)))

    response = parse_names_response(await asked(server, NamesRequest()))

    assert response.epmd_port == server.port
    assert response.names == (("b", 98), ("a", 97))
    for client in clients:
        await client.close()


async def test_server_dumps_what_is_and_what_was(server: EpmdServer) -> None:
    stays, goes = await Client.connect(server), await Client.connect(server)
    await stays.register(NodeEntry("stays", 1))
    await goes.register(NodeEntry("goes", 2))
    await goes.close()

    dump = await asked(server, DumpRequest())

    assert dump[:4] == server.port.to_bytes(4, "big")
    active, unused, end = dump[4:].decode().split("\0")
    assert active.startswith("active name     <stays> at port 1, fd = ")
    assert unused.startswith("old/unused name <goes>, port = 2, fd = ")
    assert end == ""
    await stays.close()


async def test_server_is_not_killed_while_a_node_is_registered(server: EpmdServer) -> None:
    client = await Client.connect(server)
    await client.register(NodeEntry("a", 1))

    assert await asked(server, KillRequest()) == b"NO"
    await client.close()


async def test_server_ends_when_killed_without_nodes(server: EpmdServer) -> None:
    assert await asked(server, KillRequest()) == b"OK"
    await server.wait_ended()


async def test_server_refuses_stop_without_a_word(server: EpmdServer) -> None:
    client = await Client.connect(server)
    await client.register(NodeEntry("a", 1))

    assert await asked(server, StopRequest("a")) == b""
    assert server.table.lookup("a") is not None
    await client.close()


@pytest.mark.parametrize(
    "data", [b"\x00\x00", b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff", b"\x00\x01\x00", b"\x00\x02zz\x00"]
)
async def test_server_closes_what_is_malformed_without_a_word(server: EpmdServer, data: bytes) -> None:
    client = await Client.connect(server)
    client.writer.write(data)

    answer = await client.rest()

    assert answer in {b"", b"\x77\x01"}


async def test_server_reads_a_request_byte_by_byte(server: EpmdServer) -> None:
    client = await Client.connect(server)
    client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    for byte in serialize_request(PortPlease2Request("nobody")):
        client.writer.write(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)

    assert await client.rest() == b"\x77\x01"


async def test_server_ends_a_registration_that_goes_on_talking(server: EpmdServer) -> None:
    client = await Client.connect(server)
    await client.register(NodeEntry("a", 1))

    client.writer.write(b"\x00\x01\x6e")

    assert await client.rest() == b""
    assert len(server.table) == 0


async def test_server_drops_connections_that_register_nothing() -> None:
    server = EpmdServer(idle_time=0.01)
    await server.start(0)
    idle, node = await Client.connect(server), await Client.connect(server)
    await node.register(NodeEntry("a", 1))

    assert await idle.rest() == b""
    assert server.table.lookup("a") is not None
    await node.close()
    await server.stop()


async def test_server_bounds_connections_that_have_not_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epmd_server, "MAX_UNREGISTERED", 2)
    server = EpmdServer()
    await server.start(0)
    node = await Client.connect(server)
    await node.register(NodeEntry("a", 1))
    waiting = [await Client.connect(server) for _ in range(2)]

    one_too_many = await Client.connect(server)

    assert await one_too_many.rest() == b""
    assert await asyncio.gather(*(asked_on(client) for client in waiting)) == [b"\x77\x01"] * 2
    await node.close()
    await server.stop()


async def test_idle_connection_makes_way_for_a_newcomer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epmd_server, "MAX_UNREGISTERED", 2)
    monkeypatch.setattr(epmd_server, "GRACE", 0.0)
    server = EpmdServer()
    await server.start(0)
    idle = [await Client.connect(server) for _ in range(2)]

    assert await asked(server, PortPlease2Request("nobody")) == b"\x77\x01"

    assert await idle[0].rest() == b""
    assert await asked_on(idle[1]) == b"\x77\x01"
    await server.stop()


async def test_many_ask_at_once(server: EpmdServer) -> None:
    answers = await asyncio.gather(*(asked(server, PortPlease2Request("nobody")) for _ in range(500)))

    assert answers == [b"\x77\x01"] * 500


async def asked_on(client: Client) -> bytes:
    client.writer.write(serialize_request(PortPlease2Request("nobody")))
    return await client.rest()


async def test_registrations_have_a_bound_that_keeps_nobody_from_asking(
    server: EpmdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epmd_server, "MAX_REGISTERED", 1)
    node, other = await Client.connect(server), await Client.connect(server)
    await node.register(NodeEntry("a", 1))
    other.writer.write(serialize_request(Alive2Request(NodeEntry("b", 2))))

    assert await other.rest() == b""
    assert b"name a at port 1" in await asked(server, NamesRequest())
    await node.close()


async def test_server_ends_when_its_last_node_is_gone_for_long_enough() -> None:
    server = EpmdServer(linger=0.02)
    await server.start(0)
    client = await Client.connect(server)
    await client.register(NodeEntry("a", 1))
    ended = asyncio.ensure_future(server.wait_ended())
    done, _ = await asyncio.wait([ended], timeout=0.1)
    assert not done

    await client.close()

    await ended
    await server.stop()


async def test_server_ends_when_no_node_ever_comes() -> None:
    server = EpmdServer(linger=0.01)
    await server.start(0)

    await server.wait_ended()

    await server.stop()


async def test_server_stop_closes_registrations_and_frees_the_port(server: EpmdServer) -> None:
    client = await Client.connect(server)
    await client.register(NodeEntry("a", 1))

    await server.stop()
    await server.stop()

    assert await client.rest() == b""
    again = EpmdServer()
    await again.start(server.port)
    await again.stop()


async def test_server_listens_on_loopback_only(server: EpmdServer) -> None:
    assert [one.getsockname() for own in server._servers for one in own.sockets] == [(HOST, server.port)]


async def test_server_listens_on_one_port_of_all_its_addresses() -> None:
    server = EpmdServer(addresses=["127.0.0.2", "::1"])
    port = await server.start(0)

    for host in (HOST, "127.0.0.2", "::1"):
        client = Client(*await asyncio.open_connection(host, port))
        client.writer.write(serialize_request(NamesRequest()))
        assert parse_names_response(await client.rest()).epmd_port == port

    await server.stop()


async def test_server_that_can_not_listen_on_an_address_listens_on_none() -> None:
    server = EpmdServer(addresses=["192.0.2.1"])

    with pytest.raises(EpmdError, match=r"can't listen on port \d+ of 192.0.2.1 .Cannot assign requested address.:"):
        await server.start(0)

    with pytest.raises(ConnectionRefusedError):
        await Client.connect(server)


async def test_server_tells_that_its_port_is_in_use(server: EpmdServer) -> None:
    with pytest.raises(EpmdError, match=f"can't listen on port {server.port} of 127.0.0.1 .*another epmd"):
        await EpmdServer().start(server.port)


@pytest.mark.parametrize(
    ("peer", "own", "local"),
    [
        (("127.0.0.2", 1), ("127.0.0.1", 2), True),
        (("::1", 1), ("::1", 2), True),
        (("192.0.2.1", 1), ("192.0.2.1", 2), True),
        (("192.0.2.2", 1), ("192.0.2.1", 2), False),
        (None, ("127.0.0.1", 2), False),
    ],
)
def test_is_local_is_loopback_or_the_own_address(
    peer: tuple[str, int] | None, own: tuple[str, int] | None, local: bool
) -> None:
    assert is_local(peer, own) is local
