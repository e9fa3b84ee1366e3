defmodule ZenMonitor.Proxy do
  @moduledoc """
  Watches processes of this node for the Connectors of other nodes.

    * In: the call `:ping`, answered `:pong`: that is what makes a node compatible.
    * In: the cast `{:process, subscriber, instructions}`, each `{:subscribe, target}` or
      `{:unsubscribe, target}`; also the older `{:subscribe, subscriber, targets}`. One ERTS monitor serves all
      subscribers of a target. It stays when they unsubscribe, and serves later ones, whoever has the name by then.
    * In: `:DOWN` of a target. Each subscriber's Batcher gets a certificate with the truncated reason.

  Anything else kills it, and a dead Proxy means to every Connector that this whole node is down.
  Latency: none of its own, apart from the start of a Batcher at the first death for a subscriber.
  """
  use GenServer

  alias ZenMonitor.Proxy.{Batcher, Tables}
  alias ZenMonitor.Truncator

  ## Client

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(argument), do: GenServer.start_link(__MODULE__, argument, name: __MODULE__)

  @doc "Asks the Proxy of this node for a sign of life."
  @spec ping() :: :pong
  def ping, do: GenServer.call(__MODULE__, :ping)

  @doc "Subscribes `subscriber` to each of `targets`."
  @spec subscribe(pid(), [ZenMonitor.destination()]) :: :ok
  def subscribe(subscriber, targets) do
    GenServer.cast(__MODULE__, {:subscribe, subscriber, targets})
  end

  ## Server

  @impl GenServer
  def init(_argument), do: {:ok, :ets.new(:monitored, [:private, :set])}

  @impl GenServer
  def handle_call(:ping, _from, monitored), do: {:reply, :pong, monitored}

  @impl GenServer
  def handle_cast({:process, subscriber, instructions}, monitored) do
    Enum.each(instructions, &obey(&1, subscriber, monitored))
    {:noreply, monitored}
  end

  def handle_cast({:subscribe, subscriber, targets}, monitored) do
    Enum.each(targets, &obey({:subscribe, &1}, subscriber, monitored))
    {:noreply, monitored}
  end

  @impl GenServer
  def handle_info({:DOWN, _monitor, :process, target, reason}, monitored) do
    :ets.delete(monitored, target)

    case Tables.withdraw(target) do
      [] -> :ok
      subscribers -> certify(subscribers, target, Truncator.truncate(reason))
    end

    {:noreply, monitored}
  end

  ## Private

  defp obey({:subscribe, target}, subscriber, monitored) do
    Tables.subscribe(target, subscriber)
    :ets.insert_new(monitored, {target}) && Process.monitor(target)
  end

  defp obey({:unsubscribe, target}, subscriber, _monitored) do
    Tables.unsubscribe(target, subscriber)
  end

  defp certify(subscribers, target, reason) do
    Enum.each(subscribers, &Batcher.enqueue(&1, target, reason))
  end
end
