import pytest

from pyzen.dist.flags import MANDATORY, MANDATORY_25, OWN_FLAGS, Flag, expand_digest, flag_names, negotiate, own_flags
from pyzen.errors import MissingFlags

OTP_25 = 0xD07DF7FBD
OTP_28 = 0x2D07DF7FBD
DIGEST_ALONE = Flag.MANDATORY_25_DIGEST | Flag.V4_NC | Flag.UNLINK_ID


def test_mandatory_masks_are_those_of_real_nodes() -> None:
    assert MANDATORY_25 == 0x1070F94
    assert MANDATORY == 0x403070F94


def test_own_flags_are_what_otp_29_announces_without_spawn() -> None:
    assert OWN_FLAGS == 0x6D07DF7FBD


def test_own_flags_of_a_hidden_node_differ_by_the_published_bit_only() -> None:
    assert own_flags(hidden=False) == OWN_FLAGS
    assert own_flags(hidden=True) == OWN_FLAGS & ~1


def test_expand_digest_sets_the_eleven_bits() -> None:
    assert expand_digest(Flag.MANDATORY_25_DIGEST) == Flag.MANDATORY_25_DIGEST | MANDATORY_25


def test_expand_digest_without_the_digest_changes_nothing() -> None:
    assert expand_digest(Flag.V4_NC) == Flag.V4_NC


@pytest.mark.parametrize("peer", [OTP_25, OTP_28])
def test_negotiate_with_a_real_node_gives_the_intersection(peer: int) -> None:
    assert negotiate(OWN_FLAGS, peer) == OWN_FLAGS & peer


def test_negotiate_accepts_the_digest_in_place_of_the_bits() -> None:
    assert negotiate(OWN_FLAGS, DIGEST_ALONE) == MANDATORY | Flag.MANDATORY_25_DIGEST


def test_negotiate_expands_the_own_digest_too() -> None:
    assert negotiate(DIGEST_ALONE, OTP_25) == MANDATORY | Flag.MANDATORY_25_DIGEST


@pytest.mark.parametrize("missing", list(MANDATORY))
def test_negotiate_names_each_missing_mandatory_flag(missing: Flag) -> None:
    peer = OTP_28 & ~missing & ~Flag.MANDATORY_25_DIGEST

    with pytest.raises(MissingFlags) as caught:
        negotiate(OWN_FLAGS, peer)

    assert caught.value.flags == (missing.name,)


def test_negotiate_ignores_bits_nobody_has_named() -> None:
    assert negotiate(OWN_FLAGS, OTP_28 | 1 << 63 | 1 << 15) == OWN_FLAGS & OTP_28


def test_flag_names_are_the_documents_lowest_first() -> None:
    assert flag_names(Flag.V4_NC | Flag.PUBLISHED | 1 << 60) == ["PUBLISHED", "V4_NC"]
