"""Schedules are functions of the progress through a run."""

import math
from collections.abc import Callable
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


FORMULAS: dict[str, Callable[[float], float]] = {
    "constant": lambda x: 1.0,
    "constant_with_warmup": lambda x: 1.0,
    "linear": lambda x: 1 - x,
    "cosine": lambda x: math.cos(math.pi * x / 2) ** 2,
    "cosine_with_restarts": lambda x: 0.0 if x == 1 else math.cos(math.pi / 2 * math.fmod(3 * x, 1)) ** 2,
    "polynomial": lambda x: (1 - x) * (1 - x),
    "inverse_sqrt": lambda x: 1 / math.sqrt(1 + 9 * x),
    "one_cycle": lambda x: (
        0.04 + 0.96 * math.sin(math.pi * x / 0.6) ** 2
        if x < 0.3
        else math.sin(math.pi / 2 * (1 - (x - 0.3) / 0.7)) ** 2
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_equals_its_formula_at_100_points(name: str) -> None:
    made = SCHEDULES[name]()
    assert all(isclose(made(x), FORMULAS[name](x), abs_tol=1e-12) for x in POINTS)
    assert all(0 <= warmup(0.1, made)(x) <= 1 for x in POINTS)


def test_options_change_the_formula() -> None:
    assert isclose(SCHEDULES["polynomial"](power=3)(0.5), 0.125)
    assert isclose(SCHEDULES["cosine_with_restarts"](cycles=2)(0.25), 0.5)
    assert isclose(SCHEDULES["one_cycle"](rise=0.5, start=0.2)(0.25), 0.6)


def test_inverse_sqrt_after_a_tenth_of_warm_up_is_that_of_the_transformer() -> None:
    """Vaswani et al.: min(step ** -0.5, step * warmup ** -1.5), scaled to 1 at its highest."""
    schedule, steps, warm = warmup(0.1, SCHEDULES["inverse_sqrt"]()), 1000, 100
    for step in range(1, steps + 1, 7):
        expected = min(step**-0.5, step * warm**-1.5) / warm**-0.5
        assert isclose(schedule(step / steps), expected, rel_tol=1e-9)
