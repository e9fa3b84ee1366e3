"""Calls: a request with monitor and alias, and what takes its reply.

The reply to a request never passes the mailbox: it comes to the alias, or the monitor tells why there will be none.

Source: OTP, ``lib/stdlib/src/gen.erl``, ``do_call``; Erlang Reference Manual, "Process Aliases".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyzen.actor.actor import DOWN, PROCESS
from pyzen.actor.mailbox import told
from pyzen.actor.signals import Monitor
from pyzen.terms import ImproperList, Pid, Reference, atoms

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor, Answer
    from pyzen.actor.runtime import Dest
    from pyzen.errors import ProcessExit
    from pyzen.terms import Atom

__all__ = ["GEN_CALL", "GEN_CAST", "message_answer", "reply_address", "send_reply", "send_request"]

ALIAS: Final = atoms.alias
GEN_CALL: Final = atoms["$gen_call"]
GEN_CAST: Final = atoms["$gen_cast"]


def send_request(actor: Actor, dest: Dest, request: Any, answer: Answer | None = None) -> Reference:
    """Send a call; ``answer`` takes the reply, or why there is none. Without it a message tells.

    Raises:
        EncodeError: The request has no Erlang form; nothing is left of it.
        LinkOverloaded: Too much waits for that node already; likewise.
    """
    runtime, target = actor.alive(), actor.target(dest)
    ref = runtime.make_ref()
    actor.requests[ref] = message_answer(actor, ref, target) if answer is None else answer
    runtime.add_alias(ref, actor)
    actor.add_monitor(ref, target)
    runtime.route(Monitor(target, actor.pid, ref))
    try:
        actor.send(target, (GEN_CALL, (actor.pid, ImproperList([ALIAS], ref)), request))
    except Exception:
        actor.forget_request(ref)
        raise
    return ref


def send_reply(actor: Actor, from_: tuple[Pid, Any], value: Any) -> None:
    """Answer a call.

    The caller may be of any node, and a peer may name one that is none: who answers dials while few others do.
    """
    actor.send(reply_address(from_), (from_[1], value), dial=actor.alive().has_few_dials)


def message_answer(actor: Actor, ref: Reference, target: Pid | tuple[Atom, Atom]) -> Answer:
    """Return what puts the reply, or the DOWN in its place, into the mailbox."""

    def answer(reply: Any, error: ProcessExit | None) -> None:
        if error is None:
            actor.mail.append(told((ref, reply)))
        else:
            actor.mail.append(told((DOWN, ref, PROCESS, target, error.reason)))

    return answer


def reply_address(from_: tuple[Pid, Any]) -> Pid | Reference:
    """Return where the reply to a call goes: the alias in its tag, else the calling pid.

    Source: OTP, "gen" module: tags ``Ref``, ``[alias|Ref]``, ``[[alias|Ref]|Mon]``, ``{Ref, Node}``.
    """
    pid, tag = from_
    if type(tag) is ImproperList and len(tag.elements) == 1:
        head = tag.elements[0]
        if type(head) is ImproperList and len(head.elements) == 1 and head.elements[0] is ALIAS:
            return head.tail if type(head.tail) is Reference else pid
        if head is ALIAS and type(tag.tail) is Reference:
            return tag.tail
    return pid
