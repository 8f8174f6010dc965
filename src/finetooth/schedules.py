"""Schedules: progress through the run, between 0 and 1, -> multiplier of the learning rate."""

from __future__ import annotations

from collections.abc import Callable

Schedule = Callable[[float], float]


def constant() -> Schedule:
    """The learning rate as given, all the way."""
    return lambda progress: 1.0


def linear() -> Schedule:
    """From 1 down to 0 in a straight line."""
    return lambda progress: 1.0 - progress


def warmup(share: float, then: Schedule) -> Schedule:
    """Rise from 0 to 1 in a straight line over the first `share` of the run, then follow `then` over the rest.

    Goyal et al. 2017 (Accurate, Large Minibatch SGD), section 2.2.
    """
    if share <= 0.0:
        return then
    return lambda progress: progress / share if progress < share else then((progress - share) / max(1.0 - share, 1e-12))


SCHEDULES: dict[str, Callable[[], Schedule]] = {"constant": constant, "linear": linear}
