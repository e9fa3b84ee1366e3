"""Random orders for a whole node, from a peer that knows the cookie: signals, calls, I/O requests, ``sys`` messages.

Whatever comes, the link ends or the peer is answered, and the node serves on: a process of the program answers, the
node's own processes are those that were there, the event loop has nothing to complain of, and no process is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import struct
from contextlib import AsyncExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyzen import GenServer, Node, ZenConfig, atoms
from pyzen._native import NO_PAYLOAD
from pyzen.actor.signals import Exit2
from pyzen.errors import EncodeError
from pyzen.terms import Atom, Export, Fun, ImproperList, Pid, Reference, TermMap
from tests import fuzz_etf
from tests.fuzzing import Target, behaviour
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fuzzing import Input

CALL: Final = atoms["$gen_call"]
CAST: Final = atoms["$gen_cast"]
Orders: TypeAlias = "Callable[[Order], None]"

MAX_LEFT: Final = 500
"""Processes that calls may have left for a while, such as ``Process.sleep``."""

SECONDS: Final = 10


class Echo(GenServer):
    """A process of the program."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


class Stage:
    """A node, its event loop, and what was there before the first peer came."""

    def __init__(self) -> None:
        self.complaints: list[Any] = []
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._runner.get_loop().set_exception_handler(lambda _loop, context: self.complaints.append(context))
        self._runner.run(self._begin())

    async def _begin(self) -> None:
        name = f"fuzz{secrets.token_hex(3)}@127.0.0.1"
        self.node = await self._stack.enter_async_context(Node(name, cookie="secret", epmd="embedded", zen=ZenConfig()))
        self.echo = self.node.spawn(Echo, name="echo")
        self.names = dict(self.own())
        self.functions = sorted(self.node._exports._rows, key=str)

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def own(self) -> dict[Atom, Pid]:
        """Return the named processes."""
        router = self.node._router
        return {name: pid for name in router.names if (pid := router.whereis(name)) is not None}

    def play(self, orders: Orders, seed: bytes) -> str:
        """Let a peer give orders; return what became of them."""
        self.complaints.clear()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            return self._runner.run(self._play(orders, seed))

    async def _play(self, orders: Orders, seed: bytes) -> str:
        victim = self.node.spawn(Echo)
        order = Order(random.Random(seed), self, victim)
        async with asyncio.timeout(SECONDS):
            await order.peer.connect(self.node)
            try:
                orders(order)
                kinds, is_up = await order.answers()
            finally:
                await order.peer.close()
                self.node._router.route(Exit2(victim, victim, atoms.kill))
            await self._assert_serving()
        return behaviour("answered" if is_up else "down", *sorted(kinds)[:3])

    async def _assert_serving(self) -> None:
        assert await self.node.call(self.echo, atoms.hello) is atoms.hello
        while self.node.nodes():
            await asyncio.sleep(0)
        assert self.own() == self.names, "a process of the node is another one"
        assert self.complaints == []
        assert len(self.node._router.processes()) < MAX_LEFT + len(self.names)


class Order:
    """Writes what a peer sends, of terms that mean something here, or nearly."""

    def __init__(self, draw: random.Random, stage: Stage, victim: Pid) -> None:
        self.draw = draw
        self.stage = stage
        self.peer = RawPeer(f"raw{draw.randrange(1000)}@127.0.0.1", draw.randrange(1, 1000))
        own = [pid for pid in stage.names.values() if pid != stage.echo]
        self.pids = [victim, victim, *own, self.peer.pid, Pid(stage.node.name, 99, 9, victim.creation)]
        self.names = [*stage.names, atoms.nobody, atoms.user, Atom("")]
        self.count = 0

    def reference(self) -> Reference:
        self.count += 1
        return Reference(self.peer.name, self.peer.creation, [self.count, 0, 0])

    def anything(self, depth: int = 2) -> Any:
        draw = self.draw
        inner = [self.anything(depth - 1) for _ in range(draw.randrange(4))] if depth else []
        words = [atoms.normal, atoms.kill, atoms.alias, atoms.infinity, atoms.unicode, atoms.latin1, atoms.all]
        return draw.choice([
            draw.choice(self.pids), draw.choice(self.names), self.reference(), draw.choice(words), self.peer.name, None,
            True, 0, -1, 5000, 2**64, 1.5, b"text", "é".encode(), b"\xff", [104, 105], tuple(inner), inner,
            TermMap([(1, inner), (1.0, 2)]), {atoms.k: inner}, ImproperList([*inner, 1], 2),
            Export("erlang", "node", 0), self.fun(), (atoms.alias, self.reference()),
        ])  # fmt: skip

    def fun(self) -> Fun:
        return Fun("m", 1, bytes(16), 0, 1, 2, self.peer.pid, (self.draw.randrange(9),))

    def mostly(self, *choices: Any) -> Any:
        """Return one of these, or now and then anything."""
        return self.draw.choice(choices) if self.draw.random() < 0.98 else self.anything()

    def target(self) -> Any:
        return self.draw.choice(
            [self.draw.choice(self.pids), self.draw.choice(self.names), self.draw.choice(self.names)]
        )

    def maker(self) -> Any:
        """Return who asks: the peer itself for the most part."""
        return self.mostly(self.peer.pid)

    def send(self, to: Any, message: Any) -> None:
        if isinstance(to, (Pid, Atom)):
            self.peer.writer.write(self.peer.session.send(self.peer.pid, to, message))

    def signal(self, *control: Any, payload: Any = NO_PAYLOAD) -> None:
        with contextlib.suppress(EncodeError):
            self.peer.writer.write(self.peer.session.signal(0, control, payload))

    def exit(self, op: int, maker: Any, to: Pid, reason: Any) -> None:
        """Send an exit signal, its reason in the tuple or behind it."""
        if op < 20:
            self.signal(op, maker, to, reason)
        else:
            self.signal(op, maker, to, payload=reason)

    def raw(self, body: bytes) -> None:
        self.peer.writer.write(struct.pack(">I", len(body)) + body)

    async def answers(self) -> tuple[set[str], bool]:
        """Read until the node has read all, or has ended the link; return what it sent, and whether the link is up."""
        self.send(atoms.user, (atoms.io_request, self.peer.pid, atoms.last, (atoms.put_chars, atoms.unicode, b"")))
        self.send(atoms.rex, (self.peer.pid, atoms.features_request))
        kinds, wanted = set[str](), {"io_reply last", "features_reply"}
        while wanted:
            data = await self.peer.reader.read(65536)
            if not data:
                return kinds, False
            for event in self.peer.events_of(data):
                shown = repr(event)
                wanted -= {word for word in wanted if word.split()[0] in shown and word.split()[-1] in shown}
                kinds.add(f"{chr(ord('A') + event[0] % 64)} {shape(tuple(event[2:]), 5)}")
        return kinds, True


def shape(term: Any, depth: int = 3) -> str:
    """Return what an answer looks like, without what differs from one to the next."""
    match term:
        case Atom():
            return "name" if "@" in str(term) or "." in str(term) else str(term)
        case tuple() if depth:
            return "{" + ",".join(shape(part, depth - 1) for part in term[:4]) + "}"
        case list() if depth and term:
            return f"[{shape(term[0], depth - 1)}]"
    return type(term).__name__


def control(order: Order) -> None:
    """Any control message, its parts in place or not."""
    draw = order.draw
    for _ in range(draw.choice([1, 2, 10])):
        op = draw.choice([1, 3, 4, 7, 8, 19, 20, 21, 24, 26, 28, 29, 30, 31, 32, 35, 36, 37])
        ref, to, reason = order.reference(), order.target(), order.anything()
        match op:
            case 19 | 20:
                order.signal(op, order.maker(), to, ref)
            case 1 | 4 | 7:
                order.signal(op, order.maker(), draw.choice(order.pids))
            case 35 | 36:
                order.signal(op, draw.choice([1, 7, 2**60]), order.maker(), draw.choice(order.pids))
            case 3 | 8 | 24 | 26:
                order.exit(op, order.maker(), draw.choice(order.pids), reason)
            case 21:
                order.signal(21, order.maker(), draw.choice(order.pids), ref, reason)
            case 28:
                order.signal(28, order.maker(), draw.choice(order.pids), ref, payload=reason)
            case 29 | 30:
                mfa = order.mostly((atoms.erpc, atoms.execute_call, 4), (atoms.m, atoms.f, 1))
                options = order.mostly([], [atoms.monitor], [atoms.link, order.anything()])
                args = order.mostly([], [ref, atoms.erlang, atoms.nodes, []], [order.anything()] * 4)
                order.signal(29, ref, order.maker(), order.maker(), mfa, options, payload=args)
            case 31 | 32:
                order.signal(op, ref, draw.choice(order.pids), draw.choice([0, 1, 3]), order.maker())
            case _:
                body = fuzz_etf.Generator(draw.randrange(2**32)).term(3)
                order.raw(b"\x83D\0" + body + draw.choice([b"", body]))


def calls(order: Order) -> None:
    """Calls of the node's functions: by ``rex``, as OTP and as old nodes do it, and by ``erpc``."""
    draw = order.draw
    for _ in range(draw.choice([1, 5, 20])):
        module, function = draw.choice(order.stage.functions)
        if str(function) in {"stop", "sleep", "unload"} or (str(module), str(function)) == ("Elixir.Process", "exit"):
            continue
        args = draw.choice([[], [order.anything()], [order.anything(), order.anything()], [order.anything()] * 3])
        args = order.anything() if draw.random() < 0.05 else args
        word = draw.choice([atoms.call, atoms.block_call, atoms.cast])
        request = (word, module, function, args, draw.choice([order.peer.pid, atoms.user]))
        match draw.randrange(5):
            case 0:
                order.send(atoms.rex, (CALL, (order.maker(), order.reference()), request))
            case 1:
                order.send(atoms.rex, draw.choice([(order.maker(), request), (CAST, request)]))
            case 2:
                order.send(atoms.rex, (order.maker(), (atoms.sbcast, order.draw.choice(order.names), order.anything())))
            case _:
                ref, erpc = order.reference(), (atoms.erpc, atoms.execute_call, 4)
                order.signal(
                    29,
                    ref,
                    order.peer.pid,
                    order.peer.pid,
                    erpc,
                    [atoms.monitor],
                    payload=[ref, module, function, args],
                )


def requests(order: Order) -> None:
    """Requests to print, and what else may come to ``user``."""
    draw = order.draw

    def text() -> Any:
        return draw.choice(
            [b"text", [104, [b"i", 233]], "é".encode(), [0x20AC], ImproperList([104], b"x"), order.anything()]
        )

    def request() -> Any:
        encoding = draw.choice([atoms.unicode, atoms.latin1, order.anything()])
        formats = [b"~p ~s~n", [126, 112], b"~9999n", b"~.36B ~w~c~*c", b"~" + bytes([draw.randrange(256)]), text()]
        args = [draw.choice(formats), draw.choice([[], [order.anything()], [order.anything(), 70], order.anything()])]
        return draw.choice([
            (atoms.put_chars, encoding, text()), (atoms.put_chars, text()),
            (atoms.put_chars, encoding, atoms.io_lib, atoms.format, args),
            (atoms.put_chars, encoding, atoms.io_lib, order.anything(), args),
            (atoms.requests, [order.anything(), (atoms.put_chars, encoding, text())]),
            (atoms.get_line, encoding, b">"), (atoms.setopts, [order.anything()]), atoms.getopts, order.anything(),
        ])  # fmt: skip

    for _ in range(draw.choice([1, 5, 20])):
        order.send(atoms.user, (atoms.io_request, order.maker(), order.anything(), request()))


def orders(order: Order) -> None:
    """``sys`` messages, calls, casts and plain messages to each process that has a name."""
    draw = order.draw
    others = [name for name in order.names if name is not atoms.echo]
    for _ in range(draw.choice([1, 5, 20])):
        words = [atoms.get_state, atoms.get_status, atoms.suspend, atoms.resume, (atoms.terminate, order.anything())]
        words += [(atoms.debug, order.anything()), (atoms.replace_state, order.fun()), order.anything()]
        words += [(atoms.change_code, order.anything(), order.anything(), 1), (atoms.delete_child, order.anything())]
        words += [atoms.which_children, atoms.count_children, (atoms.start_child, order.anything())]
        sender = (order.maker(), draw.choice([order.reference(), order.anything()]))
        order.send(draw.choice(others), draw.choice([
            (atoms.system, sender, draw.choice(words)), (CALL, sender, draw.choice(words)), (CAST, order.anything()),
            (atoms.EXIT, order.maker(), order.anything()), order.anything(),
            (atoms.DOWN, order.reference(), atoms.process, order.maker(), 1),
        ]))  # fmt: skip


@cache
def stage() -> Stage:
    """Return the node of this process; `close` stops it."""
    return Stage()


def close() -> None:
    """Stop that node."""
    stage().close()
    stage.cache_clear()


def check(given: Orders, parts: Input) -> str:
    logging.disable(logging.CRITICAL)
    try:
        return stage().play(given, parts[0])
    finally:
        logging.disable(logging.NOTSET)


def seeds(draw: random.Random) -> Iterator[Input]:
    while True:
        yield [draw.randbytes(8)]


TARGETS: Final = {
    name: Target(seeds, partial(check, given))
    for name, given in {"control": control, "calls": calls, "io": requests, "orders": orders}.items()
}
