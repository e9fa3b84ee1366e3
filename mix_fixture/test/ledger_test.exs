defmodule Fixture.LedgerTest do
  @moduledoc "A subscriber's books, by the commands that reach them."
  use ExUnit.Case

  alias Fixture.{Commands, Format, Ledger}

  setup do
    Ledger.clear()
    on_exit(&Ledger.clear/0)
  end

  test "each subscriber has books of its own" do
    one = spawn_idle()
    subscriber = run("subscriber", "other")

    assert run("monitor", "erts #{Format.encode([one])}") == 1
    assert run("by", "other monitor erts #{Format.encode([one, one])}") == 2

    assert {:fields, [{:monitors, 1} | _]} = Commands.run("ledger", "")
    assert {:fields, [{:monitors, 2} | _]} = Commands.run("by", "other ledger")
    assert Process.info(subscriber, :registered_name) == {:registered_name, :other}
    Process.exit(subscriber, :kill)
  end

  test "a subscriber that is held answers, and leaves its downs unread" do
    [one, other] = [spawn_idle(), spawn_idle()]
    run("monitor", "erts #{Format.encode([one, other])}")
    run("hold", "")

    Process.exit(one, :kill)
    Process.exit(other, :kill)
    await(fn -> run("unread", "") == 2 end)
    assert run("downs", "") == []
    run("demonitor", "0 1 flush")
    assert run("unread", "") == 1
    run("read", "")

    await(fn -> run("downs", "") == [{1, other, :killed}] end)
    assert Ledger.summary()[:late] == 0
  end

  test "what no subscriber knows is an error" do
    assert_raise ArgumentError, fn -> Commands.run("by", "other nonsense 1") end
  end

  defp run(command, arguments) do
    {:term, value} = Commands.run(command, arguments)
    value
  end

  defp spawn_idle, do: spawn(fn -> Process.sleep(:infinity) end)

  defp await(condition, tries \\ 500) do
    cond do
      condition.() -> :ok
      tries == 0 -> flunk("still not true")
      true -> Process.sleep(10) && await(condition, tries - 1)
    end
  end
end
