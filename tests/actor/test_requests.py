from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.requests import reply_address
from pyzen.actor.verbs import actor_of
from pyzen.errors import EncodeError, NoProcess
from pyzen.terms import ImproperList, Pid, Reference, atoms
from pyzen.testing import Cluster, Recorder

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox
    from pyzen.node.router import Router

REF = Reference("n@h", 4, [1, 2, 3])
PID = Pid("n@h", 1, 0, 4)


class Echo(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        return request


async def test_request_is_answered_as_a_message(router: Router, me: Mailbox) -> None:
    ref = me.send_request(router.spawn(Echo()), 7)

    assert await me.receive(timeout=2) == (ref, 7)


async def test_request_whose_server_ends_brings_a_down(router: Router, me: Mailbox, quiet: None) -> None:
    pid = router.spawn(GenServer())

    ref = me.send_request(pid, 7)

    assert await me.receive(timeout=2) == (atoms.DOWN, ref, atoms.process, pid, (atoms.bad_call, 7))


async def test_call_of_a_free_local_name_raises(me: Mailbox) -> None:
    with pytest.raises(NoProcess):
        await me.call("nobody", 1)


def test_request_without_an_erlang_form_is_taken_back() -> None:
    """Neither monitor nor alias is left of it."""
    cluster = Cluster()
    a, b = cluster.node("a@memory"), cluster.node("b@memory")
    cluster.connect(a, b)
    me, other = Recorder(), Recorder()
    a.spawn(me)
    b.spawn(other)

    with pytest.raises(EncodeError):
        me.send_request(other.pid, object())
    cluster.run_until_idle()

    assert (actor_of(me).requests, a.runtime.aliases, actor_of(other).relations.watchers) == ({}, {}, {})


def test_plain_reply_to_the_pid_is_taken_as_the_answer() -> None:
    """As a server before OTP 24 replies: the whole tag comes back, to the pid."""
    cluster = Cluster()
    node = cluster.node("a@memory")
    me, server = Recorder(), Recorder()
    node.spawn(me)
    node.spawn(server)
    ref = me.send_request(server.pid, 1)

    for message in [(ImproperList([atoms.alias], ref), 2), (ImproperList([atoms.alias], REF), 3)]:
        server.send(me.pid, message)
    cluster.run_until_idle()

    assert me.messages == [(ref, 2), (ImproperList([atoms.alias], REF), 3)], "the second is nobody's answer"


@pytest.mark.parametrize(
    ("tag", "address"),
    [
        (REF, PID),
        (ImproperList([atoms.alias], REF), REF),
        (ImproperList([ImproperList([atoms.alias], REF)], atoms.monitor), REF),
        (ImproperList([ImproperList([atoms.alias], 5)], atoms.monitor), PID),
        (ImproperList([atoms.alias], 5), PID),
        (ImproperList([atoms.other], REF), PID),
        (ImproperList([atoms.alias, 1], REF), PID),
        ((REF, atoms.node), PID),
    ],
)
def test_reply_goes_to_the_alias_of_a_tag_that_has_one(tag: Any, address: Any) -> None:
    assert reply_address((PID, tag)) == address
