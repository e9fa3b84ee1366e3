"""The codec against the real ``term_to_binary`` and ``binary_to_term``, judged in Erlang."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyzen import etf
from pyzen.terms import Atom, Export, Fun, Pid, Port, Record, Reference, TermMap, atoms
from tests import reference_etf, strategies

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
GENERATED = 20_000
BATCH = 1000
# Terms in each of Hypothesis' examples: a request to Erlang takes longer than a term.
EXAMPLE = 20

# Longer ones would take the oracle most of the time.
ORACLE_SIZE = 1000


class Driver:
    """One ``erl`` that runs ``codec_driver``."""

    def __init__(self, folder: Path) -> None:
        subprocess.run(["erlc", "-Werror", "-o", str(folder), str(HERE / "codec_driver.erl")], check=True, timeout=60)
        self.process = subprocess.Popen(
            ["erl", "-noinput", "-boot", "no_dot_erlang", "-pa", str(folder), "-s", "codec_driver", "main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def request(self, *request: Any) -> Any:
        """Send one request; return the reply."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        packet = etf.encode(request)
        self.process.stdin.write(struct.pack(">I", len(packet)) + packet)
        self.process.stdin.flush()
        size = struct.unpack(">I", self.process.stdout.read(4))[0]
        return etf.decode(self.process.stdout.read(size))

    def call(self, module: str, function: str, *arguments: Any) -> Any:
        """Apply a function there; return its result."""
        outcome, result = self.request(atoms.apply, Atom(module), Atom(function), list(arguments))
        assert outcome is atoms.ok, result
        return result

    def stop(self) -> None:
        """End it in order: it halts when its input ends."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def erlang(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    if shutil.which("erl") is None or shutil.which("erlc") is None:
        assert os.environ.get("PYZEN_REQUIRE_ERLANG") != "1", "erl and erlc are not on the path"
        pytest.skip("erl and erlc are not on the path")
    driver = Driver(tmp_path_factory.mktemp("codec"))
    yield driver
    driver.stop()


@pytest.mark.timeout(300)
def test_terms_generated_in_erlang_survive(erlang: Driver) -> None:
    tags: set[int] = set()
    for batch in range(GENERATED // BATCH):
        written = erlang.request(atoms.generate, BATCH, batch)
        terms = [etf.decode(data) for data in written]
        for data, term in zip(written, terms, strict=True):
            if len(data) < ORACLE_SIZE:
                assert reference_etf.canonical(term) == reference_etf.decode(data)
            tags.add(data[1])

        assert erlang.request(atoms.compare, [etf.encode(term) for term in terms]) == []

    assert tags >= {70, 77, 80, 88, 89, 90, 97, 98, 100, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 116, 119}


@pytest.mark.timeout(900)
@settings(
    max_examples=GENERATED // EXAMPLE,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(batch=st.lists(strategies.terms(wide=False), min_size=EXAMPLE, max_size=EXAMPLE))
def test_terms_generated_here_survive(erlang: Driver, batch: list[Any]) -> None:
    written = erlang.request(atoms.read, [etf.encode(term) for term in batch])
    back = [etf.decode(data) for data in written]

    assert [reference_etf.canonical(term) for term in back] == [reference_etf.canonical(term) for term in batch]
    assert erlang.request(atoms.compare, [etf.encode(term) for term in batch]) == []
    assert erlang.request(atoms.compare, [etf.encode(term) for term in back]) == []


@pytest.mark.parametrize("level", range(1, 10))
def test_compressed_terms_are_read_there(erlang: Driver, level: int) -> None:
    term = [b"the same again" * 20] * 50

    assert erlang.call("erlang", "binary_to_term", etf.encode(term, compressed=level)) == term


@pytest.mark.parametrize("term", [b"", b"abc", [1.0] * 10, list(range(1000)), b"a" * 12, b"a" * 40])
def test_compression_is_given_up_where_beam_gives_it_up(erlang: Driver, term: Any) -> None:
    theirs = erlang.call("erlang", "term_to_binary", term, [atoms.compressed])

    assert (etf.encode(term, compressed=True)[1] == 80) == (theirs[1] == 80)


@pytest.mark.parametrize(
    "number",
    [
        sign * (2**bits + change)
        for bits in (8, 27, 28, 31, 32, 59, 60, 63, 64, 2040)
        for change in (-1, 0)
        for sign in (1, -1)
    ],
)
def test_integers_are_written_as_there(erlang: Driver, number: int) -> None:
    assert etf.encode(number) == erlang.call("erlang", "term_to_binary", number)


@pytest.mark.parametrize("number", [1, 2**28 - 1, 2**28, 2**40])
def test_ports_are_written_as_there(erlang: Driver, number: int) -> None:
    port = Port("n@h", number, 7)

    assert etf.encode(port) == erlang.call("erlang", "term_to_binary", port, [(atoms.minor_version, 2)])


def test_identifiers_mean_there_what_they_mean_here(erlang: Driver) -> None:
    pid = erlang.call("erlang", "self")
    reference = erlang.call("erlang", "make_ref")
    port = erlang.call("erlang", "ports")[0]

    assert erlang.call("erlang", "is_process_alive", pid) is True
    shown = {
        kind: bytes(erlang.call("erlang", f"{kind}_to_list", term)).decode()
        for kind, term in {"pid": pid, "ref": reference, "port": port}.items()
    }
    assert repr(pid) == f"#PID{shown['pid'][:-1]} nonode@nohost>"
    assert repr(reference) == f"{shown['ref'][:-1]} nonode@nohost>".replace("#Ref<", "#Reference<")
    assert repr(port) == f"{shown['port'][:-1]} nonode@nohost>"


def test_order_of_identifiers_is_erlangs(erlang: Driver) -> None:
    pids = [
        Pid(node, number, serial, creation)
        for node in ("a@h", "b@h")
        for number in (1, 9)
        for serial in (0, 2)
        for creation in (1, 2)
    ]
    ports = [Port(node, number, creation) for node in ("a@h", "b@h") for number in (1, 9) for creation in (1, 2)]
    references = [
        Reference(node, creation, [first, second, 1])
        for node in ("a@h", "b@h")
        for creation in (1, 2)
        for first in (1, 9)
        for second in (3, 4)
    ]
    atom_list = [Atom(text) for text in ("", "a", "aa", "b", "é", "z", "€", "\U0001f600", "Z")]

    for kind in (pids, ports, references, atom_list):
        assert erlang.call("lists", "sort", kind[::-1]) == sorted(kind)


def test_refusals_agree(erlang: Driver) -> None:
    """What ends the link at a real node is not sent: it is refused here as it is there."""
    for data in (
        b"\x83t\0\0\0\x02a\x01a\x01a\x01a\x02",
        b"\x83F" + struct.pack(">d", float("nan")),
        b"\x83v\x01\x00" + b"a" * 256,
        b"\x83u",
        b"\x83a",
        b"\x83M\0\0\0\x01\x09a",
        b"\x83g" + b"w\x01n" + bytes(8) + b"\x04",
    ):
        assert erlang.request(atoms.apply, atoms.erlang, atoms.binary_to_term, [data])[0] is atoms.error
        with pytest.raises(ValueError, match="offset"):
            etf.decode(data)


def test_exports_and_funs_work_there(erlang: Driver) -> None:
    length = Export("erlang", "length", 1)

    assert erlang.call("lists", "map", length, [[1], [1, 2]]) == [1, 2]


def test_keys_that_python_takes_for_equal_arrive_apart(erlang: Driver) -> None:
    term = TermMap([(1, b"a"), (1.0, b"b"), (True, b"c")])

    assert erlang.call("maps", "size", term) == 3
    assert [erlang.call("maps", "get", key, term) for key in (1, 1.0, True)] == [b"a", b"b", b"c"]


def test_native_records_are_refused_before_otp_29(erlang: Driver) -> None:
    """Only vectors show what they look like; here is shown that OTP 25 has none."""
    data = etf.encode(Record("m", "n", {"f": 1}))

    assert erlang.request(atoms.apply, atoms.erlang, atoms.binary_to_term, [data])[0] is atoms.error


def test_a_fun_goes_back_as_it_came(erlang: Driver) -> None:
    fun = next(
        term
        for data in erlang.request(atoms.generate, 500, 4711)
        if isinstance(term := etf.decode(data), Fun) and term.free_variables
    )

    assert fun.module is atoms.codec_driver
    assert erlang.call("erlang", "fun_info", fun, atoms.module) == (atoms.module, atoms.codec_driver)
