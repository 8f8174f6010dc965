"""Where is the model weak? Its score on short and long rows, on those of each source, script or value of a column.

The best and the worst of several slices are picked by looking, and lie apart by luck alone; so the interval of a gap
is made wide enough to hold for the differences of all pairs of slices at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import studentized_range

from finetooth.checks.texts import script_of
from finetooth.errors import DataError, nearest, shown
from finetooth.metrics import Interval, Metric, interval, statistic, units_of
from finetooth.metrics.base import Values
from finetooth.metrics.intervals import FEWEST_ROWS, LEVEL, count_of, resampled, widening
from finetooth.table import Answers, Table

Rows = NDArray[np.int64]

MOST = 12  # values of a column that are slices of their own
FEWEST = 20  # rows of a second source or script, for it to be no stray
EMPTY, OTHER = "empty", "other"


@dataclass(frozen=True)
class Slice:
    """Some of the rows, by what stands in a column, the group of each (None: it stands alone) and the score on them."""

    column: str
    name: str
    rows: Rows
    groups: Sequence[str | None]
    estimate: Interval

    @staticmethod
    def of(metric: Metric, p: Answers, groups: Sequence[str | None], column: str, name: str, rows: Rows) -> Slice:
        """Scored; where all its rows are of one group, whole groups cannot be drawn and each row stands alone."""
        here = [groups[row] for row in rows.tolist()]
        here = here if len(set(here)) > 1 else [None] * len(here)
        return Slice(column, name, rows, here, interval(metric, p.take(rows), here))

    @property
    def enough(self) -> bool:
        """Whether it has an interval, and so a place in a ranking."""
        return self.estimate.low is not None

    def says(self) -> dict[str, Any]:
        """As the report keeps it."""
        return {
            "column": self.column,
            "slice": self.name,
            "rows": len(self.rows),
            "estimate": self.estimate.told(),
        }


def slices(
    p: Answers, table: Table, lengths: Mapping[str, int], metric: Metric, *, columns: Sequence[str] = ()
) -> dict[str, Any]:
    """The metric on slices of the rows of `p`, the widest gap of each column and the weakest slice, for the report.

    Cut by length in tokens (`lengths` by row id; none, no such column), by source file, real and synthetic, group and
    script where there are several with rows enough, and by each of the table's `columns`: numbers in thirds, texts by
    value. A column that is named replaces the one that would have its name. The order of the rows plays no part.
    Raises DataError for a column that the table does not have.
    """
    refuse_unknown(table, columns)
    p = p.take(np.array(sorted(range(len(p.ids)), key=p.ids.__getitem__), dtype=np.int64))
    places = [table.position[row_id] for row_id in p.ids]
    groups = [table.groups[place] for place in places]
    found: list[Slice] = []
    gaps = []
    for column, cut in _cuts(p, table, places, lengths, columns).items():
        here = [Slice.of(metric, p, groups, column, name, rows) for name, rows in cut.items()]
        found += here
        gaps += _gap(metric, p, [s for s in here if s.enough])
    weakest = _worst_first(metric, [s for s in found if s.enough])
    return {
        "metric": metric.name,
        "table": [s.says() for s in found],
        "gaps": gaps,
        "weakest": weakest[0].says() if weakest else None,
    }


def refuse_unknown(table: Table, columns: Sequence[str]) -> None:
    """Raise DataError for a column that the table does not have."""
    for name in columns:
        if name not in table.data.column_names:
            raise DataError(f"{table.source}: no column '{shown(name)}'; {nearest(name, table.data.column_names)}")


def _cuts(
    p: Answers, table: Table, places: list[int], lengths: Mapping[str, int], columns: Sequence[str]
) -> dict[str, dict[str, Rows]]:
    """By column the rows of each slice, as places in `p`."""
    cuts: dict[str, dict[str, Rows]] = {}
    if lengths and len(thirds := _thirds([lengths[row_id] for row_id in p.ids], " tokens")) > 1:
        cuts["length"] = thirds
    kinds: dict[str, tuple[list[str], int]] = {"source": ([table.places[i][0] for i in places], FEWEST)}
    if table.synthetic is not None:
        kinds["synthetic"] = ["synthetic" if table.synthetic[i] else "real" for i in places], FEWEST
    if table.columns.group is not None:
        kinds[table.columns.group] = [table.groups[i] or "" for i in places], FEWEST_ROWS
    if table.folder is None:
        scripts = [script_of(" ".join(table.inputs[i])) for i in places]
        kinds["script"] = [script.title() if script else OTHER for script in scripts], FEWEST
    for column, (values, fewest) in kinds.items():
        counts = Counter(values).most_common(2)
        if len(counts) > 1 and counts[1][1] >= fewest:
            cuts[column] = _by_value(values)
    for column in columns:
        cells = table.column(column)
        by = _by_value if column == table.columns.group else _by_cell
        cuts[column] = by([(cells[i] or "").strip() for i in places])
    return cuts


def _by_cell(cells: list[str]) -> dict[str, Rows]:
    """In thirds where every cell that is not empty is a finite number, else by value."""
    filled = np.array([i for i, cell in enumerate(cells) if cell], dtype=np.int64)
    try:
        numbers = [float(cells[i]) for i in filled]
    except ValueError:
        return _by_value(cells)
    if not (numbers and all(map(isfinite, numbers))):
        return _by_value(cells)
    cut = {name: filled[rows] for name, rows in _thirds(numbers).items()}
    if len(filled) < len(cells):
        cut[EMPTY] = np.setdiff1d(np.arange(len(cells)), filled)
    return cut


def _by_value(values: list[str]) -> dict[str, Rows]:
    """The rows of each of the commonest values, the commonest first, and those of all others."""
    names = [value or EMPTY for value in values]
    counts = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    cut: dict[str, list[int]] = {name: [] for name, _ in counts[:MOST]}
    for i, name in enumerate(names):
        cut.setdefault(name if name in cut else OTHER, []).append(i)
    return {name: np.array(rows, dtype=np.int64) for name, rows in cut.items()}


def _thirds(values: Sequence[float], unit: str = "") -> dict[str, Rows]:
    """Three parts as even as equal values, which stay together, allow; fewer where there are few values."""
    array = np.array(values, dtype=float)
    distinct, counts = np.unique(array, return_counts=True)
    ends = counts.cumsum()[:-1]  # rows before each place where a cut can be
    cuts = sorted({int(np.abs(ends - len(array) * part / 3).argmin()) + 1 for part in (1, 2)}) if len(ends) else []
    parts: dict[str, Rows] = {}
    for start, end in zip([0, *cuts], [*cuts, len(distinct)], strict=True):
        low, high = distinct[start], distinct[end - 1]
        first, last = (repr(float(bound)).removesuffix(".0") for bound in (low, high))
        if start == end - 1:
            name = first
        elif start == 0:
            name = f"up to {last}"
        else:
            name = f"{first} to {last}" if end < len(distinct) else f"{first} or more"
        name += unit[:-1] if name == "1" else unit
        parts[name] = np.flatnonzero((array >= low) & (array <= high))
    return parts


def _worst_first(metric: Metric, ranked: list[Slice]) -> list[Slice]:
    return sorted(ranked, key=lambda s: s.estimate.value, reverse=metric.better == "lower")


def _gap(metric: Metric, p: Answers, ranked: list[Slice]) -> list[dict[str, Any]]:
    """Between the best and the worst of a column, above 0.0; none where there are not two to compare.

    Tukey's range over bootstrap errors (Kramer 1956, Extension of Multiple Range Tests to Group Means with Unequal
    Numbers of Replications): the ends of so many draws tell too little to widen a bootstrap interval for many pairs.
    """
    if len(ranked) < 2:
        return []
    worst, *_, best = _worst_first(metric, ranked)
    high, low = statistic(metric, p.take(best.rows)), statistic(metric, p.take(worst.rows))
    sign, parted = 1.0 if metric.better == "higher" else -1.0, len(best.rows)

    def difference(weights: Values) -> Values:
        return sign * (high(weights[:, :parted]) - low(weights[:, parted:]))

    units = units_of([*best.groups, *worst.groups], parted + len(worst.rows))
    value, drawn = resampled(difference, units)
    if len(drawn):
        wide = float(studentized_range.ppf(LEVEL, len(ranked), np.inf)) / sqrt(2)
        half = wide * float(drawn.std(ddof=1)) * widening(count_of(units))
        found = Interval(value, value - half, value + half, f"Tukey, over {len(ranked)} slices")
    else:
        found = Interval(value, None, None, "not defined in most draws")
    return [{"column": worst.column, "best": best.name, "worst": worst.name, "difference": found.told()}]
