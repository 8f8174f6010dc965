"""When a run has had enough, and which of its evaluations was best."""

from math import nan

import pytest

from finetooth.history import Epoch
from finetooth.metrics import Metric
from finetooth.stops import best, never, patience

HIGHER, LOWER = Metric("score", "higher", lambda p: 0.0), Metric("score", "lower", lambda p: 0.0)


def history(scores: list[float]) -> list[Epoch]:
    return [Epoch(i + 1, i + 1.0, 0.0, {"score": s}, 0.0, 0.0, (), 0.0, 0.0) for i, s in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "number"),
    [
        ([0.5], 0),
        ([0.1, 0.2, 0.3], 2),
        ([0.3, 0.2, 0.1], 0),
        ([0.1, 0.3, 0.2, 0.3], 1),
        ([0.2, 0.2, 0.2], 0),
        ([nan, 0.2, 0.3], 2),
        ([0.2, nan, 0.1], 0),
        ([-1.0, nan, -1.0], 0),
    ],
)
def test_the_best_is_the_earliest_of_equals_in_both_directions_and_never_undefined(
    scores: list[float], number: int
) -> None:
    assert best(HIGHER, history(scores)) == number
    assert best(LOWER, history([-score for score in scores])) == number


@pytest.mark.parametrize(
    ("scores", "evaluations", "stops_after"),
    [
        ([0.1, 0.2, 0.3, 0.4], 1, None),
        ([0.4, 0.3, 0.2, 0.1], 1, 2),
        ([0.4, 0.4, 0.4, 0.4], 2, 3),
        ([0.4, 0.3, 0.5, 0.4, 0.4], 2, 5),
        ([0.4, 0.3, 0.5, 0.4, 0.6], 2, None),
        ([0.4, 0.1, 0.2, 0.3], 3, 4),
    ],
)
def test_patience_ends_after_so_many_evaluations_without_a_better_one(
    scores: list[float], evaluations: int, stops_after: int | None
) -> None:
    for metric, sign in ((HIGHER, 1), (LOWER, -1)):
        seen = history([sign * score for score in scores])
        enough = patience(metric, evaluations)
        ends = [count for count in range(len(seen) + 1) if enough(seen[:count])]
        assert ends[:1] == ([] if stops_after is None else [stops_after])


def test_never_is_never() -> None:
    assert not any(never()(history([0.5] * count)) for count in range(50))
