"""Whether there are enough rows for the question: how wide the interval of a score on this test part will be."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from math import sqrt

from finetooth.checks.base import Sample, rows_of
from finetooth.findings import Finding

Z = 1.959964  # of a 95 % interval
ENOUGH = 0.03  # points up or down that a test should be able to tell
SCORE = 0.85  # an accuracy as fine-tuned models have it, for the forecast


def half_width(rows: int, share: float = SCORE) -> float:
    """Half the width of Wilson's 95 % interval of a share of right answers among so many rows (Wilson 1927)."""
    return Z / (1 + Z * Z / rows) * sqrt(share * (1 - share) / rows + Z * Z / (4 * rows * rows))


def size(sample: Sample) -> Iterator[Finding]:
    """How sure a score can be with so many test rows, and how many it would take to be surer."""
    if sample.split is None or not sample.split.test or sample.kind != "one-of":  # accuracy is for classes
        return
    rows = len(sample.split.test)
    wide = half_width(rows)
    wanted = next(n for n in count(50, 50) if half_width(n) <= ENOUGH)
    grid = [50, 100, 200, 300, 500, 1_000, 2_000, 5_000]
    yield sample.finding(
        "test size",
        "warning" if wide > ENOUGH else "info",
        f"{rows_of(rows, 'test row')}: an accuracy of {SCORE:.2f} will be known to {100 * wide:.1f} points up or down, "
        f"and smaller differences cannot be told.",
        f"For {100 * ENOUGH:.0f} points it takes about {wanted:,} test rows."
        if wide > ENOUGH
        else "That is enough for most questions.",
        count=rows,
        chart={
            "kind": "curve",
            "title": "points up or down, by test rows",
            "x": grid,
            "y": [100 * half_width(n) for n in grid],
            "mark": [rows, 100 * wide],
        },
    )
