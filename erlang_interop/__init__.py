"""Tests against real Erlang and Elixir nodes, and the harness that starts those nodes."""
