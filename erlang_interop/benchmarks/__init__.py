"""What pyzen costs beside real BEAM nodes: ``python -m erlang_interop.benchmarks``.

Every row is measured on both sides in one run, alternating, and judged as a ratio; what is timed has been checked
before. Our node runs in a process of its own (`worker`), driven by the same lines as an Elixir node of ``mix_fixture``:
so the operating system's figures of that process are the node's, without the driver's own parsing and bookkeeping,
and a row is written once for both sides.
"""
