"""Rates: (depth, epoch) -> multiplier of the learning rate.

Depth 0 is the head, the deepest is the embedding; `epoch` is a real number (1.5 is the middle of the second); 0.0
means frozen. Freezing, layer-wise decay and a faster head are all rates, and rates compose by multiplication. Being
computed, nothing about them is stored in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

Rate = Callable[[int, float], float]
NEAR = 1e-6  # of an epoch: less than a step
MOMENTS = 1000  # of a run, at which its rates are looked at beforehand


def constant(value: float = 1.0) -> Rate:
    """The same multiplier everywhere."""
    return lambda depth, epoch: value


def head(multiplier: float) -> Rate:
    """A head that learns `multiplier` times as fast as what is below it."""
    return lambda depth, epoch: multiplier if depth == 0 else 1.0


def decay(factor: float) -> Rate:
    """Layer-wise decay: each layer learns `factor` times as fast as the one above it; the head is left alone.

    Howard and Ruder 2018 (ULMFiT), section 3.2, with 1 / 2.6; Sun et al. 2019 (How to Fine-Tune BERT), section 5.3.3.
    """
    return lambda depth, epoch: factor ** max(depth - 1, 0)


def below(depth_of_cut: int) -> Rate:
    """Freeze everything at `depth_of_cut` and deeper: below(1) trains the head only."""
    return lambda depth, epoch: 0.0 if depth >= depth_of_cut else 1.0


def thaw(every: float, *, warmup: float = 0.0) -> Rate:
    """Gradual unfreezing from the top: the head learns at once, depth d from epoch d * `every` on.

    Over the `warmup` epochs after it opens, a layer's rate rises in a straight line from a hundredth to the whole.
    Howard and Ruder 2018 (ULMFiT), section 3.3.
    """

    def rate(depth: int, epoch: float) -> float:
        # A moment that is meant to be 0.3 can come as 0.30000000000000004 or as 0.29999999999999999.
        since = epoch - depth * every + 1e-9
        if since < 0.0:
            return 0.0
        return 1.0 if depth == 0 or since >= warmup else 0.01 + 0.99 * since / warmup

    return rate


def storable(rate: Rate, deepest: int, epoch: float, end: float) -> int | None:
    """From which depth on down what is frozen now is worth keeping, in a run of `end` epochs; None where none is.

    It is the highest that stays frozen for a pass over the rows from now on, or did when it was first kept: a layer
    that stopped a moment ago is asked of each row once more at most, and the store below it goes on serving.
    """
    since, learning = map(list, zip(*_stretches(rate, deepest, end), strict=True))
    kept: set[int] = set()
    chosen: int | None = None
    for i in range(len(since)):
        if since[i] > epoch + NEAR:
            break
        kept, chosen = {depth for depth in kept if depth > learning[i]}, None
        for depth in range(max(learning[i], 0) + 1, deepest):
            until = next((since[j] for j in range(i, len(since)) if learning[j] >= depth), end)
            if depth in kept or until - since[i] >= 1.0 - NEAR:
                kept.add(depth)
                chosen = depth
                break
    return chosen


def _stretches(rate: Rate, deepest: int, end: float) -> list[tuple[float, int]]:
    """When what learns changes, from the start on, and the deepest depth that learns from then on; -1 where none does.

    The rates are looked at in even steps, and between two that differ by halving, so that a moment of the run does not
    hang on when somebody asks.
    """

    def lowest(epoch: float) -> int:
        return next((depth for depth in range(deepest, -1, -1) if rate(depth, epoch) != 0.0), -1)

    found = [(0.0, lowest(0.0))]
    for i in range(1, MOMENTS):
        before, after = end * (i - 1) / MOMENTS, end * i / MOMENTS
        if (now := lowest(after)) != found[-1][1]:
            while after - before > NEAR / 4:
                middle = (before + after) / 2
                before, after = (before, middle) if lowest(middle) == now else (middle, after)
            found.append((after, now))
    return found


def times(*rates: Rate) -> Rate:
    """All of them at once."""
    return lambda depth, epoch: prod(rate(depth, epoch) for rate in rates)
