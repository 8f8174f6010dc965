"""Schedules: progress through the run, between 0 and 1, -> multiplier of the learning rate.

`warmup` goes before any of them. `SCHEDULES` gives them their names in a plan, which are Hugging Face's.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sqrt

Schedule = Callable[[float], float]


def constant() -> Schedule:
    """The learning rate as given, all the way."""
    return lambda progress: 1.0


def linear() -> Schedule:
    """From 1 down to 0 in a straight line."""
    return lambda progress: 1.0 - progress


def cosine() -> Schedule:
    """From 1 down to 0 along half a cosine wave.

    Loshchilov and Hutter 2017 (SGDR), section 3, without restarts.
    """
    return lambda progress: (1.0 + cos(pi * progress)) / 2


def cosine_with_restarts(cycles: int = 3) -> Schedule:
    """`cycles` times from 1 down to 0 along half a cosine wave. Loshchilov and Hutter 2017 (SGDR), section 3."""
    return lambda progress: 0.0 if progress >= 1.0 else (1.0 + cos(pi * (progress * cycles % 1.0))) / 2


def polynomial(power: float = 2.0) -> Schedule:
    """From 1 down to 0 as (1 - progress) to a power; 1 is linear."""
    return lambda progress: (1.0 - progress) ** power


def inverse_sqrt(timescale: float = 1 / 9) -> Schedule:
    """From 1 down as the inverse root of the time, `timescale` a share of the way after the warm-up.

    With a warm-up of 0.1 of the run the default is that of Vaswani et al. 2017 (Attention Is All You Need), 5.3.
    """
    return lambda progress: sqrt(timescale / (timescale + progress))


def one_cycle(rise: float = 0.3, start: float = 0.04) -> Schedule:
    """From `start` up to 1 over the share `rise`, then down to 0, both along half a cosine wave.

    Smith and Topin 2018 (Super-Convergence), section 3.
    """

    def schedule(progress: float) -> float:
        if progress < rise:
            return start + (1.0 - start) * (1.0 - cos(pi * progress / rise)) / 2
        return (1.0 + cos(pi * (progress - rise) / (1.0 - rise))) / 2

    return schedule


def warmup(share: float, then: Schedule) -> Schedule:
    """Rise from 0 to 1 in a straight line over the first `share` of the run, then follow `then` over the rest.

    Goyal et al. 2017 (Accurate, Large Minibatch SGD), section 2.2.
    """
    if share <= 0.0:
        return then
    return lambda progress: progress / share if progress < share else then((progress - share) / max(1.0 - share, 1e-12))


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "constant_with_warmup": constant,
    "linear": linear,
    "cosine": cosine,
    "cosine_with_restarts": cosine_with_restarts,
    "polynomial": polynomial,
    "inverse_sqrt": inverse_sqrt,
    "one_cycle": one_cycle,
}
