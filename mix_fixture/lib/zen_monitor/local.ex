defmodule ZenMonitor.Local do
  @moduledoc """
  Takes monitors and demonitors, and holds the down dispatches until somebody wants them.

  Both client functions work mostly in the caller: the row of the reference goes straight into
  `ZenMonitor.Local.Tables`, the rest is casts.

    * In: `{:watch, subscriber}` (one reciprocal monitor per subscriber), `{:enqueue, dispatches}` from the
      Connectors, `{:take, amount}` from the Dispatcher, the `:DOWN` of a subscriber.
    * Out: a demonitor to the Connector for each reference of a subscriber that ended.

  Latency: a queued dispatch waits for the next tick of `ZenMonitor.Local.Dispatcher`.
  """
  use GenServer

  alias ZenMonitor.Local.{Connector, Tables}

  @hibernation_threshold 1000

  @typedoc "A `:DOWN` message and who gets it."
  @type down_dispatch :: {subscriber :: pid(), message :: tuple()}

  ## Client

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(argument), do: GenServer.start_link(__MODULE__, argument, name: __MODULE__)

  @doc "Watches `target` for the calling process."
  @spec monitor(ZenMonitor.destination()) :: reference()
  def monitor(target) do
    subscriber = self()
    reference = make_ref()
    GenServer.cast(__MODULE__, {:watch, subscriber})
    :ets.insert(Tables.references(), {{subscriber, reference}, target})
    Connector.monitor(target, reference, subscriber)
    reference
  end

  @doc "Ends a monitor of the calling process. Unknown references do nothing."
  @spec demonitor(reference(), [:flush]) :: true
  def demonitor(reference, options \\ []) do
    case :ets.take(Tables.references(), {self(), reference}) do
      [{_key, target}] -> Connector.demonitor(target, reference)
      [] -> :ok
    end

    if :flush in options, do: flush(reference)
    true
  end

  @doc "Queues dispatches, in order."
  @spec enqueue([down_dispatch()]) :: :ok
  def enqueue([]), do: :ok
  def enqueue(dispatches), do: GenServer.cast(__MODULE__, {:enqueue, dispatches})

  @doc "Takes at most `amount` of the oldest queued dispatches."
  @spec take(pos_integer()) :: [down_dispatch()]
  def take(amount), do: GenServer.call(__MODULE__, {:take, amount}, :infinity)

  @doc "How many dispatches are queued."
  @spec queued() :: non_neg_integer()
  def queued, do: GenServer.call(__MODULE__, :queued, :infinity)

  @doc "After how many dispatches an empty queue hibernates (`:hibernation_threshold`)."
  @spec hibernation_threshold() :: pos_integer()
  def hibernation_threshold do
    Application.get_env(:zen_monitor, :hibernation_threshold, @hibernation_threshold)
  end

  @doc "Changes `hibernation_threshold/0`."
  @spec hibernation_threshold(pos_integer()) :: :ok
  def hibernation_threshold(value) do
    Application.put_env(:zen_monitor, :hibernation_threshold, value)
  end

  ## Server

  @impl GenServer
  def init(_argument) do
    {:ok, %{subscribers: %{}, queue: :queue.new(), length: 0, taken: 0}}
  end

  @impl GenServer
  def handle_call({:take, _amount}, _from, %{length: 0} = state), do: {:reply, [], state}

  def handle_call({:take, amount}, _from, %{queue: queue, length: length} = state) do
    count = min(amount, length)
    {dispatches, queue} = take(queue, count)
    state = %{state | queue: queue, length: length - count, taken: state.taken + count}
    rest(dispatches, state)
  end

  def handle_call(:queued, _from, state), do: {:reply, state.length, state}

  @impl GenServer
  def handle_cast({:watch, subscriber}, %{subscribers: subscribers} = state)
      when is_map_key(subscribers, subscriber) do
    {:noreply, state}
  end

  def handle_cast({:watch, subscriber}, %{subscribers: subscribers} = state) do
    watch = Process.monitor(subscriber)
    {:noreply, %{state | subscribers: Map.put(subscribers, subscriber, watch)}}
  end

  def handle_cast({:enqueue, dispatches}, %{queue: queue, length: length} = state) do
    count = length(dispatches)
    {:noreply, %{state | queue: :queue.in({count, dispatches}, queue), length: length + count}}
  end

  @impl GenServer
  def handle_info({:DOWN, _watch, :process, subscriber, _reason}, state) do
    references = Tables.references()

    for [reference, target] <- :ets.match(references, {{subscriber, :"$1"}, :"$2"}) do
      :ets.delete(references, {subscriber, reference})
      Connector.demonitor(target, reference)
    end

    {:noreply, %{state | subscribers: Map.delete(state.subscribers, subscriber)}}
  end

  ## Private

  # The queue holds the batches as they came, each with its length; the first may be what is left of one.
  defp take(queue, 0), do: {[], queue}

  defp take(queue, amount) do
    {{:value, {count, batch}}, queue} = :queue.out(queue)

    if count <= amount do
      {others, queue} = take(queue, amount - count)
      {batch ++ others, queue}
    else
      {taken, left} = Enum.split(batch, amount)
      {taken, :queue.in_r({count - amount, left}, queue)}
    end
  end

  defp rest(dispatches, %{length: 0} = state) do
    if state.taken >= hibernation_threshold(),
      do: {:reply, dispatches, %{state | taken: 0}, :hibernate},
      else: {:reply, dispatches, state}
  end

  defp rest(dispatches, state), do: {:reply, dispatches, state}

  defp flush(reference) do
    receive do
      {:DOWN, ^reference, :process, _target, _reason} -> :ok
    after
      0 -> :ok
    end
  end
end
