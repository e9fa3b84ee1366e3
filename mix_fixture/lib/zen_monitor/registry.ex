defmodule ZenMonitor.Registry do
  @moduledoc """
  Starts and finds one process per key.

  Registered, as is its table, under the module of its children. Looking up reads the table in the caller;
  only starting goes through the process, which also makes sure that two callers get one child.
  """
  use GenServer

  @type key :: term()

  ## Client

  @spec child_spec(module()) :: Supervisor.child_spec()
  def child_spec(module) do
    %{id: module, start: {__MODULE__, :start_link, [module]}, type: :supervisor}
  end

  @spec start_link(module()) :: GenServer.on_start()
  def start_link(module), do: GenServer.start_link(__MODULE__, module, name: module)

  @doc "The process of `key`, if there is one."
  @spec lookup(module(), key()) :: pid() | nil
  def lookup(module, key) do
    case :ets.lookup(module, key) do
      [{^key, pid}] -> pid
      [] -> nil
    end
  end

  @doc "The process of `key`, started by `module.start_link(key)` if there is none."
  @spec lookup_or_start(module(), key(), timeout()) :: pid()
  def lookup_or_start(module, key, timeout \\ 5000) do
    lookup(module, key) || GenServer.call(module, {:lookup_or_start, key}, timeout)
  end

  ## Server

  @impl GenServer
  def init(module) do
    Process.flag(:trap_exit, true)
    :ets.new(module, [:named_table, :set, :protected, read_concurrency: true])
    {:ok, %{module: module, keys: %{}}}
  end

  @impl GenServer
  def handle_call({:lookup_or_start, key}, _from, %{module: module} = state) do
    case lookup(module, key) do
      nil -> start_child(key, state)
      pid -> {:reply, pid, state}
    end
  end

  @impl GenServer
  def handle_info({:EXIT, pid, _reason}, %{module: module, keys: keys} = state) do
    {key, keys} = Map.pop(keys, pid)
    :ets.delete(module, key)
    {:noreply, %{state | keys: keys}}
  end

  ## Private

  defp start_child(key, %{module: module, keys: keys} = state) do
    {:ok, pid} = module.start_link(key)
    :ets.insert(module, {key, pid})
    {:reply, pid, %{state | keys: Map.put(keys, pid, key)}}
  end
end
