"""Answers to a file, one row each, so that they can be read beside what they are about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from finetooth.errors import DataError, nearest
from finetooth.table import Answers, Table
from finetooth.tags import Tags


def _write_jsonl(table: pa.Table, path: Path) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist()), encoding="utf-8")


def _write_delimited(table: pa.Table, path: Path, delimiter: str) -> None:
    """Lists and objects are written as JSON, since a cell holds a text."""
    for i, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            cells = [None if cell is None else json.dumps(cell, ensure_ascii=False) for cell in table[i].to_pylist()]
            table = table.set_column(i, field.name, pa.array(cells, pa.string()))
    csv.write_csv(table, path, csv.WriteOptions(delimiter=delimiter))


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".csv": lambda table, path: _write_delimited(table, path, ","),
    ".tsv": lambda table, path: _write_delimited(table, path, "\t"),
    ".jsonl": _write_jsonl,
    ".parquet": parquet.write_table,
}


def write(path: Path, p: Answers, table: Table) -> None:
    """Write by the ending of `path`, which has to be one of WRITERS. Raises DataError where it cannot be written.

    Each row has its place in the file it came from, its id, its input columns, and what the model says of it.
    """
    rows = [table.position[i] for i in p.ids]
    cells = {name: table.column(name) for name in table.columns.input}
    given: dict[str, list[Any]] = {name: [column[r] for r in rows] for name, column in cells.items()}
    if isinstance(p, Tags) and None not in (words := [table.words[r] for r in rows]):
        given = dict.fromkeys(given, words)
    answers = {"row": [table.places[r][1] for r in rows], "id": p.ids, **p.cells()}
    columns = {**answers, **{name if name not in answers else f"input_{name}": cells for name, cells in given.items()}}
    write_rows(path, pa.table(columns))


def write_rows(path: Path, rows: pa.Table) -> None:
    """Write by the ending of `path`. Raises DataError for an ending that is not one of WRITERS, or a failed write."""
    if path.suffix not in WRITERS:
        raise DataError(f"{path}: the ending '{path.suffix}' cannot be written; {nearest(path.suffix, WRITERS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[path.suffix](rows, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}.") from error
