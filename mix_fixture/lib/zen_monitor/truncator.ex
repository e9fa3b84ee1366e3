defmodule ZenMonitor.Truncator do
  @moduledoc """
  Bounds the reasons that travel in death certificates.

  Small values pass, long binaries are cut, containers of at most four elements pass with their elements
  truncated one level deeper; everything else, and everything at the depth limit, becomes `:truncated`.
  """

  @max_binary_size 1024
  @truncation_depth 3
  @max_elements 4

  @doc "Truncates a reason. `{:shutdown, term}` passes whole."
  @spec truncate(term()) :: term()
  def truncate(reason), do: truncate(reason, truncation_depth())

  @doc "Truncates a reason that may be `depth` levels deep."
  @spec truncate(term(), non_neg_integer()) :: term()
  def truncate({:shutdown, _detail} = reason, _depth), do: reason
  def truncate(reason, depth), do: shorten(reason, depth)

  @doc "The longest binary that passes uncut, in bytes (`:max_binary_size`)."
  @spec max_binary_size() :: pos_integer()
  def max_binary_size do
    Application.get_env(:zen_monitor, :max_binary_size, @max_binary_size)
  end

  @doc "Changes `max_binary_size/0`."
  @spec max_binary_size(pos_integer()) :: :ok
  def max_binary_size(value), do: Application.put_env(:zen_monitor, :max_binary_size, value)

  @doc "How many levels of a reason are kept (`:truncation_depth`)."
  @spec truncation_depth() :: pos_integer()
  def truncation_depth do
    Application.get_env(:zen_monitor, :truncation_depth, @truncation_depth)
  end

  @doc "Changes `truncation_depth/0`."
  @spec truncation_depth(pos_integer()) :: :ok
  def truncation_depth(value), do: Application.put_env(:zen_monitor, :truncation_depth, value)

  ## Private

  defp shorten(_term, depth) when depth <= 0, do: :truncated
  defp shorten(term, _depth) when is_atom(term) or is_number(term), do: term
  defp shorten(term, _depth) when is_pid(term) or is_port(term) or is_reference(term), do: term
  defp shorten(term, _depth) when is_bitstring(term), do: cut(term, max_binary_size())

  defp shorten(term, depth) when is_tuple(term) and tuple_size(term) <= @max_elements do
    term |> Tuple.to_list() |> Enum.map(&shorten(&1, depth - 1)) |> List.to_tuple()
  end

  defp shorten([], _depth), do: []

  defp shorten(term, depth) when is_list(term) do
    if short_list?(term, @max_elements),
      do: Enum.map(term, &shorten(&1, depth - 1)),
      else: :truncated
  end

  defp shorten(%{__struct__: name} = term, depth) when is_atom(name) do
    case shorten(Map.delete(term, :__struct__), depth) do
      :truncated -> :truncated
      fields -> Map.put(fields, :__struct__, name)
    end
  end

  defp shorten(term, depth) when is_map(term) and map_size(term) <= @max_elements do
    Map.new(term, fn {key, value} -> {key, shorten(value, depth - 1)} end)
  end

  defp shorten(_term, _depth), do: :truncated

  defp cut(binary, limit) when is_binary(binary) and byte_size(binary) <= limit, do: binary

  # A bitstring that does not end on a byte is cut as soon as it has the bytes that a cut leaves.
  defp cut(bits, limit) do
    size = limit - 3

    case bits do
      <<head::binary-size(size), _::bits>> -> head <> "..."
      _ -> :truncated
    end
  end

  # Walks no further than it has to, and tells an improper list from a proper one.
  defp short_list?([], _left), do: true
  defp short_list?([_ | rest], left) when left > 0, do: short_list?(rest, left - 1)
  defp short_list?(_rest, _left), do: false
end
