"""The judgement of the chaos ledger finds what it is there to find: each case is a run of a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from erlang_interop.chaos.oracle import Direction, Verdict, judge
from erlang_interop.chaos.truth import Fault, LifeTime, Truth, Vacancy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Judge = Callable[..., Verdict]

WATCHER, PEER = "p0@h#0", "e1@h"
TARGET = f"{PEER}#0"
SEEN = f"p {PEER} 0.9 1.0 linked compatible None"
MADE = f"m 0 3 {TARGET} 7 100.0"


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    """``judged(*lines, deaths=..., faults=...)`` judges a journal."""

    def judge_lines(
        *lines: str, deaths: dict[int, tuple[float, float]] | None = None, faults: Sequence[Fault] = ()
    ) -> Verdict:
        path = tmp_path / "journal"
        path.write_text("".join(f"{line}\n" for line in (SEEN, *lines)))
        lives = {WATCHER: LifeTime(0.0), TARGET: LifeTime(0.0)}
        return judge(
            Truth(
                faults=list(faults),
                lives=lives,
                deaths={TARGET: deaths or {}},
                vacancies={PEER: [[Vacancy(105.0, 105.1, number=1), Vacancy(110.0, 110.1, number=2)]]},
                journals={WATCHER: str(path)},
                ending_at=900.0,
                closing_at=1000.0,
            )
        )

    return judge_lines


def balance(verdict: Verdict) -> tuple[int, int, int]:
    """Lost, duplicated, invented."""
    direction: Direction = verdict.directions["python watches elixir"]
    return len(direction.lost), len(direction.duplicated), len(direction.invented)


def test_a_death_that_was_ordered_is_allowed(judged: Judge) -> None:
    verdict = judged(MADE, "d 0 120.0 =", deaths={0: (119.0, 119.1)})

    assert (balance(verdict), verdict.failures) == ((0, 0, 0), 0)
    assert verdict.directions["python watches elixir"].outcomes == {"died": 1}


def test_a_monitor_without_outcome_is_lost(judged: Judge) -> None:
    assert balance(judged(MADE, deaths={0: (119.0, 119.1)})) == (1, 0, 0)


def test_a_second_down_is_a_duplicate(judged: Judge) -> None:
    assert balance(judged(MADE, "d 0 120.0 =", "d 0 121.0 =", deaths={0: (119.0, 119.1)})) == (0, 1, 0)


@pytest.mark.parametrize("reason", ["=", "noproc", "nodedown"])
def test_a_down_of_a_target_that_lives_is_invented(judged: Judge, reason: str) -> None:
    assert balance(judged(MADE, f"d 0 120.0 {reason}")) == (0, 0, 1)


def test_a_down_before_the_death_is_invented(judged: Judge) -> None:
    assert balance(judged(MADE, "d 0 120.0 =", deaths={0: (121.0, 121.1)})) == (0, 0, 1)


def test_a_wrong_reason_or_object_is_invented(judged: Judge) -> None:
    deaths = {0: (119.0, 119.1)}

    assert balance(judged(MADE, "d 0 120.0 'Atom('boom')'", deaths=deaths)) == (0, 0, 1)
    assert balance(judged(MADE, "d 0 120.0 '#Pid<1>' instead of the target", deaths=deaths)) == (0, 0, 1)


def test_noproc_is_invented_where_the_subscribe_was_there_for_seconds(judged: Judge) -> None:
    line = "d 0 120.0 noproc"

    assert balance(judged(MADE, line, deaths={0: (119.0, 119.1)})) == (0, 0, 1)
    assert balance(judged(MADE, line, deaths={0: (99.0, 99.1)})) == (0, 0, 0)
    cut = Fault("cut", ("p0", "e1"), 110.0, 110.0)
    assert balance(judged(MADE, line, deaths={0: (119.0, 119.1)}, faults=[cut])) == (0, 0, 0)


def test_noproc_is_allowed_where_the_watcher_crashed_before_it_heard(judged: Judge) -> None:
    crash = Fault("zen", ("p0",), 119.2, 119.2, "connector to e1")

    assert balance(judged(MADE, "d 0 120.0 noproc", deaths={0: (119.0, 119.1)}, faults=[crash])) == (0, 0, 0)


def test_nodedown_is_allowed_where_the_peer_was_lost_or_incompatible(judged: Judge) -> None:
    cut, zen = Fault("cut", ("e1", "p0"), 110.0, 110.0), Fault("zen", ("e1",), 110.0, 110.0, "proxy")
    lost = (f"l {PEER} 110.1 down", "d 0 110.2 nodedown")
    ended = (f"p {PEER} 110.0 110.1 linked incompatible proxy ended", "d 0 110.2 nodedown")

    assert judged(MADE, *lost, faults=[cut]).failures == 0
    assert judged(MADE, *ended, faults=[zen]).failures == 0


def test_nodedown_is_allowed_from_the_last_look_at_the_peer_before_it_was_bad(judged: Judge) -> None:
    zen = Fault("zen", ("e1",), 110.0, 110.0, "proxy")
    late = f"p {PEER} 109.9 114.0 linked incompatible proxy ended"  # the loop was busy

    assert balance(judged(MADE, SEEN, "d 0 110.2 nodedown", late, faults=[zen])) == (0, 0, 0)
    assert balance(judged(MADE, SEEN, "d 0 109.5 nodedown", late, faults=[zen])) == (0, 0, 1)


def test_nodedown_before_the_loss_or_long_after_it_is_invented(judged: Judge) -> None:
    cut = Fault("cut", ("e1", "p0"), 110.0, 110.0)

    assert balance(judged(MADE, "d 0 109.0 nodedown", f"l {PEER} 110.1 down", faults=[cut])) == (0, 0, 1)
    late = f"m 0 3 {TARGET} 7 115.0"
    assert balance(judged(f"l {PEER} 110.1 down", late, "d 0 116.0 nodedown", faults=[cut])) == (0, 0, 1)


def test_nodedown_after_everything_was_mended_is_invented(judged: Judge) -> None:
    cut = Fault("cut", ("e1", "p0"), 910.0, 910.0)

    assert balance(judged(MADE, f"l {PEER} 910.1 down", "d 0 910.2 nodedown", faults=[cut])) == (0, 0, 1)


def test_a_loss_that_nothing_explains_is_told(judged: Judge) -> None:
    elsewhere = Fault("cut", ("e2", "p0"), 110.0, 110.0)
    brief = Fault("freeze", ("e1", "p0"), 106.0, 109.0)

    for faults in ([], [elsewhere], [brief]):
        assert len(judged(f"l {PEER} 110.1 down", faults=faults).unexplained) == 1


def test_silence_that_outlasts_the_tick_time_explains_a_loss(judged: Judge) -> None:
    long = Fault("freeze", ("e1", "p0"), 100.0, 111.0)
    one_after_the_other = [Fault("freeze", ("e1", "p0"), 103.0, 106.0), Fault("stop", ("e1",), 105.5, 109.0)]

    assert judged(f"l {PEER} 110.1 down", faults=[long]).unexplained == []
    assert judged(f"l {PEER} 110.1 down", faults=one_after_the_other).unexplained == []


def test_an_incompatible_peer_needs_an_end_of_its_proxy(judged: Judge) -> None:
    line = f"p {PEER} 110.0 110.1 linked incompatible proxy ended"
    own = Fault("zen", ("p0",), 110.0, 110.0, "proxy")

    assert len(judged(line).unexplained) == 1
    assert len(judged(line, faults=[own]).unexplained) == 1


def test_an_unanswered_ping_without_a_fault_is_noted_as_slowness(judged: Judge) -> None:
    verdict = judged(f"p {PEER} 110.0 110.1 linked incompatible ping timeout")

    assert (verdict.failures, len(verdict.slow)) == (0, 1)


@pytest.mark.parametrize(("how", "duplicates"), [("flush", 1), ("plain", 1), ("unread", 0)])
def test_a_down_after_a_demonitor_is_allowed_only_from_the_mailbox(judged: Judge, how: str, duplicates: int) -> None:
    lines = (MADE, f"x 0 119.5 {how}", "d 0 119.6 =")

    assert balance(judged(*lines, deaths={0: (119.0, 119.1)})) == (0, duplicates, 0)


def test_a_dead_subscriber_gets_nothing_after_a_while(judged: Judge) -> None:
    deaths = {0: (119.0, 119.1)}

    assert balance(judged(MADE, "s 3 110.0", deaths=deaths)) == (0, 0, 0)
    assert balance(judged(MADE, "s 3 119.2", "d 0 119.3 =", deaths=deaths)) == (0, 0, 0)
    assert balance(judged(MADE, "s 3 110.0", "d 0 119.3 =", deaths=deaths)) == (0, 1, 0)


@pytest.mark.parametrize(
    ("made", "down", "invented"),
    [
        ("106.0", "110.2 =2", 0),
        ("106.0", "109.9 =2", 1),  # before it died
        ("101.0", "110.2 =2", 1),  # the death before was missed
        ("109.0", "110.2 =1", 1),  # of a process long gone
        ("106.0", "110.2 =3", 1),  # of none
        ("105.05", "105.2 noproc", 0),
        ("106.0", "106.1 noproc", 0),  # it was under way when the name was given again
        ("109.0", "109.1 noproc", 1),
        ("106.0", "109.0 nodedown", 1),
    ],
)
def test_a_name_fires_for_who_has_it(judged: Judge, made: str, down: str, invented: int) -> None:
    assert balance(judged(f"m 0 3 {PEER}#names 0 {made}", f"d 0 {down}")) == (0, 0, invented)


def test_a_name_fires_nodedown_where_its_connector_crashed(judged: Judge) -> None:
    lines = (f"m 0 3 {PEER}#names 0 106.0", "d 0 109.0 nodedown")

    assert judged(*lines, faults=[Fault("zen", ("p0",), 108.9, 108.9, "connector to e1")]).failures == 0
    assert balance(judged(*lines, faults=[Fault("zen", ("p0",), 108.9, 108.9, "local")])) == (0, 0, 1)


def test_messages_that_nobody_expects_are_told(judged: Judge) -> None:
    assert len(judged("u 100.0 (Atom('DOWN'), 1)").unexplained) == 1
