defmodule ZenMonitor.Local.Dispatcher do
  @moduledoc """
  Delivers `:DOWN` messages at a bounded rate.

  Every `demand_interval/0` it takes up to `demand_amount/0` dispatches from `ZenMonitor.Local` and sends those
  whose reference still stands; what was skipped is made up in the same tick, what was not needed lapses.
  Latency: up to one interval, more when the queue is longer than `demand_amount/0`.
  """
  use GenServer

  alias ZenMonitor.Local
  alias ZenMonitor.Local.Tables

  @demand_interval 100
  @demand_amount 1000

  ## Client

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(argument), do: GenServer.start_link(__MODULE__, argument, name: __MODULE__)

  @doc "Milliseconds between two ticks (`:demand_interval`)."
  @spec demand_interval() :: pos_integer()
  def demand_interval do
    Application.get_env(:zen_monitor, :demand_interval, @demand_interval)
  end

  @doc "Changes `demand_interval/0`."
  @spec demand_interval(pos_integer()) :: :ok
  def demand_interval(value), do: Application.put_env(:zen_monitor, :demand_interval, value)

  @doc "How many messages a tick delivers at most (`:demand_amount`)."
  @spec demand_amount() :: pos_integer()
  def demand_amount, do: Application.get_env(:zen_monitor, :demand_amount, @demand_amount)

  @doc "Changes `demand_amount/0`."
  @spec demand_amount(pos_integer()) :: :ok
  def demand_amount(value), do: Application.put_env(:zen_monitor, :demand_amount, value)

  @doc "The highest rate of delivery, in messages per second."
  @spec maximum_mps() :: float()
  def maximum_mps, do: demand_amount() * 1000 / demand_interval()

  ## Server

  @impl GenServer
  def init(_argument) do
    schedule()
    {:ok, nil}
  end

  @impl GenServer
  def handle_info(:generate_demand, state) do
    deliver(demand_amount())
    schedule()
    {:noreply, state}
  end

  ## Private

  defp deliver(amount) do
    dispatches = Local.take(amount)
    skipped = Enum.reduce(dispatches, 0, &deliver_one/2)
    # Fewer than asked for: the queue is empty, and the rest of the demand lapses.
    if skipped > 0 and length(dispatches) == amount, do: deliver(skipped), else: :ok
  end

  defp deliver_one({subscriber, {:DOWN, reference, :process, _, _} = message}, skipped) do
    case :ets.take(Tables.references(), {subscriber, reference}) do
      [] ->
        skipped + 1

      [_row] ->
        send(subscriber, message)
        skipped
    end
  end

  defp schedule, do: Process.send_after(self(), :generate_demand, demand_interval())
end
