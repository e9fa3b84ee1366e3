"""Users' code that is hostile on purpose: whatever it does, every watcher hears, others are served, the node stops."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import GenServer, ImproperList, NodeDown, ProcessExit, RpcError, Stop, atoms
from tests.node.test_users_failures import Nasty, hostile

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode, Place

pytestmark = pytest.mark.usefixtures("quiet")


class Unhashable(type):
    def __eq__(cls, other: object) -> bool:
        raise Nasty

    __hash__ = None  # type: ignore[assignment]


class Odd(metaclass=Unhashable):
    """A message whose class can be neither compared nor hashed."""


class Masked:
    """A message that does not say what it is."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise Nasty


class Taking(GenServer):
    """Takes any message, waits for a reply that never comes, and answers calls."""

    def init(self) -> None:
        self.send_request(self.pid, atoms.later)

    def handle_call(self, request: Any, from_: Any) -> Any:
        return request

    def handle_info(self, message: Any) -> None:
        """Keep nothing."""


@pytest.mark.parametrize(
    "message", [Odd, Masked, lambda: (ImproperList([1], Masked()), 1)], ids=["class", "mask", "reply"]
)
async def test_message_that_can_not_be_looked_at_is_taken(place: Place, message: Any) -> None:
    pid = place.node.spawn(Taking)

    place.node.send(pid, message())

    assert await place.node.call(pid, atoms.hello) is atoms.hello


async def test_node_stops_with_messages_that_can_not_be_looked_at(place: Place) -> None:
    """The scenario stops the node when it is over: the message is still in the queue then."""
    pid = place.node.spawn(Taking)
    await place.node.call(pid, atoms.hello)
    actor = place.node.runtime.actor(pid)
    assert actor is not None

    actor.incoming.append(Odd())  # without waking it, so that it does not come to what has arrived


@pytest.mark.parametrize("pid", ["me", atoms.me, (1, 2, 3), None, 7])
@pytest.mark.parametrize("verb", ["link", "unlink", "send_exit", "set_group_leader"])
async def test_verb_for_a_pid_refuses_anything_else_at_the_caller(place: Place, verb: str, pid: Any) -> None:
    class Calling(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            with pytest.raises(TypeError, match="a pid"):
                getattr(self, verb)(*(pid, atoms.boom) if verb == "send_exit" else (pid,))
            return atoms.refused

    server = place.node.spawn(Calling)
    assert await place.node.call(server, 1) is atoms.refused
    ref = place.tester.monitor(server)

    place.tester.send_exit(server, atoms.enough)

    assert (await place.heard())[1::3] == (ref, atoms.enough)


@pytest.mark.parametrize("link", ["me", 7, []])
async def test_spawn_with_a_link_to_no_pid_starts_nothing(place: Place, link: Any) -> None:
    with pytest.raises(TypeError, match="a pid"):
        place.node.spawn(Taking, name="taking", link=link)

    assert place.node.whereis("taking") is None


async def test_signal_to_the_name_of_the_node_starts_nothing(place: Place) -> None:
    with pytest.raises(TypeError, match="a pid"):
        place.tester.send_exit(place.node.name, atoms.boom)  # type: ignore[arg-type]


class Refusing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise Nasty


@pytest.mark.parametrize("logger", ["pyzen.dist", "pyzen.actor"])
@pytest.mark.parametrize("end", [lambda: Stop(object()), ValueError], ids=["stop", "crash"])
async def test_log_that_raises_keeps_nobody_from_hearing(place: Place, logger: str, end: Any) -> None:
    class Ending(GenServer):
        def handle_cast(self, request: Any) -> None:
            raise end()

    pid = await Ending.start(place.node)
    refusing = Refusing()
    logging.disable(logging.NOTSET)
    logging.getLogger(logger).addFilter(refusing)
    try:
        async with place.other.mailbox() as far:
            refs = [far.monitor(pid), place.tester.monitor(pid)]
            await place.other.ping(place.node.name)
            place.node.cast(pid, 1)
            assert (await far.receive(timeout=5))[:2] == (atoms.DOWN, refs[0])
        assert (await place.heard())[:2] == (atoms.DOWN, refs[1])
    finally:
        logging.getLogger(logger).removeFilter(refusing)


class MaskedError(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise Nasty


class Untraceable(Exception):
    __traceback__: Any = property(hostile)


class NamelessMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise Nasty


class Nameless(Exception, metaclass=NamelessMeta):
    pass


class Ungroupable(ExceptionGroup[Exception]):
    def derive(self, _errors: Any) -> Any:
        raise Nasty


class NastyCode:
    __bool__ = __str__ = hostile


class NastyStop(Stop):
    @property
    def reason(self) -> Any:
        raise Nasty

    @reason.setter
    def reason(self, value: Any) -> None:
        """Keep nothing."""


ERRORS: dict[str, Any] = {
    "class": MaskedError,
    "traceback": Untraceable,
    "name": Nameless,
    "group": lambda: Ungroupable("g", [ValueError(), Stop()]),
    "code": lambda: SystemExit(NastyCode()),
    "reason": NastyStop,
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("where", ["init", "async init", "handle_info", "body", "terminate"])
async def test_error_that_can_not_be_looked_at_is_an_end(place: Place, where: str, error: Any) -> None:
    class Plain(GenServer):
        def init(self) -> Any:
            if where == "init":
                raise error()

        def handle_info(self, message: Any) -> None:
            raise Stop(atoms.done) if where == "terminate" else error()

        def terminate(self, reason: Any) -> None:
            if where == "terminate":
                raise error()

    class Async(GenServer):
        async def init(self) -> Any:
            raise error()

    async def body(_process: Any) -> None:
        raise error()

    target: Any = {"async init": Async, "body": body}.get(where, Plain)
    pid, ref = place.node.spawn_monitor(target, subscriber=place.tester.pid)
    if place.node.runtime.actor(pid) is not None and where in {"handle_info", "terminate"}:
        place.node.send(pid, 1)

    assert (await place.heard())[:2] == (atoms.DOWN, ref)
    assert place.node.runtime.actor(pid) is None


class Unshowable:
    __repr__ = __str__ = hostile


async def test_reason_that_can_not_be_shown_ends_its_process_alone(place: Place) -> None:
    class Ending(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            raise Stop(Unshowable())

    class Asking(Taking):
        async def handle_cast(self, request: Any) -> None:
            try:
                await self.call(request, 1)
            except ProcessExit:
                self.send("tester", atoms.told)

    asking = place.node.spawn(Asking)
    place.node.cast(asking, place.node.spawn(Ending))

    assert await place.heard() is atoms.told
    assert await place.node.call(asking, atoms.hello) is atoms.hello


async def test_exit_signal_with_a_reason_that_can_not_be_shown_cancels_the_callback(place: Place) -> None:
    cancelled = asyncio.Event()

    class Waiting(GenServer):
        async def handle_cast(self, request: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    pid = await Waiting.start(place.node)
    place.node.cast(pid, 1)
    await place.node.call(place.bystander, atoms.hello)

    place.tester.send_exit(pid, Unshowable())

    async with asyncio.timeout(5):
        await cancelled.wait()


async def test_process_that_is_started_while_the_node_stops_is_refused(make_node: MakeNode) -> None:
    node = await make_node()
    started: list[Any] = []

    async def body(process: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            with pytest.raises(RuntimeError, match="stops"):
                started.append(node.spawn(Taking))

    node.spawn(body)
    await asyncio.sleep(0)

    await node.stop()

    assert started == []


async def test_peer_that_asks_a_stopping_node_for_a_process_hears_of_the_loss(make_node: MakeNode) -> None:
    node, peer = await make_node(), await make_node("peer")
    assert await peer.connect(str(node.name))
    asked: list[Any] = []

    async def body(process: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            asked.append(asyncio.ensure_future(peer.rpc(str(node.name), "erlang", "node", [])))
            await asyncio.sleep(0.1)  # the node still reads

    node.spawn(body)
    await asyncio.sleep(0)

    await node.stop()

    with pytest.raises((NodeDown, RpcError)):
        await asked[0]
