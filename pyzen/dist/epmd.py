"""The protocol of epmd, the name server of nodes, both ways and without I/O.

A request is a 16-bit length and a body; a response has no length, and all but those to ALIVE2_REQ end with the
connection. Parsers are given all bytes so far and answer None until they suffice.

`NameTable` is what a server knows: which names are registered, and the creation each of them has.

Source: OTP, "Distribution Protocol", section "EPMD Protocol"; ``erts/epmd/src/epmd_srv.c``.
"""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from pyzen.errors import EpmdError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Alive2Request",
    "Alive2Response",
    "DumpRequest",
    "KillRequest",
    "NameTable",
    "NamesRequest",
    "NamesResponse",
    "NodeEntry",
    "NodeType",
    "PortPlease2Request",
    "Request",
    "StopRequest",
    "common_version",
    "parse_alive2_response",
    "parse_names_response",
    "parse_port2_response",
    "parse_request",
    "serialize_port2_response",
    "serialize_request",
]

HIGHEST_VERSION: Final = 6
LOWEST_VERSION: Final = 5  # as real nodes register; they speak 6 with each other all the same
MAX_NAME_LENGTH: Final = 255
MAX_REQUEST_SIZE: Final = 2048  # a name of 255 characters in UTF-8, and room for what may go with it
MAX_UNUSED: Final = 1000  # names that are gone and keep their creation
FAILED_CREATION: Final = 99
LOWEST_CREATION: Final = 4  # 0 means none, and 1 to 3 are those of two bits

NODE_FIELDS: Final = struct.Struct(">HBBHHH")  # port, type, protocol, highest, lowest, length of the name
NAME_LINE: Final = re.compile(r"name (.*) at port ([0-9]{1,5})")


class NodeType(IntEnum):
    """What a node says it is; epmd stores it and draws no conclusion."""

    NORMAL = 77
    HIDDEN = 72


class Tag(IntEnum):
    """First byte of requests and of the responses that have one."""

    DUMP_REQ = 100
    KILL_REQ = 107
    NAMES_REQ = 110
    STOP_REQ = 115
    ALIVE2_X_RESP = 118
    PORT2_RESP = 119
    ALIVE2_REQ = 120
    ALIVE2_RESP = 121
    PORT_PLEASE2_REQ = 122


# Result and creation, after the tag.
ALIVE2_RESPONSES: Final[dict[int, struct.Struct]] = {
    Tag.ALIVE2_X_RESP: struct.Struct(">xBI"),
    Tag.ALIVE2_RESP: struct.Struct(">xBH"),
}


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """A node as epmd knows it.

    Attributes:
        name: Alive name: what stands before the ``@``.
        port: Where the node listens.
        node_type: A `NodeType`, or any other byte.
        highest: Highest version of the distribution protocol it speaks.
        lowest: Lowest version.
        protocol: 0 for TCP.
        extra: Not interpreted.
    """

    name: str
    port: int
    node_type: int = NodeType.NORMAL
    highest: int = HIGHEST_VERSION
    lowest: int = LOWEST_VERSION
    protocol: int = 0
    extra: bytes = b""

    def serialize(self) -> bytes:
        """Return the fields as they stand in ALIVE2_REQ and PORT2_RESP."""
        name = self.name.encode()
        head = NODE_FIELDS.pack(self.port, self.node_type, self.protocol, self.highest, self.lowest, len(name))
        return head + name + struct.pack(">H", len(self.extra)) + self.extra


@dataclass(frozen=True, slots=True)
class Alive2Request:
    """Register a node for as long as the connection lasts."""

    node: NodeEntry


@dataclass(frozen=True, slots=True)
class PortPlease2Request:
    """Ask where a node listens."""

    name: str


@dataclass(frozen=True, slots=True)
class NamesRequest:
    """Ask for all registered nodes."""


@dataclass(frozen=True, slots=True)
class DumpRequest:
    """Ask for all that epmd knows."""


@dataclass(frozen=True, slots=True)
class KillRequest:
    """Ask epmd to end."""


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Ask to drop a registration."""

    name: str


Request = Alive2Request | PortPlease2Request | NamesRequest | DumpRequest | KillRequest | StopRequest
BARE_REQUESTS: Final[dict[int, type[NamesRequest | DumpRequest | KillRequest]]] = {
    Tag.NAMES_REQ: NamesRequest,
    Tag.DUMP_REQ: DumpRequest,
    Tag.KILL_REQ: KillRequest,
}


@dataclass(frozen=True, slots=True)
class Alive2Response:
    """The answer to a registration.

    Attributes:
        result: 0 when registered; else the name is in use or can't be used.
        creation: For the life of the node; 99 where the result is not 0.
        wide: Creation in 32 bits, for nodes that speak version 6.
    """

    result: int
    creation: int
    wide: bool = True

    def serialize(self) -> bytes:
        """Return the bytes of the response."""
        tag = Tag.ALIVE2_X_RESP if self.wide else Tag.ALIVE2_RESP
        return bytes([tag]) + ALIVE2_RESPONSES[tag].pack(self.result, self.creation)[1:]


@dataclass(frozen=True, slots=True)
class NamesResponse:
    """All registered nodes.

    Attributes:
        epmd_port: Where epmd listens.
        names: Alive name and port of each node, newest registration first.
    """

    epmd_port: int
    names: tuple[tuple[str, int], ...]

    def serialize(self) -> bytes:
        """Return the bytes of the response."""
        lines = "".join(f"name {name} at port {port}\n" for name, port in self.names)
        return struct.pack(">I", self.epmd_port) + lines.encode()


# ---- requests


def serialize_request(request: Request) -> bytes:
    """Return a request, its length in front."""
    match request:
        case Alive2Request(node):
            body = bytes([Tag.ALIVE2_REQ]) + node.serialize()
        case PortPlease2Request(name):
            body = bytes([Tag.PORT_PLEASE2_REQ]) + name.encode()
        case StopRequest(name):
            body = bytes([Tag.STOP_REQ]) + name.encode()
        case NamesRequest():
            body = bytes([Tag.NAMES_REQ])
        case DumpRequest():
            body = bytes([Tag.DUMP_REQ])
        case KillRequest():
            body = bytes([Tag.KILL_REQ])
    return struct.pack(">H", len(body)) + body


def parse_request(data: bytes) -> Request | None:
    """Return the request that ``data`` begins with, or None while it is incomplete.

    Raises:
        EpmdError: If it is malformed, or longer than any request needs to be.
    """
    if len(data) < 2:
        return None
    length = int.from_bytes(data[:2], "big")
    if not 0 < length <= MAX_REQUEST_SIZE:
        raise EpmdError(f"an epmd request of {length} bytes")
    if len(data) < 2 + length:
        return None
    return parse_request_body(data[2 : 2 + length])


def parse_request_body(body: bytes) -> Request:
    """Return the request of a body, length taken off.

    Raises:
        EpmdError: If it is malformed.
    """
    tag, rest = body[0], body[1:]
    if tag in BARE_REQUESTS and not rest:
        return BARE_REQUESTS[tag]()
    if tag == Tag.PORT_PLEASE2_REQ:
        return PortPlease2Request(parse_name(rest))
    if tag == Tag.STOP_REQ:
        return StopRequest(parse_name(rest))
    if tag == Tag.ALIVE2_REQ:
        node = parse_node(rest)
        if node is None:
            raise EpmdError("the fields of a node are cut short")
        return Alive2Request(node)
    raise EpmdError(f"unknown epmd request {body[:16]!r}")


def parse_name(data: bytes) -> str:
    """Return a name of 1 to 255 characters without NUL; raises ``EpmdError`` for any other."""
    try:
        name = data.decode()
    except UnicodeDecodeError as error:
        raise EpmdError("a node name in epmd must be UTF-8") from error
    if not 0 < len(name) <= MAX_NAME_LENGTH or "\0" in name:
        raise EpmdError(f"a node name in epmd has 1 to {MAX_NAME_LENGTH} characters, none of them NUL")
    return name


def parse_node(data: bytes) -> NodeEntry | None:
    """Return the node that ``data`` begins with, or None while it is incomplete.

    Raises:
        EpmdError: If its name can't be one.
    """
    if len(data) < NODE_FIELDS.size:
        return None
    port, node_type, protocol, highest, lowest, length = NODE_FIELDS.unpack_from(data)
    name, rest = data[NODE_FIELDS.size :][:length], data[NODE_FIELDS.size + length :]
    extra_length = int.from_bytes(rest[:2], "big")
    if len(rest) < 2 + extra_length:
        return None
    return NodeEntry(parse_name(name), port, node_type, highest, lowest, protocol, rest[2 : 2 + extra_length])


# ---- responses


def parse_alive2_response(data: bytes) -> Alive2Response | None:
    """Return the response to ALIVE2_REQ, or None while it is incomplete.

    Raises:
        EpmdError: If it is malformed.
    """
    if not data:
        return None
    if data[0] not in ALIVE2_RESPONSES:
        raise EpmdError(f"not an answer of epmd: {data[:16]!r}")
    fields = ALIVE2_RESPONSES[data[0]]
    if len(data) < fields.size:
        return None
    result, creation = fields.unpack_from(data)
    return Alive2Response(result, creation, data[0] == Tag.ALIVE2_X_RESP)


def serialize_port2_response(node: NodeEntry | None) -> bytes:
    """Return the response to PORT_PLEASE2_REQ; None for a name that nobody has."""
    if node is None:
        return bytes([Tag.PORT2_RESP, 1])
    return bytes([Tag.PORT2_RESP, 0]) + node.serialize()


def parse_port2_response(data: bytes) -> tuple[NodeEntry | None] | None:
    """Return the response to PORT_PLEASE2_REQ as a tuple of one, or None while it is incomplete.

    The one item is None for a name that nobody has.

    Raises:
        EpmdError: If it is malformed.
    """
    if data and data[0] != Tag.PORT2_RESP:
        raise EpmdError(f"not an answer of epmd: {data[:16]!r}")
    if len(data) < 2:
        return None
    if data[1] != 0:
        return (None,)
    node = parse_node(data[2:])
    return None if node is None else (node,)


def parse_names_response(data: bytes) -> NamesResponse:
    """Return the response to NAMES_REQ from all bytes up to the end of the connection.

    Lines that name no node are left out: a name may hold any character but NUL.

    Raises:
        EpmdError: If it is malformed.
    """
    port = int.from_bytes(data[:4], "big")
    if len(data) < 4 or not 0 < port < 65536:
        raise EpmdError(f"not an answer of epmd: {data[:16]!r}")
    matches = map(NAME_LINE.fullmatch, data[4:].decode(errors="replace").split("\n"))
    return NamesResponse(port, tuple((match[1], int(match[2])) for match in matches if match))


def common_version(node: NodeEntry) -> int:
    """Return the highest version of the distribution protocol that ``node`` and this one speak; 0 for none."""
    version = min(HIGHEST_VERSION, node.highest)
    return version if version >= max(LOWEST_VERSION, node.lowest) else 0


# ---- what a server knows


class NameTable:
    """Registered nodes, newest first, and the creations of those that are gone."""

    def __init__(self) -> None:
        self._active: OrderedDict[str, tuple[NodeEntry, int]] = OrderedDict()
        self._unused: OrderedDict[str, tuple[NodeEntry, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._active)

    def __iter__(self) -> Iterator[NodeEntry]:
        return (node for node, _ in reversed(self._active.values()))

    def unused(self) -> list[NodeEntry]:
        """Return nodes that are gone and whose creation is still known, latest first."""
        return [node for node, _ in reversed(self._unused.values())]

    def lookup(self, name: str) -> NodeEntry | None:
        """Return the registered node of ``name``."""
        entry = self._active.get(name)
        return None if entry is None else entry[0]

    def register(self, node: NodeEntry, *, now: float) -> Alive2Response:
        """Register ``node``, unless its name is taken.

        The first creation of a name is ``now``, in seconds since the epoch, so that it differs from those an
        earlier epmd gave; a name that comes back gets one more than before.
        """
        wide = node.highest >= HIGHEST_VERSION
        if node.name in self._active:
            return Alive2Response(1, FAILED_CREATION, wide)
        _, before = self._unused.pop(node.name, (node, int(now) - 1))
        creation = next_creation(before)
        self._active[node.name] = (node, creation)
        # Nodes that speak version 5 only have two bits for it.
        return Alive2Response(0, creation if wide else creation % 3 + 1, wide)

    def unregister(self, name: str) -> None:
        """Forget that ``name`` is registered, but not its creation."""
        self._unused[name] = self._active.pop(name)
        if len(self._unused) > MAX_UNUSED:
            self._unused.popitem(last=False)


def next_creation(before: int) -> int:
    """Return the creation after ``before``: in 32 bits, and never one of those that stand for something else."""
    return max((before + 1) % 2**32, LOWEST_CREATION)
