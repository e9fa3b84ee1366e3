"""What is asked of a node with the original and of a node of ours, for `original_functions`.

In the code ``there`` is the node that is asked and ``node()`` the one that asks, by ``:rpc`` or ``GenServer.call``.
``subscriber``, a process of ``there``, monitors ``worker``, a process of ``node()``, by ``ref``; ``own`` is the
Connector of ``there`` for ``node()``. The other way round ``node()`` watches ``target`` by its ``connector``, whose
Batcher there is ``batcher``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["CALLBACKS", "FUNCTIONS", "METRICS", "MODULES", "SECTIONS", "Call"]


class Call(NamedTuple):
    """One call.

    Attributes:
        code: The arguments of a function, in the place of which its name stands; or the whole call.
        why: Why the answers differ; empty where they may not.
        volatile: Integers of the answer are of the moment.
    """

    code: str
    why: str = ""
    volatile: bool = False


MODULES: Final = (
    "ZenMonitor",
    "ZenMonitor.Local",
    "ZenMonitor.Local.Connector",
    "ZenMonitor.Local.Dispatcher",
    "ZenMonitor.Local.Tables",
    "ZenMonitor.Local.Supervisor",
    "ZenMonitor.Proxy",
    "ZenMonitor.Proxy.Batcher",
    "ZenMonitor.Proxy.Tables",
    "ZenMonitor.Proxy.Supervisor",
    "ZenMonitor.Metrics",
    "ZenMonitor.Supervisor",
    "ZenMonitor.Truncator",
    "ZenMonitor.Application",
)

CALLBACKS: Final = frozenset(
    (
        "code_change", "handle_call", "handle_cast", "handle_demand", "handle_events", "handle_info",
        "handle_subscribe", "init", "start", "stop", "terminate",
    )
)  # fmt: skip
"""Functions that only the runtime calls, with a state in hand; they are not called here."""

METRICS: Final = frozenset(("decrement", "gauge", "histogram", "increment", "measure", "set", "timing"))
"""What ``use Instruments.CustomFunctions`` makes, in each module that has metrics; not called either."""

OTHERS: Final = "what a peer says counts for that peer only: nobody makes or undoes a monitor for others"
REGISTERED: Final = "both register when the node starts; the original fails of a second time"
NOBODYS: Final = "a second process beside the one of the registry would be nobody's, and live for ever"
FUNCTIONS: Final[dict[str, list[Call]]] = {
    "ZenMonitor.compatibility/1": [Call("worker"), Call("{:name, :nobody@nowhere}"), Call(":name")],
    "ZenMonitor.compatibility_for_node/1": [Call("node()"), Call(":nobody@nowhere")],
    "ZenMonitor.connect/1": [
        Call("node()"),
        Call("there"),
        Call(":'nobody@127.0.0.1'"),
        Call('"node"'),
    ],
    "ZenMonitor.demonitor/1": [Call("ref"), Call("make_ref()"), Call(":no_reference")],
    "ZenMonitor.demonitor/2": [Call("ref, [:flush]")],
    "ZenMonitor.find_node/1": [Call("worker"), Call("{:name, node()}"), Call(":name")],
    "ZenMonitor.gen_module/0": [Call("")],
    "ZenMonitor.gen_module/1": [
        Call("GenServer"),
        Call("Manifold", "no code of Elixir runs in ours, so no other module can take its place"),
        Call("GenServer"),
    ],
    "ZenMonitor.monitor/1": [Call("worker"), Call("{:name, node()}"), Call(":name")],
    "ZenMonitor.now/0": [Call("", volatile=True)],
    "ZenMonitor.Local.batch_length/0": [Call("")],
    "ZenMonitor.Local.child_spec/1": [Call("[]")],
    "ZenMonitor.Local.compatibility/1": [Call("worker")],
    "ZenMonitor.Local.compatibility_for_node/1": [Call("node()")],
    "ZenMonitor.Local.demonitor/1": [Call("ref")],
    "ZenMonitor.Local.demonitor/2": [Call("ref, [:flush]")],
    "ZenMonitor.Local.enqueue/1": [
        Call("[]"),
        Call("[{subscriber, :message}]", "anything could be said to anybody that way, in the name of the node"),
    ],
    "ZenMonitor.Local.hibernation_threshold/0": [Call("")],
    "ZenMonitor.Local.hibernation_threshold/1": [Call("1000")],
    "ZenMonitor.Local.monitor/1": [Call("worker")],
    "ZenMonitor.Local.start_link/0": [Call("")],
    "ZenMonitor.Local.start_link/1": [Call("[]")],
    "ZenMonitor.Local.Connector.cached_compatibility/1": [Call("node()"), Call(":nobody@nowhere")],
    "ZenMonitor.Local.Connector.child_spec/1": [Call("node()")],
    "ZenMonitor.Local.Connector.chunk_size/0": [Call("")],
    "ZenMonitor.Local.Connector.chunk_size/1": [
        Call("5000"),
        Call("0", "a value out of range changes nothing and is `badarg`; with the original's nothing is sent any more"),
        Call("5000"),
    ],
    "ZenMonitor.Local.Connector.compatibility/1": [Call("node()"), Call(":nobody@nowhere")],
    "ZenMonitor.Local.Connector.connect/1": [Call("node()")],
    "ZenMonitor.Local.Connector.demonitor/2": [Call("worker, make_ref()", OTHERS)],
    "ZenMonitor.Local.Connector.get/1": [Call("worker"), Call("{:name, node()}"), Call(":name")],
    "ZenMonitor.Local.Connector.get_for_node/1": [Call("node()"), Call('"node"')],
    "ZenMonitor.Local.Connector.monitor/3": [Call("worker, make_ref(), self()", OTHERS)],
    "ZenMonitor.Local.Connector.monitors/2": [
        Call("worker, subscriber"),
        Call("{:nobody, node()}, subscriber"),
        Call("worker, self()"),
    ],
    "ZenMonitor.Local.Connector.start_link/1": [Call("node()", NOBODYS)],
    "ZenMonitor.Local.Connector.sweep_interval/0": [Call("")],
    "ZenMonitor.Local.Connector.sweep_interval/1": [Call("100")],
    "ZenMonitor.Local.Dispatcher.child_spec/1": [Call("[]")],
    "ZenMonitor.Local.Dispatcher.demand_amount/0": [Call("")],
    "ZenMonitor.Local.Dispatcher.demand_amount/1": [Call("1000")],
    "ZenMonitor.Local.Dispatcher.demand_interval/0": [Call("")],
    "ZenMonitor.Local.Dispatcher.demand_interval/1": [Call("100")],
    "ZenMonitor.Local.Dispatcher.maximum_mps/0": [Call("")],
    "ZenMonitor.Local.Dispatcher.start_link/0": [Call("")],
    "ZenMonitor.Local.Dispatcher.start_link/1": [Call("[]")],
    "ZenMonitor.Local.Tables.child_spec/1": [Call("[]")],
    "ZenMonitor.Local.Tables.nodes/0": [Call("")],
    "ZenMonitor.Local.Tables.references/0": [Call("")],
    "ZenMonitor.Local.Tables.start_link/0": [Call("")],
    "ZenMonitor.Local.Tables.start_link/1": [Call("[]")],
    "ZenMonitor.Local.Supervisor.child_spec/1": [Call("[]")],
    "ZenMonitor.Local.Supervisor.start_link/0": [Call("")],
    "ZenMonitor.Local.Supervisor.start_link/1": [Call("[]")],
    "ZenMonitor.Proxy.child_spec/1": [Call("[]")],
    "ZenMonitor.Proxy.ping/0": [Call("")],
    "ZenMonitor.Proxy.start_link/1": [Call("[]")],
    "ZenMonitor.Proxy.Batcher.child_spec/1": [Call("connector")],
    "ZenMonitor.Proxy.Batcher.chunk_size/0": [Call("")],
    "ZenMonitor.Proxy.Batcher.chunk_size/1": [Call("5000")],
    "ZenMonitor.Proxy.Batcher.enqueue/3": [
        Call("batcher, target, :reason", "a death certificate of a process that lives could be sent that way"),
    ],
    "ZenMonitor.Proxy.Batcher.get/1": [
        Call("connector"),
        Call(":no_pid", "a Connector is a pid; the original starts a Batcher, which ends at once"),
    ],
    "ZenMonitor.Proxy.Batcher.lookup_timeout/0": [Call("")],
    "ZenMonitor.Proxy.Batcher.lookup_timeout/1": [Call("30_000")],
    "ZenMonitor.Proxy.Batcher.start_link/1": [Call("connector", NOBODYS)],
    "ZenMonitor.Proxy.Batcher.sweep_interval/0": [Call("")],
    "ZenMonitor.Proxy.Batcher.sweep_interval/1": [Call("100")],
    "ZenMonitor.Proxy.Tables.child_spec/1": [Call("[]")],
    "ZenMonitor.Proxy.Tables.start_link/0": [Call("")],
    "ZenMonitor.Proxy.Tables.start_link/1": [Call("[]")],
    "ZenMonitor.Proxy.Tables.subscribers/0": [Call("")],
    "ZenMonitor.Proxy.Supervisor.child_spec/1": [Call("[]")],
    "ZenMonitor.Proxy.Supervisor.start_link/0": [Call("")],
    "ZenMonitor.Proxy.Supervisor.start_link/1": [Call("[]")],
    "ZenMonitor.Metrics.message_queue_len/1": [
        Call("ZenMonitor.Proxy"),
        Call("subscriber"),
        Call(":nobody"),
        Call("nil"),
        Call("worker"),
        Call("5"),
    ],
    "ZenMonitor.Metrics.register/0": [Call("", REGISTERED)],
    "ZenMonitor.Metrics.table_size/1": [
        Call("ZenMonitor.Local.Tables.References"),
        Call("ZenMonitor.Proxy.Tables.Subscribers"),
        Call(":nothing"),
    ],
    "ZenMonitor.Supervisor.child_spec/1": [Call("[]")],
    "ZenMonitor.Supervisor.start_link/0": [Call("")],
    "ZenMonitor.Supervisor.start_link/1": [Call("[]")],
    "ZenMonitor.Truncator.truncate/1": [
        Call("{:a, [1, {2, {3}}]}"),
        Call("%{__struct__: true, a: 1}"),
        Call('<<String.duplicate("x", 1021)::binary, 1::1>>'),
        Call('<<String.duplicate("x", 1020)::binary, 1::1>>'),
        Call('String.duplicate("x", 1025)'),
        Call("{:shutdown, [1, 2, 3, 4, 5, 6]}"),
    ],
    "ZenMonitor.Truncator.truncate/2": [Call("[[[1]]], 2"), Call(":a, 0")],
}

CONNECTORS: Final = "ZenMonitor.Local.Connector"
BATCHERS: Final = "ZenMonitor.Proxy.Batcher"
IN_FORCE: Final = "ours tells the value in force, set or not"
AGAIN: Final = "the original can't be started twice: it registers its metrics a second time, and fails"
STOPS: Final = "it serves other nodes, or all subscribers of this one: peers stop no process of the node itself"


def rpc(function: str, arguments: str, why: str = "", *, volatile: bool = False) -> Call:
    """Return a call by ``:rpc``."""
    module, _, name = function.rpartition(".")
    return Call(f":rpc.call(there, {module}, :{name}, [{arguments}])", why, volatile)


SUPERVISORS: Final = ("Supervisor", "Local.Supervisor", "Proxy.Supervisor")
TOP: Final = "{ZenMonitor.Supervisor, there}"
PROXIES: Final = "{ZenMonitor.Proxy.Supervisor, there}"
DELETED: Final = "nobody elsewhere could start again what a peer has deleted"
STARTED: Final = "in place of the arguments of `start_link` stand those that Python starts it with"
SECTIONS: Final[dict[str, list[Call]]] = {
    "Calls of processes": [
        Call("GenServer.call({ZenMonitor.Local, there}, :batch_length)"),
        Call("GenServer.call({ZenMonitor.Proxy, there}, :ping)"),
        Call("GenServer.call(own, :connect)"),
        Call("GenServer.call(own, {:monitors, worker, subscriber})"),
        Call("GenServer.call(own, {:monitors, worker, self()})"),
        Call("GenServer.call({ZenMonitor.Local.Connector, there}, {:lookup_or_start, node(), [node()]})"),
        Call("GenServer.call({ZenMonitor.Local.Connector, there}, {:start, node(), [node()]})"),
        Call("GenServer.call({ZenMonitor.Local.Connector, there}, {:start, :third@nowhere, [:third@nowhere]})"),
        Call("GenServer.call({ZenMonitor.Local.Connector, there}, {:stop, :nobody@nowhere})"),
        Call("GenServer.call({ZenMonitor.Local.Connector, there}, {:stop, :third@nowhere})", STOPS),
        Call("GenServer.call({ZenMonitor.Local.Connector, there}, :anything)"),
        Call("GenServer.call({ZenMonitor.Proxy.Batcher, there}, {:lookup_or_start, connector, [connector]})"),
        Call("Supervisor.which_children({ZenMonitor.Proxy.Batcher, there})"),
        Call("Supervisor.count_children({ZenMonitor.Proxy.Batcher, there})"),
    ],
    "GenRegistry": [
        rpc("GenRegistry.lookup", f"{CONNECTORS}, node()"),
        rpc("GenRegistry.lookup", f"{CONNECTORS}, :nobody@nowhere"),
        rpc("GenRegistry.lookup", f"{BATCHERS}, connector"),
        rpc("GenRegistry.lookup", ":nothing, node()"),
        rpc("GenRegistry.lookup_or_start", f"{CONNECTORS}, node(), [node()]"),
        rpc("GenRegistry.start", f"{CONNECTORS}, node(), [node()]"),
        rpc("GenRegistry.count", BATCHERS),
        rpc("GenRegistry.count", ":nothing"),
        rpc("GenRegistry.to_list", BATCHERS),
        rpc("GenRegistry.sample", BATCHERS),
        rpc("GenRegistry.stop", f"{CONNECTORS}, :nobody@nowhere"),
    ],
    "Tables": [
        rpc(":ets.lookup", "ZenMonitor.Local.Tables.Nodes, node()"),
        rpc(":ets.lookup", "ZenMonitor.Local.Tables.Nodes, :nobody@nowhere"),
        rpc(":ets.tab2list", "ZenMonitor.Local.Tables.References"),
        rpc(":ets.lookup", "ZenMonitor.Local.Tables.References, {subscriber, ref}"),
        rpc(":ets.member", "ZenMonitor.Local.Tables.References, {subscriber, ref}"),
        rpc(":ets.lookup_element", "ZenMonitor.Local.Tables.References, {subscriber, ref}, 2"),
        rpc(":ets.lookup", "ZenMonitor.Local.Subscribers, subscriber"),
        rpc(":ets.lookup", "ZenMonitor.Local.Connector, node()"),
        rpc(":ets.tab2list", "ZenMonitor.Proxy.Tables.Subscribers"),
        rpc(":ets.lookup", "ZenMonitor.Proxy.Tables.Subscribers, {target, connector}"),
        rpc(":ets.first", "ZenMonitor.Proxy.Tables.Subscribers"),
        rpc(":ets.tab2list", "ZenMonitor.Proxy.Batcher"),
        rpc(":ets.info", "ZenMonitor.Local.Tables.References, :size"),
        rpc(":ets.info", "ZenMonitor.Proxy.Tables.Subscribers, :owner"),
        rpc(
            ":ets.info",
            "ZenMonitor.Local.Tables.References",
            "the same items; what only ERTS has is false or zero",
            volatile=True,
        ),
        rpc(":ets.info", "ZenMonitor.Local.Tables.References, :nonsense"),
        rpc(":ets.info", ":nothing"),
        rpc(":ets.whereis", "ZenMonitor.Local.Tables.References"),
        rpc(":ets.whereis", ":nothing"),
        rpc(":ets.lookup", ":nothing, 1"),
        rpc(":ets.delete_all_objects", "ZenMonitor.Local.Tables.Nodes", "tables are views in ours: nobody writes them"),
    ],
    "Supervisors": [
        *(Call(f"Supervisor.which_children({{ZenMonitor.{one}, there}})") for one in SUPERVISORS),
        *(Call(f"Supervisor.count_children({{ZenMonitor.{one}, there}})") for one in SUPERVISORS),
        Call(f":supervisor.get_childspec({TOP}, ZenMonitor.Proxy.Supervisor)", STARTED),
        Call(f":supervisor.get_childspec({TOP}, :nothing)"),
        Call(f"Supervisor.terminate_child({TOP}, ZenMonitor.Proxy.Supervisor)"),
        Call(f"Supervisor.terminate_child({TOP}, ZenMonitor.Proxy.Supervisor)"),
        Call(f"Supervisor.which_children({TOP})"),
        Call("GenServer.call({ZenMonitor.Proxy, there}, :ping)"),
        Call(f"Supervisor.restart_child({TOP}, ZenMonitor.Proxy.Supervisor)"),
        Call(f"Supervisor.restart_child({TOP}, ZenMonitor.Proxy.Supervisor)"),
        Call("GenServer.call({ZenMonitor.Proxy, there}, :ping)"),
        Call(f"Supervisor.terminate_child({TOP}, :nothing)"),
        Call(f"Supervisor.restart_child({TOP}, :nothing)"),
        Call(f"Supervisor.delete_child({TOP}, ZenMonitor.Local.Supervisor)", DELETED),
        Call(f"Supervisor.delete_child({TOP}, :nothing)", DELETED),
        Call(f"Supervisor.start_child({TOP}, %{{id: 1}})", "no code of Elixir runs in ours"),
        Call(f"Supervisor.start_child({TOP}, :nonsense)"),
        *(Call(f"Supervisor.{word}_child({PROXIES}, ZenMonitor.Proxy)") for word in ("terminate", "restart")),
        Call("GenServer.call({ZenMonitor.Proxy, there}, :ping)"),
        Call(f"GenServer.call({PROXIES}, :batch_length)", "a supervisor of OTP ends for a call that it does not know"),
        Call(f"GenServer.cast({PROXIES}, :nonsense)"),
    ],
    "The application": [
        rpc("Application.spec", ":zen_monitor, :vsn"),
        rpc("Application.spec", ":zen_monitor, :mod"),
        rpc("Application.spec", ":zen_monitor, :description", "it says that this is pyzen"),
        rpc("Application.spec", ":zen_monitor, :nonsense"),
        rpc("Application.spec", ":nothing"),
        rpc("Application.get_application", "ZenMonitor.Local"),
        rpc("Application.get_env", ":zen_monitor, :nothing"),
        rpc("Application.get_env", ":zen_monitor, :nothing, :default"),
        rpc("Application.get_env", ":zen_monitor, :demand_interval"),
        rpc("Application.get_env", ":zen_monitor, :truncation_depth", IN_FORCE),
        rpc("Application.get_all_env", ":zen_monitor", IN_FORCE),
        rpc("Application.fetch_env", ":zen_monitor, :nothing"),
        rpc("Application.fetch_env", ":zen_monitor, :demand_interval"),
        rpc("Application.fetch_env!", ":zen_monitor, :nothing"),
        rpc("Application.put_env", ":zen_monitor, :demand_amount, 900"),
        rpc("Application.get_env", ":zen_monitor, :demand_amount"),
        rpc("ZenMonitor.Local.Dispatcher.demand_amount", ""),
        rpc("Application.delete_env", ":zen_monitor, :demand_amount"),
        rpc("ZenMonitor.Local.Dispatcher.demand_amount", ""),
        rpc("Application.put_env", ":zen_monitor, :gen_module, Manifold", "see `ZenMonitor.gen_module/1`"),
        rpc("Application.put_env", ":zen_monitor, :gen_module, GenServer"),
        rpc("Application.put_env", ":zen_monitor, :nothing, 1"),
        rpc("Application.get_env", ":zen_monitor, :nothing", "ours keeps nothing that nobody reads"),
        rpc("Application.load", ":zen_monitor"),
        rpc("Application.load", ":nothing"),
        rpc("Application.ensure_loaded", ":zen_monitor"),
        rpc("Application.ensure_started", ":zen_monitor"),
        rpc("Application.ensure_started", ":nothing"),
        rpc("Application.ensure_all_started", ":zen_monitor"),
        rpc("Application.ensure_all_started", ":nothing"),
        rpc("Application.start", ":zen_monitor"),
        rpc("Application.unload", ":zen_monitor"),
        Call(":lists.keyfind(:zen_monitor, 1, :rpc.call(there, Application, :started_applications, [])) |> elem(2)"),
        Call(":lists.keyfind(:zen_monitor, 1, :rpc.call(there, Application, :loaded_applications, [])) |> elem(2)"),
        Call(":lists.keyfind(:zen_monitor, 1, :rpc.call(there, :application, :which_applications, [])) |> elem(2)"),
        rpc(":application.get_key", ":zen_monitor, :vsn"),
        rpc(":application.get_env", ":zen_monitor, :nobody_has_set_this"),
        rpc("Application.stop", ":zen_monitor"),
        rpc("Application.stop", ":zen_monitor"),
        rpc("ZenMonitor.Proxy.ping", ""),
        rpc("ZenMonitor.Local.batch_length", ""),
        rpc("ZenMonitor.Local.Connector.get_for_node", "node()"),
        rpc("ZenMonitor.Metrics.table_size", "ZenMonitor.Local.Tables.References"),
        rpc(":ets.whereis", "ZenMonitor.Local.Tables.References"),
        Call(":lists.keyfind(:zen_monitor, 1, :rpc.call(there, Application, :started_applications, []))"),
        rpc("Application.start", ":zen_monitor", AGAIN),
        rpc("ZenMonitor.Proxy.ping", "", AGAIN),
    ],
}
