"""What a run says: a line per attack as it goes, a record in JSON, and the table of ``docs/hostile.md``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.hostile.verdict import WORST, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from erlang_interop.hostile.attack import Attack

__all__ = ["line", "page", "read", "save"]

HEAD: Final = """# Attacks

`make hostile` plays each of these against a node in a process of its own, while a real Erlang node asks it every 10 ms
by `gen_server:call`, each time with a new atom, and by `erpc:call`, and watches ten of its processes twice, by ordinary
monitors and by ZenMonitor. An attack passes when

- the worst answer takes at most {worst} ms, the second after the attack included;
- the resident memory of the node grows by no more than the named bound lets through;
- the honest peer keeps its link, each of its monitors has its one outcome, and a newcomer is answered within 3 s;
- the log says what is wrong where something is, in at most 21 lines of one kind in ten seconds, each on one line;
- the node ends in order afterwards, within 6 s.

Each attack is a function of `erlang_interop/hostile/attacks/`; `make hostile HOSTILE='--only NAME'` plays one, `--list`
lists them, `--python PATH` attacks the node of another build. Nearly all last ten seconds at most. An attack with late
answers is played again, twice at most, where the machine was too busy: an idle node, or one that nobody attacks, took
more than 100 ms.

Not judged, because Erlang's own nodes are no better off:

- Who has the cookie may come under any name, also under that of another node.
- A server that answers somebody who does not read waits for him, as a process of Erlang does that sends to a busy port.
  So peers that do not read ask a server of their own.
- What a server of the program keeps of what it is sent, its mailbox included, has no bound but the program's.

Nor are exported functions that compute in threads (`blocking=True`): they share the interpreter with all else, as
threads of Python do. Four at a time held answers up for 0.1 s, twelve for 0.5 s. Such work needs a process of its own.

Each cell has the verdict, the worst answer and how far memory grew; where it failed, why. Column "round one" is commit
325f8d5, before any of these attacks was known. A row of "now" is from the last time its attack was recorded, so rows
may be of different commits, and of a busy machine, until all are recorded in one run.
"""


def line(attack: Attack, outcome: Outcome) -> str:
    """Return what is printed of an attack."""
    newcomer = "-" if outcome.newcomer is None else f"{outcome.newcomer:.2f} s"
    figures = (
        f"worst {milliseconds(outcome.worst)} (quiet {milliseconds(outcome.quiet)}, not attacked "
        f"{milliseconds(outcome.control)}), newcomer {newcomer}, {outcome.memory} of {attack.memory} MiB "
        f"({attack.bound}), {outcome.lines} lines, {outcome.same_kind} of a kind, {outcome.seconds:.1f} s, "
        f"ended in {outcome.stop:.1f} s"
    )
    wrong = "".join(f"\n     {one}" for one in outcome.failures)
    return f"{'PASS' if outcome.passed else 'FAIL'} {attack.name}: {figures}{wrong}"


def milliseconds(seconds: float) -> str:
    """Return seconds as milliseconds."""
    return f"{seconds * 1000:.0f} ms"


# ---- records


def save(path: Path, label: str, outcome: Outcome) -> None:
    """Add an outcome of a run to a record, under its label; that of the same attack is replaced."""
    record = json.loads(path.read_text()) if path.exists() else {}
    record.setdefault(label, {})[outcome.attack] = outcome.as_json()
    path.write_text(json.dumps(record, indent=1) + "\n")


def read(path: Path) -> dict[str, dict[str, Outcome]]:
    """Return the outcomes of all runs of a record, by label and attack."""
    record = json.loads(path.read_text())
    return {label: {name: Outcome(**row) for name, row in rows.items()} for label, rows in record.items()}


# ---- the table


def page(attacks: Mapping[str, Attack], runs: Mapping[str, Mapping[str, Outcome]]) -> str:
    """Return the page with a column for each run."""
    rows = [["attack", "bound", *runs], ["---"] * (2 + len(runs))]
    kind = ""
    for attack in attacks.values():
        if attack.kind != kind:
            kind = attack.kind
            rows.append([f"**{kind}**", "", *("" for _ in runs)])
        cells = [cell(outcomes.get(attack.name)) for outcomes in runs.values()]
        rows.append([f"`{attack.name}`: {attack.about}", f"{attack.bound}, {attack.memory} MiB", *cells])
    head = HEAD.format(worst=round(WORST * 1000))
    return head + "\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n\n" + totals(runs) + "\n"


def cell(outcome: Outcome | None) -> str:
    """Return what stands in the table for one attack."""
    if outcome is None:
        return "not run"
    figures = f"{milliseconds(outcome.worst)}, {outcome.memory} MiB"
    if outcome.passed:
        return f"pass, {figures}"
    wrong = "; ".join(one.replace("|", "/").replace("\n", " ")[:120] for one in outcome.failures[:3])
    return f"**FAIL**, {figures}: {wrong}"


def totals(runs: Mapping[str, Mapping[str, Outcome]]) -> str:
    """Return how many passed."""
    return "; ".join(f"{label}: {passed(rows)} of {len(rows)} pass" for label, rows in runs.items()) + "."


def passed(rows: Mapping[str, Any]) -> int:
    """Return how many outcomes pass."""
    return sum(outcome.passed for outcome in rows.values())
