import pytest

from pyzen.dist.names import check_cookie, check_name_form, check_node_name, simultaneous, split_name
from pyzen.errors import ConfigError, HandshakeError

LONGEST = "a" * 251 + "@h.d"


@pytest.mark.parametrize("name", ["py@127.0.0.1", "a@b", "A-z_09@host", LONGEST])
def test_check_node_name_returns_both_parts(name: str) -> None:
    assert "@".join(check_node_name(name)) == name


@pytest.mark.parametrize("name", ["", "py", "@host", "py@", "a@b@c", "a" + LONGEST])
def test_check_node_name_refuses_what_is_no_name(name: str) -> None:
    with pytest.raises(ConfigError, match="must be alive@host"):
        check_node_name(name)

    assert split_name(name) is None


@pytest.mark.parametrize("name", ["a.b@h", "a b@h", "é@h", "a\n@h", "a/b@h", "٣@h"])
def test_check_node_name_refuses_an_alive_part_that_real_nodes_refuse(name: str) -> None:
    with pytest.raises(ConfigError, match="the part before @"):
        check_node_name(name)


@pytest.mark.parametrize("name", ["a@é", "a@h\n", "a@h h", "a@\x00"])
def test_check_node_name_refuses_a_host_that_the_handshake_cannot_carry(name: str) -> None:
    with pytest.raises(ConfigError, match="the host"):
        check_node_name(name)


@pytest.mark.parametrize(("own", "peer"), [("a@h", "b@i"), ("a@h.d", "b@127.0.0.1")])
def test_check_name_form_accepts_two_names_of_one_form(own: str, peer: str) -> None:
    check_name_form(own, peer)


@pytest.mark.parametrize(
    ("own", "peer", "words"),
    [("a@h", "b@h.d", "a@h has a short name and b@h.d a long one"), ("a@h.d", "b@h", "a@h.d has a long name")],
)
def test_check_name_form_tells_which_name_is_short(own: str, peer: str, words: str) -> None:
    with pytest.raises(HandshakeError, match=words) as caught:
        check_name_form(own, peer)

    assert caught.value.peer == peer


@pytest.mark.parametrize("cookie", ["x", "c" * 255, "\xff\xe9"])
def test_check_cookie_returns_what_an_atom_can_hold(cookie: str) -> None:
    assert check_cookie(cookie) == cookie


@pytest.mark.parametrize("cookie", ["", "c" * 256, "secret\u0100"])
def test_check_cookie_refuses_the_rest_without_telling_it(cookie: str) -> None:
    with pytest.raises(ConfigError, match="a cookie has 1 to 255") as caught:
        check_cookie(cookie)

    assert "secret" not in str(caught.value)


def test_simultaneous_lets_the_attempt_of_the_greater_name_survive() -> None:
    assert simultaneous("b@h", "a@h") == "nok"
    assert simultaneous("a@h", "b@h") == "ok_simultaneous"


def test_simultaneous_compares_code_points() -> None:
    assert simultaneous("a@h", "B@h") == "nok"
    assert simultaneous("a_b@h", "ab@h") == "ok_simultaneous"
