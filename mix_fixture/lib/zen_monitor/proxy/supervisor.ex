defmodule ZenMonitor.Proxy.Supervisor do
  @moduledoc "Keeps the half that is asked. Each child uses the ones before it: `rest_for_one`."
  use Supervisor

  alias ZenMonitor.Proxy
  alias ZenMonitor.Proxy.{Batcher, Tables}

  @spec start_link(term()) :: Supervisor.on_start()
  def start_link(argument), do: Supervisor.start_link(__MODULE__, argument, name: __MODULE__)

  @impl Supervisor
  def init(_argument) do
    Supervisor.init([Tables, Proxy, {ZenMonitor.Registry, Batcher}], strategy: :rest_for_one)
  end
end
