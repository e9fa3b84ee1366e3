"""The handshake (distribution version 6), as two state machines without socket and clock.

Frames go in and come out without their length. The peer's faults are never raised: they end the handshake and
stand in ``error``. What is raised is misuse by this side.

=================  ========  =========  ============================================================
state              expects   may go to  and sends
=================  ========  =========  ============================================================
*Initiator*
START                        STATUS     `start`: name, flags and creation
STATUS             ``s``     CHALLENGE  nothing, or "true" to an ``alive``; "false" and FAILED if unwanted
CHALLENGE          ``N``     ACK        own challenge and the digest of the peer's
ACK                ``a``     DONE       nothing
*Acceptor*
NAME               ``N``     ALIVE      status ``alive``: the old link stays until the new peer has proved itself
NAME               ``N``     REPLY      status ``ok`` or ``ok_simultaneous``, then name, flags and challenge
ALIVE              ``s``     REPLY      name, flags and challenge, after "true"
REPLY              ``r``     DONE       the digest, as `Acceptor.last_frame`: it leaves when the link is activated
=================  ========  =========  ============================================================

Every state may go to FAILED, sending nothing but the status ``nok`` or ``not_allowed``. Proof of the cookie:
MD5 over the cookie and the decimal digits of the other's challenge. The acceptor checks first, and a real node
closes without a word when the proof is wrong; hence `Handshake.eof`.

Source: OTP, "Distribution Protocol", section "Distribution Handshake"; ``lib/kernel/src/dist_util.erl``.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from pyzen.dist.flags import Flag, negotiate
from pyzen.dist.handshake_messages import REPLY, ChallengeMessage, NameMessage, digest
from pyzen.dist.names import Verdict, check_name_form, check_node_name, split_name
from pyzen.errors import (
    AlreadyConnected,
    ConfigError,
    CookieMismatch,
    HandshakeError,
    LocalProtocolError,
    MissingFlags,
    NotAllowed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

__all__ = ["Acceptor", "Handshake", "Initiator", "Outcome", "State"]


class State(Enum):
    """Where a handshake stands."""

    START = "start"
    STATUS = "status"
    CHALLENGE = "challenge"
    ACK = "ack"
    NAME = "name"
    ALIVE = "alive"
    REPLY = "reply"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a finished handshake has found out; both sides have proved that they know the cookie.

    Attributes:
        peer: Name of the peer.
        creation: The peer's creation.
        peer_flags: The peer's word as received, with bits that have no name.
        flags: What holds on the link.
        visible: Both sides are published.
        replaces: The peer has said that an older link to it is dead: end that one before this is activated.
    """

    peer: str
    creation: int
    peer_flags: Flag
    flags: Flag
    visible: bool
    replaces: bool = False


class Handshake:
    """What both sides have in common.

    Attributes:
        state: Where the handshake stands; a key of ``TABLE``, ``DONE`` or ``FAILED``.
        peer: Name of the peer, as far as known.
        error: Why it failed; None before.
        outcome: What came of it; None before ``DONE``.
        challenge: What the peer has to answer.
    """

    # State -> (tag it expects, states it may go to). The table of the module, for code and tests.
    TABLE: ClassVar[Mapping[State, tuple[bytes, frozenset[State]]]] = {}

    def __init__(
        self,
        name: str,
        state: State,
        *,
        flags: int,
        creation: int,
        cookie: Callable[[str], str],
        peer: str | None,
        challenges: Container[int],
    ) -> None:
        check_node_name(name)
        self.state = state
        self.peer = peer
        self.error: HandshakeError | None = None
        self.outcome: Outcome | None = None
        self._name = name
        self._flags = flags
        self._creation = creation
        self._cookie = cookie
        self.challenge = secrets.randbits(32)
        self._challenges = challenges

    @property
    def ended(self) -> bool:
        """Whether no further frame is expected."""
        return self.state in {State.DONE, State.FAILED}

    def receive_frame(self, frame: bytes) -> list[bytes]:
        """Take one frame of the peer.

        Returns:
            Frames to send, in order; when the handshake has failed, send them and close. Frames after the end
            are ignored.

        Raises:
            ConfigError: If the cookie for this peer can't be used.
            LocalProtocolError: If the handshake was not started.
        """
        if self.ended:
            return []
        if self.state is State.START:
            raise LocalProtocolError("start the handshake before frames are received", peer=self.peer)
        expected, _ = self.TABLE[self.state]
        try:
            if frame[:1] != expected:
                return self._receive_unexpected(frame)
            return self._receive(frame)
        except HandshakeError as error:
            return self._fail(error)

    def eof(self) -> None:
        """Take note that the peer has closed the connection; not for a connection that ran out of time."""
        if not self.ended:
            self._fail(self._eof_error())

    def _receive(self, frame: bytes) -> list[bytes]:
        raise NotImplementedError

    def _eof_error(self) -> HandshakeError:
        raise NotImplementedError

    def _receive_unexpected(self, frame: bytes) -> list[bytes]:
        raise HandshakeError(f"unexpected handshake message {frame[:16]!r} in state {self.state.value}")

    def _move(self, state: State) -> None:
        assert state in self.TABLE[self.state][1], f"{self.state} does not lead to {state}"
        self.state = state

    def _fail(self, error: HandshakeError, *frames: bytes) -> list[bytes]:
        error.peer = error.peer or self.peer
        error.state = error.state or self.state.value
        self.error = error
        self.state = State.FAILED
        return list(frames)

    def _finish(self, message: NameMessage | ChallengeMessage, *, replaces: bool) -> None:
        flags = negotiate(self._flags, message.flags)
        self.outcome = Outcome(
            peer=message.name,
            creation=message.creation,
            peer_flags=Flag(message.flags),
            flags=flags,
            visible=Flag.PUBLISHED in flags,
            replaces=replaces,
        )
        self._move(State.DONE)

    def _digest(self, challenge: int) -> bytes:
        assert self.peer is not None, "a cookie is looked up after the name is known"
        return digest(self._cookie(self.peer), challenge)

    def _proof(self, challenge: int) -> bytes:
        """Answer the peer's challenge, unless it is one that this node waits to have answered itself."""
        if challenge in self._challenges:
            raise HandshakeError(
                f"{self.peer} sends a challenge of {self._name} back: it may not know the cookie itself"
            )
        return self._digest(challenge)

    def _proved(self, theirs: bytes) -> bool:
        return hmac.compare_digest(self._digest(self.challenge), theirs)


class Initiator(Handshake):
    """The side that has dialled.

    Args:
        name: Own name.
        peer: The name that was dialled; the peer must have exactly this one.
        flags: Own flag word.
        creation: Own creation, not 0.
        cookie: Gives the cookie for a peer.
        wanted: Asked when the peer believes that it has a link to us: whether this attempt still counts.
        challenges: Those of this node that are not answered yet. One that comes back is refused: whoever has it may
            want us to answer it, and then answer it with that where we have asked.

    Attributes:
        status: The peer's status, once received. After ``nok`` the peer's own attempt is under way: wait for it
            rather than dial again.

    Raises:
        ConfigError: If ``name`` can't be used.
        HandshakeError: If the peer's name can't be used, or is long where ours is short or the reverse.
    """

    TABLE: ClassVar = {
        State.START: (b"", frozenset({State.STATUS})),
        State.STATUS: (b"s", frozenset({State.CHALLENGE})),
        State.CHALLENGE: (b"N", frozenset({State.ACK})),
        State.ACK: (b"a", frozenset({State.DONE})),
    }

    def __init__(
        self,
        name: str,
        peer: str,
        *,
        flags: int,
        creation: int,
        cookie: Callable[[str], str],
        wanted: Callable[[], bool] = lambda: True,
        challenges: Container[int] = (),
    ) -> None:
        start = State.START
        super().__init__(name, start, flags=flags, creation=creation, cookie=cookie, peer=peer, challenges=challenges)
        try:
            check_node_name(peer)
        except ConfigError as error:
            raise HandshakeError(str(error), peer=peer, state=self.state.value) from error
        check_name_form(name, peer)
        self.status: str | None = None
        self._wanted = wanted
        self._challenge_message: ChallengeMessage | None = None

    def start(self) -> list[bytes]:
        """Return the frames that open the handshake; called once, before all else.

        Raises:
            LocalProtocolError: If it was called before.
        """
        if self.state is not State.START:
            raise LocalProtocolError("a handshake starts once", peer=self.peer)
        self._move(State.STATUS)
        return [NameMessage(self._flags, self._creation, self._name).serialize()]

    def _receive(self, frame: bytes) -> list[bytes]:
        match self.state:
            case State.STATUS:
                return self._receive_status(frame[1:].decode("latin-1"))
            case State.CHALLENGE:
                return self._receive_challenge(frame)
            case _:
                return self._receive_ack(frame)

    def _receive_status(self, status: str) -> list[bytes]:
        self.status = status
        match status:
            case "ok" | "ok_simultaneous":
                self._move(State.CHALLENGE)
                return []
            case "alive":
                return self._receive_alive()
            case "nok":
                raise HandshakeError(
                    f"{self.peer} is connecting to {self._name} itself and its attempt goes first, or it finds that "
                    "name illegal (its log tells)"
                )
            case "not_allowed":
                raise NotAllowed(
                    f"{self.peer} does not let {self._name} in: see net_kernel:allow there, and its log for flags "
                    "that it can't do without"
                )
            case _:
                raise HandshakeError(f"unexpected status {status!r:.100} from {self.peer}")

    def _receive_alive(self) -> list[bytes]:
        if not self._wanted():
            error = AlreadyConnected(f"{self.peer} is linked to {self._name} already, and that link stays")
            return self._fail(error, b"sfalse")
        self._move(State.CHALLENGE)
        return [b"strue"]

    def _receive_challenge(self, frame: bytes) -> list[bytes]:
        message = ChallengeMessage.parse(frame)
        if message.name != self.peer:
            raise HandshakeError(
                f"the node at this address is {message.name!r:.300}, not {self.peer}: dial it by its own name"
            )
        negotiate(self._flags, message.flags)
        self._challenge_message = message
        self._move(State.ACK)
        return [REPLY.pack(b"r", self.challenge, self._proof(message.challenge))]

    def _receive_ack(self, frame: bytes) -> list[bytes]:
        if not self._proved(frame[1:]):
            raise CookieMismatch(cookie_advice(f"{self.peer} has another cookie than {self._name}"))
        assert self._challenge_message is not None, "the state ACK follows the challenge"
        self._finish(self._challenge_message, replaces=False)
        return []

    def _receive_unexpected(self, frame: bytes) -> list[bytes]:
        if self.state is State.CHALLENGE and frame[:1] == b"n":
            raise MissingFlags(["HANDSHAKE_23"])
        return super()._receive_unexpected(frame)

    def _eof_error(self) -> HandshakeError:
        if self.state is State.ACK:
            return CookieMismatch(cookie_advice(f"{self.peer} closed the connection: it has another cookie"))
        if self.state is State.CHALLENGE:
            return HandshakeError(f"{self.peer} closed the connection after the status {self.status!r}: see its log")
        return HandshakeError(
            f"{self.peer} closed the connection without an answer: it may want TLS, or have too many unfinished "
            "handshakes (see its log), or its port belongs to a program that is no Erlang node"
        )


class Acceptor(Handshake):
    """The side that was dialled.

    Args:
        name: Own name.
        flags: Own flag word.
        creation: Own creation, not 0.
        cookie: Gives the cookie for a peer.
        decide: Asked once, with name and flags of a peer that is fit to connect but has not proved itself yet.
            ``alive`` means that a link to it is up; it stays up until `Outcome.replaces` says otherwise. A raised
            `NotAllowed` is the verdict ``not_allowed`` with a reason of its own.
        challenges: As of `Initiator`.

    Attributes:
        last_frame: The frame that ends the handshake, once ``DONE``: it must be the last before the packets.

    Raises:
        ConfigError: If ``name`` can't be used.
    """

    TABLE: ClassVar = {
        State.NAME: (b"N", frozenset({State.ALIVE, State.REPLY})),
        State.ALIVE: (b"s", frozenset({State.REPLY})),
        State.REPLY: (b"r", frozenset({State.DONE})),
    }

    def __init__(
        self,
        name: str,
        *,
        flags: int,
        creation: int,
        cookie: Callable[[str], str],
        decide: Callable[[str, Flag], Verdict],
        challenges: Container[int] = (),
    ) -> None:
        super().__init__(
            name, State.NAME, flags=flags, creation=creation, cookie=cookie, peer=None, challenges=challenges
        )
        self.last_frame: bytes | None = None
        self._decide = decide
        self._name_message: NameMessage | None = None
        self._replaces = False

    def _receive(self, frame: bytes) -> list[bytes]:
        match self.state:
            case State.NAME:
                return self._receive_name(NameMessage.parse(frame))
            case State.ALIVE:
                return self._receive_alive_answer(frame[1:])
            case _:
                return self._receive_reply(frame)

    def _receive_name(self, message: NameMessage) -> list[bytes]:
        if refusal := self._check_name(message):
            return refusal
        self.peer = message.name
        try:
            negotiate(self._flags, message.flags)
        except MissingFlags as error:
            return self._fail(error, b"snot_allowed")
        self._name_message = message
        try:
            verdict = self._decide(message.name, Flag(message.flags))
        except NotAllowed as error:
            return self._fail(error, b"snot_allowed")
        return self._answer(verdict)

    def _check_name(self, message: NameMessage) -> list[bytes]:
        # As a real node: no status for what is no name at all, `nok` for one that it could not be called by.
        if split_name(message.name) is None:
            dynamic = message.flags & Flag.NAME_ME
            advice = "asks for a name of our making, start it with -name or -sname" if dynamic else "has no valid name"
            raise HandshakeError(f"a node that calls itself {message.name!r:.300} {advice}")
        try:
            check_node_name(message.name)
        except ConfigError as error:
            return self._fail(HandshakeError(f"refused a node by its name: {error}"), b"snok")
        if message.name == self._name:
            twin = NotAllowed(f"a second node of the name {self._name} wants to connect: give it another name")
            return self._fail(twin, b"snot_allowed")
        return []

    def _answer(self, verdict: Verdict) -> list[bytes]:
        status = b"s" + verdict.encode("ascii")
        match verdict:
            case "ok" | "ok_simultaneous":
                self._move(State.REPLY)
                return [status, self._own_challenge()]
            case "alive":
                self._move(State.ALIVE)
                return [status]
            case "nok":
                return self._fail(HandshakeError(f"the own attempt to reach {self.peer} goes first"), status)
            case "not_allowed":
                return self._fail(NotAllowed(f"{self.peer} is not among the nodes that may connect"), status)

    def _receive_alive_answer(self, answer: bytes) -> list[bytes]:
        if answer == b"false":
            raise AlreadyConnected(f"{self.peer} gave up a second link, the first one stays")
        if answer != b"true":
            raise HandshakeError(f"unexpected answer {answer[:16]!r} to the status alive")
        self._replaces = True
        self._move(State.REPLY)
        return [self._own_challenge()]

    def _own_challenge(self) -> bytes:
        return ChallengeMessage(self._flags, self.challenge, self._creation, self._name).serialize()

    def _receive_reply(self, frame: bytes) -> list[bytes]:
        if len(frame) != REPLY.size:
            raise HandshakeError(f"a challenge reply has {REPLY.size} bytes, not {len(frame)}")
        _, challenge, theirs = REPLY.unpack(frame)
        if not self._proved(theirs):
            raise CookieMismatch(cookie_advice(f"{self.peer} has another cookie than {self._name}"))
        assert self._name_message is not None, "the state REPLY follows the name"
        self.last_frame = b"a" + self._proof(challenge)
        self._finish(self._name_message, replaces=self._replaces)
        return []

    def _receive_unexpected(self, frame: bytes) -> list[bytes]:
        if self.state is State.NAME and frame[:1] == b"n":
            error = HandshakeError(
                "an OTP 23 or 24 node, or a client as old, wants to connect: OTP 25 or newer is needed"
            )
            return self._fail(error, b"snot_allowed")
        return super()._receive_unexpected(frame)

    def _eof_error(self) -> HandshakeError:
        who = self.peer or "a client"
        return HandshakeError(f"{who} closed the connection in the middle of the handshake")


def cookie_advice(what: str) -> str:
    """Return ``what`` went wrong with a cookie, and what to do."""
    return f"{what}; start both with the same one (--cookie, or ~/.erlang.cookie)"
