defmodule ZenFixture.MixProject do
  use Mix.Project

  # A checkout of the real zen_monitor. Without one the stand-in in lib/zen_monitor is compiled.
  @zen_monitor_path System.get_env("ZEN_MONITOR_PATH")

  def project do
    [
      app: :zen_fixture,
      version: "0.1.0",
      elixir: "~> 1.14",
      elixirc_paths: elixirc_paths(@zen_monitor_path),
      deps: deps(@zen_monitor_path)
    ] ++ folders(@zen_monitor_path)
  end

  def application do
    [extra_applications: extra_applications(Mix.env())]
  end

  defp elixirc_paths(nil), do: ["lib/fixture", "lib/zen_monitor"]
  defp elixirc_paths(_path), do: ["lib/fixture"]

  defp deps(nil), do: []
  defp deps(path), do: [{:zen_monitor, path: path}]

  # What belongs to a real checkout stays apart from what belongs to the stand-in, lock file included.
  defp folders(nil), do: []

  defp folders(_path) do
    root = "_build/with_zen_monitor"
    [build_path: root, deps_path: root <> "/deps", lockfile: root <> "/mix.lock"]
  end

  defp extra_applications(:test), do: [:ex_unit]
  defp extra_applications(_env), do: []
end
