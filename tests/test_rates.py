"""Rates are functions of (depth, epoch) and compose by multiplication."""

from fractions import Fraction
from math import isclose

import numpy as np
import pytest

from finetooth.rates import Rate, below, constant, decay, head, storable, thaw, times

PLACES = [(depth, epoch / 4) for depth in range(14) for epoch in range(13)]


def breathe(depth: int, epoch: float) -> float:
    """A user's own rate: only the head learns in every other epoch."""
    return float(depth == 0 or int(epoch) % 2 == 0)


DEFINITIONS: dict[str, tuple[Rate, Rate]] = {
    "constant": (constant(), lambda depth, epoch: 1.0),
    "constant of a value": (constant(0.3), lambda depth, epoch: 0.3),
    "head": (head(10.0), lambda depth, epoch: [10.0, *[1.0] * 13][depth]),
    # Howard and Ruder 2018: each layer 2.6 times slower than the one above; the last block learns at the full rate.
    "decay": (decay(1 / 2.6), lambda depth, epoch: 1.0 if depth <= 1 else (1 / 2.6) ** (depth - 1)),
    "no decay": (decay(1.0), lambda depth, epoch: 1.0),
    "below the head": (below(1), lambda depth, epoch: 1.0 if depth == 0 else 0.0),
    "below": (below(5), lambda depth, epoch: [*[1.0] * 5, *[0.0] * 9][depth]),
    "below nothing": (below(14), lambda depth, epoch: 1.0),
    "times nothing": (times(), lambda depth, epoch: 1.0),
    "times a lambda": (times(breathe, head(2.0)), lambda depth, epoch: 2.0 if depth == 0 else float(epoch % 2 < 1)),
}


@pytest.mark.parametrize(("rate", "definition"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_a_rate_is_its_definition_at_every_depth_and_epoch(rate: Rate, definition: Rate) -> None:
    assert all(isclose(rate(*place), definition(*place)) for place in PLACES)


def test_rates_multiply_in_any_order_and_grouping() -> None:
    a, b, c = head(10.0), decay(0.9), below(6)
    for place in PLACES:
        product = a(*place) * b(*place) * c(*place)
        for composed in (times(a, b, c), times(c, b, a), times(times(a, b), c), times(a, times(b, c), constant())):
            assert isclose(composed(*place), product)


def test_what_one_rate_freezes_no_other_thaws() -> None:
    frozen = times(constant(1e9), below(3), breathe)
    assert all(frozen(depth, epoch) == 0.0 for depth, epoch in PLACES if depth >= 3)


@pytest.mark.parametrize("every", [1.0, 0.5, 0.3, 2.0])
def test_thaw_opens_exactly_the_depth_it_should_at_each_moment(every: float) -> None:
    """7 depths, looked at before, at and after each opening and at every 30th of an epoch besides."""
    rate = thaw(every)
    moments = [i / 30 for i in range(0, 30 * 15)]
    for moment in moments:
        open_depths = {depth for depth in range(7) if rate(depth, moment) > 0}
        now = Fraction(round(moment * 30), 30)
        assert open_depths == {depth for depth in range(7) if depth * Fraction(str(every)) <= now}
    for depth in range(1, 7):
        opens = depth * every
        assert rate(depth, opens - 1e-6) == 0.0 and rate(depth, opens) == 1.0 and rate(depth, opens + 1e-6) == 1.0


def test_a_thawed_layer_warms_up_by_itself() -> None:
    rate = thaw(1.0, warmup=0.5)
    assert [rate(2, epoch) for epoch in (1.99, 2.25, 2.5, 7.0)] == pytest.approx([0.0, 0.505, 1.0, 1.0])
    assert rate(2, 2.0) == pytest.approx(0.01), "an open layer learns from its first step"
    assert rate(0, 0.0) == 1.0, "the head has the schedule's warm-up"


def test_thaw_composes_with_what_stays_frozen_and_with_decay() -> None:
    rate = times(thaw(0.5), below(3), decay(0.5))
    assert [rate(depth, 10.0) for depth in range(5)] == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert [rate(depth, 0.6) for depth in range(5)] == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_what_is_worth_keeping() -> None:
    assert storable(below(2), 4, 0.0, 3.0) == 2
    assert storable(constant(), 4, 0.5, 2.0) is None
    assert storable(below(2), 4, 0.0, 0.5) is None, "nothing is asked twice"
    assert storable(below(2), 4, 2.5, 3.0) == 2, "it was kept from the start"
    assert [storable(thaw(1.0), 4, epoch, 10.0) for epoch in (0.0, 1.0, 2.5, 3.0)] == [1, 2, 3, None]
    assert [storable(thaw(0.4), 4, epoch, 4.0) for epoch in (0.0, 0.4, 0.8)] == [3, 3, 3], "the lowest block"
    late = times(below(4), lambda depth, epoch: float(depth < 3 or epoch < 0.5))
    assert [storable(late, 5, epoch, 1.0) for epoch in (0.0, 0.3, 0.5, 0.9)] == [4] * 4
    assert [storable(late, 5, epoch, 3.0) for epoch in (0.0, 0.4, 0.5, 2.9)] == [4, 4, 3, 3]
    again = times(below(4), lambda depth, epoch: float(depth < 3 or not 0.5 <= epoch < 1.0))
    assert [storable(again, 5, epoch, 3.0) for epoch in (0.0, 0.6, 2.5)] == [4] * 3
    for end in (3.0, 3.7, 5.01):
        for every in (1.0, 0.9, 1.3):  # whenever somebody asks, between two changes the answer is the same
            rate = thaw(every)
            asked = [(int(epoch / every + 1e-9), storable(rate, 4, epoch, end)) for epoch in np.arange(0.0, end, 0.05)]
            assert len(set(asked)) == len({stretch for stretch, _ in asked}), (end, every)
    returning = lambda depth, epoch: float(depth < 3 or 1.0 <= epoch < 2.0)  # noqa: E731
    assert [storable(returning, 5, epoch, 2.5) for epoch in (0.0, 1.5, 2.2)] == [3, None, None]
