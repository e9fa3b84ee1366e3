defmodule ZenMonitor.Application do
  @moduledoc "Starts `ZenMonitor.Supervisor` as the application `:zen_monitor`."
  use Application

  @impl Application
  @spec start(Application.start_type(), term()) :: Supervisor.on_start()
  def start(_type, _arguments), do: ZenMonitor.Supervisor.start_link([])
end
