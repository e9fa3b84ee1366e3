"""What is typed into a real iex for the pages that `transcript` records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from erlang_interop import releases


@dataclass(frozen=True)
class Section:
    """Lines to be typed, and what they are about: a sentence or two above them."""

    about: str
    typed: list[str]


@dataclass(frozen=True)
class Script:
    """One page.

    Attributes:
        title: Its heading.
        introduction: What stands before the sessions.
        releases: OTP releases that it is recorded on.
        sections: What is typed.
    """

    title: str
    introduction: str
    releases: tuple[str, ...]
    sections: list[Section]


IEX: Final = Script(
    title="From iex",
    introduction="""\
Recorded by `python -m erlang_interop.transcript iex`: a real iex, and a Python node that runs this:

```python
class Counter(GenServer):
    def init(self):
        self.total = 0

    def handle_call(self, request, from_):
        match request:
            case (atoms.add, number):
                self.total += number
                return self.total
        return super().handle_call(request, from_)


def summary(numbers):
    return {atoms.least: min(numbers), atoms.greatest: max(numbers)}


async def greet():
    current_process().puts("hello from Python")


async with Node("py@127.0.0.1", cookie="secret") as node:
    await Counter.start(node, name="counter")
    node.export("reports", "summary", summary)
    node.export("reports", "greet", greet)
    await asyncio.Event().wait()
```""",
    releases=("25", releases.NUMBERS[-1]),
    sections=[
        Section(
            "",
            [
                'py = :"py@127.0.0.1"',
                "Node.ping(py)",
                "Node.list()",
                "GenServer.call({:counter, py}, {:add, 2})",
                "GenServer.call({:counter, py}, {:add, 40})",
                "GenServer.call({:nobody, py}, :hello)",
                ":sys.get_state({:counter, py})",
                ":rpc.call(py, :reports, :summary, [[3, 1, 2]])",
                ":erpc.call(py, :reports, :summary, [[]])",
                ":erpc.multicall([node(), py], :erlang, :node, [])",
                ":rpc.call(py, :os, :getpid, [])",
                "{pid, _ref} = Node.spawn_monitor(py, :reports, :greet, [])",
                "flush()",
                "counter = :rpc.call(py, Process, :whereis, [:counter])",
                "ref = Process.monitor(counter)",
                "Process.flag(:trap_exit, true)",
                "Process.link(counter)",
                "Process.exit(counter, :enough)",
                "Process.sleep(100); flush()",
                ":global.sync()",
                ":global.register_name(:iex, self())",
                "{:ok, _} = :pg.start_link()",
                ":pg.join(:group, self())",
                ":pg.get_members(:group) == [self()]",
                "ZenMonitor.Proxy.Batcher |> then(&:rpc.call(py, &1, :sweep_interval, []))",
                "Node.disconnect(py)",
                "Node.list()",
            ],
        )
    ],
)

OPERATOR: Final = Script(
    title="An operator at iex",
    introduction="""\
Recorded by `python -m erlang_interop.transcript operator`: a real iex, and the Python node of [this page](iex.md).
Nothing here was exported by its program: every node with ZenMonitor answers so.""",
    releases=("25",),
    sections=[
        Section(
            "Settings are read and changed while the node runs, under the original's names. A bad value is `badarg`\n"
            "and changes nothing.",
            [
                'py = :"py@127.0.0.1"',
                "Node.connect(py)",
                ":rpc.call(py, ZenMonitor.Proxy.Batcher, :sweep_interval, [])",
                ":rpc.call(py, ZenMonitor.Proxy.Batcher, :sweep_interval, [10])",
                ":rpc.call(py, ZenMonitor.Proxy.Batcher, :sweep_interval, [])",
                ":rpc.call(py, ZenMonitor.Local.Connector, :chunk_size, [])",
                ":rpc.call(py, ZenMonitor.Local.Dispatcher, :maximum_mps, [])",
                ":rpc.call(py, Application, :put_env, [:zen_monitor, :demand_amount, 2000])",
                ":rpc.call(py, Application, :get_env, [:zen_monitor, :demand_amount])",
                ":rpc.call(py, ZenMonitor.Local.Dispatcher, :maximum_mps, [])",
                ":rpc.call(py, Application, :put_env, [:zen_monitor, :demand_amount, 0])",
                ":erpc.call(py, ZenMonitor.Local.Dispatcher, :demand_interval, [:soon])",
                ":rpc.call(py, Application, :get_env, [:zen_monitor, :demand_amount])",
                ":rpc.call(py, Application, :get_env, [:zen_monitor, :no_such_key, :default])",
                ":rpc.call(py, Application, :get_all_env, [:zen_monitor])",
            ],
        ),
        Section(
            "What it knows of this node.",
            [
                ":rpc.call(py, ZenMonitor, :compatibility_for_node, [node()])",
                ":rpc.call(py, ZenMonitor.Local.Connector, :cached_compatibility, [node()])",
                ":rpc.call(py, Node, :list, [])",
            ],
        ),
        Section(
            "The table of subscribers. Here iex plays a Connector itself: it sends the Proxy an instruction\n"
            "and gets the certificate.",
            [
                "alias ZenMonitor.Proxy.Tables.Subscribers",
                "counter = :rpc.call(py, Process, :whereis, [:counter])",
                "GenServer.call({ZenMonitor.Proxy, py}, :ping)",
                "GenServer.cast({ZenMonitor.Proxy, py}, {:process, self(), [subscribe: counter]})",
                ":rpc.call(py, :ets, :lookup, [Subscribers, {counter, self()}])",
                ":rpc.call(py, :ets, :info, [Subscribers, :size])",
                ":rpc.call(py, Process, :info, [counter, :monitored_by])",
                "Process.exit(counter, {:shutdown, :enough})",
                "receive do {:dead, ^py, certificates} -> certificates after 5000 -> :nothing end",
                ":rpc.call(py, :ets, :lookup, [Subscribers, {counter, self()}])",
                ":rpc.call(py, :ets, :info, [Subscribers, :size])",
                ":rpc.call(py, :ets, :info, [:no_such_table, :size])",
            ],
        ),
        Section(
            "Processes. `:sys.get_state` is answered as by OTP 26.1 and newer, whose own `sys` takes the `ok` off.",
            [
                "proxy = :rpc.call(py, Process, :whereis, [ZenMonitor.Proxy])",
                "proxy in :rpc.call(py, Process, :list, [])",
                ":rpc.call(py, Process, :info, [proxy, :message_queue_len])",
                ":rpc.call(py, Process, :info, [proxy, [:registered_name, :status, :links]])",
                ":sys.get_state({ZenMonitor.Proxy, py})",
                ":sys.get_state({ZenMonitor.Local.Dispatcher, py})",
                "Supervisor.which_children({ZenMonitor.Supervisor, py})",
                "Supervisor.count_children({ZenMonitor.Local.Supervisor, py})",
                ":rpc.call(py, ZenMonitor.Metrics, :message_queue_len, [ZenMonitor.Proxy])",
                "statistics = :rpc.call(py, :pyzen, :statistics, [])",
                "{statistics.watches, statistics.counters.certificates_sent}",
            ],
        ),
        Section(
            "The application is stopped and started. Settings stay; who watched the Proxy is told that it ended.",
            [
                "ref = Process.monitor({ZenMonitor.Proxy, py})",
                ":rpc.call(py, Application, :stop, [:zen_monitor])",
                "Process.sleep(100); flush()",
                "GenServer.call({ZenMonitor.Proxy, py}, :ping)",
                ":rpc.call(py, :ets, :info, [Subscribers, :size])",
                ":rpc.call(py, Application, :stop, [:zen_monitor])",
                ":rpc.call(py, Application, :ensure_all_started, [:zen_monitor])",
                ":rpc.call(py, Application, :ensure_all_started, [:zen_monitor])",
                "GenServer.call({ZenMonitor.Proxy, py}, :ping)",
                ":rpc.call(py, ZenMonitor.Proxy.Batcher, :sweep_interval, [])",
            ],
        ),
    ],
)

SUPERVISION: Final = Script(
    title="Supervision, from iex",
    introduction="""\
Recorded by `python -m erlang_interop.transcript supervision`: a real iex, and a Python node that runs this beside what
`iex.md` shows:

```python
node.spawn(Supervisor, [ChildSpec("worker", Counter), ChildSpec("once", Counter, restart="temporary")], name="sup")
```

`original-functions.md` has the answers of ZenMonitor's supervisors beside those of the original.""",
    releases=("25", releases.NUMBERS[-1]),
    sections=[
        Section(
            "ZenMonitor: which parts there are.",
            [
                'py = :"py@127.0.0.1"',
                "Node.ping(py)",
                "Supervisor.which_children({ZenMonitor.Supervisor, py})",
                "Supervisor.which_children({ZenMonitor.Local.Supervisor, py})",
                "Supervisor.which_children({ZenMonitor.Proxy.Supervisor, py})",
                "Supervisor.count_children({ZenMonitor.Local.Supervisor, py})",
                ":supervisor.get_childspec({ZenMonitor.Supervisor, py}, ZenMonitor.Proxy.Supervisor)",
            ],
        ),
        Section(
            "A half of it is stopped and started.",
            [
                "Supervisor.terminate_child({ZenMonitor.Supervisor, py}, ZenMonitor.Proxy.Supervisor)",
                "Supervisor.which_children({ZenMonitor.Supervisor, py})",
                "GenServer.call({ZenMonitor.Proxy, py}, :ping)",
                "Supervisor.restart_child({ZenMonitor.Supervisor, py}, ZenMonitor.Proxy.Supervisor)",
                "Supervisor.restart_child({ZenMonitor.Supervisor, py}, ZenMonitor.Proxy.Supervisor)",
                "GenServer.call({ZenMonitor.Proxy, py}, :ping)",
                "Supervisor.terminate_child({ZenMonitor.Supervisor, py}, :proxy)",
                "Supervisor.delete_child({ZenMonitor.Supervisor, py}, ZenMonitor.Local.Supervisor)",
                "Supervisor.start_child({ZenMonitor.Supervisor, py}, {Agent, fn -> 0 end})",
            ],
        ),
        Section(
            "What ends nothing: unknown calls and casts, orders and exits of a peer.",
            [
                "GenServer.call({ZenMonitor.Supervisor, py}, :batch_length)",
                "GenServer.cast({ZenMonitor.Supervisor, py}, :nonsense)",
                "send({ZenMonitor.Supervisor, py}, {:EXIT, self(), :boom})",
                ":sys.terminate({ZenMonitor.Supervisor, py}, :boom)",
                ":rpc.call(py, Process, :whereis, [ZenMonitor.Supervisor]) |> Process.exit(:kill)",
                "GenServer.call({ZenMonitor.Proxy, py}, :ping)",
                "GenServer.call({ZenMonitor.Local, py}, :batch_length)",
            ],
        ),
        Section(
            "A supervisor of the program is the operator's: it is stopped in order.",
            [
                "Supervisor.which_children({:sup, py}) |> Enum.map(&Tuple.delete_at(&1, 3))",
                "Supervisor.terminate_child({:sup, py}, :once)",
                "Supervisor.terminate_child({:sup, py}, :worker)",
                "Supervisor.which_children({:sup, py}) |> Enum.map(&Tuple.delete_at(&1, 3))",
                "Supervisor.restart_child({:sup, py}, :worker)",
                "GenServer.call({:sup, py}, :nonsense)",
                "Supervisor.stop({:sup, py})",
                "Supervisor.count_children({:sup, py})",
            ],
        ),
        Section(
            "The processes of the node itself.",
            [
                "Supervisor.which_children({:kernel_sup, py})",
                "Supervisor.terminate_child({:kernel_sup, py}, :rex)",
                "Supervisor.restart_child({:kernel_sup, py}, :rex)",
            ],
        ),
    ],
)

SCRIPTS: Final = {"iex": IEX, "operator": OPERATOR, "supervision": SUPERVISION}
"""The scripts by the name of their page."""
