"""Arrow columns of any type, as text."""

from __future__ import annotations

import json

import pyarrow as pa
from pyarrow import compute as pc

from finetooth.readers.encoding import western


def texts(column: pa.Array) -> tuple[pa.Array, int]:
    """The cells as text, nested ones as their JSON; and how many bytes were not UTF-8 and read as Windows-1252.

    Raises pyarrow's errors where the column is damaged.
    """
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if isinstance(column, pa.DictionaryArray):
        column.validate(full=True)
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_nested(kind):
        column.validate(full=True)
        cells = column.to_pylist()
        return pa.array([None if c is None else json.dumps(c, default=str, ensure_ascii=False) for c in cells]), 0
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), None, column)  # what pandas writes for a missing cell
    try:
        # By way of bytes, since a cast of text to text does not look whether it is UTF-8.
        column = column.cast(pa.string() if pa.types.is_primitive(kind) else pa.binary())
        column.validate(full=True)
        return column.cast(pa.string()), 0
    except pa.ArrowNotImplementedError:
        cells = column.to_pylist()
        return pa.array([None if cell is None else str(cell) for cell in cells], pa.string()), 0
    except pa.ArrowInvalid:
        if not pa.types.is_binary(column.type):
            raise
    decoded = [(None, 0) if cell is None else western(cell) for cell in column.to_pylist()]
    return pa.array([cell for cell, _ in decoded], pa.string()), sum(wrong for _, wrong in decoded)
