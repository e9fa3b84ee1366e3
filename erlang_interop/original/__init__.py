"""The faults of the original, reproduced: what ``docs/faults.md`` says of it, measured.

Each case is named after its row there and asserts the fault. Those that a peer can see run against the stand-in as
well, which has them on purpose; those inside the original run where ``ZEN_MONITOR_PATH`` names a checkout of it.
"""
