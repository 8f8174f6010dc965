"""What stands in a label column: one of several classes, or a number. Says which, reads it, and bins it for a split."""

from __future__ import annotations

from math import isfinite, nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from finetooth.errors import DataError
from finetooth.table import Table

Kind = Literal["one-of", "numbers", "texts"]

FRACTIONS = 10  # different numbers above which fractions are no names of classes
WHOLE = 30  # and whole numbers, where there are also
ROWS = 10  # rows for each of them, or fewer
BINS = 10  # of as many rows each, by which numbers are stratified


def kind_of(table: Table) -> Kind:
    """Numbers where there are many different ones and each stands in few rows, or has a fraction; else classes."""
    labels = [label for label in table.labels if label is not None]
    try:
        values = [float(label) for label in labels]
    except ValueError:
        return "one-of"
    different = len(set(values))
    if not all(map(isfinite, values)) or different <= FRACTIONS:
        return "one-of"
    fractions = any(not value.is_integer() for value in values)
    return "numbers" if fractions or different > max(WHOLE, len(labels) / ROWS) else "one-of"


def numbers(table: Table) -> NDArray[np.float64]:
    """The label of each row as a number, NaN where it is missing or none."""
    return np.array([_number(cell) for cell in table.labels], dtype=np.float64)


def refuse_other(table: Table) -> None:
    """Raise DataError, naming the first row, for labels that are no finite numbers."""
    other = [i for i, value in enumerate(numbers(table).tolist()) if value != value and table.labels[i] is not None]
    if other:
        raise DataError(
            f"{table.place(other[0])}, column '{table.columns.label}': found {str(table.labels[other[0]])[:60]!r}, "
            f"expected a finite number such as 3.5, since text-regression learns numbers; {len(other):,} of "
            f"{len(table):,} rows are like it. Mend them or take them out, or set task to text-classification if "
            f"these are names of classes."
        )


def _number(cell: str | None) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        return nan
    return value if isfinite(value) else nan


def strata(table: Table, kind: Kind) -> list[str | None] | None:
    """The bin among whose rows each row is dealt to the parts; None where the labels themselves say it."""
    if kind == "one-of":
        return None
    if kind == "texts":
        return [None] * len(table)
    values = numbers(table)
    known = values[np.isfinite(values)]
    inner = np.quantile(known, np.arange(1, BINS) / BINS) if len(known) else np.zeros(0)
    bins = np.searchsorted(np.unique(inner), values, side="right").tolist()
    return [None if value != value else str(place) for value, place in zip(values.tolist(), bins, strict=True)]
