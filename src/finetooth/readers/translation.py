"""Hugging Face's column `translation`, whose cells hold the same text in two languages, as two columns."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

COLUMN = "translation"


def unfolded(data: pa.Table) -> tuple[pa.Table, tuple[str, str] | None]:
    """The table with a column for each language in its place, and their names in the order in which cells have them.

    Any other table comes back as it is.
    """
    if COLUMN not in data.column_names:
        return data, None
    cells = [_languages(cell) for cell in data[COLUMN].to_pylist()]
    names = tuple(cells[0]) if cells and cells[0] else ()
    others = {*data.column_names} - {COLUMN}
    if len(names) != 2 or others & {*names} or any(cell is None or {*cell} != {*names} for cell in cells):
        return data, None
    data = data.drop_columns([COLUMN])
    for name in names:
        data = data.append_column(name, pa.array([cell[name] for cell in cells if cell], pa.string()))
    return data, (names[0], names[1])


def _languages(cell: str | None) -> dict[str, str] | None:
    """A text by the name of its language; None where the cell is something else."""
    try:
        found: Any = json.loads(cell or "")
    except ValueError:
        return None
    texts = isinstance(found, dict) and all(isinstance(text, str) for text in found.values())
    return found if texts else None
