from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.errors import NameTaken
from pyzen.terms import atoms

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode


async def test_is_auth_is_answered_yes(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")

    assert await a.call(("net_kernel", b.name), (atoms.is_auth, a.name)) is atoms.yes


async def test_any_other_call_is_ignored(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")

    assert await a.call(("net_kernel", b.name), atoms.nonsense) is atoms.ignored


async def test_casts_and_messages_do_not_end_it(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    a.cast(("net_kernel", b.name), atoms.nonsense)
    a.send(("net_kernel", b.name), atoms.nonsense)

    assert await a.ping(b.name)


async def test_its_name_can_not_be_taken_over(make_node: MakeNode) -> None:
    a = await make_node("a")
    a.unregister("net_kernel")

    async with a.mailbox() as me:
        with pytest.raises(NameTaken):
            a.register("net_kernel", me.pid)


async def test_ping_is_answered_without_the_process(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    b.unregister("net_kernel")

    assert await a.ping(b.name)
