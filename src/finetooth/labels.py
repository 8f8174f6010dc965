"""What stands in a label column: one of several classes, a number, any of several labels, an answer in words, or tags.

Says which, reads it, and gives each row the class among whose rows it is dealt to the parts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetooth.errors import DataError
from finetooth.table import Kind, Table, words_in
from finetooth.tags import Scheme, type_of

FRACTIONS = 10  # different numbers above which fractions are no names of classes
WHOLE = 30  # and whole numbers, where there are also
ROWS = 10  # rows for each of them, or fewer
BINS = 10  # of as many rows each, by which numbers are stratified
SEPARATORS = ("|", ";", ",")  # between the labels of a cell


def kind_of(table: Table) -> Kind:
    """What the labels look like.

    Texts where prompts stand beside them, or where they are part of conversations; tags where both they and the inputs
    are lists; several labels where they alone are, or where separators part them into fewer names than there are
    cells; numbers where there are many different ones and each stands in few rows, or has a fraction; else classes.
    """
    if table.columns.talk:
        return "texts"
    labels = [label for label in table.labels if label is not None]
    if labels and _lists(labels) and None not in table.words:
        return "tags"
    if labels and (_lists(labels) or _recurring(labels)):
        return "any-of"
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


def sets(table: Table) -> list[frozenset[str]]:
    """The labels that are true of each row; none where the cell is empty.

    Raises DataError, naming the row, for a list of something else than texts and numbers.
    """
    cells = [label for label in table.labels if label is not None]
    if not _lists(cells):
        separator = next((s for s in SEPARATORS if any(s in cell for cell in cells)), None)
        return [frozenset(_pieces(cell or "", separator)) for cell in table.labels]
    found = []
    for i, cell in enumerate(table.labels):
        own = [] if cell is None else json.loads(cell)
        if not all(isinstance(name, str | int | float) for name in own):
            raise DataError(
                f"{table.place(i)}, column '{table.columns.label}': found {str(cell)[:60]}, expected a list of the "
                f'names of labels such as ["a", "b"].'
            )
        found.append(frozenset(str(name) for name in own))
    return found


def _lists(cells: Sequence[str]) -> bool:
    """Whether every cell is a list as JSON has it."""
    return bool(cells) and all(cell.lstrip().startswith("[") and isinstance(_json(cell), list) for cell in cells)


def _json(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return None


def _pieces(cell: str, separator: str | None) -> list[str]:
    return [piece.strip() for piece in (cell.split(separator) if separator else [cell]) if piece.strip()]


def _recurring(cells: Sequence[str]) -> bool:
    """Whether some separator parts the different cells into fewer different names, which come again in others."""
    different = set(cells)
    for separator in SEPARATORS:
        if any(separator in cell for cell in different):
            return len({piece for cell in different for piece in _pieces(cell, separator)}) < len(different)
    return False


def told(table: Table) -> str:
    """The scheme of a table's tags in words, and how many types or tags there are."""
    scheme = _scheme(table)
    if not scheme.marks:
        return f"{len(scheme.kinds):,} plain tags"
    written = (None if cell is None else words_in(cell) for cell in table.labels)
    changed = any(own != row for own, row in zip(written, table.tags, strict=True))
    name = "IOB1, read as BIO" if changed else scheme.name
    types = ", ".join(scheme.kinds[:6]) + (", ..." if len(scheme.kinds) > 6 else "")
    return f"{name}, {len(scheme.kinds):,} {'type' if len(scheme.kinds) == 1 else 'types'} of entities ({types})"


def strata(table: Table, kind: Kind) -> list[str | None] | None:
    """The class among whose rows each row is dealt to the parts; None where the labels themselves say it.

    Numbers are dealt by bins of equally many rows, several labels by the rarest, and so are tags, or the entities that
    they mark: what is common is spread evenly by itself.
    """
    if kind == "one-of":
        return None
    if kind in ("any-of", "tags"):
        found = sets(table) if kind == "any-of" else _tagged(table)
        counts = Counter(name for own in found for name in own)
        return [min(own, key=lambda name: (counts[name], name), default=None) for own in found]
    if kind == "texts":
        return [None] * len(table)
    values = numbers(table)
    known = values[np.isfinite(values)]
    inner = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.zeros(0)
    names = [f"from {low:g}" for low in (-np.inf, *inner.tolist())]
    bins = np.searchsorted(inner, values, side="right").tolist()
    return [None if value != value else names[place] for value, place in zip(values.tolist(), bins, strict=True)]


def _tagged(table: Table) -> list[frozenset[str]]:
    """The types of entities in each row, or its plain tags."""
    marks = _scheme(table).marks
    kinds = (([type_of(tag) for tag in row or ()] if marks else row or ()) for row in table.tags)
    return [frozenset(own) - {""} for own in kinds]


def _scheme(table: Table) -> Scheme:
    return Scheme.of(sorted({tag for row in table.tags for tag in row or ()}))
