"""Messages of this node, which may hold any object, and states that are hard to show: no server ends for looking."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import GenServer, ImproperList, NoProcess, atoms
from pyzen.actor.requests import GEN_CALL
from pyzen.etf import encode
from tests.node.test_users_failures import Nasty

if TYPE_CHECKING:
    from tests.node.conftest import Place

pytestmark = pytest.mark.usefixtures("quiet")


class Masked:
    """An object that raises whatever it is asked."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise Nasty

    def __eq__(self, other: object) -> bool:
        raise Nasty

    def __hash__(self) -> int:
        raise Nasty

    def __repr__(self) -> str:
        raise Nasty


class Plain(GenServer):
    """Overrides no more than it needs."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


class Child(Plain):
    """Has a parent, whose exit it would take for an order."""

    def init(self) -> None:
        self.trap_exit = True


@pytest.mark.parametrize(
    "message",
    [
        lambda pid: (GEN_CALL, (Masked(), 1), atoms.hello),
        lambda pid: (GEN_CALL, (pid, ImproperList([Masked()], 1)), atoms.hello),
        lambda pid: (GEN_CALL, (pid, Masked()), atoms.hello),
        lambda pid: (GEN_CALL, Masked(), atoms.hello),
        lambda pid: (pid, (pid, Masked()), Masked()),
        lambda pid: (Masked(), (pid, 1), Masked()),
        lambda pid: (atoms.system, (pid, 1), Masked()),
        lambda pid: (atoms.system, (pid, 1), (Masked(), 1)),
        lambda pid: (atoms.system, (pid, ImproperList([ImproperList([Masked()], Masked())], 1)), atoms.get_state),
        lambda pid: (atoms.EXIT, Masked(), atoms.boom),
        lambda pid: Masked(),
        lambda pid: [Masked()],
    ],
)
async def test_message_with_a_hostile_part_ends_no_server(place: Place, message: Any) -> None:
    pid = place.tester.spawn_link(Child)

    place.node.send(pid, message(place.tester.pid))

    assert await place.node.call(pid, atoms.hello) is atoms.hello
    place.tester.unlink(pid)


class Refusing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise Nasty


async def test_stray_message_ends_no_server_where_the_log_raises(place: Place) -> None:
    pid = await Plain.start(place.node)
    refusing = Refusing()
    logging.disable(logging.NOTSET)
    logging.getLogger("pyzen.actor").addFilter(refusing)

    place.node.send(pid, atoms.stray)
    try:
        assert await place.node.call(pid, atoms.hello) is atoms.hello
    finally:
        logging.getLogger("pyzen.actor").removeFilter(refusing)


# ---- states


@dataclass
class Part:
    late: int = field(init=False)
    known: int = 1


class Unlisted(dict[Any, Any]):
    def keys(self) -> Any:
        raise Nasty

    items = keys


class Lying(list[Any]):
    def __iter__(self) -> Any:
        raise Nasty

    __len__ = __iter__


def knot(width: int) -> list[Any]:
    """Return a list that holds itself many times: shown in full it would be a tree of ``width ** depth`` parts."""
    itself: list[Any] = []
    itself.extend([itself] * width)
    return itself


STATES: dict[str, Any] = {
    "key-is-a-set": lambda: {frozenset({1}): 2},
    "key-is-a-dataclass": lambda: {frozenset({(1, frozenset())}): {(1, 2): 3}},
    "unset-field": Part,
    "keys-raise": lambda: Unlisted(a=1),
    "iteration-raises": lambda: Lying([1]),
    "surrogate": lambda: "\ud800",
    "surrogate-inside": lambda: {"\ud800": ["\udfff"]},
    "masked": Masked,
    "masked-inside": lambda: [(Masked(), {1: Masked()})],
    "integer": lambda: 1 << 100_000,
    "knot": lambda: knot(900),
    "wide": lambda: [[[1] * 1000] * 1000] * 1000,
}


@pytest.mark.parametrize("value", STATES.values(), ids=STATES)
@pytest.mark.parametrize("request_", [atoms.get_state, atoms.get_status], ids=str)
async def test_state_that_is_hard_to_show_is_shown_as_far_as_it_goes(place: Place, value: Any, request_: Any) -> None:
    class Keeping(Plain):
        def init(self) -> None:
            self.kept = value()
            self.count = 7

    pid = await Keeping.start(place.node)

    shown = await system(place, pid, request_)

    state = shown[1] if request_ is atoms.get_state else dict(shown[3][4][2][1])["State"]
    assert state[atoms.count] == 7
    assert atoms.kept in state
    assert len(encode(shown)) < 1_000_000


async def system(place: Place, pid: Any, request: Any) -> Any:
    """Send a system message, and return the reply to it."""
    tag = place.node.runtime.make_ref()
    place.tester.send(pid, (atoms.system, (place.tester.pid, tag), request))
    return (await place.tester.receive(lambda message: message[0] == tag, timeout=5))[1]


async def test_attribute_with_a_long_name_is_shown_by_the_start_of_it(place: Place) -> None:
    class Long(Plain):
        def init(self) -> None:
            setattr(self, "n" * 300, 1)

    pid = await Long.start(place.node)

    assert await system(place, pid, atoms.get_state) == (atoms.ok, {atoms["n" * 255]: 1})


@pytest.mark.parametrize("error", [ValueError, Nasty], ids=["ordinary", "nasty"])
async def test_get_state_that_raises_is_answered_with_an_error(place: Place, error: Any) -> None:
    class Shy(Plain):
        def get_state(self) -> Any:
            raise error

    pid = await Shy.start(place.node)

    verdict, (what, where, _why) = await system(place, pid, atoms.get_state)

    assert (verdict, what, where[1]) == (atoms.error, atoms.callback_failed, atoms.system_get_state)
    assert await place.node.call(pid, atoms.hello) is atoms.hello


async def test_get_state_without_an_erlang_form_is_answered_with_an_error(place: Place) -> None:
    class Odd(Plain):
        def get_state(self) -> Any:
            return object()

    pid = await Odd.start(place.node)
    async with place.other.mailbox() as far:
        tag = place.other.runtime.make_ref()
        far.send(pid, (atoms.system, (far.pid, tag), atoms.get_state))

        reply = await far.receive(timeout=5)

    assert reply[0] == tag
    assert reply[1][:1] == (atoms.error,)
    assert await place.node.call(pid, atoms.hello) is atoms.hello


# ---- names and timers


@pytest.mark.parametrize("dest", ["n" * 256, ("n" * 256, "node@host"), 7, None])
async def test_timer_for_what_can_have_no_name_is_refused_at_the_caller(place: Place, dest: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        place.tester.send_after(dest, atoms.hello, 0)


async def test_timer_for_a_name_that_nobody_has_does_nothing(place: Place) -> None:
    place.tester.send_after("nobody", atoms.hello, 0)
    place.tester.send_after(place.tester.pid, atoms.later, 0)

    assert await place.heard() is atoms.later
    with pytest.raises(NoProcess):
        place.tester.send("nobody", atoms.hello)
