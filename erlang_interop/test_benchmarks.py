"""The benchmarks themselves: how samples become a verdict, and a tiny run with its correctness checked."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from erlang_interop.benchmarks import growth, idle
from erlang_interop.benchmarks.__main__ import ROWS, Run, amounts, charted, parse, prepare
from erlang_interop.benchmarks.chart import short, storms_of
from erlang_interop.benchmarks.codec import DECODE, ENCODE
from erlang_interop.benchmarks.measure import (
    Mismatch,
    Options,
    Peer,
    Result,
    check,
    cpu_seconds,
    forget_peak,
    interleave,
    keep_on_one_processor,
    peak_resident,
    recycle,
    resident,
)
from erlang_interop.benchmarks.messages import IN
from erlang_interop.benchmarks.monitors import ESTABLISH, MEMORY, Storm
from erlang_interop.benchmarks.processes import Collector, Probe, usual
from erlang_interop.benchmarks.report import rival, save, spread, table
from erlang_interop.benchmarks.rig import figures, introduce, subscribed
from erlang_interop.nodes import ElixirNode
from pyzen import etf
from pyzen.terms import Pid, Reference, atoms

StartElixir: TypeAlias = Callable[..., Awaitable[ElixirNode]]

TINY = Options(pairs=1, size=1000, monitors=1000, messages=2000, calls=20, rounds=2)
NODE = "one@127.0.0.1"
STORM = Storm(establish=1e-6, deliver=3e-6, before=1, establish_peak=2, deliver_peak=3)
DEARER = Storm(establish=1.5e-6, deliver=6e-6, before=1, establish_peak=2, deliver_peak=3)


# ---- samples and verdicts


def test_a_ratio_is_median_by_median_and_less_is_better_where_the_goal_says_so() -> None:
    result = Result(row=DECODE, ours=[1.0, 90.0, 2.0], rival=[4.0, 4.0, 5.0])

    assert result.ratio == 0.5
    assert result.reached
    assert not Result(row=DECODE, ours=[2.1], rival=[4.0]).reached


def test_more_is_better_for_rates() -> None:
    assert Result(row=IN, ours=[10.0], rival=[10.0]).reached
    assert not Result(row=IN, ours=[9.0], rival=[10.0]).reached


def test_a_row_without_a_rival_is_judged_by_its_value() -> None:
    assert Result(row=growth.PAUSE, ours=[12.0, 49.0], value=49.0).reached
    assert not Result(row=growth.PAUSE, ours=[12.0, 51.0], value=51.0).reached


def test_a_lucky_sample_of_one_side_does_not_count_among_pairs() -> None:
    pairs = Result(row=DECODE, ours=[2.0, 10.0, 9.0], rival=[4.0, 20.0, 1.0])

    assert pairs.paired == 0.5
    assert Result(row=growth.GROWTH, ours=[1.0], rival=[4.0], value=1.1).paired == 1.1


async def test_both_sides_are_measured_in_turn() -> None:
    order: list[str] = []

    async def sample(side: str) -> float:
        order.append(side)
        return float(len(order))

    samples = await interleave(3, lambda: sample("ours"), lambda: sample("rival"))

    assert order == ["ours", "rival"] * 3
    assert samples == [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]


def test_check_tells_what_is_wrong() -> None:
    check(1, "unused")
    with pytest.raises(Mismatch, match="two is not one"):
        check(0, "two is not one")


def test_figures_of_a_process_are_those_of_the_operating_system() -> None:
    before = cpu_seconds(os.getpid())
    used = os.times()
    while sum(os.times()[:2]) < sum(used[:2]) + 0.1:
        pass
    assert 0.05 < cpu_seconds(os.getpid()) - before < 5

    size, slack = 50_000_000, 10_000_000
    block = bytes(size)[1:]  # the copy is written, page by page
    del block
    now = resident(os.getpid())
    assert peak_resident(os.getpid()) > now + size - slack
    forget_peak(os.getpid())
    assert peak_resident(os.getpid()) < now + slack


def test_recycled_memory_was_used_and_is_free_again() -> None:
    size, slack = 50_000_000, 10_000_000
    forget_peak(os.getpid())
    now = resident(os.getpid())

    recycle(size)

    assert peak_resident(os.getpid()) > now + size - slack
    assert resident(os.getpid()) < now + slack


def test_all_threads_of_a_process_stay_on_the_processor_they_are_given() -> None:
    code = "import threading; threading.Thread(target=input).start(); print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        keep_on_one_processor(process.pid)

        threads = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()]
        allowed = [os.sched_getaffinity(thread) for thread in threads]
        process.communicate(b"\n")

    assert len(threads) == 2
    assert allowed == [{max(os.sched_getaffinity(0))}] * 2


# ---- the report


def test_spread_shows_median_and_range_with_three_digits() -> None:
    assert spread([1.0, 2.0, 12.345]) == "2.00 (1.00..12.3)"
    assert spread([123456.7]) == "123457"


def test_the_table_has_every_row_once_and_says_what_was_left_out() -> None:
    results = [Result(row=DECODE, ours=[1.0], rival=[4.0], note="by hand"), Result(row=ENCODE, ours=[5.0], rival=[4.0])]

    lines = table(results, {MEMORY: "not run", ESTABLISH: "failed: x"}).splitlines()

    cells = [" ".join(line.split()) for line in lines]
    assert cells[2].endswith("1.00 ms 4.00 (BEAM binary_to_term) 0.25 <= 0.5 yes")
    assert cells[3].endswith("1.25 <= 1 NO")
    assert cells[4:6] == [
        f"{MEMORY.work} - - - <= 1 not run",
        f"{ESTABLISH.work} - - - <= 0.5 failed: x",
    ]
    assert lines[-1] == "decode: by hand"
    assert len({line.index("<=") for line in lines[2:6]}) == 1


def test_the_table_has_a_line_for_everybody_else_who_was_measured() -> None:
    peers = [Peer("other 1.0", [20.0, 10.0, 30.0]), Peer("absent", missing="not installed")]

    lines = table([Result(row=DECODE, ours=[1.0], rival=[4.0], peers=peers)], {}).splitlines()

    cells = [" ".join(line.split()) for line in lines]
    assert cells[3:] == [
        "the same by other 1.0 20.0 (10.0..30.0) 0.05 - -",
        "the same by absent - - - not installed",
    ]


def test_the_rival_is_named_without_the_place_where_it_lies() -> None:
    assert rival("stand-in", "2.1.0") == "stand-in for ZenMonitor 2.1.0"
    assert rival("/some/where", "2.1.0") == "ZenMonitor 2.1.0"


def test_the_file_has_every_sample(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    result = Result(row=DECODE, ours=[1.0, 2.0], rival=[4.0, 5.0], details={"more": 1})

    save(path, TINY, {"cores": 2}, [result], {MEMORY: "not run"})

    content = json.loads(path.read_text())
    assert content["machine"] == {"cores": 2}
    assert content["options"]["rounds"] == 2
    (row,) = content["results"]
    assert (row["key"], row["ours"], row["rival_samples"], row["details"]) == ("decode", [1, 2], [4, 5], {"more": 1})
    assert content["left_out"] == {"memory": "not run"}


# ---- the chart


def _content(sides: object) -> dict[str, object]:
    return {"results": [{"key": "decode"}, {"key": "growth", "details": {"storms": sides}}]}


def test_a_chart_shows_the_sides_that_were_measured() -> None:
    storm = {"establish_us": 1.0}

    found = storms_of(_content({"ours": {"10": [storm], "1000": [storm, storm]}, "rival": {}}))

    assert found == {"ours": {10: [storm], 1000: [storm, storm]}}


def test_without_growth_there_is_no_chart(tmp_path: Path) -> None:
    path = tmp_path / "chart.svg"

    assert charted({"results": [{"key": "decode"}]}, path) == "none: growth was not measured"
    assert not path.exists()


def test_a_chart_counts_in_thousands_and_millions() -> None:
    assert [short(count) for count in (300, 1000, 30_000, 1_000_000)] == ["300", "1 k", "30 k", "1 M"]


def test_growth_is_the_worst_of_ours_between_the_smallest_and_the_largest_size() -> None:
    result = growth.grown({"ours": {10: [STORM], 1000: [DEARER]}, "rival": {10: [STORM]}})

    assert result.value == 2.0
    assert result.details["factors"] == {
        "ours": {"establish": 1.5, "deliver": 2.0},
        "rival": {"establish": 1.0, "deliver": 1.0},
    }


def test_growth_compares_means() -> None:
    result = growth.grown({"ours": {10: [STORM, STORM, DEARER], 1000: [DEARER]}})

    assert result.value == pytest.approx(6 / 4)


def test_growth_needs_no_rival() -> None:
    result = growth.grown({"ours": {10: [STORM], 1000: [DEARER]}})

    assert (result.value, result.ratio, result.paired) == (2.0, None, 2.0)


# ---- the command line


def test_options_say_how_much_is_measured() -> None:
    assert amounts(parse([])).size == 1_000_000
    assert amounts(parse(["--quick", "--pairs", "7"])).pairs == 7
    assert amounts(parse(["--size", "1000"])).monitors == 1000
    assert list(ROWS) == parse([]).rows.split(",")


@pytest.mark.parametrize("wrong", [["--rows", "decode,nonsense"], ["--pairs", "0"], ["--size", "999"]])
def test_wrong_options_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parse(wrong)
    assert refused.value.code == 2


# ---- our side


def _pid(number: int) -> Pid:
    return Pid(NODE, number, 0, 1)


def _reference(number: int) -> Reference:
    return Reference(NODE, 1, [number, 0, 0])


def _down(number: int, reason: object) -> tuple[object, ...]:
    return atoms.DOWN, _reference(number), atoms.process, _pid(number), (atoms.zen_monitor, reason)


def _collector(count: int) -> Collector:
    collector = Collector()
    collector.aim([_pid(number) for number in range(count)])
    for targets in collector.targets:
        collector.keep(_reference(pid.id) for pid in targets)
    return collector


def test_the_books_balance_when_every_monitor_had_its_down() -> None:
    collector = _collector(2500)
    for number in reversed(range(2500)):
        collector.handle_info(_down(number, usual(number)))

    expected = {"monitors": 2500, "downs": 2500, "missing": 0, "strange": 0, "wrong": 0}
    assert collector.balance(0, ended=math.inf) == expected


def test_the_books_show_what_is_missing_twice_unknown_or_wrong() -> None:
    collector = _collector(20)
    for number, reason in [(1, usual(1)), (1, usual(1)), (99, usual(99)), (17, usual(18)), (18, atoms.nodedown)]:
        collector.handle_info(_down(number, reason))

    assert collector.balance(0, ended=math.inf) == {"monitors": 20, "downs": 5, "missing": 17, "strange": 2, "wrong": 2}
    assert collector.balance(0, ended=0)["wrong"] == 2


def test_the_books_expect_nodedown_from_those_that_ended_with_their_node() -> None:
    collector = _collector(4)
    for number, reason in [(0, usual(0)), (1, atoms.nodedown), (2, atoms.nodedown), (3, usual(3))]:
        collector.handle_info(_down(number, reason))

    assert collector.balance(0, ended=2)["wrong"] == 2


async def test_the_probe_sees_a_blocked_loop() -> None:
    probe = Probe()
    probe.start()
    await asyncio.sleep(0.01)
    end = time.thread_time() + 0.05
    while time.thread_time() < end:  # by the processor: on a busy machine the clock says little about work
        pass
    await asyncio.sleep(0.01)

    found = probe.stop()

    assert found["late_us"] >= 40_000
    assert found["busy_us"] >= 10_000
    assert found["ticks"] > 0


# ---- a tiny run


@pytest.mark.usefixtures("mix_fixture")
async def test_a_tiny_run_measures_both_sides_and_checks_them() -> None:
    keys = [key for key in ROWS if key != "memory"]  # which is measured on six nodes of its own
    run = Run(TINY, [ROWS[key] for key in keys])

    around = await prepare()
    await run.measure()

    assert run.failed == {}
    assert [result.row.key for result in run.results] == keys
    assert all(result.rival for result in run.results if result.row not in (growth.PAUSE, *idle.ROWS))
    assert all(0 < sample < 1e7 for result in run.results for sample in (*result.ours, *result.rival))
    assert [len(result.peers) for result in run.results if result.row in {DECODE, ENCODE}] == [1, 1]
    assert run.left_out() == {MEMORY: "not run"}
    assert around["otp"].isdecimal()
    assert around["rival"].removeprefix("stand-in for ") == "ZenMonitor 2.1.0"


async def test_reasons_of_both_sides_are_the_same(elixir_node: StartElixir) -> None:
    node = await elixir_node()

    theirs = etf.decode(await node.call_etf("eval", "Enum.map(0..59, &Fixture.Reasons.usual/1)"))

    assert theirs == [usual(index) for index in range(60)]


async def test_the_books_of_the_fixture_show_what_is_missing_or_wrong(elixir_node: StartElixir) -> None:
    local, peer = await asyncio.gather(elixir_node(), elixir_node())
    await introduce(local, peer)
    await peer.call("spawn", 40)
    assert await local.call("targets", peer.name, 20, 40) == "20"
    assert await local.call("collect", "keep") == "20"
    await subscribed(peer, 20, timeout=30)

    await peer.call("finish", 20, 25)
    await peer.call("kill", 25, 35, "boom")
    await local.call("await_collected", 15, 30_000)

    books = await figures(local, "collected")
    assert books == {"monitors": 20, "downs": 15, "missing": 5, "strange": 0, "wrong": 10}
