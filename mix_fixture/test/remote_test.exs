defmodule ZenMonitor.RemoteTest do
  @moduledoc "The stand-in between two nodes."
  use ExUnit.Case

  alias ZenMonitor.Local.Connector
  alias ZenMonitor.Proxy

  setup do
    {peer, node} = start_peer()
    assert ZenMonitor.connect(node) == :compatible
    %{peer: peer, node: node}
  end

  test "a death is reported once, with its reason wrapped", %{node: node} do
    [pid] = spawn_there(node, 1)
    reference = ZenMonitor.monitor(pid)
    await_subscriptions(node, 1)

    Process.exit(pid, {:because, 1})

    assert_receive {:DOWN, ^reference, :process, ^pid, {:zen_monitor, {:because, 1}}}
    await_subscriptions(node, 0)
    refute_received {:DOWN, _, _, _, _}
  end

  test "every reference of a target fires", %{node: node} do
    [pid] = spawn_there(node, 1)
    references = for _ <- 1..3, do: ZenMonitor.monitor(pid)
    await_subscriptions(node, 1)

    assert Enum.sort(Connector.monitors(pid, self())) == Enum.sort(references)
    Process.exit(pid, :boom)

    for reference <- references do
      assert_receive {:DOWN, ^reference, :process, ^pid, {:zen_monitor, :boom}}
    end

    assert Connector.monitors(pid, self()) == []
  end

  test "a registered name is watched as it was named", %{node: node} do
    pid = :erpc.call(node, Fixture.Processes, :name, [:somebody])
    reference = ZenMonitor.monitor({:somebody, node})
    await_subscriptions(node, 1)

    Process.exit(pid, :gone)

    assert_receive {:DOWN, ^reference, :process, {:somebody, ^node}, {:zen_monitor, :gone}}
  end

  test "a dead process and an unknown name give noproc", %{node: node} do
    dead = evaluate(node, "spawn(fn -> :ok end)")

    one = ZenMonitor.monitor(dead)
    other = ZenMonitor.monitor({:nobody, node})

    assert_receive {:DOWN, ^one, :process, ^dead, {:zen_monitor, :noproc}}
    assert_receive {:DOWN, ^other, :process, {:nobody, ^node}, {:zen_monitor, :noproc}}
  end

  test "a demonitored process is unsubscribed and stays silent", %{node: node} do
    [pid] = spawn_there(node, 1)
    reference = ZenMonitor.monitor(pid)
    await_subscriptions(node, 1)

    assert ZenMonitor.demonitor(reference, [:flush])
    await_subscriptions(node, 0)
    Process.exit(pid, :boom)

    refute_receive {:DOWN, ^reference, _, _, _}, 500
  end

  test "the end of a subscriber unsubscribes its targets", %{node: node} do
    [pid] = spawn_there(node, 1)

    subscriber =
      spawn(fn -> pid |> ZenMonitor.monitor() |> then(&receive(do: (^&1 -> :never))) end)

    await_subscriptions(node, 1)

    Process.exit(subscriber, :kill)

    await_subscriptions(node, 0)
  end

  test "the loss of the node fires what is left", %{peer: peer, node: node} do
    pids = spawn_there(node, 100)
    references = Enum.map(pids, &ZenMonitor.monitor/1)
    await_subscriptions(node, 100)

    :peer.stop(peer)

    for reference <- references do
      assert_receive {:DOWN, ^reference, :process, _pid, {:zen_monitor, :nodedown}}
    end

    assert ZenMonitor.compatibility_for_node(node) == :incompatible
    assert Connector.cached_compatibility(node) == :unavailable
  end

  test "the loss of the Proxy fires what is left, and is forgiven after the penalty", %{
    node: node
  } do
    [pid] = spawn_there(node, 1)
    reference = ZenMonitor.monitor(pid)
    await_subscriptions(node, 1)

    evaluate(node, "Process.exit(Process.whereis(ZenMonitor.Proxy), :kill)")

    assert_receive {:DOWN, ^reference, :process, ^pid, {:zen_monitor, :nodedown}}
    assert Connector.cached_compatibility(node) == :incompatible
    until(fn -> Connector.cached_compatibility(node) == :compatible end)
  end

  test "a node without ZenMonitor is incompatible for a while", %{node: node} do
    :erpc.call(node, Application, :stop, [:zen_monitor])
    until(fn -> Connector.cached_compatibility(node) == :incompatible end)
    [pid] = spawn_there(node, 1)

    reference = ZenMonitor.monitor(pid)

    assert_receive {:DOWN, ^reference, :process, ^pid, {:zen_monitor, :nodedown}}
  end

  test "a dead summary has the agreed shape", %{node: node} do
    [one, other] = spawn_there(node, 2)
    GenServer.cast({Proxy, node}, {:process, self(), [{:subscribe, one}, {:subscribe, other}]})
    await_subscriptions(node, 2)

    Process.exit(one, :first)
    assert_receive {:dead, ^node, [{^one, :first}]}
    Process.exit(other, String.duplicate("x", 5000))

    assert_receive {:dead, ^node, [{^other, reason}]}
    assert byte_size(reason) == 1024
  end

  test "a summary holds a chunk at most, in the order of death", %{node: node} do
    :erpc.call(node, Proxy.Batcher, :chunk_size, [3])
    pids = spawn_there(node, 7)
    GenServer.cast({Proxy, node}, {:subscribe, self(), pids})
    await_subscriptions(node, 7)

    evaluate(node, "Fixture.Processes.kill(0, 7, fn _ -> :boom end)")

    summaries = receive_certificates(node, 7)
    assert Enum.concat(summaries) == Enum.map(pids, &{&1, :boom})
    assert summaries |> Enum.map(&length/1) |> Enum.max() <= 3
  end

  test "the last instruction for a target wins", %{node: node} do
    [pid] = spawn_there(node, 1)

    instructions = [
      {:subscribe, pid},
      {:unsubscribe, pid},
      {:subscribe, pid},
      {:unsubscribe, pid}
    ]

    GenServer.cast({Proxy, node}, {:process, self(), instructions})
    assert GenServer.call({Proxy, node}, :ping) == :pong

    assert subscriptions(node) == 0
  end

  ## Helpers

  defp start_peer do
    paths = Enum.flat_map(:code.get_path(), &[~c"-pa", &1])
    cookie = Node.get_cookie() |> Atom.to_charlist()
    loopback = [~c"-kernel", ~c"inet_dist_use_interface", ~c"{127,0,0,1}"]
    arguments = [~c"-setcookie", cookie, ~c"-start_epmd", ~c"false"] ++ loopback ++ paths

    {:ok, peer, node} =
      :peer.start_link(%{
        name: :peer.random_name(),
        host: ~c"127.0.0.1",
        longnames: true,
        args: arguments
      })

    {:ok, _applications} = :erpc.call(node, Application, :ensure_all_started, [:elixir])
    # In a process that stays: who starts a supervisor is linked to it.
    evaluate(node, "spawn(fn -> {:ok, _} = Fixture.start(); Process.sleep(:infinity) end)")
    until(fn -> :erpc.call(node, Process, :whereis, [Fixture.Ledger]) != nil end)
    {peer, node}
  end

  # The functions of this module are unknown over there.
  defp evaluate(node, code) do
    {value, _bindings} = :erpc.call(node, Code, :eval_string, [code])
    value
  end

  defp spawn_there(node, count) do
    :erpc.call(node, Fixture.Processes, :spawn_idle, [count])
    :erpc.call(node, Fixture.Processes, :pids, [0, count])
  end

  defp receive_certificates(_node, 0), do: []

  defp receive_certificates(node, count) do
    assert_receive {:dead, ^node, [_ | _] = certificates}
    [certificates | receive_certificates(node, count - length(certificates))]
  end

  defp subscriptions(node), do: :erpc.call(node, :ets, :info, [Proxy.Tables.subscribers(), :size])

  defp await_subscriptions(node, count), do: until(fn -> subscriptions(node) == count end)

  defp until(condition, tries \\ 500) do
    cond do
      condition.() -> :ok
      tries == 0 -> flunk("still not true")
      true -> Process.sleep(10) && until(condition, tries - 1)
    end
  end
end
