from __future__ import annotations

from pyzen import _native
from pyzen.actor.runtime import Sent


def test_what_became_of_a_message_is_counted_as_in_the_native_module() -> None:
    assert {one.name: int(one) for one in Sent} == {
        "SENT": _native.SENT,
        "BUSY": _native.BUSY,
        "NO_LINK": _native.NO_LINK,
    }
