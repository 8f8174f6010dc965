"""Predictions come back from every file as they were, whatever the classes are called."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from finetooth import Predictions, Table, read
from finetooth.errors import DataError
from finetooth.table import Columns
from finetooth.writers import WRITERS, write

ODD = ["", "a,b", 'é "q"\nz', "prediction", "007", "null", "ids", "a\tb", "𝄞"]


def predictions(names: list[str], rows: int) -> tuple[Predictions, Table]:
    """Predictions in another order than the table's."""
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(len(names)), rows)
    ids = [f"row,{i}" for i in range(rows)]
    data = pa.table({"key": pa.array(ids, pa.string()), "text": pa.array([f'a "text", {i}' for i in ids], pa.string())})
    places = [("file.csv", i + 1) for i in range(rows)]
    table = Table(data, Columns(("text",), id="key"), "file.csv", places, [None] * rows)
    return Predictions(ids[::-1], np.full(rows, -1), probabilities, names), table


def delimited(delimiter: str) -> Callable[[Path], list[dict[str, Any]]]:
    def read_back(path: Path) -> list[dict[str, Any]]:
        kinds: dict[str, Callable[[str], Any]] = {"row": int, "probability": float}
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter=delimiter))
        return [{k: kinds.get(k.partition("_")[0], str)(v) for k, v in row.items()} for row in rows]

    return read_back


READ: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    ".csv": delimited(","),
    ".tsv": delimited("\t"),
    ".jsonl": lambda path: [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]],
    ".parquet": lambda path: parquet.read_table(path).to_pylist(),
}


@pytest.mark.parametrize(("names", "rows"), [(ODD, 50), (["no", "yes"], 1), (["no", "yes"], 0)])
@pytest.mark.parametrize("ending", WRITERS)
def test_predictions_come_back_exactly(tmp_path: Path, ending: str, names: list[str], rows: int) -> None:
    p, table = predictions(names, rows)
    path = tmp_path / "new" / f"out{ending}"
    write(path, p, table)
    assert READ[ending](path) == [
        {
            "row": table.position[row_id] + 1,
            "id": row_id,
            "prediction": names[int(row.argmax())],
            "probability": row.max(),
            **{f"probability_{name}": value for name, value in zip(names, row.tolist(), strict=True)},
            "text": f'a "text", {row_id}',
        }
        for row_id, row in zip(p.ids, p.probabilities, strict=True)
    ]


@pytest.mark.parametrize("ending", WRITERS)
def test_what_is_written_can_be_read_as_a_table(tmp_path: Path, ending: str) -> None:
    p, table = predictions(ODD, 50)
    write(tmp_path / f"out{ending}", p, table)
    t = read(tmp_path / f"out{ending}", input="prediction", id="id", labelled=False)
    assert t.ids == p.ids
    assert t.inputs == [(ODD[c],) for c in p.decided.tolist()]


@pytest.mark.parametrize("ending", WRITERS)
def test_what_cannot_be_written_is_refused_with_its_name(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"taken{ending}").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / f"taken{ending}", tmp_path / "file" / f"out{ending}"):
        with pytest.raises(DataError, match=f"{path.name}: cannot be written"):
            write(path, *predictions(["a", "b"], 2))


def test_writing_grows_with_the_rows_alone(tmp_path: Path) -> None:
    p, table = predictions(["a", "b"], 20_000)
    began = perf_counter()
    write(tmp_path / "a.parquet", p, table)
    assert perf_counter() - began < 5  # a minute when each row read the whole column
