"""What a peer may not send after the handshake, as tables: at each item a real node drops the connection.

Source: OTP, ``erts/emulator/beam/dist.c`` and ``external.c``.
"""

from __future__ import annotations

import struct
from typing import Any

from pyzen import etf
from pyzen.terms import Atom, Pid, Reference, atoms

RAW = "raw@127.0.0.1"
THEIRS = Pid(RAW, 5, 0, 9)
THIRD = Pid("third@h", 1, 0, 3)
REF = Reference(RAW, 9, [1, 2, 3])
INBOX = atoms.inbox
HEADER = b"\x83D\0"


def term(value: Any) -> bytes:
    """Return a term as it stands in a packet: without the version byte."""
    return etf.encode(value)[1:]


def control(*elements: Any) -> bytes:
    return HEADER + term(elements)


def message(payload: bytes, to: Atom = INBOX) -> bytes:
    """Return a message to a process that lives, with a payload of bytes."""
    return control(6, THEIRS, Atom(""), to) + payload


def fragment(kind: bytes, sequence_id: int, fragment_id: int, rest: bytes) -> bytes:
    return b"\x83" + kind + struct.pack(">QQ", sequence_id, fragment_id) + rest


START = b"\0" + term((6, THEIRS, Atom(""), INBOX))
OURS = "ours"  # stands for a pid or reference of the node, whose creation is known at run time only

CONTROLS: dict[str, tuple[tuple[Any, ...], str]] = {
    "unknown operation": ((99, THEIRS), "unknown control operation"),
    "no operation": ((THEIRS,), "not a tuple that starts with an operation"),
    "wrong arity": ((1, THEIRS), "wrong arity"),
    "unlink id 0": ((35, 0, THEIRS, OURS), "UNLINK_ID Id"),
    "watcher of another node": ((19, THIRD, INBOX, REF), "MONITOR_P Watcher"),
    "monitor without reference": ((19, THEIRS, INBOX, 7), "MONITOR_P Ref"),
    "link from another node": ((1, THIRD, OURS), "LINK From"),
    "exit from another node": ((3, THIRD, OURS, atoms.boom), "EXIT From"),
    "exit2 from another node": ((8, THIRD, OURS, atoms.boom), "EXIT2 From"),
    "unlink from another node": ((35, 1, THIRD, OURS), "UNLINK_ID From"),
    "spawn request without reference": ((29, 7, THEIRS, THEIRS, (atoms.m, atoms.f, 0), []), "SPAWN_REQUEST ReqId"),
    "both name and alias": ((37, 12, THEIRS, INBOX), "both a name and an alias"),
}  # fmt: skip

PAYLOADS = {
    "not a number": (b"F" + struct.pack(">d", float("nan")), "float"),
    "infinite": (b"F" + struct.pack(">d", float("inf")), "float"),
    "duplicate keys": (b"t\0\0\0\x02a\x01a\x01a\x01a\x02", "key"),
    "atom of 256 characters": (b"v\x01\0" + b"a" * 256, "255 characters"),
    "atom that is no UTF-8": (b"w\x01\xff", "UTF-8"),
    "compressed": (etf.encode(b"a" * 1000, compressed=9)[1:], "never in a message between nodes"),
    "reference of 6 words": (b"Z\0\x06" + b"w\x01n" + bytes(4 + 24), "6"),
    "bits 0": (b"M\0\0\0\x01\0a", "bits"),
    "bits 9": (b"M\0\0\0\x01\x09a", "bits"),
    "local term": (b"y\0\0\0\0", "local form"),
    "unknown tag": (b"\x01", "no term starts with this tag"),
    "cut short": (b"m\0\0\0\x05abc", "bytes end within a term"),
    "version byte": (etf.encode(1), "no term starts with this tag"),
    "count of 4 thousand million": (b"l\xff\xff\xff\xff", "more elements are declared"),
}

PACKETS = {
    "pass-through": (b"p" + etf.encode((1, THEIRS, THEIRS)), "pass-through"),
    "neither format": (b"Q", "neither 112 nor 131"),
    "unknown header": (b"\x83Z", "unknown distribution header"),
    "cache slot never filled": (b"\x83D\x01\x00\x05" + term((1,)), "never filled"),
    "header cut short": (b"\x83D\x05", "ends too early"),
    "sequence 0": (fragment(b"E", 0, 2, START), "sequence id 0"),
    "fragment 0": (fragment(b"E", 1, 0, START), "fragment id 0"),
    "continuation without start": (fragment(b"F", 7, 1, b"x"), "not started"),
}
