defmodule ZenMonitor do
  @moduledoc """
  Process monitors by the hundred thousand, without one ERTS monitor per watcher over the wire.

  This is a stand-in for Discord's ZenMonitor 2.1.0: it registers the same names, speaks the same messages
  and keeps the same settings, and was written from a description of those. Its faults are the
  original's where a peer can see them, because it is there to be watched by other implementations:

    * a stray message, an unknown instruction or a bad target kills `ZenMonitor.Proxy`;
    * a `ZenMonitor.Local.Connector` keeps its pid over any number of connections;
    * a `ZenMonitor.Proxy.Batcher` is started by the first death that it has to report;
    * hidden nodes, and nodes not yet connected, count as down;
    * a bare local name as a target never fires, and a monitor of the name `_` fires those of all other names;
    * what was demonitored in the same sweep, or never monitored, is unsubscribed all the same;
    * the ERTS monitor of a target stays when nobody is subscribed any more.

  `monitor/1` returns a reference; when the target ends the caller receives

      {:DOWN, reference, :process, target, {:zen_monitor, reason}}

  Latency from death to message: at most one sweep of the Batcher, the network, one tick of the Dispatcher.
  """

  alias ZenMonitor.Local
  alias ZenMonitor.Local.Connector

  @typedoc "What can be watched."
  @type destination :: pid() | {name :: atom(), node()} | (name :: atom())

  @doc "Watches `target` for the calling process."
  @spec monitor(destination()) :: reference()
  defdelegate monitor(target), to: Local

  @doc "Ends a monitor of the calling process; with `[:flush]` an unread message of it goes too."
  @spec demonitor(reference(), [:flush]) :: true
  defdelegate demonitor(reference, options \\ []), to: Local

  @doc "Tells from the cache whether the node of `target` carries a compatible ZenMonitor."
  @spec compatibility(destination()) :: Connector.compatibility()
  def compatibility(target), do: target |> find_node() |> Connector.compatibility()

  @doc "Tells from the cache whether `remote` carries a compatible ZenMonitor."
  @spec compatibility_for_node(node()) :: Connector.compatibility()
  defdelegate compatibility_for_node(remote), to: Connector, as: :compatibility

  @doc "Settles the compatibility of `remote`, by a ping when the cache does not know it."
  @spec connect(node()) :: Connector.compatibility()
  defdelegate connect(remote), to: Connector

  @doc "The node that `target` lives on."
  @spec find_node(destination()) :: node()
  def find_node(target) when is_pid(target), do: node(target)
  def find_node({name, remote}) when is_atom(name) and is_atom(remote), do: remote
  def find_node(name) when is_atom(name), do: node()

  @doc "Monotonic time in milliseconds, the clock of all penalties."
  @spec now() :: integer()
  def now, do: System.monotonic_time(:millisecond)
end
