"""Log events of peers as one line of text, bounded and escaped, whatever is in them.

An event is a format with arguments, a text, or a report. How a report wants to be printed it says by a fun of its own
node, which can't run here. So the usual ones are printed in their sense, any other as ``key: value``, all in Erlang's
syntax.

Source: OTP, ``logger.erl``, ``log_remote/2`` and ``format_report/1``; ``proc_lib.erl``, ``report_cb/2``.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pyzen.logs import escaped
from pyzen.node.services.io_lib import characters, fwrite
from pyzen.printing import format as format_term
from pyzen.terms import Atom, FrozenList, Pid, TermMap, atoms

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_TEXT", "details_of", "text_of_format", "text_of_message"]

MAX_TEXT: Final = 4000
"""Characters of one event."""

MAX_PARTS: Final = 100
"""Parts of a report that are looked at."""

CRASH: Final = (atoms.proc_lib, atoms.crash)

ORDER: Final = {atoms.name: -2, atoms.reason: -1, atoms.client_info: 1, atoms.log: 2, atoms.state: 3}
"""Where the parts of reports that ``gen_server`` and its kin make stand in a line; all others at 0."""


def text_of_format(control: Any, arguments: list[Any]) -> str:
    """Return the line of a format with its arguments; one that does not fit them is shown as it is."""
    try:
        text = fwrite(control, arguments, size=MAX_TEXT)
    except (ValueError, TypeError, OverflowError):
        text = f"FORMAT ERROR: {printed(control)} - {printed(arguments)}"
    return line(text)


def text_of_message(message: Any) -> str:
    """Return the line of a text, or of a report, which is a map or a list that begins with a tuple."""
    if is_report(message):
        return line(text_of_report(message))
    try:
        text = characters(message, size=MAX_TEXT)
    except (ValueError, OverflowError):
        text = printed(message)
    return line(text)


def line(text: str) -> str:
    """Return a text cut to its length, and escaped."""
    shown = escaped(text[: MAX_TEXT + 1].strip("\n"))
    return shown if len(shown) <= MAX_TEXT else shown[:MAX_TEXT].rstrip(".") + "..."


def printed(term: Any) -> str:
    """Return the beginning of a term."""
    return format_term(term, size=MAX_TEXT)


# ---- reports


def is_report(message: Any) -> bool:
    """Say whether ``logger`` takes a message for a report."""
    if isinstance(message, dict | TermMap):
        return True
    return isinstance(message, list | FrozenList) and len(message) > 0 and type(message[0]) is tuple


def text_of_report(report: Any) -> str:
    """Return a report in words, as far as its label tells what it is about."""
    if not isinstance(report, dict | TermMap):
        return joined(report)
    label, inner = report.get(atoms.label), report.get(atoms.report)
    if label == CRASH:
        return text_of_crash(inner)
    control, arguments = report.get(atoms.format), report.get(atoms.args)
    if isinstance(arguments, list) and control is not None:
        return text_of_format(control, arguments)
    return title_of(label) + joined(in_order(inner if is_report(inner) else report))


def title_of(label: Any) -> str:
    """Return what a report is about, nothing where its label does not tell."""
    match label:
        case None | (atoms.error_logger, _):
            return ""
        case (Atom() as who, Atom() as what):
            return f"{who} {what}: "
    return f"{printed(label)}: "


def in_order(report: Any) -> list[Any]:
    """Return the parts of a report; the pairs of a map have no order: the reason first, and last what may be large."""
    if not isinstance(report, dict | TermMap):
        return list(islice(report, MAX_PARTS))
    pairs = [pair for pair in islice(report.items(), MAX_PARTS) if pair[0] is not atoms.label]
    return sorted(pairs, key=lambda pair: ORDER.get(pair[0], 0))


def text_of_crash(parts: Any) -> str:
    """Return the crash report of ``proc_lib``: of the process itself, and who its neighbours were."""
    match parts:
        case [list() as own, list() as neighbours]:
            beside = f"; neighbours: {printed(neighbours)}" if neighbours else ""
            return f"crasher: {joined(own)}{beside}"
    return f"crash report: {printed(parts)}"


def joined(parts: Iterable[Any]) -> str:
    """Return the parts of a report with commas between them, up to the length of a line."""
    texts: list[str] = []
    room = MAX_TEXT
    for text in map(part_of_report, islice(parts, MAX_PARTS)):
        texts.append(text)
        room -= len(text)
        if room <= 0:
            break
    return ", ".join(texts)


def part_of_report(part: Any) -> str:
    """Return one part: a pair, or any term."""
    if type(part) is tuple and len(part) == 2:
        return f"{word(part[0])}: {word(part[1])}"
    return word(part)


def word(term: Any) -> str:
    """Return a term as a report shows it: an atom without quotes."""
    return str(term) if isinstance(term, Atom) else printed(term)


# ---- where it comes from


def details_of(meta: Any) -> dict[str, Any]:
    """Return what the metadata tell of an event: pid, mfa, and its time in seconds; None for what they don't."""
    known = meta if isinstance(meta, dict | TermMap) else {}
    pid, mfa, time = known.get(atoms.pid), known.get(atoms.mfa), known.get(atoms.time)
    return {
        "pid": line(printed(pid)) if isinstance(pid, Pid) else None,
        "mfa": function(mfa),
        "time": time / 1e6 if type(time) is int and 0 <= time < 1 << 63 else None,
    }


def function(mfa: Any) -> str | None:
    """Return a function as ``module:function/arity``, None where it is none."""
    match mfa:
        case (Atom() as module, Atom() as name, int() as arity):
            return line(f"{printed(module)}:{printed(name)}/{printed(arity)}")
    return None
