from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.errors import CallTimeout, NodeDown, RpcError
from pyzen.terms import atoms

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode


async def test_call_of_a_function_is_refused_at_once(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")

    with pytest.raises(RpcError) as caught:
        await a.rpc(b.name, "erlang", "nodes")

    assert (caught.value.kind, caught.value.reason) == ("erpc", atoms.notsup)


async def test_call_on_a_node_out_of_reach_raises_node_down(make_node: MakeNode) -> None:
    a = await make_node("a")

    with pytest.raises(NodeDown):
        await a.rpc("nobody@127.0.0.1", "erlang", "nodes")


async def test_call_without_an_answer_says_which(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    b.unregister("rex")
    async with b.mailbox("rex"):
        with pytest.raises(CallTimeout, match=f"no result of lists:seq/2 on {b.name} within 0.02 s"):
            await a.rpc(b.name, "lists", "seq", [1, 2], timeout=0.02)


async def test_features_request_is_answered_with_none(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    async with a.mailbox() as me:
        me.send(("rex", b.name), (me.pid, atoms.features_request))

        assert await me.receive(timeout=5) == (atoms.features_reply, b.name, [])


async def test_anything_else_is_ignored(make_node: MakeNode, caplog: pytest.LogCaptureFixture) -> None:
    a, b = await make_node("a"), await make_node("b")
    rex = b.whereis("rex")

    a.send(("rex", b.name), atoms.nonsense)
    a.cast(("rex", b.name), atoms.nonsense)
    with pytest.raises(RpcError):
        await a.rpc(b.name, "erlang", "nodes")

    assert b.whereis("rex") == rex
    assert caplog.text.count("does not handle") == 1
