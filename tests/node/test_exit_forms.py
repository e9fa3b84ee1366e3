"""Exit signals in all their forms on the wire: the reason behind the tuple or in it, with and without a trace token."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import etf
from pyzen.terms import Pid, atoms
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.node.conftest import MakeNode

THEIRS = Pid("raw@127.0.0.1", 5, 0, 9)
TOKEN = (0, 0, 0, THEIRS, 0)
REASON = (atoms.boom, 1)

FORMS: dict[str, Callable[[Pid], tuple[tuple[Any, ...], list[Any]]]] = {
    "EXIT": lambda ours: ((3, THEIRS, ours, REASON), []),
    "EXIT_TT": lambda ours: ((13, THEIRS, ours, TOKEN, REASON), []),
    "PAYLOAD_EXIT": lambda ours: ((24, THEIRS, ours), [REASON]),
    "PAYLOAD_EXIT_TT": lambda ours: ((25, THEIRS, ours, TOKEN), [REASON]),
    "EXIT2": lambda ours: ((8, THEIRS, ours, REASON), []),
    "EXIT2_TT": lambda ours: ((18, THEIRS, ours, TOKEN, REASON), []),
    "PAYLOAD_EXIT2": lambda ours: ((26, THEIRS, ours), [REASON]),
    "PAYLOAD_EXIT2_TT": lambda ours: ((27, THEIRS, ours, TOKEN), [REASON]),
}


def packet(*terms: Any) -> bytes:
    body = b"\x83D\0" + b"".join(etf.encode(term)[1:] for term in terms)
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_an_exit_signal_counts(make_node: MakeNode, form: str) -> None:
    node = await make_node("n")
    peer = RawPeer(str(THEIRS.node))
    await peer.connect(node)
    async with node.mailbox() as me:
        me.trap_exit = True
        control, payload = FORMS[form](me.pid)

        peer.writer.write(packet((1, THEIRS, me.pid)) + packet(control, *payload))

        assert await me.receive(timeout=5) == (atoms.EXIT, THEIRS, REASON)
    await peer.close()
