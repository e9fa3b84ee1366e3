defmodule ZenMonitor.SettingsTest do
  @moduledoc "Names, units and defaults of the settings."
  use ExUnit.Case

  alias ZenMonitor.Local.{Connector, Dispatcher}
  alias ZenMonitor.Proxy.Batcher
  alias ZenMonitor.Truncator

  @settings [
    {:connector_sweep_interval, Connector, :sweep_interval, 100},
    {:connector_chunk_size, Connector, :chunk_size, 5000},
    {:batcher_sweep_interval, Batcher, :sweep_interval, 100},
    {:batcher_chunk_size, Batcher, :chunk_size, 5000},
    {:batcher_lookup_timeout, Batcher, :lookup_timeout, 30_000},
    {:demand_interval, Dispatcher, :demand_interval, 100},
    {:demand_amount, Dispatcher, :demand_amount, 1000},
    {:hibernation_threshold, ZenMonitor.Local, :hibernation_threshold, 1000},
    {:max_binary_size, Truncator, :max_binary_size, 1024},
    {:truncation_depth, Truncator, :truncation_depth, 3}
  ]

  for {key, module, function, default} <- @settings do
    test "#{key} is #{default} and can be changed" do
      on_exit(fn -> Application.delete_env(:zen_monitor, unquote(key)) end)
      assert apply(unquote(module), unquote(function), []) == unquote(default)

      assert apply(unquote(module), unquote(function), [7]) == :ok

      assert apply(unquote(module), unquote(function), []) == 7
      assert Application.get_env(:zen_monitor, unquote(key)) == 7
    end
  end

  test "maximum_mps follows from amount and interval" do
    assert Dispatcher.maximum_mps() == 10_000.0
  end

  test "every name of the original is registered" do
    names = ~w(Supervisor Local.Supervisor Local.Tables Local Local.Connector Local.Dispatcher
               Proxy.Supervisor Proxy.Tables Proxy Proxy.Batcher)

    for name <- names do
      assert [ZenMonitor, name] |> Module.concat() |> Process.whereis() |> is_pid()
    end
  end
end
