defmodule ZenMonitor.Local.Supervisor do
  @moduledoc """
  Keeps the half that watches.

  The order carries weight: each child uses the ones before it, and loses what it knows when one of
  those restarts, hence `rest_for_one`.
  """
  use Supervisor

  alias ZenMonitor.Local
  alias ZenMonitor.Local.{Connector, Dispatcher, Tables}

  @spec start_link(term()) :: Supervisor.on_start()
  def start_link(argument), do: Supervisor.start_link(__MODULE__, argument, name: __MODULE__)

  @impl Supervisor
  def init(_argument) do
    Supervisor.init([Tables, Local, {ZenMonitor.Registry, Connector}, Dispatcher],
      strategy: :rest_for_one
    )
  end
end
