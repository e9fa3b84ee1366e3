defmodule ZenMonitor.Proxy.Tables do
  @moduledoc """
  Owns the table of the Proxy half: one row `{{target, subscriber}}` per subscription, from the subscribe to the
  death. The rows of a target stand together.
  """
  use GenServer

  @subscribers __MODULE__.Subscribers

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(argument), do: GenServer.start_link(__MODULE__, argument, name: __MODULE__)

  @doc "The table of subscriptions."
  @spec subscribers() :: :ets.tab()
  def subscribers, do: @subscribers

  @doc "Adds a subscription."
  @spec subscribe(ZenMonitor.destination(), pid()) :: true
  def subscribe(target, subscriber), do: :ets.insert(@subscribers, {{target, subscriber}})

  @doc "Deletes a subscription."
  @spec unsubscribe(ZenMonitor.destination(), pid()) :: true
  def unsubscribe(target, subscriber), do: :ets.delete(@subscribers, {target, subscriber})

  @doc """
  Deletes all subscriptions to `target`; answers who had one.

  A target is a pattern here: the name `_` stands for every name of its node, names such as `$1` for none.
  """
  @spec withdraw(ZenMonitor.destination()) :: [pid()]
  def withdraw(target) do
    for [subscriber] <- :ets.match(@subscribers, {{target, :"$1"}}) do
      :ets.delete(@subscribers, {target, subscriber})
      subscriber
    end
  end

  @doc "Deletes all subscriptions of `subscriber`: a walk over the whole table."
  @spec forget(pid()) :: true
  def forget(subscriber), do: :ets.match_delete(@subscribers, {{:_, subscriber}})

  @impl GenServer
  def init(_argument) do
    :ets.new(@subscribers, [:named_table, :public, :ordered_set])
    {:ok, nil}
  end
end
