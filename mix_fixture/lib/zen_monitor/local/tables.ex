defmodule ZenMonitor.Local.Tables do
  @moduledoc """
  Owns the tables of the Local half, and does nothing else that could fail.

    * `nodes`: `{remote, :compatible | :unavailable | {:incompatible, until, attempt}}`
    * `references`: `{{subscriber, reference}, target}`, until the Dispatcher or a demonitor consumes the row
  """
  use GenServer

  @nodes __MODULE__.Nodes
  @references __MODULE__.References

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(argument), do: GenServer.start_link(__MODULE__, argument, name: __MODULE__)

  @doc "The table of compatibilities."
  @spec nodes() :: :ets.tab()
  def nodes, do: @nodes

  @doc "The table of references that still stand."
  @spec references() :: :ets.tab()
  def references, do: @references

  @impl GenServer
  def init(_argument) do
    :ets.new(@nodes, [:named_table, :public, :set, read_concurrency: true])
    :ets.new(@references, [:named_table, :public, :ordered_set, write_concurrency: true])
    {:ok, nil}
  end
end
