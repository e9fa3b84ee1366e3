"""The corpora of `tests.fuzz`, and a few inputs of each target that no other test runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import fuzz_lobby, fuzz_node, fuzz_zen
from tests.fuzz import TARGETS
from tests.fuzzing import Corpus, Target, behaviour, run, run_for

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fuzzing import Input

FEW = dict.fromkeys(fuzz_lobby.TARGETS, 2000) | dict.fromkeys((*fuzz_node.TARGETS, *fuzz_zen.TARGETS), 100)


@pytest.fixture(scope="module", autouse=True)
def no_node_is_left() -> Iterator[None]:
    yield
    fuzz_node.close()


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_of_the_corpus_are_checked(name: str) -> None:
    assert Corpus(name).replay(TARGETS[name]).total() >= 10


@pytest.mark.parametrize("name", FEW)
def test_hostile_inputs_are_borne(name: str) -> None:
    assert run(name, TARGETS[name], FEW[name], seed=20_261_130).total() == FEW[name]


# ---- the fuzzer itself


def bytes_of_any_length(draw: random.Random) -> Iterator[Input]:
    while True:
        yield [draw.randbytes(draw.randrange(20))]


def parity(parts: Input) -> str:
    assert parts[0] != b"", "it is empty"
    return behaviour("odd" if len(parts[0]) % 2 else "even", f"of {len(parts[0])}", 'for "a reason"')


def test_a_behaviour_is_told_by_words_alone() -> None:
    assert behaviour("down", "atom 'x' has 17 characters", b"\n") == "down: atom 0 has 0 characters 0"


def test_corpus_keeps_the_shortest_input_of_each_behaviour(tmp_path: Path) -> None:
    corpus = Corpus("parity", tmp_path)
    for data in (b"123", b"1234", b"1", b"12345", bytes(1001)):
        corpus.see(parity([data]), [data])
    corpus.write()

    again = Corpus("parity", tmp_path)
    assert again.replay(Target(bytes_of_any_length, parity)) == {"odd": 1, "even": 1}
    assert (tmp_path / "parity.hex").read_text() == "31\n31323334\n"


def test_corpus_keeps_no_more_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzzing.MAX_KEPT", 3)
    corpus = Corpus("many", tmp_path)
    for number in range(10):
        corpus.see("x" * number, [b"1"])

    assert len(corpus) == 3


def test_an_input_that_fails_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="it is empty"):
        run_for(5, "parity", Target(bytes_of_any_length, parity), 1, Corpus("parity", tmp_path))

    assert "parity, seed 1, input" in capsys.readouterr().err


def test_a_process_that_grows_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzzing.BATCH_SECONDS", 0)
    leaked = list[bytes]()

    def leak(parts: Input) -> str:
        leaked.append(b"x" * (40 << 20))
        return f"leaked: {len(parts)}"

    with pytest.raises(AssertionError, match="the process has grown"):
        run_for(60, "leak", Target(bytes_of_any_length, leak), 1, Corpus("leak", tmp_path))
    assert len(leaked) == 3
