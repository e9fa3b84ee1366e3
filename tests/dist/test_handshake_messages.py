import pytest

from pyzen.dist.handshake_messages import ChallengeMessage, NameMessage, digest
from pyzen.errors import ConfigError, HandshakeError

NAME = NameMessage(0x6C07DF7FBD, 0x01020304, "py@host")
NAME_FRAME = b"N" + bytes.fromhex("0000006c07df7fbd 01020304 0007") + b"py@host"
CHALLENGE = ChallengeMessage(0xD07DF7FBD, 0xFFFFFFFF, 7, "app@host")
CHALLENGE_FRAME = b"N" + bytes.fromhex("0000000d07df7fbd ffffffff 00000007 0008") + b"app@host"


def test_name_message_has_the_layout_of_the_document() -> None:
    assert NAME.serialize() == NAME_FRAME
    assert NameMessage.parse(NAME_FRAME) == NAME


def test_challenge_message_has_the_layout_of_the_document() -> None:
    assert CHALLENGE.serialize() == CHALLENGE_FRAME
    assert ChallengeMessage.parse(CHALLENGE_FRAME) == CHALLENGE


def test_messages_ignore_what_follows_the_name() -> None:
    assert NameMessage.parse(NAME_FRAME + b"later") == NAME
    assert ChallengeMessage.parse(CHALLENGE_FRAME + b"later") == CHALLENGE


@pytest.mark.parametrize("cut", range(1, len(NAME_FRAME)))
def test_name_message_is_refused_at_every_cut(cut: int) -> None:
    with pytest.raises(HandshakeError, match="cut short"):
        NameMessage.parse(NAME_FRAME[:cut])


@pytest.mark.parametrize("cut", range(1, len(CHALLENGE_FRAME)))
def test_challenge_message_is_refused_at_every_cut(cut: int) -> None:
    with pytest.raises(HandshakeError, match="cut short"):
        ChallengeMessage.parse(CHALLENGE_FRAME[:cut])


def test_digest_is_md5_of_the_cookie_and_the_decimal_challenge() -> None:
    # erlang:md5("secret4294967295")
    assert digest("secret", 0xFFFFFFFF).hex() == "5dfd181e69aa587cc812eb333e6536b6"


def test_digest_takes_the_cookie_as_latin_1() -> None:
    # erlang:md5([16#e9 | "1"])
    assert digest("\xe9", 1).hex() == "d38a886c7ef8be42e0464a2da3747c9f"


def test_digest_refuses_a_cookie_outside_latin_1() -> None:
    with pytest.raises(ConfigError):
        digest("\u0100", 1)
