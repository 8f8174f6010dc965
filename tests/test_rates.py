"""Rates are functions of (depth, epoch) and compose by multiplication."""

from math import isclose

import pytest

from finetooth.rates import Rate, below, constant, decay, head, times

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
