"""Parquet files. Numbers become their text, nested cells their JSON."""

from __future__ import annotations

import io
from typing import BinaryIO

import pyarrow as pa
from pyarrow import parquet

from finetooth.errors import DataError, shown
from finetooth.readers.cells import texts
from finetooth.readers.content import Content
from finetooth.readers.encoding import western_cells
from finetooth.readers.file import File
from finetooth.readers.packed import opened, packing

MAGIC = b"PAR1"
ROWS, BYTES = 1 << 16, 1 << 24  # what is read at a time


def read_parquet(file: File) -> Content:
    """All columns, as text."""
    with opened(file.path) as raw:
        # A packed file cannot be read from its end, where its table of contents stands, so it is unpacked whole.
        source = io.BytesIO(raw.read()) if packing(file.path) else raw
        source.seek(-4, io.SEEK_END)
        if (end := source.read()) != MAGIC:
            raise DataError(
                f"{file.path}: this Parquet file is cut off: found {end!r} at its end, expected {MAGIC!r}. Copy or "
                f"download it again."
            )
        try:
            return _read(file, source)
        # What is damaged within shows in many ways.
        except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
            if isinstance(error, DataError):
                raise
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise DataError(
                f"{file.path}: cannot be read as Parquet: {why[:200]}. The file is damaged; copy or download it again."
            ) from error


def _read(file: File, source: BinaryIO) -> Content:
    with parquet.ParquetFile(source) as content:
        fields = list(content.schema_arrow)
        names = [field.name for field in fields]
        if len(set(names)) < len(names):
            doubled = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{file.path}: the column '{shown(doubled)}' stands twice in it; rename one of them.")
        about = content.metadata
        size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
        rows = max(1, min(ROWS, about.num_rows * BYTES // max(size, 1)))
        schema = pa.schema([(name, pa.string()) for name in names])
        batches, wrong = [], 0
        for batch in content.iter_batches(batch_size=rows):
            columns = [texts(column) for column in batch.columns]
            batches.append(pa.table([column for column, _ in columns], schema=schema))
            wrong += sum(count for _, count in columns)
    data = pa.concat_tables(batches) if batches else schema.empty_table()
    found = [western_cells(file.name, wrong)] if wrong else []
    nested = {
        field.name: (f"{file.path}, row 1", str(field.type)) for field in fields if pa.types.is_nested(field.type)
    }
    return Content(data, found, nested)
