defmodule ZenMonitor.Local.Connector do
  @moduledoc """
  Speaks to the `ZenMonitor.Proxy` of one remote node, the own one included.

  There is one per remote, found under its node in the registry that carries this module's name.

    * It settles the compatibility of the remote by a ping and writes it into the cache (`nodes` of
      `ZenMonitor.Local.Tables`), from which everybody reads without asking it.
    * In: casts `{:monitor, target, reference, subscriber}` and `{:demonitor, target, reference}`; the first
      monitor of a target queues a subscribe, the end of its last one an unsubscribe.
    * Every `sweep_interval/0`: to a compatible remote goes one `{:process, self(), instructions}` with at most
      `chunk_size/0` of them; for an incompatible one every monitor fires `:nodedown`.
    * In: `{:dead, remote, certificates}`. Each matching monitor becomes a dispatch for `ZenMonitor.Local`.
    * The end of the remote node, or of its Proxy, fires every monitor with `:nodedown`.

  Latency: an instruction waits for at most one sweep, more when the queue is longer than a chunk.
  """
  use GenServer

  alias ZenMonitor.Local
  alias ZenMonitor.Local.Tables

  @chunk_size 5000
  @sweep_interval 100
  @base_penalty 1000
  @maximum_penalty 60_000
  # 2 ** 6 * 1000 is past the maximum already.
  @last_doubling 6

  @type compatibility :: :compatible | :incompatible
  @type cached_compatibility ::
          compatibility() | :miss | {:expired, attempts :: pos_integer()} | :unavailable

  defmodule State do
    @moduledoc """
    What a Connector knows.

      * `monitors`: ordered table of `{{target, reference}, subscriber}`
      * `batch`, `length`: instructions for the next sweeps
      * `proxy`: the monitor on the remote Proxy, `nil` without one
      * `node_monitored`: whether a `:nodedown` will come
    """
    @enforce_keys [:remote, :monitors]
    defstruct [:remote, :monitors, :proxy, node_monitored: false, batch: :queue.new(), length: 0]

    @type t :: %__MODULE__{
            remote: node(),
            monitors: :ets.tid(),
            proxy: reference() | nil,
            node_monitored: boolean(),
            batch: :queue.queue(),
            length: non_neg_integer()
          }
  end

  ## Client

  @spec start_link(node()) :: GenServer.on_start()
  def start_link(remote), do: GenServer.start_link(__MODULE__, remote)

  @doc "The Connector of the node that `target` lives on."
  @spec get(ZenMonitor.destination()) :: pid()
  def get(target), do: target |> ZenMonitor.find_node() |> get_for_node()

  @doc "The Connector of `remote`, started if need be."
  @spec get_for_node(node()) :: pid()
  def get_for_node(remote), do: ZenMonitor.Registry.lookup_or_start(__MODULE__, remote)

  @doc "Records a monitor; asynchronous."
  @spec monitor(ZenMonitor.destination(), reference(), pid()) :: :ok
  def monitor(target, reference, subscriber) do
    GenServer.cast(get(target), {:monitor, target, reference, subscriber})
  end

  @doc "Removes a monitor; asynchronous."
  @spec demonitor(ZenMonitor.destination(), reference()) :: :ok
  def demonitor(target, reference),
    do: GenServer.cast(get(target), {:demonitor, target, reference})

  @doc "The live references that `subscriber` has on `target`."
  @spec monitors(ZenMonitor.destination(), pid()) :: [reference()]
  def monitors(target, subscriber),
    do: GenServer.call(get(target), {:monitors, target, subscriber})

  @doc "The effective compatibility of `remote`: what is not known to be compatible is incompatible."
  @spec compatibility(node()) :: compatibility()
  def compatibility(remote) do
    if cached_compatibility(remote) == :compatible, do: :compatible, else: :incompatible
  end

  @doc "What the cache knows about `remote`."
  @spec cached_compatibility(node()) :: cached_compatibility()
  def cached_compatibility(remote) do
    case :ets.lookup(Tables.nodes(), remote) do
      [] -> :miss
      [{_remote, {:incompatible, until, attempt}}] -> in_force(until, attempt)
      [{_remote, status}] -> status
    end
  end

  @doc "Settles the compatibility of `remote`. Callers beside each other cause one ping."
  @spec connect(node()) :: compatibility()
  def connect(remote), do: remote |> get_for_node() |> GenServer.call(:connect)

  @doc "Milliseconds between two sweeps (`:connector_sweep_interval`)."
  @spec sweep_interval() :: pos_integer()
  def sweep_interval do
    Application.get_env(:zen_monitor, :connector_sweep_interval, @sweep_interval)
  end

  @doc "Changes `sweep_interval/0`."
  @spec sweep_interval(pos_integer()) :: :ok
  def sweep_interval(value) do
    Application.put_env(:zen_monitor, :connector_sweep_interval, value)
  end

  @doc "How many instructions a sweep sends at most (`:connector_chunk_size`)."
  @spec chunk_size() :: pos_integer()
  def chunk_size, do: Application.get_env(:zen_monitor, :connector_chunk_size, @chunk_size)

  @doc "Changes `chunk_size/0`."
  @spec chunk_size(pos_integer()) :: :ok
  def chunk_size(value), do: Application.put_env(:zen_monitor, :connector_chunk_size, value)

  ## Server

  @impl GenServer
  def init(remote) do
    schedule()
    {:ok, %State{remote: remote, monitors: :ets.new(:monitors, [:private, :ordered_set])}}
  end

  @impl GenServer
  def handle_call(:connect, _from, state) do
    {compatibility, state} = settle(state)
    {:reply, compatibility, state}
  end

  def handle_call({:monitors, target, subscriber}, _from, %State{monitors: monitors} = state) do
    references =
      for [reference] <- :ets.match(monitors, {{target, :"$1"}, subscriber}), do: reference

    {:reply, references, state}
  end

  @impl GenServer
  def handle_cast({:monitor, target, reference, subscriber}, %State{monitors: monitors} = state) do
    new? = not watched?(monitors, target)
    :ets.insert(monitors, {{target, reference}, subscriber})
    {:noreply, if(new?, do: push(state, {:subscribe, target}), else: state)}
  end

  def handle_cast({:demonitor, target, reference}, %State{monitors: monitors} = state) do
    :ets.delete(monitors, {target, reference})
    # Also for a reference that nobody knows.
    last? = not watched?(monitors, target)
    {:noreply, if(last?, do: push(state, {:unsubscribe, target}), else: state)}
  end

  @impl GenServer
  def handle_info(:sweep, state) do
    state =
      case settle(state) do
        {:compatible, state} -> send_chunk(state)
        {:incompatible, state} -> fire_all(state)
      end

    schedule()
    {:noreply, state}
  end

  def handle_info({:dead, remote, certificates}, %State{remote: remote} = state) do
    certificates
    |> Enum.reduce([], &fire(&1, &2, state.monitors))
    |> Enum.reverse()
    |> Local.enqueue()

    {:noreply, state}
  end

  def handle_info({:nodedown, remote}, %State{remote: remote} = state) do
    {:noreply, %{state | node_monitored: false} |> mark_unavailable() |> fire_all()}
  end

  def handle_info({:DOWN, proxy, :process, _name, reason}, %State{proxy: proxy} = state) do
    state = %{state | proxy: nil}

    state =
      if reason == :noconnection, do: mark_unavailable(state), else: mark_incompatible(state, 1)

    {:noreply, fire_all(state)}
  end

  # A reply that missed its ping, a summary of another node: nothing to do with them.
  def handle_info(_message, state), do: {:noreply, state}

  ## Compatibility

  defp in_force(until, attempt) do
    if until < ZenMonitor.now(), do: {:expired, attempt}, else: :incompatible
  end

  defp settle(%State{remote: remote} = state) do
    case cached_compatibility(remote) do
      :miss -> ping(state, 1)
      :unavailable -> ping(state, 1)
      {:expired, attempt} -> ping(state, attempt + 1)
      settled -> {settled, state}
    end
  end

  defp ping(%State{remote: remote} = state, attempt) do
    state =
      case known?(remote) && answer(remote) do
        :pong -> mark_compatible(state)
        unreachable when unreachable in [false, :nodedown] -> mark_unavailable(state)
        _other -> mark_incompatible(state, attempt)
      end

    {compatibility(remote), state}
  end

  # Hidden nodes are not in the list.
  defp known?(remote), do: remote == node() or remote in Node.list()

  defp answer(remote) do
    GenServer.call({ZenMonitor.Proxy, remote}, :ping)
  catch
    :exit, {{:nodedown, _remote}, _call} -> :nodedown
    :exit, _reason -> :failed
  end

  defp mark_compatible(%State{remote: remote} = state) do
    state = state |> monitor_node() |> monitor_proxy()
    :ets.insert(Tables.nodes(), {remote, :compatible})
    state
  end

  defp mark_incompatible(%State{remote: remote} = state, attempt) do
    until = ZenMonitor.now() + penalty(attempt)
    :ets.insert(Tables.nodes(), {remote, {:incompatible, until, attempt}})
    monitor_node(state)
  end

  defp mark_unavailable(%State{remote: remote} = state) do
    :ets.insert(Tables.nodes(), {remote, :unavailable})
    state
  end

  defp penalty(attempt) do
    min(@maximum_penalty, @base_penalty * Integer.pow(2, min(attempt, @last_doubling)))
  end

  defp monitor_node(%State{node_monitored: true} = state), do: state

  defp monitor_node(%State{remote: remote} = state) do
    Node.monitor(remote, true)
    %{state | node_monitored: true}
  end

  defp monitor_proxy(%State{proxy: nil, remote: remote} = state) do
    %{state | proxy: Process.monitor({ZenMonitor.Proxy, remote})}
  end

  defp monitor_proxy(state), do: state

  ## Instructions

  defp push(%State{batch: batch, length: length} = state, instruction) do
    %{state | batch: :queue.in(instruction, batch), length: length + 1}
  end

  defp send_chunk(%State{length: 0} = state), do: state

  defp send_chunk(%State{batch: batch, length: length, remote: remote} = state) do
    count = min(length, chunk_size())
    {chunk, batch} = :queue.split(count, batch)
    GenServer.cast({ZenMonitor.Proxy, remote}, {:process, self(), :queue.to_list(chunk)})
    %{state | batch: batch, length: length - count}
  end

  defp schedule, do: Process.send_after(self(), :sweep, sweep_interval())

  ## Monitors

  # The rows of a target stand together. A target is a pattern here: the name `_` stands for every name of its node,
  # names such as `$1` for none.
  defp watched?(monitors, target) do
    :ets.match(monitors, {{target, :_}, :_}, 1) != :"$end_of_table"
  end

  defp fire({target, _reason} = certificate, fired, monitors) do
    Enum.reduce(:ets.match(monitors, {{target, :"$1"}, :"$2"}), fired, fn row, fired ->
      [reference, subscriber] = row
      :ets.delete(monitors, {target, reference})
      [dispatch(subscriber, reference, certificate) | fired]
    end)
  end

  defp fire_all(%State{monitors: monitors} = state) do
    dispatches =
      for {{target, reference}, subscriber} <- :ets.tab2list(monitors) do
        dispatch(subscriber, reference, {target, :nodedown})
      end

    :ets.delete_all_objects(monitors)
    Local.enqueue(dispatches)
    %{state | batch: :queue.new(), length: 0}
  end

  defp dispatch(subscriber, reference, {target, reason}) do
    {subscriber, {:DOWN, reference, :process, target, {:zen_monitor, reason}}}
  end
end
