"""``ets`` as far as it looks at the tables of ZenMonitor; nothing can be written.

One key is looked up in no time, whatever the size. A whole table is shown up to ``ROWS_LIMIT`` rows, past which the
answer is an error that says so: the event loop serves others, too.

Source: OTP, "ets".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from pyzen.errors import RpcError
from pyzen.node.services.builtins import badarg
from pyzen.node.services.zen_views import views
from pyzen.terms import Atom, Reference, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.runtime import Runtime
    from pyzen.node.services.zen_views import Row, View
    from pyzen.zen.system import ZenSystem

__all__ = ["ROWS_LIMIT", "Ets"]

ROWS_LIMIT: Final = 10_000

UNDEFINED: Final = atoms.undefined
END_OF_TABLE: Final = atoms["$end_of_table"]


@final
class Ets:
    """The tables of one node; there are none while its ZenMonitor is stopped."""

    def __init__(self, system: ZenSystem, runtime: Runtime) -> None:
        self._system = system
        self._runtime = runtime
        self._views = views(system, runtime)
        self._tids = {name: runtime.make_ref() for name in self._views}

    def functions(self) -> dict[tuple[str, str], Callable[..., Any]]:
        """Return the functions that peers may call."""
        return {
            ("ets", "all"): lambda: list(self._views) if self._system.is_running else [],
            ("ets", "first"): self.first,
            ("ets", "info"): self.info,
            ("ets", "lookup"): self.lookup,
            ("ets", "lookup_element"): self.lookup_element,
            ("ets", "member"): lambda table, key: bool(self.lookup(table, key)),
            ("ets", "tab2list"): self.tab2list,
            ("ets", "whereis"): self.whereis,
        }

    def lookup(self, table: Any, key: Any) -> list[Row]:
        """``lookup/2``."""
        row = self._known(table).find(key)
        return [] if row is None else [row]

    def lookup_element(self, table: Any, key: Any, position: Any) -> Any:
        """``lookup_element/3``."""
        row = self._known(table).find(key)
        if row is None or type(position) is not int or not 1 <= position <= len(row):
            raise badarg()
        return row[position - 1]

    def tab2list(self, table: Any) -> list[Row]:
        """``tab2list/1``, of a table that is not too large."""
        view = self._known(table)
        if (size := view.size()) > ROWS_LIMIT:
            text = f"the table has {size} rows, and at most {ROWS_LIMIT} are shown"
            raise RpcError("error", (atoms.system_limit, text.encode()))
        return view.rows(ROWS_LIMIT)

    def first(self, table: Any) -> Any:
        """``first/1``: some key, not the least one."""
        rows = self._known(table).rows(1)
        return rows[0][0] if rows else END_OF_TABLE

    def size(self, table: Any) -> int | None:
        """Return how many rows a table has; None for one that is not there."""
        view = self._view(table)
        return None if view is None else view.size()

    def whereis(self, table: Any) -> Any:
        """``whereis/1``: a reference, which all of these functions take in place of the name."""
        if not isinstance(table, Atom):
            raise badarg()
        return UNDEFINED if self._view(table) is None else self._tids[table]

    def info(self, table: Any, item: Any = None) -> Any:
        """``info/1`` and ``/2``; a table that is not there is ``undefined``."""
        view = self._view(table)
        if view is None:
            return UNDEFINED
        items = self._items(self._name(table), view)
        if item is None:
            return list(items.items())
        try:
            return items[item]
        except (KeyError, TypeError):
            raise badarg() from None

    def _items(self, name: Atom, view: View) -> dict[Atom, Any]:
        """Return what ``info`` tells, in the order of OTP; what only ERTS has is false or zero."""
        return {
            atoms.id: self._tids[name],
            atoms.decentralized_counters: False,
            atoms.read_concurrency: False,
            atoms.write_concurrency: False,
            atoms.compressed: False,
            atoms.memory: 0,
            atoms.owner: self._runtime.whereis(view.owner) or UNDEFINED,
            atoms.heir: atoms.none,
            atoms.name: name,
            atoms["size"]: view.size(),
            atoms.node: self._runtime.name,
            atoms.named_table: True,
            atoms.type: view.kind,
            atoms.keypos: 1,
            atoms.protection: view.protection,
        }

    def _name(self, table: Any) -> Any:
        """Return the name of a table, which may be given by what ``whereis`` answers; None for another's reference."""
        if isinstance(table, Atom):
            return table
        if isinstance(table, Reference):
            return next((name for name, tid in self._tids.items() if tid == table), None)
        raise badarg()

    def _view(self, table: Any) -> View | None:
        name = self._name(table)
        return self._views.get(name) if self._system.is_running else None

    def _known(self, table: Any) -> View:
        view = self._view(table)
        if view is None:
            raise badarg()
        return view
