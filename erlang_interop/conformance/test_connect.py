"""Connecting: both directions, visible and hidden, names, flags, cookies, loss of the connection."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from erlang_interop.conformance.actors import SOON, Listing, StartOurs, StartTheirs, connected, until
from pyzen.config import EpmdConfig
from pyzen.dist.flags import MANDATORY, MANDATORY_25, OWN_FLAGS, Flag, flag_names
from pyzen.errors import CookieMismatch, NameTaken, NotAllowed
from pyzen.node.epmd import lookup
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from erlang_interop.nodes import ErlangCluster, ErlNode
    from erlang_interop.releases import Release
    from pyzen.node.node import Node

# What a visible node of each release announces; that of OTP 26 lies between two that are the same.
ANNOUNCED = {25: 0xD07DF7FBD, 26: 0xD07DF7FBD, 27: 0xD07DF7FBD, 28: 0x2D07DF7FBD, 29: 0x6D07DF7FBD}


async def knows(peer: ErlNode, node: Node, listing: str = "connected") -> bool:
    return await peer.eval(f"lists:member('{node.name}', nodes({listing}))") == "true"


async def list_each_other(node: Node, peer: ErlNode, listing: Listing) -> None:
    """Both sides have the other in this list, and in no other."""
    other: Listing = "visible" if listing == "hidden" else "hidden"
    await until(lambda: connected(node, listing) == [Atom(peer.name)])
    assert connected(node, other) == []
    assert await knows(peer, node, listing)
    assert not await knows(peer, node, other)


async def test_we_connect(ours: Node, theirs: ErlNode, listing: Listing) -> None:
    assert await ours.connect(theirs.name)

    await list_each_other(ours, theirs, listing)


async def test_they_connect(ours: Node, theirs: ErlNode, listing: Listing) -> None:
    assert await theirs.eval(f"net_kernel:connect_node('{ours.name}')") == "true"

    await list_each_other(ours, theirs, listing)


@pytest.mark.parametrize("who", ["we dial", "they dial"])
async def test_they_are_hidden(ours: Node, start_theirs: StartTheirs, who: str) -> None:
    peer = await start_theirs(hidden=True)
    if who == "we dial":
        assert await ours.connect(peer.name)
    else:
        assert await peer.eval(f"net_kernel:connect_node('{ours.name}')") == "true"

    await list_each_other(ours, peer, "hidden")


async def test_short_names(start_ours: StartOurs, start_theirs: StartTheirs) -> None:
    node, peer = await start_ours("pshort@localhost"), await start_theirs(names="short")

    assert await node.connect(peer.name)
    assert await knows(peer, node)
    node.disconnect(peer.name)
    while await knows(peer, node):
        await asyncio.sleep(0.01)
    assert await peer.eval(f"net_adm:ping('{node.name}')") == "pong"
    await until(lambda: connected(node) == [Atom(peer.name)])


async def test_ping_in_both_directions(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.eval(f"net_adm:ping('{ours.name}')") == "pong"
    assert await ours.ping(theirs.name)
    assert await knows(theirs, ours)  # whoever is not answered `yes` disconnects


async def test_ping_of_nobody(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.eval("net_adm:ping('nobody@127.0.0.1')") == "pang"
    assert not await ours.ping("nobody@127.0.0.1")


async def test_flag_word_is_the_documented_one(ours: Node, theirs: ErlNode, release: Release) -> None:
    # The emulator's own set; net_kernel adds the bit of visible nodes.
    announced = int(await theirs.eval("element(2, erts_internal:get_dflags())")) | Flag.PUBLISHED
    mandatory = int(await theirs.eval("element(3, erts_internal:get_dflags())"))

    assert announced == ANNOUNCED[release.major]
    assert mandatory == (MANDATORY_25 if release.major == 25 else MANDATORY)
    # What we announce beyond it, they mask away.
    assert flag_names(announced & ~OWN_FLAGS) == []
    assert await ours.connect(theirs.name)


async def test_wrong_cookie_is_refused_in_both_directions(start_ours: StartOurs, theirs: ErlNode) -> None:
    node = await start_ours(cookie="wrong")

    with pytest.raises(CookieMismatch):
        await node.connect(theirs.name)
    assert await theirs.eval(f"net_adm:ping('{node.name}')") == "pang"
    assert not await knows(theirs, node)


async def test_cookie_for_one_peer_in_both_directions(start_ours: StartOurs, theirs: ErlNode) -> None:
    ours_knows, theirs_knows = await start_ours(cookie="own"), await start_ours(cookie="other")
    ours_knows.set_cookie(theirs.name, theirs.cookie)

    assert await ours_knows.connect(theirs.name)
    assert await theirs.eval(f"erlang:set_cookie('{theirs_knows.name}', other)") == "true"
    assert await theirs.eval(f"net_adm:ping('{theirs_knows.name}')") == "pong"


@pytest.mark.not_applicable("tls", "OTP lets everybody in whose certificate is for the address it comes from")
async def test_peer_lets_only_some_nodes_in(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.eval("net_kernel:allow(['somebody@127.0.0.1'])") == "ok"

    with pytest.raises(NotAllowed, match="allow"):
        await ours.connect(theirs.name)
    assert not await knows(theirs, ours)


async def test_dials_at_the_same_time_end_with_one_link(start_ours: StartOurs, theirs: ErlNode) -> None:
    # Names on both sides of the peer's: the greater one wins.
    for alive in ("a", "z", "b", "y", "c", "x"):
        node = await start_ours(f"{alive}simultaneous@127.0.0.1")
        dialled = theirs.eval(f"net_kernel:connect_node('{node.name}')")
        assert tuple(await asyncio.gather(node.connect(theirs.name), dialled)) == (True, "true")

        assert connected(node) == [Atom(theirs.name)]
        assert await node.ping(theirs.name)
        assert await theirs.eval(f"net_adm:ping('{node.name}')") == "pong"
        await node.stop()


async def test_we_disconnect_and_connect_again(ours: Node, theirs: ErlNode) -> None:
    for _ in range(3):
        assert await ours.connect(theirs.name)
        watching = asyncio.create_task(theirs.run("conf_connect", "await_nodedown", ours.name))
        await theirs.run("conf_connect", "await_watched", ours.name)

        assert ours.disconnect(theirs.name)

        assert await watching is atoms.nodedown
        await until(lambda: connected(ours) == [])


async def test_they_disconnect_and_connect_again(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox() as me:
        ours.monitor_node(theirs.name, me.pid)
        for _ in range(3):
            assert await theirs.eval(f"net_kernel:connect_node('{ours.name}')") == "true"
            assert await me.receive(timeout=SOON) == (atoms.nodeup, Atom(theirs.name))

            assert await theirs.eval(f"erlang:disconnect_node('{ours.name}')") == "true"

            assert await me.receive(timeout=SOON) == (atoms.nodedown, Atom(theirs.name))


async def test_monitor_nodes_reports_us(ours: Node, theirs: ErlNode, listing: Listing) -> None:
    watching = asyncio.create_task(theirs.run("conf_connect", "await_node_events", ours.name))
    await theirs.run("conf_connect", "await_registered", atoms.node_watch)

    assert await ours.connect(theirs.name)
    await ours.stop()

    all_nodes, visible_nodes = await watching
    assert all_nodes == [(atoms.nodeup, Atom(listing)), (atoms.nodedown, Atom(listing))]
    assert visible_nodes == ([atoms.nodeup, atoms.nodedown] if listing == "visible" else [])


async def test_end_of_the_peer_is_a_nodedown(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox() as me:
        assert await ours.connect(theirs.name)
        ours.monitor_node(theirs.name, me.pid)

        await theirs.kill()

        assert await me.receive(timeout=SOON) == (atoms.nodedown, Atom(theirs.name))


async def test_a_node_that_comes_again_is_another_one(start_ours: StartOurs, theirs: ErlNode) -> None:
    name = "again@127.0.0.1"
    first = await start_ours(name)
    async with first.mailbox() as me:
        old = me.pid
        assert await first.connect(theirs.name)
        await theirs.run("conf_connect", "keep", old)
    await first.stop()
    second = await start_ours(name)
    async with second.mailbox() as me:
        assert await second.connect(theirs.name)

        assert me.pid.number == old.number
        assert me.pid.creation != old.creation
        assert await theirs.run("conf_connect", "monitor_kept", me.pid) == (atoms.noproc, False)
        assert await theirs.run("conf_connect", "haunt_kept") is atoms.noproc
        await theirs.run("erlang", "send", me.pid, atoms.hello)
        assert await me.receive(timeout=SOON) is atoms.hello


async def test_a_peer_that_comes_again_is_another_one(ours: Node, start_theirs: StartTheirs) -> None:
    first = await start_theirs("comesagain")
    old = await first.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        assert await ours.connect(first.name)
        ref = me.monitor(old)
        await first.kill()
        assert await me.receive(timeout=SOON) == (atoms.DOWN, ref, atoms.process, old, atoms.noconnection)
        second = await start_theirs("comesagain")
        new = await second.run("conf_signals", "start", atoms.there)

        late, living = me.monitor(old), me.monitor(new)
        me.send_exit(old, atoms.kill)
        assert await me.receive(timeout=SOON) == (atoms.DOWN, late, atoms.process, old, atoms.noproc)
        me.send_exit(new, atoms.bye)
        assert await me.receive(timeout=SOON) == (atoms.DOWN, living, atoms.process, new, atoms.bye)


async def test_idle_links_stay_up(start_ours: StartOurs, start_theirs: StartTheirs) -> None:
    node, peer = await start_ours(ticktime=4.0), await start_theirs(net_ticktime=4)
    async with node.mailbox() as me:
        assert await node.connect(peer.name)
        node.monitor_node(peer.name, me.pid)

        with pytest.raises(TimeoutError):
            await me.receive(timeout=9)  # the peer gives up after 5 s at the latest

    assert await knows(peer, node)


async def test_frozen_peer_is_down_in_time(start_ours: StartOurs, start_theirs: StartTheirs) -> None:
    node, peer = await start_ours(ticktime=4.0), await start_theirs(net_ticktime=4)
    async with node.mailbox() as me:
        assert await node.connect(peer.name)
        node.monitor_node(peer.name, me.pid)

        peer.stop_signal()
        started = time.monotonic()

        assert await me.receive(timeout=SOON) == (atoms.nodedown, Atom(peer.name))
        assert 2 < time.monotonic() - started <= 6


async def test_epmd_of_the_release_registers_us(ours: Node, cluster: ErlangCluster, theirs: ErlNode) -> None:
    alive = str(ours.name).partition("@")[0]
    assert ours.address is not None

    registered, names = await theirs.run("erl_epmd", "names", (127, 0, 0, 1))
    assert registered is atoms.ok
    assert (list(alive.encode()), ours.address[1]) in names
    found = await lookup(theirs.name.partition("@")[0], "127.0.0.1", EpmdConfig(port=cluster.epmd_port, start=False))
    assert found is not None
    assert await theirs.run("conf_connect", "epmd_port", alive) == ours.address[1]


async def test_epmd_of_the_release_refuses_a_name_twice(ours: Node, start_ours: StartOurs, theirs: ErlNode) -> None:
    with pytest.raises(NameTaken):
        await start_ours(str(ours.name))
    with pytest.raises(NameTaken):
        await start_ours(theirs.name)

    await ours.stop()
    again = await start_ours(str(ours.name))
    assert await again.connect(theirs.name)
