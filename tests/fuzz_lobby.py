"""Random and mutated inputs for what answers whoever comes, without a cookie: epmd, both ways, and the metrics server.

Whatever comes, an answer is one of those documented, or an ``EpmdError``; what was incomplete is so at each cut before.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyzen.dist import epmd
from pyzen.errors import EpmdError
from pyzen.node import metrics_server
from tests.fuzzing import Target, behaviour

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.fuzzing import Input

NODES: Final = [
    epmd.NodeEntry("a", 4000),
    epmd.NodeEntry("n" * 255, 0, epmd.NodeType.HIDDEN, extra=b"xy" * 40),
    epmd.NodeEntry("é€", 65535, 0, 5, 6, 1),
]
REQUESTS: Final = [
    epmd.serialize_request(request)
    for node in NODES
    for request in (
        epmd.Alive2Request(node),
        epmd.PortPlease2Request(node.name),
        epmd.StopRequest(node.name),
        epmd.NamesRequest(),
        epmd.DumpRequest(),
        epmd.KillRequest(),
    )
]
RESPONSES: Final = [
    *map(epmd.serialize_port2_response, [*NODES, None]),
    *(epmd.Alive2Response(result, creation, extended).serialize() for result in (0, 1) for creation, extended in
      ((3, False), (2**32 - 1, True))),
    epmd.NamesResponse(4369, (("a", 1), ("b", 65535))).serialize(),
]  # fmt: skip
HEADS: Final = [
    b"GET /metrics HTTP/1.1\r\nHost: localhost:9000\r\nAccept: */*\r\n\r\n",
    b"HEAD http://[::1]:1/metrics?a=b#c HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost:\r\nContent-Length: 3\r\n\r\n",
]
TOKENS: Final = [b"\r\n", b"\0", b":", b"[", b"]", b"//", b"\xff", b" ", b"Host: x\r\n", b"%", b"@", b"\xc3\xa9", b"?"]


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return data with some bytes changed, removed or added."""
    changed = bytearray(data)
    for _ in range(draw.choice([0, 1, 1, 2, 4])):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(5):
            case 0:
                changed[at : at + 1] = draw.randbytes(1)
            case 1:
                del changed[at : at + draw.choice([1, 1, 2, 200])]
            case 2:
                changed[at:at] = draw.randbytes(draw.choice([1, 2, 300]))
            case 3:
                changed[at:at] = draw.choice(TOKENS) * draw.choice([1, 1, 1, 3000])
            case _:
                changed[at : at + 2] = struct.pack(">H", draw.choice([0, 1, 255, 2048, 65535]))
    return bytes(changed)


def requests(draw: random.Random) -> Iterator[Input]:
    while True:
        yield [mutated(draw.choice(REQUESTS), draw) for _ in range(draw.choice([1, 1, 5]))]


def check_requests(parts: Input) -> str:
    """Let clients of one table of names send a request each."""
    table, words = epmd.NameTable(), []
    for data in parts:
        try:
            request = epmd.parse_request(data)
        except EpmdError as error:
            words.append(behaviour("refused", error))
            continue
        words.append(behaviour(type(request).__name__))
        if request is not None:
            assert_grows(data, request)
            obey(table, request)
    return behaviour("one", words[0]) if len(words) == 1 else behaviour("some", *sorted(set(words)))


def assert_grows(data: bytes, request: epmd.Request) -> None:
    """No part of a request is one, and the request is written as it was read."""
    written = epmd.serialize_request(request)
    assert epmd.parse_request(written) == request
    assert epmd.parse_request(data[: int.from_bytes(data[:2], "big") + 1]) is None


def obey(table: epmd.NameTable, request: epmd.Request) -> None:
    match request:
        case epmd.Alive2Request(node):
            known = table.lookup(node.name)
            response = table.register(node, now=1.0)
            assert (response.result == 0) == (known is None)
            response.serialize()
        case epmd.PortPlease2Request(name):
            epmd.serialize_port2_response(table.lookup(name))
        case epmd.StopRequest(name):
            with suppress(KeyError):
                table.unregister(name)


def responses(draw: random.Random) -> Iterator[Input]:
    while True:
        yield [mutated(draw.choice(RESPONSES), draw)]


def check_responses(parts: Input) -> str:
    """Let a client take the bytes for the answer to each of its questions, as they come."""
    (data,) = parts
    words = []
    for parse in (epmd.parse_alive2_response, epmd.parse_port2_response, epmd.parse_names_response):
        try:
            answer = parse(data)
        except EpmdError as error:
            words.append(behaviour("refused", error))
        else:
            words.append(type(answer).__name__)
            if isinstance(answer, tuple) and answer[0] is not None:
                assert epmd.parse_port2_response(epmd.serialize_port2_response(answer[0])) == answer
                epmd.common_version(answer[0])
    return behaviour("answers", *words)


def heads(draw: random.Random) -> Iterator[Input]:
    while True:
        yield [mutated(draw.choice(HEADS), draw)]


def check_head(parts: Input) -> str:
    (head,) = parts
    found = metrics_server.parse_request(head)
    if found is None:
        return behaviour("refused", head.count(b"\r\n") < 9 and head.count(b"\r\n"))
    method, path, host = found
    assert " " not in method + path
    meant = metrics_server.is_meant(host, metrics_server.LOOPBACK)
    return behaviour("request", method in {"GET", "HEAD"}, path == metrics_server.PATH, host is None, meant)


TARGETS: Final = {
    "epmd_requests": Target(requests, check_requests),
    "epmd_responses": Target(responses, check_responses),
    "metrics": Target(heads, check_head),
}
