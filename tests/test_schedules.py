"""Schedules are functions of the progress through a run."""

from itertools import pairwise
from math import isclose

import pytest

from finetooth.schedules import SCHEDULES, Schedule, constant, linear, warmup

POINTS = [i / 99 for i in range(100)]


def test_constant_and_linear_are_their_formulas() -> None:
    assert [constant()(x) for x in POINTS] == [1.0] * 100
    assert all(isclose(linear()(x), 1 - x, abs_tol=1e-15) for x in POINTS)


@pytest.mark.parametrize("share", [0.0, 0.06, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("then", [constant(), linear(), lambda x: (1 - x) ** 2], ids=["constant", "linear", "own"])
def test_warmup_rises_to_one_and_then_runs_the_other_from_its_start(share: float, then: Schedule) -> None:
    schedule = warmup(share, then)
    for x in POINTS:
        expected = x / share if x < share else then((x - share) / (1 - share) if share < 1 else 0.0)
        assert isclose(schedule(x), expected, abs_tol=1e-12)
    assert isclose(schedule(share), 1.0)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_every_schedule_stays_between_zero_and_one_and_makes_no_jump(name: str, share: float) -> None:
    multipliers = [warmup(share, SCHEDULES[name]())(x) for x in POINTS]
    assert all(0 <= m <= 1 for m in multipliers)
    steepest = 1 / 99 * max(1 / share if share else 0, 1 / (1 - share))
    assert all(abs(b - a) <= steepest + 1e-12 for a, b in pairwise(multipliers))
