"""The cluster around us: global, pg, nodes that meet through us, calls of ours by rpc."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from erlang_interop.conformance.actors import SOON, Echo, Listing, StartOurs, StartTheirs, connected, until
from pyzen.actor.verbs import actor_of
from pyzen.errors import NodeDown, RpcError
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from erlang_interop.nodes import ErlNode
    from pyzen.node.node import Node


def names(nodes: list[Atom]) -> set[str]:
    return {str(node) for node in nodes}


async def test_global_is_usable_while_we_are_there_and_while_we_go(ours: Node, theirs: ErlNode) -> None:
    assert await ours.connect(theirs.name)

    assert await theirs.run("conf_cluster", "use_global") < 1000
    stopping = asyncio.create_task(ours.stop())
    assert await theirs.run("conf_cluster", "use_global") < 1000
    await stopping


async def test_global_of_two_nodes_with_us_between(ours: Node, start_theirs: StartTheirs) -> None:
    one, other = await asyncio.gather(start_theirs(), start_theirs())
    assert await ours.connect(one.name)
    assert await ours.connect(other.name)
    assert await one.eval(f"net_kernel:connect_node('{other.name}')") == "true"

    await one.run("conf_cluster", "global_name", atoms.unique)

    pid = await other.run("conf_cluster", "whereis_global", atoms.unique)
    assert str(pid.node) == one.name
    assert await one.run("conf_cluster", "use_global") < 1000
    assert await other.run("conf_cluster", "use_global") < 1000


async def test_global_lock_that_names_us_is_not_waited_for(ours: Node, theirs: ErlNode) -> None:
    assert await ours.connect(theirs.name)
    nodes = [ours.name, Atom(theirs.name)]

    assert await theirs.run("conf_cluster", "lock_everywhere", atoms.lock, nodes) is True


async def test_end_of_a_peer_leaves_the_others_connected(ours: Node, start_theirs: StartTheirs) -> None:
    # prevent_overlapping_partitions: a loss is told around, and who took part in global is left.
    one, other, third = await asyncio.gather(start_theirs(), start_theirs(), start_theirs())
    for peer in (one, other, third):
        assert await ours.connect(peer.name)
    assert await one.eval(f"net_kernel:connect_node('{other.name}')") == "true"
    assert await one.eval(f"net_kernel:connect_node('{third.name}')") == "true"
    assert await other.run("conf_cluster", "use_global") < 2000

    await third.kill()

    await until(lambda: names(connected(ours)) == {one.name, other.name})
    assert await one.run("conf_cluster", "use_global") < 1000
    assert names(connected(ours)) == {one.name, other.name}
    assert await one.eval(f"lists:member('{ours.name}', nodes(connected))") == "true"


async def test_loss_of_us_leaves_the_others_connected(start_ours: StartOurs, start_theirs: StartTheirs) -> None:
    one, other = await asyncio.gather(start_theirs(), start_theirs())
    assert await one.eval(f"net_kernel:connect_node('{other.name}')") == "true"
    for _ in range(3):
        node = await start_ours()
        assert await node.connect(one.name)
        assert await node.connect(other.name)
        assert await one.eval(f"erlang:disconnect_node('{node.name}')") == "true"
        await node.stop()

    assert await one.eval("nodes()") == f"['{other.name}']"
    assert await one.run("conf_cluster", "use_global") < 1000


async def test_pg_finds_its_like_beside_us(ours: Node, start_theirs: StartTheirs) -> None:
    one, other = await asyncio.gather(start_theirs(), start_theirs())
    pids = {await one.run("conf_cluster", "start_pg", atoms.pg), await other.run("conf_cluster", "start_pg", atoms.pg)}
    ours.spawn(Echo, name="here")
    assert await ours.connect(one.name)
    assert await ours.connect(other.name)
    scope = await one.run("erlang", "whereis", atoms.pg)
    assert await one.eval(f"net_kernel:connect_node('{other.name}')") == "true"

    assert set(await one.run("conf_cluster", "members", atoms.pg, 2)) == pids
    ours.disconnect(one.name)

    assert await one.run("conf_cluster", "scope_alive", scope) is True
    assert set(await other.run("conf_cluster", "members", atoms.pg, 2)) == pids


async def test_scope_of_pg_discovers_a_process_of_that_name(ours: Node, theirs: ErlNode, listing: Listing) -> None:
    await theirs.run("conf_cluster", "start_pg", atoms.my_scope)
    scope = await theirs.run("erlang", "whereis", atoms.my_scope)
    async with ours.mailbox("my_scope") as me:
        assert await ours.connect(theirs.name)
        # What the scope has to say of the new node, it has said when it answers.
        await theirs.run("sys", "get_state", scope)
        await ours.ping(theirs.name)

        # pg looks at visible nodes only.
        if listing == "hidden":
            assert actor_of(me).message_queue_len == 0
        else:
            assert (await me.receive(timeout=SOON))[:2] == (atoms.discover, scope)


async def test_rpc_to_all_calls_the_visible(ours: Node, theirs: ErlNode, listing: Listing) -> None:
    ours.export("here", "hello", lambda: atoms.hello)
    assert await ours.connect(theirs.name)

    answers, bad = await theirs.run("rpc", "multicall", atoms.here, atoms.hello, [])

    # The first is its own, which has no such function.
    assert answers[1:] == ([atoms.hello] if listing == "visible" else [])
    assert bad == []


async def test_rex_tells_what_we_can(ours: Node, theirs: ErlNode) -> None:
    features = await theirs.run("conf_cluster", "rex_features", ours.name)

    assert set(features) <= {atoms.erpc}


async def test_our_rpc(ours: Node, theirs: ErlNode) -> None:
    assert await ours.rpc(theirs.name, "lists", "reverse", [[1, 2]]) == [2, 1]
    for function, kind in (("error", "error"), ("exit", "exit")):
        with pytest.raises(RpcError) as caught:
            await ours.rpc(theirs.name, "erlang", function, [(atoms.bad, 1)])
        assert (caught.value.kind, caught.value.reason) == (kind, (atoms.bad, 1))
    with pytest.raises(NodeDown):
        await ours.rpc("nobody@127.0.0.1", "erlang", "node")


async def test_we_join_a_cluster_by_one_of_its_nodes(ours: Node, start_theirs: StartTheirs, listing: Listing) -> None:
    one, other = await asyncio.gather(start_theirs(), start_theirs())
    assert await one.eval(f"net_kernel:connect_node('{other.name}')") == "true"

    nodes = await ours.join(one.name)

    assert names(connected(ours, listing)) == {one.name, other.name}
    assert nodes == ours.nodes()
    assert await other.eval(f"lists:member('{ours.name}', nodes({listing}))") == "true"
