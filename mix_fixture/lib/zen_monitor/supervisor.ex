defmodule ZenMonitor.Supervisor do
  @moduledoc "Keeps the two halves, Local and Proxy. Neither needs the other: `one_for_one`."
  use Supervisor

  @spec start_link(term()) :: Supervisor.on_start()
  def start_link(argument), do: Supervisor.start_link(__MODULE__, argument, name: __MODULE__)

  @impl Supervisor
  def init(_argument) do
    Supervisor.init([ZenMonitor.Local.Supervisor, ZenMonitor.Proxy.Supervisor],
      strategy: :one_for_one
    )
  end
end
