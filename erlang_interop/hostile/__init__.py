"""Attacks on a node, each a program with its pass line; ``python -m erlang_interop.hostile``, ``docs/hostile.md``."""
