"""Handshakes with a live Erlang node over plain sockets, in both directions.

Needs `erl` only: neither link nor node of this package take part.
"""

import asyncio
import os
import secrets
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Self

import pytest

from erlang_interop.nodes import ON_PATH
from erlang_interop.releases import Release
from pyzen.config import EpmdConfig
from pyzen.dist.flags import MANDATORY, MANDATORY_25, OWN_FLAGS, Flag, flag_names, negotiate
from pyzen.dist.handshake import Acceptor, Handshake, Initiator, State
from pyzen.dist.names import Verdict
from pyzen.errors import AlreadyConnected, CookieMismatch, HandshakeError, NotAllowed
from pyzen.node.epmd import Registration, answers, lookup
from tests.places import Place

HOST = "localhost"
LOOPBACK = "127.0.0.1"
CREATION = 0x01020304
EVALUATE = (
    "E = fun E() -> case io:get_line('') of eof -> halt(); Line ->"
    " {ok, Tokens, _} = erl_scan:string(Line), {ok, Exprs} = erl_parse:parse_exprs(Tokens),"
    ' {value, Value, _} = erl_eval:exprs(Exprs, []), io:format("= ~0p~n", [Value]), E() end end, E().'
)


class ErlangNode:
    """A real node that evaluates the expressions it is given."""

    def __init__(self, epmd_port: int, *, name: str = "", cookie: str = "", place: Place = ON_PATH) -> None:
        self.alive = name or f"erl_{secrets.token_hex(4)}"
        self.name = f"{self.alive}@{HOST}"
        self.cookie = cookie or secrets.token_hex(8)
        self.config = EpmdConfig(port=epmd_port, start=False)
        self.process = subprocess.Popen(
            place.command(
                *("erl", "-sname", self.name, "-setcookie", self.cookie, "-start_epmd", "false"),
                *("-noshell", "-eval", EVALUATE),
            ),
            env={
                **os.environ,
                "ERL_EPMD_PORT": str(epmd_port),
                "ERL_CRASH_DUMP_SECONDS": "0",
                **place.environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self.eval("node()") == f"{self.name}"
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def eval(self, expression: str) -> str:
        """Return the value of an Erlang expression, printed; what the node logs in between is left out."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{expression}.\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("= "):
                return line[2:].strip()
        raise AssertionError(f"the node ended at {expression}")

    async def aeval(self, expression: str) -> str:
        return await asyncio.to_thread(self.eval, expression)


@pytest.fixture(scope="module")
def epmd_port(release: Release) -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as one:
        port = int(one.getsockname()[1])
    command = release.place.command("epmd", "-port", str(port), "-address", LOOPBACK)
    with subprocess.Popen(command, env={**os.environ, **release.place.environment}) as epmd:
        while not asyncio.run(answers(LOOPBACK, port)):
            time.sleep(0.01)
        yield port
        epmd.terminate()


@pytest.fixture(scope="module")
def erl(release: Release, epmd_port: int) -> Iterator[ErlangNode]:
    with ErlangNode(epmd_port, place=release.place) as node:
        yield node


@pytest.fixture
def name() -> str:
    return f"py_{secrets.token_hex(4)}@{HOST}"


class Wire:
    """A plain socket that carries the frames of one handshake, and nothing after it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def run(self, handshake: Handshake, frames: list[bytes]) -> None:
        """Write ``frames``, then take turns until the handshake has ended."""
        self.write(frames)
        while not handshake.ended:
            try:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
                self.write(handshake.receive_frame(await self.reader.readexactly(length)))
            except (asyncio.IncompleteReadError, ConnectionError):
                handshake.eof()
        if isinstance(handshake, Acceptor) and handshake.last_frame is not None:
            self.write([handshake.last_frame])

    def write(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.writer.write(len(frame).to_bytes(2, "big") + frame)

    async def wait_closed_by_peer(self) -> None:
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass

    async def close(self) -> None:
        self.writer.close()
        await asyncio.wait([asyncio.ensure_future(self.writer.wait_closed())])


@asynccontextmanager
async def dialled(erl: ErlangNode, name: str, *, peer: str = "", **rest: Any) -> AsyncIterator[tuple[Initiator, Wire]]:
    """Dial a node and shake hands; the link stays up inside."""
    endpoint = await lookup(erl.alive, LOOPBACK, erl.config)
    assert endpoint is not None
    settings: dict[str, Any] = {"flags": OWN_FLAGS, "creation": CREATION, "cookie": lambda _: erl.cookie, **rest}
    handshake = Initiator(name, peer or erl.name, **settings)
    wire = Wire(*await asyncio.open_connection(LOOPBACK, endpoint.port))
    try:
        await wire.run(handshake, handshake.start())
        yield handshake, wire
    finally:
        await wire.close()


async def seen(erl: ErlangNode, name: str, nodes: str = "nodes()") -> bool:
    return await erl.aeval(f"lists:member('{name}', {nodes})") == "true"


# ---- we dial


async def test_initiator_is_taken_in_as_a_visible_node(erl: ErlangNode, name: str) -> None:
    async with dialled(erl, name) as (handshake, _):
        assert handshake.error is None
        assert await seen(erl, name)


async def test_initiator_that_is_hidden_is_taken_in_as_one(erl: ErlangNode, name: str) -> None:
    async with dialled(erl, name, flags=OWN_FLAGS & ~Flag.PUBLISHED) as (handshake, _):
        assert handshake.outcome is not None
        assert not handshake.outcome.visible
        assert await seen(erl, name, "nodes(hidden)")


async def test_initiator_learns_who_the_peer_is(erl: ErlangNode, name: str) -> None:
    async with dialled(erl, name) as (handshake, _):
        assert handshake.outcome is not None
        assert handshake.outcome.peer == erl.name
        assert str(handshake.outcome.creation) == await erl.aeval("erlang:system_info(creation)")


async def test_flag_words_are_those_of_the_live_node(erl: ErlangNode, name: str) -> None:
    release = int(await erl.aeval("list_to_integer(erlang:system_info(otp_release))"))
    # The emulator's own set; net_kernel adds the bit of visible nodes.
    default = int(await erl.aeval("element(2, erts_internal:get_dflags())")) | Flag.PUBLISHED
    mandatory = int(await erl.aeval("element(3, erts_internal:get_dflags())"))

    async with dialled(erl, name) as (handshake, _):
        assert handshake.outcome is not None
        peer_flags = handshake.outcome.peer_flags

    assert peer_flags == default
    assert mandatory == (MANDATORY_25 if release == 25 else MANDATORY)
    assert negotiate(OWN_FLAGS, default) == OWN_FLAGS & default
    assert set(flag_names(default)) <= set(flag_names(OWN_FLAGS))
    assert default & ~sum(Flag) == 0


async def test_initiator_with_a_wrong_cookie_learns_so_from_the_silence(erl: ErlangNode, name: str) -> None:
    async with dialled(erl, name, cookie=lambda _: "wrong") as (handshake, _):
        assert isinstance(handshake.error, CookieMismatch)
        assert handshake.error.state == "ack"
        assert not await seen(erl, name, "nodes(connected)")


async def test_initiator_refuses_a_node_of_another_name(erl: ErlangNode, name: str) -> None:
    async with dialled(erl, name, peer=f"other@{HOST}") as (handshake, _):
        assert type(handshake.error) is HandshakeError
        assert f"the node at this address is '{erl.name}', not other@{HOST}" in str(handshake.error)


async def test_initiator_without_a_mandatory_flag_is_not_allowed(erl: ErlangNode, name: str) -> None:
    flags = OWN_FLAGS & ~(Flag.MANDATORY_25_DIGEST | Flag.BIG_CREATION)
    async with dialled(erl, name, flags=flags) as (handshake, _):
        assert isinstance(handshake.error, NotAllowed)


async def test_initiator_with_the_digest_alone_is_taken_in(erl: ErlangNode, name: str) -> None:
    flags = Flag.MANDATORY_25_DIGEST | Flag.V4_NC | Flag.UNLINK_ID | Flag.PUBLISHED
    async with dialled(erl, name, flags=flags) as (handshake, _):
        assert handshake.error is None
        assert await seen(erl, name)


async def test_initiator_that_is_thought_alive_replaces_its_old_link(erl: ErlangNode, name: str) -> None:
    async with dialled(erl, name) as (_, old), dialled(erl, name) as (handshake, _):
        assert handshake.status == "alive"
        assert handshake.state is State.DONE
        await old.wait_closed_by_peer()
        assert await seen(erl, name)


async def test_initiator_that_is_thought_alive_may_leave_it_at_that(erl: ErlangNode, name: str) -> None:
    async with dialled(erl, name):
        async with dialled(erl, name, wanted=lambda: False) as (handshake, second):
            assert isinstance(handshake.error, AlreadyConnected)
            await second.wait_closed_by_peer()
        assert await seen(erl, name)


async def test_initiator_with_a_wrong_cookie_does_not_end_the_old_link(erl: ErlangNode, name: str) -> None:
    async with dialled(erl, name):
        async with dialled(erl, name, cookie=lambda _: "wrong") as (handshake, _):
            assert isinstance(handshake.error, CookieMismatch)
        assert await seen(erl, name)


# ---- we are dialled


@asynccontextmanager
async def reachable(
    erl: ErlangNode,
    name: str,
    *,
    registered_as: str = "",
    cookie: Callable[[str], str] | None = None,
    verdict: Verdict = "ok",
) -> AsyncIterator["asyncio.Queue[Acceptor]"]:
    """Register ``name`` and take in who comes; the queue has each handshake once it has ended."""
    ended: asyncio.Queue[Acceptor] = asyncio.Queue()
    wires = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        wires.append(wire)
        handshake = Acceptor(
            name,
            flags=OWN_FLAGS,
            creation=CREATION,
            cookie=cookie or (lambda _: erl.cookie),
            decide=lambda _name, _flags: verdict,
        )
        await wire.run(handshake, [])
        if handshake.error is not None:
            await wire.close()
        await ended.put(handshake)

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    alive = (registered_as or name).partition("@")[0]
    registration = Registration(alive, server.sockets[0].getsockname()[1], erl.config)
    await registration.start()
    try:
        yield ended
    finally:
        await registration.stop()
        server.close()
        for wire in wires:
            await wire.close()


async def connect_node(erl: ErlangNode, name: str) -> bool:
    return await erl.aeval(f"net_kernel:connect_node('{name}')") == "true"


async def test_acceptor_takes_a_real_node_in(erl: ErlangNode, name: str) -> None:
    async with reachable(erl, name) as ended:
        assert await connect_node(erl, name)

        outcome = (await ended.get()).outcome
        assert outcome is not None
        assert outcome.peer == erl.name
        assert str(outcome.creation) == await erl.aeval("erlang:system_info(creation)")
        assert await seen(erl, name)


async def test_acceptor_that_thinks_a_node_alive_hears_that_it_is_not(erl: ErlangNode, name: str) -> None:
    async with reachable(erl, name, verdict="alive") as ended:
        assert await connect_node(erl, name)

        outcome = (await ended.get()).outcome
        assert outcome is not None
        assert outcome.replaces


async def test_acceptor_answers_ok_simultaneous_as_well(erl: ErlangNode, name: str) -> None:
    async with reachable(erl, name, verdict="ok_simultaneous") as ended:
        assert await connect_node(erl, name)
        assert (await ended.get()).state is State.DONE


async def test_acceptor_with_another_cookie_refuses_a_real_node(erl: ErlangNode, name: str) -> None:
    async with reachable(erl, name, cookie=lambda _: "wrong") as ended:
        assert not await connect_node(erl, name)
        assert isinstance((await ended.get()).error, CookieMismatch)


async def test_acceptor_looks_up_the_cookie_by_the_name_of_the_real_node(erl: ErlangNode, name: str) -> None:
    async with reachable(erl, name, cookie={erl.name: erl.cookie}.__getitem__):
        assert await connect_node(erl, name)


async def test_acceptor_of_another_name_is_left_by_a_real_node(erl: ErlangNode, name: str) -> None:
    async with reachable(erl, f"other_{name}", registered_as=name) as ended:
        assert not await connect_node(erl, name)

        error = (await ended.get()).error
        assert "in the middle of the handshake" in str(error)


async def test_acceptor_turns_a_real_node_away(erl: ErlangNode, name: str) -> None:
    async with reachable(erl, name, verdict="not_allowed") as ended:
        assert not await connect_node(erl, name)
        assert isinstance((await ended.get()).error, NotAllowed)
