import pytest

from pyzen.dist.epmd import (
    MAX_REQUEST_SIZE,
    MAX_UNUSED,
    Alive2Request,
    Alive2Response,
    DumpRequest,
    KillRequest,
    NamesRequest,
    NamesResponse,
    NameTable,
    NodeEntry,
    NodeType,
    PortPlease2Request,
    Request,
    StopRequest,
    common_version,
    next_creation,
    parse_alive2_response,
    parse_names_response,
    parse_port2_response,
    parse_request,
    serialize_port2_response,
    serialize_request,
)
from pyzen.errors import EpmdError

NODE = NodeEntry("py", 0x1234, NodeType.HIDDEN, extra=b"xy")
FIELDS = bytes.fromhex("1234 48 00 0006 0005 0002") + b"py" + bytes.fromhex("0002") + b"xy"
NOW = 1_700_000_000.9
REQUESTS: list[tuple[Request, bytes]] = [
    (Alive2Request(NODE), b"\x00\x11\x78" + FIELDS),
    (PortPlease2Request("py"), b"\x00\x03\x7apy"),
    (NamesRequest(), b"\x00\x01\x6e"),
    (DumpRequest(), b"\x00\x01\x64"),
    (KillRequest(), b"\x00\x01\x6b"),
    (StopRequest("py"), b"\x00\x03\x73py"),
]


@pytest.mark.parametrize(("request_", "data"), REQUESTS)
def test_request_has_the_layout_of_the_document(request_: Request, data: bytes) -> None:
    assert serialize_request(request_) == data
    assert parse_request(data) == request_


@pytest.mark.parametrize("data", [data for _, data in REQUESTS])
def test_request_is_incomplete_at_every_cut(data: bytes) -> None:
    assert [parse_request(data[:cut]) for cut in range(len(data))] == [None] * len(data)


def test_request_is_known_before_what_follows_it() -> None:
    assert parse_request(b"\x00\x01\x6e\x00\x01\x6e") == NamesRequest()


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",
        b"\x00\x01\x00",
        b"\x00\x01\xff",
        b"\x00\x02\x6e\x00",
        b"\x00\x01\x7a",
        b"\x00\x02\x7a\x00",
        b"\x00\x02\x7a\xff",
        b"\x00\x04GET ",
        b"\x00\x10\x78" + FIELDS[:-1],
        b"\x00\x01\x78",
        b"\xff\xff",
    ],
)
def test_request_that_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(EpmdError):
        parse_request(data)


def test_request_longer_than_any_need_be_is_refused_by_its_length() -> None:
    assert parse_request(MAX_REQUEST_SIZE.to_bytes(2, "big")) is None
    with pytest.raises(EpmdError, match="2049 bytes"):
        parse_request((MAX_REQUEST_SIZE + 1).to_bytes(2, "big"))


def test_request_takes_a_name_of_255_characters_and_no_longer_one() -> None:
    longest = PortPlease2Request("é" * 255)

    assert parse_request(serialize_request(longest)) == longest
    with pytest.raises(EpmdError, match="1 to 255 characters"):
        parse_request(serialize_request(PortPlease2Request("a" * 256)))


@pytest.mark.parametrize(
    ("response", "data"),
    [
        (Alive2Response(0, 0x6B03E44C), bytes.fromhex("76 00 6b03e44c")),
        (Alive2Response(1, 99), bytes.fromhex("76 01 00000063")),
        (Alive2Response(0, 1, wide=False), bytes.fromhex("79 00 0001")),
    ],
)
def test_alive2_response_is_read_as_a_real_epmd_sent_it(response: Alive2Response, data: bytes) -> None:
    assert response.serialize() == data
    assert parse_alive2_response(data) == response
    assert [parse_alive2_response(data[:cut]) for cut in range(len(data))] == [None] * len(data)


def test_port2_response_gives_the_node() -> None:
    data = b"\x77\x00" + FIELDS

    assert serialize_port2_response(NODE) == data
    assert parse_port2_response(data) == (NODE,)
    assert [parse_port2_response(data[:cut]) for cut in range(len(data))] == [None] * len(data)


def test_port2_response_for_an_unknown_name_is_two_bytes() -> None:
    assert serialize_port2_response(None) == b"\x77\x01"
    assert parse_port2_response(b"\x77\x01") == (None,)
    assert parse_port2_response(b"\x77") is None


@pytest.mark.parametrize("parse", [parse_alive2_response, parse_port2_response])
def test_response_of_something_else_than_epmd_is_refused(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(EpmdError, match="not an answer of epmd"):
        parse(b"HTTP/1.1 400 Bad Request")


def test_names_response_lists_names_and_ports() -> None:
    response = NamesResponse(4369, (("b", 2), ("a b", 1)))
    data = b"\x00\x00\x11\x11name b at port 2\nname a b at port 1\n"

    assert response.serialize() == data
    assert parse_names_response(data) == response


def test_names_response_leaves_out_what_is_no_line_of_a_node() -> None:
    data = b"\x00\x00\x11\x11name a\nb at port 2\nname \xff at port 3\nname c at port 1\n"

    assert parse_names_response(data).names == (("\ufffd", 3), ("c", 1))


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x11", bytes(4), b"HTTP/1.1 400 Bad Request"])
def test_names_response_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(EpmdError, match="not an answer of epmd"):
        parse_names_response(data)


@pytest.mark.parametrize(
    ("highest", "lowest", "version"), [(6, 5, 6), (6, 6, 6), (5, 5, 5), (9, 6, 6), (9, 7, 0), (4, 1, 0)]
)
def test_common_version_is_the_highest_both_speak(highest: int, lowest: int, version: int) -> None:
    assert common_version(NodeEntry("a", 1, highest=highest, lowest=lowest)) == version


# ---- the table of a server


def test_name_table_gives_a_first_creation_by_the_time() -> None:
    assert NameTable().register(NodeEntry("a", 1), now=NOW) == Alive2Response(0, 1_700_000_000)


def test_name_table_gives_a_name_that_comes_back_the_next_creation() -> None:
    table = NameTable()
    table.register(NodeEntry("a", 1), now=NOW)
    table.unregister("a")

    assert table.register(NodeEntry("a", 2), now=NOW + 100).creation == 1_700_000_001


def test_name_table_refuses_a_name_that_is_registered() -> None:
    table = NameTable()
    table.register(NodeEntry("a", 1), now=NOW)

    assert table.register(NodeEntry("a", 2), now=NOW) == Alive2Response(1, 99)
    assert table.lookup("a") == NodeEntry("a", 1)


def test_name_table_answers_version_5_in_two_bits() -> None:
    response = NameTable().register(NodeEntry("a", 1, highest=5), now=NOW)

    assert not response.wide
    assert 1 <= response.creation <= 3


def test_name_table_lists_the_newest_first() -> None:
    table = NameTable()
    for name in "abc":
        table.register(NodeEntry(name, 1), now=NOW)
    for name in "ab":
        table.unregister(name)

    assert [node.name for node in table] == ["c"]
    assert [node.name for node in table.unused()] == ["b", "a"]
    assert len(table) == 1
    assert table.lookup("a") is None


def test_name_table_forgets_the_oldest_creation_past_the_maximum() -> None:
    table = NameTable()
    for number in range(MAX_UNUSED + 1):
        table.register(NodeEntry(f"n{number}", 1), now=NOW)
        table.unregister(f"n{number}")

    names = [node.name for node in table.unused()]
    assert len(names) == MAX_UNUSED
    assert names[-1] == "n1"


@pytest.mark.parametrize(("before", "after"), [(7, 8), (2**32 - 1, 4), (0, 4), (3, 4)])
def test_next_creation_stays_in_32_bits_and_above_3(before: int, after: int) -> None:
    assert next_creation(before) == after
