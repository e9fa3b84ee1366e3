defmodule ZenMonitor.TruncatorTest do
  @moduledoc "What is left of a reason."
  use ExUnit.Case, async: true

  import ZenMonitor.Truncator, only: [truncate: 1, truncate: 2]

  test "small values pass" do
    for value <- [
          :a,
          1,
          1.5,
          self(),
          make_ref(),
          "text",
          {},
          [],
          %{},
          {:a, {:b, 1}},
          [1, 2, 3, 4]
        ] do
      assert truncate(value) == value
    end
  end

  test "a shutdown passes whole" do
    reason = {:shutdown, Enum.to_list(1..100)}
    assert truncate(reason) == reason
  end

  test "a binary passes at the limit and is cut one past it" do
    assert truncate(String.duplicate("x", 1024)) == String.duplicate("x", 1024)
    assert truncate(String.duplicate("x", 1025)) == String.duplicate("x", 1021) <> "..."
  end

  test "a bitstring is cut where it has the bytes that a cut leaves, else it is no binary" do
    head = String.duplicate("x", 1021)
    assert truncate(<<head::binary, 1::1>>) == head <> "..."
    assert truncate(<<binary_part(head, 0, 1020)::binary, 127::7>>) == :truncated
  end

  test "containers pass with four elements, not with five" do
    assert truncate({1, 2, 3, 4}) == {1, 2, 3, 4}
    assert truncate({1, 2, 3, 4, 5}) == :truncated
    assert truncate([1, 2, 3, 4, 5]) == :truncated
    assert truncate(Map.new(1..4, &{&1, &1})) == Map.new(1..4, &{&1, &1})
    assert truncate(Map.new(1..5, &{&1, &1})) == :truncated
  end

  test "everything at the depth limit goes" do
    assert truncate({1, {2, {3, {4}}}}) == {1, {2, {:truncated, :truncated}}}
    assert truncate({:a, []}, 1) == {:truncated, :truncated}
    assert truncate(:a, 0) == :truncated
  end

  test "a struct keeps its name, which does not count" do
    assert truncate(%RuntimeError{message: "m"}) == %RuntimeError{message: "m"}
    assert truncate(1..4//2) == 1..4//2
  end

  test "what is not listed goes" do
    for value <- [[1 | 2], <<1::3>>, fn -> :ok end, %{__struct__: 1, a: 2} |> Map.put(:b, {1})] do
      expected = if is_map(value), do: value, else: :truncated
      assert truncate(value) == expected
    end
  end
end
