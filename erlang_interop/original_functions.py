"""Asks the original and a node of ours the same, as an operator does: ``python -m erlang_interop.original_functions``.

Writes ``docs/original-functions.md``: every public function of the original's modules, called by ``:rpc`` on a node
with the original and on a node of ours, beside each other; then calls of processes, tables and the application. What
is asked is in `original_calls`. Needs ``ZEN_MONITOR_PATH``, as it was when the fixture was compiled.

Who asks is a third node. Its own processes read ``#PID<here>``, those of the node that it asks ``#PID<there>``.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from erlang_interop.nodes import Epmd, ErlangCluster
from erlang_interop.original_calls import CALLBACKS, FUNCTIONS, METRICS, MODULES, SECTIONS, Call
from pyzen import EpmdConfig, GenServer, Node, atoms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from erlang_interop.nodes import ElixirNode
    from pyzen import Pid

PAGE: Final = Path(__file__).parent.parent / "docs" / "original-functions.md"
LONGEST: Final = 330
UNEXPLAINED: Final = "**not explained**"
UNDEF: Final = "{:badrpc, {:EXIT, {:undef, :stack}}}"

INTRODUCTION: Final = """\
# The original's functions

Recorded by `python -m erlang_interop.original_functions`: the functions of Discord's ZenMonitor 2.1.0, called from an
Elixir node by `:rpc` on a node with the original and on a Python node.

`there` is the node that is asked. Its `subscriber` monitors `worker` of the asking node by `ref`, and `own` is its
Connector for that node. The asking node watches `target` by its `connector`, whose Batcher is `batcher`.
`#PID<here>` is a process of the asking node, `#PID<there>` one of the other; stacks are left out.
"""

NOT_CALLED: Final = {
    "callback": "callbacks, which the runtime calls with a state of the process in hand; in ours they are methods of a "
    "Python object, and no peer calls them (`undef`)",
    "metric": "made by `use Instruments.CustomFunctions`, to send a number to a StatsD server. Ours has the "
    "same metrics in `node.metrics`, read by whoever collects them (`undef`)",
}

ASK: Final = """
there = {there}
worker = {worker}
[subscriber, target] = for name <- [:subscriber, :target], do: :rpc.call(there, Process, :whereis, [name])
ref = {ref}
connector = :ets.lookup_element(ZenMonitor.Local.Connector, there, 2)
found = fn module, key -> with {{:ok, pid}} <- :rpc.call(there, GenRegistry, :lookup, [module, key]), do: pid end
{{own, batcher}} = {{found.(ZenMonitor.Local.Connector, node()), found.(ZenMonitor.Proxy.Batcher, connector)}}
_ = {{worker, subscriber, target, ref, own, batcher}}
answer = try do {code} catch kind, reason -> {{kind, reason}} end
case answer do
  {{:badrpc, {{:EXIT, {{reason, [_ | _]}}}}}} -> {{:badrpc, {{:EXIT, {{reason, :stack}}}}}}
  _ -> answer
end
"""


class Answer(NamedTuple):
    """One row of the page: what was asked, and both answers."""

    call: str
    theirs: str
    ours: str
    why: str

    @property
    def is_same(self) -> bool:
        """Whether the answers are the same."""
        return self.theirs == self.ours


class Subscriber(GenServer):
    """Watches what it is told to."""

    def init(self, *targets: Any) -> None:
        """Begin to watch; whoever asks reads the references from the tables."""


class Asked(NamedTuple):
    """A node that is asked.

    Attributes:
        name: Its name.
        ref: The reference of its subscriber, as code.
    """

    name: str
    ref: str


class Bench:
    """Three nodes: who asks, and the two that are asked."""

    def __init__(self, asker: ElixirNode, asked: list[Asked], worker: str) -> None:
        self.asker = asker
        self._asked = asked
        self._worker = worker

    async def ask(self, call: Call) -> Answer:
        """Ask both nodes the same."""
        theirs, ours = [await self._ask(one, call) for one in self._asked]
        return Answer(call.code, theirs, ours, call.why)

    async def ask_ours(self, call: Call) -> Answer:
        """Ask the node of ours alone."""
        return Answer(call.code, "", await self._ask(self._asked[1], call), call.why)

    async def _ask(self, asked: Asked, call: Call) -> str:
        code = ASK.format(there=atom(asked.name), worker=self._worker, ref=asked.ref, code=call.code)
        text = await self.asker.eval(code)
        text = text.replace(atom(asked.name), "there").replace(atom(self.asker.name), "node()")
        text = text.replace(self.asker.name, "here@127.0.0.1").replace(asked.name, "there@127.0.0.1")
        text = re.sub(r"#PID<0\.[\d.]+>", "#PID<here>", text)
        text = re.sub(r"#PID<[\d.]+>", "#PID<there>", text)
        text = re.sub(r"#Reference<[\d.]+>", "#Reference<>", text)
        return re.sub(r"-?\b\d+\b", "N", text) if call.volatile else text


def atom(name: str) -> str:
    """Return the name of a node in Elixir."""
    return f':"{name}"'


# ---- the nodes


async def prepared(stack: AsyncExitStack) -> Bench:
    """Start the nodes, and let each watch a process of the other."""
    epmd = Epmd.start()
    stack.callback(epmd.close)
    cluster = ErlangCluster(epmd.port, Path())
    stack.push_async_callback(cluster.close)
    asker, original = await cluster.elixir(), await cluster.elixir()
    if asker.ready["zen_monitor"] == "stand-in":
        sys.exit("the fixture runs the stand-in: compile it with ZEN_MONITOR_PATH, see mix_fixture/README.md")
    python = await stack.enter_async_context(
        Node(f"p{secrets.token_hex(5)}@127.0.0.1", cookie=cluster.cookie, epmd=EpmdConfig(port=epmd.port, start=False))
    )
    worker = await worker_of(asker)
    for name in (original.name, str(python.name)):
        await asker.eval(f"true = Node.connect({atom(name)})")
    asked = [Asked(original.name, await prepare_original(original, asker, worker))]
    asked.append(Asked(str(python.name), await prepare_python(python, asker, worker)))
    for one in asked:
        await watch(asker, one.name)
    return Bench(asker, asked, worker)


async def worker_of(asker: ElixirNode) -> str:
    """Start a process, and return code for it."""
    await asker.eval("pid = spawn(fn -> Process.sleep(:infinity) end); Process.register(pid, :worker)")
    return f":erpc.call({atom(asker.name)}, Process, :whereis, [:worker])"


async def prepare_original(node: ElixirNode, asker: ElixirNode, worker: str) -> str:
    """Start the processes of the node with the original; returns code for the reference."""
    await node.eval(f"""
    :compatible = ZenMonitor.connect({atom(asker.name)})
    worker = {worker}
    Process.register(spawn(fn -> Process.sleep(:infinity) end), :target)
    me = self()
    spawn(fn ->
      Process.register(self(), :subscriber)
      send(me, ZenMonitor.monitor(worker))
      Process.sleep(:infinity)
    end)
    :persistent_term.put(:ref, receive do ref -> ref end)
    """)
    return f":rpc.call({atom(node.name)}, :persistent_term, :get, [:ref])"


async def prepare_python(node: Node, asker: ElixirNode, worker: str) -> str:
    """Start the processes of our node; returns code for the reference."""
    assert await node.zen.connect(asker.name) == "compatible"
    pid: Pid = await node.rpc(asker.name, atoms.erlang, "whereis", [atoms.worker])
    node.spawn(Subscriber, name="target")
    subscriber = node.spawn(Subscriber, name="subscriber")
    ref = node.zen.monitor(pid, subscriber=subscriber)
    node.export("test", "ref", lambda: ref)
    return f":rpc.call({atom(str(node.name))}, :test, :ref, [])"


async def watch(asker: ElixirNode, name: str) -> None:
    """Let the asking node watch a process of another, and wait until there is a Batcher: the first death starts it."""
    await asker.eval(f"""
    there = {atom(name)}
    :compatible = ZenMonitor.connect(there)
    target = :rpc.call(there, Process, :whereis, [:target])
    spawn(fn -> ZenMonitor.monitor(target); Process.sleep(:infinity) end)
    ref = ZenMonitor.monitor({{:nobody, there}})
    receive do {{:DOWN, ^ref, _, _, _}} -> :ok end
    """)


# ---- the page


async def public_functions(asker: ElixirNode) -> dict[str, list[str]]:
    """Return the functions of each module, as the original itself tells."""
    found = {}
    for module in MODULES:
        names = f'Enum.map({module}.__info__(:functions), fn {{name, arity}} -> "#{{name}}/#{{arity}}" end)'
        found[module] = (await asker.eval(f'Enum.join({names}, " ")')).strip('"').split()
    return found


async def answers_of(bench: Bench, module: str, name: str) -> list[Answer]:
    """Ask for one function; one that is not called has one row, which says what it is."""
    function, _, arity = name.partition("/")
    calls = FUNCTIONS.get(f"{module}.{name}")
    if calls is not None:
        return [await answer_of(bench, module, function, call) for call in calls]
    kind = "metric" if function in METRICS else "callback" if function in CALLBACKS else None
    row = await answer_of(bench, module, function, Call(", ".join(["nil"] * int(arity))), ours_only=True)
    if kind is None or row.ours != UNDEF:
        sys.exit(f"original_calls has no call of {module}.{name}")
    return [Answer(name, kind, "", "")]


async def answer_of(bench: Bench, module: str, function: str, call: Call, *, ours_only: bool = False) -> Answer:
    """Call a function on both nodes, or on ours alone."""
    whole = call._replace(code=f":rpc.call(there, {module}, :{function}, [{call.code}])")
    answer = await (bench.ask_ours(whole) if ours_only else bench.ask(whole))
    return answer._replace(call=f"{function}({call.code})")


def table(rows: Iterable[Answer]) -> list[str]:
    """Return the lines of a table."""
    lines = ["| call | the original | ours | why |", "|---|---|---|---|"]
    for row in rows:
        ours = "the same" if row.is_same else cell(row.ours)
        why = "" if row.is_same else row.why or UNEXPLAINED
        lines.append(f"| {cell(row.call)} | {cell(row.theirs)} | {ours} | {why} |")
    return lines


def cell(text: str) -> str:
    """Return code as a cell of a table."""
    text = re.sub(r"\s*\n\s*", " ", text)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    return f"`{text}`".replace("|", "\\|")


def module_lines(module: str, found: dict[str, list[Answer]], names: list[str]) -> list[str]:
    """Return the section of one module."""
    asked = [answer for name in names for answer in found[f"{module}.{name}"]]
    called = [one for one in asked if one.ours]
    lines = ["", f"### `{module}`"]
    if called:
        lines += ["", *table(called)]
    for kind, text in NOT_CALLED.items():
        left = [f"`{one.call}`" for one in asked if not one.ours and one.theirs == kind]
        if left:
            lines += ["", f"{', '.join(left)}: {text}."]
    return lines


def summary(found: dict[str, list[Answer]], sections: dict[str, list[Answer]]) -> list[str]:
    """Return what the page says in numbers."""
    called = [answers for answers in found.values() if answers[0].ours]
    same = sum(all(answer.is_same for answer in answers) for answers in called)
    undef = len(found) - len(called)
    rows = [answer for answers in sections.values() for answer in answers]
    return [
        "## In numbers",
        "",
        f"{len(found)} public functions. {same} answer the same in every call below. {len(called) - same} differ in at "
        f"least one, each for the reason given. {undef} are callbacks or senders of metrics and are not there.",
        "",
        f"{len(rows)} more calls of processes, tables and the application: {sum(row.is_same for row in rows)} answers "
        "are the same.",
    ]


async def page() -> str:
    """Return the page, made anew."""
    async with AsyncExitStack() as stack:
        bench = await prepared(stack)
        modules = await public_functions(bench.asker)
        found = {f"{m}.{name}": await answers_of(bench, m, name) for m, names in modules.items() for name in names}
        sections = {title: [await bench.ask(call) for call in calls] for title, calls in SECTIONS.items()}
    lines = [INTRODUCTION, *summary(found, sections), "", "## Functions"]
    for module, names in modules.items():
        lines += module_lines(module, found, names)
    for title, rows in sections.items():
        lines += ["", f"## {title}", "", *table(rows)]
    return "\n".join(lines) + "\n"


async def main() -> int:
    """Write the page; 1 where an answer differs and nobody has said why."""
    text = await page()
    PAGE.write_text(text)
    return 1 if UNEXPLAINED in text else 0


if __name__ == "__main__":
    "ZEN_MONITOR_PATH" in os.environ or sys.exit("ZEN_MONITOR_PATH names no checkout of zen_monitor")
    sys.exit(asyncio.run(main()))
