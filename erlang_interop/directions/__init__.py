"""ZenMonitor in every direction: one suite, for nodes of ours and Elixir nodes as either end.

A direction names who watches and who is watched; ``itself`` is a node that watches its own processes. The Elixir nodes
run the stand-in, or the original where ``ZEN_MONITOR_PATH`` is set. The directions between Elixir nodes pin the suite
itself to the original: where that has a fault, the expectation of a case says so by direction.
"""
