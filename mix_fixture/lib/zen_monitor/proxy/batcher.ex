defmodule ZenMonitor.Proxy.Batcher do
  @moduledoc """
  Collects death certificates for one subscriber, a Connector, and sends them as dead summaries.

  There is one per subscriber, found in the registry that carries this module's name, started by the first
  certificate.

    * In: the cast `{:enqueue, target, reason}`; `:DOWN` of the subscriber, which ends the Batcher after it has
      deleted the subscriber's rows.
    * Every `sweep_interval/0`, when there is something to tell: `{:dead, node(), certificates}` with at most
      `chunk_size/0` of them, in the order of death, sent without dialling.

  Latency: at most one sweep, more when the queue is longer than a chunk.
  """
  use GenServer

  alias ZenMonitor.Proxy.Tables

  @sweep_interval 100
  @chunk_size 5000
  @lookup_timeout 30_000

  ## Client

  @spec start_link(pid()) :: GenServer.on_start()
  def start_link(subscriber), do: GenServer.start_link(__MODULE__, subscriber)

  @doc "The Batcher of `subscriber`, started if need be."
  @spec get(pid()) :: pid()
  def get(subscriber) do
    ZenMonitor.Registry.lookup_or_start(__MODULE__, subscriber, lookup_timeout())
  end

  @doc "Adds a certificate to the next summary for `subscriber`."
  @spec enqueue(subscriber :: pid(), ZenMonitor.destination(), reason :: term()) :: :ok
  def enqueue(subscriber, target, reason) do
    GenServer.cast(get(subscriber), {:enqueue, target, reason})
  end

  @doc "Milliseconds between two sweeps (`:batcher_sweep_interval`)."
  @spec sweep_interval() :: pos_integer()
  def sweep_interval do
    Application.get_env(:zen_monitor, :batcher_sweep_interval, @sweep_interval)
  end

  @doc "Changes `sweep_interval/0`."
  @spec sweep_interval(pos_integer()) :: :ok
  def sweep_interval(value), do: Application.put_env(:zen_monitor, :batcher_sweep_interval, value)

  @doc "How many certificates a summary has at most (`:batcher_chunk_size`)."
  @spec chunk_size() :: pos_integer()
  def chunk_size, do: Application.get_env(:zen_monitor, :batcher_chunk_size, @chunk_size)

  @doc "Changes `chunk_size/0`."
  @spec chunk_size(pos_integer()) :: :ok
  def chunk_size(value), do: Application.put_env(:zen_monitor, :batcher_chunk_size, value)

  @doc "How long the Proxy waits for a Batcher to start, in milliseconds (`:batcher_lookup_timeout`)."
  @spec lookup_timeout() :: timeout()
  def lookup_timeout do
    Application.get_env(:zen_monitor, :batcher_lookup_timeout, @lookup_timeout)
  end

  @doc "Changes `lookup_timeout/0`."
  @spec lookup_timeout(timeout()) :: :ok
  def lookup_timeout(value), do: Application.put_env(:zen_monitor, :batcher_lookup_timeout, value)

  ## Server

  @impl GenServer
  def init(subscriber) do
    Process.monitor(subscriber)
    schedule()
    {:ok, %{subscriber: subscriber, batch: :queue.new(), length: 0}}
  end

  @impl GenServer
  def handle_cast({:enqueue, target, reason}, %{batch: batch, length: length} = state) do
    {:noreply, %{state | batch: :queue.in({target, reason}, batch), length: length + 1}}
  end

  @impl GenServer
  def handle_info(:sweep, state) do
    schedule()
    {:noreply, send_chunk(state)}
  end

  def handle_info({:DOWN, _monitor, :process, subscriber, _}, %{subscriber: subscriber} = state) do
    Tables.forget(subscriber)
    {:stop, :normal, state}
  end

  ## Private

  defp send_chunk(%{length: 0} = state), do: state

  defp send_chunk(%{batch: batch, length: length, subscriber: subscriber} = state) do
    count = min(length, chunk_size())
    {chunk, batch} = :queue.split(count, batch)
    Process.send(subscriber, {:dead, node(), :queue.to_list(chunk)}, [:noconnect])
    %{state | batch: batch, length: length - count}
  end

  defp schedule, do: Process.send_after(self(), :sweep, sweep_interval())
end
