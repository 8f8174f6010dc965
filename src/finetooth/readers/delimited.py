"""Comma- and tab-separated files, plain or gzipped. Cells stay the text they are: "007" and "NA" too."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from finetooth.errors import DataError
from finetooth.readers.opened import opened

ROWS = 50_000  # held as Python objects at a time
LONGEST = 2**31 - 1  # characters of a cell; Python's own limit of 131,072 is far below a long document


def read_csv(path: Path) -> pa.Table:
    """A comma-separated file whose first line names the columns."""
    return _read(path, ",")


def read_tsv(path: Path) -> pa.Table:
    """A tab-separated file whose first line names the columns."""
    return _read(path, "\t")


def _read(path: Path, delimiter: str) -> pa.Table:
    csv.field_size_limit(LONGEST)
    with opened(path) as text:
        rows = _rows(path, csv.reader(text, delimiter=delimiter, strict=True))
        names = next(rows, [])
        other = next((mark for mark in ";\t|," if mark != delimiter and len(names) == 1 and mark in names[0]), None)
        if other:
            raise DataError(
                f"{path}: the header {names[0]!r} looks separated by {other!r}, expected {delimiter!r}. Save the file "
                f"with commas (.csv) or tabs (.tsv)."
            )
        if len(set(names)) < len(names):
            doubled = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{path}: the column '{doubled}' stands twice in the header; rename one of them.")
        schema = pa.schema([(name, pa.string()) for name in names])
        chunks = []
        while chunk := list(islice(rows, ROWS)):
            columns = [pa.array(column, pa.string()) for column in zip(*chunk, strict=True)]
            chunks.append(pa.table(columns, schema=schema))
    return pa.concat_tables(chunks) if chunks else schema.empty_table()


def _rows(path: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The header and every row after it, each checked to be as long as the header; blank lines are no rows."""
    wanted, line = 0, 1
    try:
        for row in reader:
            if row:
                wanted = wanted or len(row)
                if len(row) != wanted:
                    raise DataError(
                        f"{path}, line {line}: found {len(row)} cells, expected {wanted} as in the header. Put cells "
                        f'that contain the delimiter or a line break in "double quotes".'
                    )
                yield row
            line = reader.line_num + 1  # type: ignore[attr-defined]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: the quotes in this row are not closed as they should be ({error}). A quote inside a "
            f'quoted cell is written twice: "".'
        ) from error
