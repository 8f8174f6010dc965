"""Predictions to a file: one row each with id, prediction, its probability, and a probability per class."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from finetooth.errors import DataError
from finetooth.table import Predictions


def _write_jsonl(table: pa.Table, path: Path) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist()), encoding="utf-8")


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".csv": csv.write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": parquet.write_table,
}


def write(path: Path, p: Predictions) -> None:
    """Write by the ending of `path`, which has to be one of WRITERS. Raises DataError where it cannot be written."""
    columns = {
        "id": p.ids,
        "prediction": [p.names[c] for c in p.decided.tolist()],
        "probability": p.probabilities.max(axis=1),
        **{f"probability_{name}": np.ascontiguousarray(p.probabilities[:, c]) for c, name in enumerate(p.names)},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[path.suffix](pa.table(columns), path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}.") from error
