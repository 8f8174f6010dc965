"""Parquet files. Numbers become their text, nested cells their JSON."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from finetooth.errors import DataError
from finetooth.readers.opened import zipped


def read_parquet(path: Path) -> pa.Table:
    """All columns, as text."""
    try:
        source = pa.BufferReader(gzip.decompress(path.read_bytes())) if zipped(path) else path
        with parquet.ParquetFile(source) as file:
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                doubled = next(name for name in names if names.count(name) > 1)
                raise DataError(f"{path}: the column '{doubled}' stands twice in it; rename one of them.")
            table = file.read()
    except (pa.ArrowInvalid, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error
    return pa.table({name: _texts(table.column(name)) for name in table.column_names})


def _texts(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        cells = column.to_pylist()
        texts = [None if cell is None else json.dumps(cell, default=str, ensure_ascii=False) for cell in cells]
        return pa.array(texts, pa.string())
