"""No shape of a term costs more than its bytes are worth; `tests.fuzz_linear` measures more of them, larger."""

from __future__ import annotations

import pytest

from pyzen import etf
from pyzen.errors import DecodeError
from tests import fuzz_linear
from tests.bulky_terms import REFUSED, SHAPES


@pytest.mark.parametrize("shape", SHAPES)
def test_no_byte_of_a_larger_term_costs_more(shape: str) -> None:
    verdicts = list(fuzz_linear.check([shape], ["decode"], largest=160_000))

    assert [str(verdict) for verdict in verdicts if not verdict.passed] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_terms_of_every_shape_are_decoded_or_refused(shape: str) -> None:
    data = SHAPES[shape](100_000)
    if shape in REFUSED:
        with pytest.raises(DecodeError):
            etf.decode(data)
    else:
        assert etf.decode(data) is not None


def test_what_is_quadratic_is_found() -> None:
    def compare_all(subject: fuzz_linear.Subject) -> int:
        return sum(one is other for one in subject.term for other in subject.term)

    made = [fuzz_linear.subject_of("pairs", size) for size in (500, 4000)]
    costs = [fuzz_linear.cost(compare_all, subject) for subject in made]

    assert costs[-1] / costs[0] > fuzz_linear.GROWTH
