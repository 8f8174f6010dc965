"""Rates: (depth, epoch) -> multiplier of the learning rate.

Depth 0 is the head, the deepest is the embedding; `epoch` is a real number (1.5 is the middle of the second); 0.0
means frozen. Freezing, layer-wise decay and a faster head are all rates, and rates compose by multiplication. Being
computed, nothing about them is stored in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

Rate = Callable[[int, float], float]
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
    before = [moment for i in range(MOMENTS) if (moment := end * i / MOMENTS) < epoch]
    after = [moment for i in range(MOMENTS) if (moment := end * i / MOMENTS) > epoch]
    moments = [*before, epoch, *after, end]
    learning = [_lowest(rate, deepest, moment) for moment in moments[:-1]] + [deepest + 1]
    kept: set[int] = set()
    for i in range(len(before) + 1):
        if i and learning[i] == learning[i - 1]:
            continue  # what did not last then does not now
        kept = {depth for depth in kept if depth > learning[i]}
        for depth in range(max(learning[i], 0) + 1, deepest):
            until = next(moments[j] for j in range(i, len(moments)) if learning[j] >= depth)
            if depth in kept or until - moments[i] >= 1.0 - 1e-9:
                kept.add(depth)
                chosen: int | None = depth
                break
        else:
            chosen = None
    return chosen


def _lowest(rate: Rate, deepest: int, epoch: float) -> int:
    """The deepest depth that learns at this moment; -1 where none does."""
    return next((depth for depth in range(deepest, -1, -1) if rate(depth, epoch) != 0.0), -1)


def times(*rates: Rate) -> Rate:
    """All of them at once."""
    return lambda depth, epoch: prod(rate(depth, epoch) for rate in rates)
