"""Readers: each takes a path and gives a pyarrow Table whose cells are all text or missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from finetooth.errors import DataError, nearest
from finetooth.readers.columns import choose
from finetooth.readers.delimited import read_csv, read_tsv
from finetooth.readers.images import is_image_folder, read_images
from finetooth.readers.jsonl import read_jsonl
from finetooth.readers.mix import Ingredient, combine, read_mix
from finetooth.readers.parquet import read_parquet
from finetooth.table import PARTS, Table

__all__ = ["READERS", "Ingredient", "combine", "read"]

PART_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
Reader = Callable[[Path], pa.Table]

READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}


def read(
    source: str | Path,
    *,
    input: str | None = None,
    label: str | None = None,
    group: str | None = None,
    id: str | None = None,
    time: str | None = None,
    weights: str | None = None,
    labelled: bool = True,
) -> Table:
    """Read a file, or a folder that holds the files train, validation, test, or a folder of images, into a Table.

    `input` may name several columns, separated by commas. With labelled=False a missing label column is allowed.
    Raises DataError, in one sentence, for what cannot be read.
    """
    path = Path(source)
    if str(source).startswith("hub:"):
        raise DataError(f"{source}: data sets from the Hub are not in this version; save it as a .parquet file.")
    if not path.exists():
        around = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, around[:1000]) if around else f"there is no folder {path.parent} either"
        raise DataError(
            f"{path}: no such file or folder; {hint if 'did you' in hint or not around else 'check the name'}"
        )
    flags = {"input": input, "label": label, "group": group, "id": id, "time": time, "weights": weights}
    if is_image_folder(path):
        return read_images(path, **flags, labelled=labelled)
    if path.suffix.lower() in (".yaml", ".yml"):
        return read_mix(path, lambda file: read(file, **flags, labelled=labelled))
    files = _part_files(path) if path.is_dir() else [(None, path)]
    tables = [(part, file, _read_file(file)) for part, file in files]
    first = tables[0][2].column_names
    for _, file, table in tables[1:]:
        if set(table.column_names) != set(first):
            raise DataError(
                f"{file}: its columns are {', '.join(table.column_names)}, but {tables[0][1].name} has "
                f"{', '.join(first)}; the parts of one data set need the same columns."
            )
    data = pa.concat_tables([table.select(first) for _, _, table in tables])
    return Table(
        data=data,
        columns=choose(path, data.column_names, **flags, labelled=labelled),
        source=str(path),
        places=[(file.name, row + 1) for _, file, table in tables for row in range(table.num_rows)],
        parts=[part for part, _, table in tables for _ in range(table.num_rows)],
    )


def _read_file(path: Path) -> pa.Table:
    suffixes = [s.lower() for s in path.suffixes]
    ending = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else (suffixes or [""])[-1]
    if ending not in READERS:
        raise DataError(f"{path}: the ending '{ending}' is not known; {nearest(ending, READERS)} (each also as .gz)")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes).")
    table = READERS[ending](path)
    if table.num_rows == 0:
        raise DataError(f"{path}: there are no rows below the header.")
    return table


def _part_files(folder: Path) -> list[tuple[str | None, Path]]:
    found: list[tuple[str | None, Path]] = []
    for part in PARTS:
        files = [f for f in sorted(folder.iterdir()) if f.name.split(".")[0] in PART_NAMES[part] and f.is_file()]
        if len(files) > 1:
            raise DataError(f"{folder}: {files[0].name} and {files[1].name} both claim to be the {part} part.")
        found += [(part, file) for file in files]
    if not any(part == "train" for part, _ in found):
        names = ", ".join(sorted(f.name for f in folder.iterdir())[:8]) or "nothing"
        raise DataError(
            f"{folder}: a folder has to hold a file named train (train.csv, train.jsonl, ...), with validation and "
            f"test beside it if you have them; found {names}."
        )
    return found
