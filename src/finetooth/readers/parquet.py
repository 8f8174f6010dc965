"""Parquet files. Numbers become their text, nested cells their JSON."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from finetooth.errors import DataError


def read_parquet(path: Path) -> pa.Table:
    """All columns, as text."""
    try:
        if path.suffix == ".gz":
            table = parquet.read_table(pa.BufferReader(gzip.decompress(path.read_bytes())))
        else:
            table = parquet.read_table(path)
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error
    return pa.table({name: _texts(table.column(name)) for name in table.column_names})


def _texts(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        cells = column.to_pylist()
        return pa.array([None if cell is None else json.dumps(cell, default=str) for cell in cells], pa.string())
