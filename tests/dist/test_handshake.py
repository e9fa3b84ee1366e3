import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from pyzen.dist.flags import OWN_FLAGS, Flag
from pyzen.dist.handshake import Acceptor, Handshake, Initiator, Outcome, State
from pyzen.dist.handshake_messages import REPLY, ChallengeMessage, NameMessage
from pyzen.dist.names import Verdict
from pyzen.errors import (
    AlreadyConnected,
    ConfigError,
    CookieMismatch,
    HandshakeError,
    LocalProtocolError,
    MissingFlags,
    NotAllowed,
)
from tests import fuzz_link
from tests.fuzzing import run

A = "a@host"
B = "b@host"
OTP_25 = 0xD07DF7FBD


def initiator(
    name: str = A, peer: str = B, *, cookie: str = "secret", flags: int = OWN_FLAGS, **rest: Any
) -> Initiator:
    return Initiator(name, peer, flags=flags, creation=11, cookie=lambda _: cookie, **rest)


def acceptor(
    name: str = B, *, cookie: str = "secret", flags: int = OTP_25, verdict: Verdict = "ok", **rest: Any
) -> Acceptor:
    rest.setdefault("decide", lambda _name, _flags: verdict)
    return Acceptor(name, flags=flags, creation=22, cookie=lambda _: cookie, **rest)


def join(one: Initiator, other: Acceptor) -> None:
    """Carry frames to and fro until nobody has any more; the last frame and end of file included."""
    to_other, to_one = one.start(), list[bytes]()
    while to_other or to_one:
        while to_other:
            to_one += other.receive_frame(to_other.pop(0))
            if other.state is State.DONE:
                assert other.last_frame is not None
                to_one.append(other.last_frame)
        while to_one:
            to_other += one.receive_frame(to_one.pop(0))
    if other.state is State.FAILED:
        one.eof()
    if one.state is State.FAILED:
        other.eof()


def proof(cookie: str, challenge: int) -> bytes:
    return hashlib.md5(f"{cookie}{challenge}".encode("latin-1")).digest()


# ---- both sides


@pytest.mark.parametrize("verdict", ["ok", "ok_simultaneous"])
def test_pair_ends_done_on_both_sides(verdict: Verdict) -> None:
    one, other = initiator(), acceptor(verdict=verdict)

    join(one, other)

    flags = OWN_FLAGS & OTP_25
    assert one.outcome == Outcome(peer=B, creation=22, peer_flags=Flag(OTP_25), flags=flags, visible=True)
    assert other.outcome == Outcome(peer=A, creation=11, peer_flags=OWN_FLAGS, flags=flags, visible=True)
    assert (one.error, other.error) == (None, None)
    assert one.status == verdict


def test_pair_replaces_a_link_the_acceptor_thought_alive() -> None:
    one, other = initiator(), acceptor(verdict="alive")

    join(one, other)

    assert one.outcome is not None
    assert other.outcome is not None
    assert (one.outcome.replaces, other.outcome.replaces) == (False, True)


def test_pair_keeps_the_old_link_when_the_second_is_not_wanted() -> None:
    one, other = initiator(wanted=lambda: False), acceptor(verdict="alive")

    join(one, other)

    assert isinstance(one.error, AlreadyConnected)
    assert isinstance(other.error, AlreadyConnected)


def test_pair_with_a_wrong_cookie_does_not_replace_the_old_link() -> None:
    one, other = initiator(cookie="wrong"), acceptor(verdict="alive")

    join(one, other)

    assert isinstance(other.error, CookieMismatch)
    assert other.outcome is None


@pytest.mark.parametrize(
    ("verdict", "kind", "words"),
    [
        ("nok", HandshakeError, "b@host is connecting to a@host itself"),
        ("not_allowed", NotAllowed, "b@host does not let a@host in: see net_kernel:allow"),
    ],
)
def test_pair_fails_on_both_sides_by_the_verdict(verdict: Verdict, kind: type[HandshakeError], words: str) -> None:
    one, other = initiator(), acceptor(verdict=verdict)

    join(one, other)

    assert type(one.error) is kind
    assert words in str(one.error)
    assert type(other.error) is kind
    assert (one.status, one.error.state, one.error.peer) == (verdict, "status", B)
    assert other.error.peer == A


def test_pair_with_different_cookies_fails_on_both_sides_and_tells_none() -> None:
    one, other = initiator(cookie="hush-1"), acceptor(cookie="hush-2")

    join(one, other)

    for side in (one, other):
        assert isinstance(side.error, CookieMismatch)
        assert "start both with the same one" in str(side.error)
        assert "hush" not in str(side.error)


def test_pair_looks_cookies_up_by_the_name_of_the_peer() -> None:
    one = Initiator(A, B, flags=OWN_FLAGS, creation=1, cookie={B: "one"}.__getitem__)
    other = Acceptor(B, flags=OTP_25, creation=2, cookie={A: "one"}.__getitem__, decide=lambda *_: "ok")

    join(one, other)

    assert one.outcome is not None


def test_pair_of_a_hidden_node_is_not_visible() -> None:
    one, other = initiator(flags=OWN_FLAGS & ~Flag.PUBLISHED), acceptor()

    join(one, other)

    assert other.outcome is not None
    assert not other.outcome.visible


def test_pair_fails_by_a_missing_flag_which_both_name() -> None:
    one, other = initiator(flags=OWN_FLAGS & ~(Flag.MANDATORY_25_DIGEST | Flag.BIG_CREATION)), acceptor()

    join(one, other)

    assert isinstance(one.error, NotAllowed)
    assert isinstance(other.error, MissingFlags)
    assert other.error.flags == ("BIG_CREATION",)
    assert other.error.peer == A


def test_challenges_differ_from_handshake_to_handshake() -> None:
    challenges = set()
    for _ in range(8):
        one = acceptor()
        _, frame = one.receive_frame(NameMessage(OTP_25, 1, A).serialize())
        challenges.add(ChallengeMessage.parse(frame).challenge)

    assert len(challenges) > 1


def moves_of(handshake: type[Handshake]) -> set[State]:
    return {after for _, followers in handshake.TABLE.values() for after in followers}


@pytest.mark.parametrize("handshake", [Initiator, Acceptor])
def test_table_leads_only_to_its_own_states_and_done(handshake: type[Handshake]) -> None:
    first = next(iter(handshake.TABLE))

    assert moves_of(handshake) == handshake.TABLE.keys() - {first} | {State.DONE}


# ---- initiator


def in_status() -> Initiator:
    one = initiator()
    one.start()
    return one


def in_challenge() -> Initiator:
    one = in_status()
    one.receive_frame(b"sok")
    return one


def in_ack() -> Initiator:
    one = in_challenge()
    one.receive_frame(ChallengeMessage(OTP_25, 5, 22, B).serialize())
    return one


def test_initiator_starts_with_its_name() -> None:
    assert initiator().start() == [NameMessage(OWN_FLAGS, 11, A).serialize()]


def test_initiator_starts_once() -> None:
    one = in_status()

    with pytest.raises(LocalProtocolError):
        one.start()


def test_initiator_receives_nothing_before_its_start() -> None:
    with pytest.raises(LocalProtocolError):
        initiator().receive_frame(b"sok")


def test_initiator_proves_the_challenge_of_the_peer() -> None:
    one = in_challenge()

    (reply,) = one.receive_frame(ChallengeMessage(OTP_25, 0xFFFFFFFF, 22, B).serialize())

    assert reply[:1] == b"r"
    assert len(reply) == 21
    assert reply[5:] == proof("secret", 0xFFFFFFFF)


def test_own_challenge_that_comes_back_is_not_answered() -> None:
    one = initiator(challenges={7})
    one.start()
    one.receive_frame(b"sok")

    assert one.receive_frame(ChallengeMessage(OTP_25, 7, 22, B).serialize()) == []
    assert "sends a challenge of a@host back" in str(one.error)


def test_acceptor_answers_no_challenge_of_its_own_node() -> None:
    other = acceptor(challenges={7})
    other.receive_frame(NameMessage(OWN_FLAGS, 11, A).serialize())

    other.receive_frame(REPLY.pack(b"r", 7, proof("secret", other.challenge)))

    assert other.last_frame is None
    assert "sends a challenge of b@host back" in str(other.error)


def test_initiator_answers_alive_with_true_while_wanted() -> None:
    one = in_status()

    assert one.receive_frame(b"salive") == [b"strue"]
    assert one.state is State.CHALLENGE


def test_initiator_answers_alive_with_false_when_no_longer_wanted() -> None:
    one = initiator(wanted=lambda: False)
    one.start()

    assert one.receive_frame(b"salive") == [b"sfalse"]
    assert isinstance(one.error, AlreadyConnected)


@pytest.mark.parametrize(
    "status", [b"snamed:\x00\x04x@hh\x00\x00\x00\x01", b"s", b"sOK", b"sok ", b"s" + b"x" * 60_000]
)
def test_initiator_refuses_any_other_status(status: bytes) -> None:
    one = in_status()

    assert one.receive_frame(status) == []
    assert one.error is not None
    assert str(one.error).startswith("unexpected status")
    assert len(str(one.error)) < 300


def test_initiator_refuses_another_name_than_the_one_dialled() -> None:
    one = in_challenge()

    frames = one.receive_frame(ChallengeMessage(OTP_25, 5, 22, "c@host").serialize())

    assert frames == []
    assert "'c@host', not b@host" in str(one.error)


def test_initiator_refuses_a_peer_without_mandatory_flags() -> None:
    one = in_challenge()

    frames = one.receive_frame(ChallengeMessage(0x1070F94, 5, 22, B).serialize())

    assert frames == []
    assert isinstance(one.error, MissingFlags)
    assert one.error.flags == ("UNLINK_ID", "V4_NC")


def test_initiator_refuses_the_old_challenge() -> None:
    one = in_challenge()

    one.receive_frame(b"n\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00b@host")

    assert isinstance(one.error, MissingFlags)
    assert one.error.flags == ("HANDSHAKE_23",)


@pytest.mark.parametrize("digest", [bytes(16), b"", b"x" * 15, b"x" * 17])
def test_initiator_refuses_a_wrong_digest(digest: bytes) -> None:
    one = in_ack()

    one.receive_frame(b"a" + digest)

    assert isinstance(one.error, CookieMismatch)
    assert one.outcome is None


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (in_status, HandshakeError, "without an answer"),
        (in_challenge, HandshakeError, "after the status 'ok'"),
        (in_ack, CookieMismatch, "b@host closed the connection: it has another cookie"),
    ],
)
def test_initiator_tells_what_a_closed_connection_means(
    make: Callable[[], Initiator], kind: type[HandshakeError], words: str
) -> None:
    one = make()

    one.eof()

    assert type(one.error) is kind
    assert words in str(one.error)


@pytest.mark.parametrize("peer", ["b", "b@", "a.b@host", "b@host@host"])
def test_initiator_cannot_be_made_for_a_peer_whose_name_no_node_has(peer: str) -> None:
    with pytest.raises(HandshakeError):
        initiator(peer=peer)


def test_initiator_cannot_be_made_for_a_peer_with_a_name_of_the_other_form() -> None:
    with pytest.raises(HandshakeError, match="long one"):
        initiator(peer="b@host.domain")


@pytest.mark.parametrize("make", [initiator, acceptor])
def test_handshake_cannot_be_made_under_a_bad_name(make: Callable[[str], Handshake]) -> None:
    with pytest.raises(ConfigError):
        make("a.b@host")


# ---- acceptor


def name_frame(name: str = A, flags: int = OTP_25) -> bytes:
    return NameMessage(flags, 11, name).serialize()


def in_reply() -> Acceptor:
    one = acceptor()
    one.receive_frame(name_frame())
    return one


def in_alive() -> Acceptor:
    one = acceptor(verdict="alive")
    one.receive_frame(name_frame())
    return one


def test_acceptor_asks_for_a_verdict_with_the_name_and_the_flags() -> None:
    asked = []

    def decide(name: str, flags: Flag) -> Verdict:
        asked.append((name, flags))
        return "ok"

    acceptor(decide=decide).receive_frame(name_frame())

    assert asked == [(A, OTP_25)]


def test_acceptor_sends_its_status_and_then_its_challenge() -> None:
    status, frame = acceptor().receive_frame(name_frame())

    challenge = ChallengeMessage.parse(frame)
    assert status == b"sok"
    assert (challenge.name, challenge.creation, challenge.flags) == (B, 22, OTP_25)


def test_acceptor_holds_its_challenge_back_until_alive_is_answered() -> None:
    one = acceptor(verdict="alive")

    assert one.receive_frame(name_frame()) == [b"salive"]
    (frame,) = one.receive_frame(b"strue")
    assert ChallengeMessage.parse(frame).name == B


def test_acceptor_holds_its_last_frame_back_for_the_activation() -> None:
    one = acceptor()
    _, frame = one.receive_frame(name_frame())
    challenge = ChallengeMessage.parse(frame).challenge

    frames = one.receive_frame(b"r" + (7).to_bytes(4, "big") + proof("secret", challenge))

    assert frames == []
    assert one.last_frame == b"a" + proof("secret", 7)
    assert one.state is State.DONE


def test_acceptor_gives_no_proof_of_its_own_to_a_wrong_one() -> None:
    one = in_reply()

    assert one.receive_frame(b"r" + bytes(20)) == []
    assert isinstance(one.error, CookieMismatch)
    assert one.last_frame is None


@pytest.mark.parametrize("reply", [b"r", b"r" + bytes(19), b"r" + bytes(21)])
def test_acceptor_refuses_a_reply_of_another_length(reply: bytes) -> None:
    one = in_reply()

    one.receive_frame(reply)

    assert "has 21 bytes" in str(one.error)


@pytest.mark.parametrize("answer", [b"sfalse ", b"s", b"sTRUE", b"struetrue"])
def test_acceptor_refuses_any_other_answer_to_alive(answer: bytes) -> None:
    one = in_alive()

    assert one.receive_frame(answer) == []
    assert "answer" in str(one.error)
    assert not isinstance(one.error, AlreadyConnected)


@pytest.mark.parametrize("name", ["", "a", "@host", "a@", "a@b@c", "a" * 251 + "@host"])
def test_acceptor_closes_without_a_status_on_what_is_no_name(name: str) -> None:
    one = acceptor()

    assert one.receive_frame(name_frame(name)) == []
    assert "has no valid name" in str(one.error)


@pytest.mark.parametrize("name", ["a.b@host", "a b@host", "é@host", "a@ho\nst"])
def test_acceptor_refuses_a_name_that_a_real_node_refuses(name: str) -> None:
    one = acceptor()

    assert one.receive_frame(name_frame(name)) == [b"snok"]
    assert "refused a node by its name" in str(one.error)


def test_acceptor_takes_the_longest_name() -> None:
    longest = "a" * 250 + "@host"

    status, _ = acceptor().receive_frame(name_frame(longest))

    assert status == b"sok"


def test_acceptor_tells_a_node_that_asks_for_a_name() -> None:
    one = acceptor()

    one.receive_frame(name_frame("host", OTP_25 | Flag.NAME_ME))

    assert "asks for a name of our making" in str(one.error)


def test_acceptor_refuses_a_twin_of_itself() -> None:
    one = acceptor()

    assert one.receive_frame(name_frame(B)) == [b"snot_allowed"]
    assert isinstance(one.error, NotAllowed)


def test_acceptor_is_given_a_reason_of_its_own_for_not_allowed() -> None:
    def decide(peer: str, flags: Flag) -> Verdict:
        raise NotAllowed(f"{peer} has the wrong certificate")

    one = Acceptor(B, flags=OWN_FLAGS, creation=9, cookie=lambda _: "secret", decide=decide)

    assert one.receive_frame(name_frame()) == [b"snot_allowed"]
    assert isinstance(one.error, NotAllowed)
    assert str(one.error) == "a@host has the wrong certificate"
    assert one.error.peer == "a@host"


def test_acceptor_refuses_the_old_name_message_with_a_status() -> None:
    one = acceptor()

    assert one.receive_frame(b"n\x00\x05\x01\x07\x0f\x94a@host") == [b"snot_allowed"]
    assert "OTP 25 or newer" in str(one.error)


def test_acceptor_ignores_what_follows_the_name() -> None:
    status, _ = acceptor().receive_frame(name_frame() + b"later")

    assert status == b"sok"


@pytest.mark.parametrize("make", [acceptor, in_alive, in_reply])
def test_acceptor_takes_a_closed_connection_as_the_peers_choice(make: Callable[[], Acceptor]) -> None:
    one = make()

    one.eof()

    assert type(one.error) is HandshakeError
    assert "in the middle of the handshake" in str(one.error)


# ---- any state, any bytes

STATES = [in_status, in_challenge, in_ack, acceptor, in_alive, in_reply]


@pytest.mark.parametrize("make", STATES)
@pytest.mark.parametrize("frame", [b"", b"x", b"\x00" * 40, b"GET / HTTP/1.1", b"\x83h\x00"])
def test_handshake_fails_by_an_unexpected_message_in_every_state(make: Callable[[], Handshake], frame: bytes) -> None:
    one = make()
    before = one.state

    assert one.receive_frame(frame) == []
    assert one.state is State.FAILED
    assert one.error is not None
    assert one.error.state == before.value


@pytest.mark.parametrize("make", STATES)
def test_handshake_takes_every_cut_of_every_message_without_raising(make: Callable[[], Handshake]) -> None:
    messages = [
        name_frame(),
        ChallengeMessage(OTP_25, 5, 22, B).serialize(),
        b"r" + bytes(20),
        b"a" + bytes(16),
        b"strue",
    ]

    for message in messages:
        for cut in range(len(message)):
            one = make()
            one.receive_frame(message[:cut])
            assert one.outcome is None


@pytest.mark.parametrize("make", STATES)
def test_handshake_ignores_frames_after_its_end(make: Callable[[], Handshake]) -> None:
    one = make()
    one.receive_frame(b"x")
    error = one.error

    assert one.receive_frame(b"sok") == []
    one.eof()
    assert one.error is error


def test_handshake_over_a_hostile_line_ends_with_an_error_or_a_right_proof() -> None:
    outcomes = run("handshake", fuzz_link.TARGETS["handshake"], 5000, seed=20_261_123)

    assert outcomes["done"] > 500
    assert outcomes["failed"] > 500
