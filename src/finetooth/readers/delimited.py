"""Comma- and tab-separated files, plain or gzipped. Cells stay the text they are: "007" and "NA" too."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from finetooth.errors import DataError


def read_csv(path: Path) -> pa.Table:
    """A comma-separated file whose first line names the columns."""
    return _read(path, ",")


def read_tsv(path: Path) -> pa.Table:
    """A tab-separated file whose first line names the columns."""
    return _read(path, "\t")


def _read(path: Path, delimiter: str) -> pa.Table:
    def refuse(row: csv.InvalidRow) -> str:
        raise DataError(
            f"{path}, line {row.number}: found {row.actual_columns} cells, expected {row.expected_columns} as in the "
            f'header. Put cells that contain the delimiter or a line break in "double quotes".'
        )

    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse)
    # One thread, since only then does pyarrow know the number of a ragged line.
    options = csv.ReadOptions(use_threads=False)
    try:
        with pa.input_stream(str(path)) as stream:
            names = csv.open_csv(stream, options, parse).schema.names
        with pa.input_stream(str(path)) as stream:
            texts = csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, null_values=[]
            )
            return csv.read_csv(stream, options, parse, texts)
    except (pa.ArrowInvalid, OSError) as error:
        if "UTF8" in str(error) or "UTF-8" in str(error):
            raise DataError(f"{path}: the text is not UTF-8; save the file as UTF-8 ({error}).") from error
        raise DataError(f"{path}: cannot be read as a delimited file: {error}") from error
