"""Data sets of the Hub, and those that the library `datasets` has saved in a directory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc

from finetooth.errors import DataError
from finetooth.findings import Finding
from finetooth.readers.cells import texts
from finetooth.readers.content import Content
from finetooth.readers.encoding import western_cells
from finetooth.readers.folder import Piece, part_of
from finetooth.table import PARTS

HUB = "hub:"
NAME = re.compile(r"hub:(\w[\w.-]*/)?\w[\w.-]*")  # never a path, which the library would take as well
ROWS = 10_000  # turned into text at a time


def is_saved(folder: Path) -> bool:
    """Whether the library has written this directory."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def read_saved(folder: Path) -> tuple[list[Piece], list[Finding]]:
    """What `save_to_disk` has written."""
    return _read(str(folder), "load_from_disk", str(folder), "Save it again, or as a .parquet file.")


def read_hub(source: str) -> tuple[list[Piece], list[Finding]]:
    """`hub:owner/name`, downloaded into the library's own cache. No code that comes with a data set is run."""
    if not NAME.fullmatch(source):
        raise DataError(f"{source}: found no name of a data set, expected {HUB}owner/name.")
    remedy = "Look whether the name is right and the Hub can be reached, or save the data as a .parquet file."
    return _read(source, "load_dataset", source.removeprefix(HUB), remedy)


def _read(source: str, how: str, name: str, remedy: str) -> tuple[list[Piece], list[Finding]]:
    try:
        import datasets  # here, since it takes its time and few need it
    except ImportError as error:
        raise DataError(
            f"{source}: reading this needs the library 'datasets': pip install 'finetooth[hub]'. Or save the data as a "
            f".parquet file."
        ) from error
    try:
        with _quiet():
            loaded = getattr(datasets, how)(name)
        splits: dict[str, Any] = dict(loaded) if isinstance(loaded, dict) else {"": loaded}
        parts = {split: part_of(split) for split in splits}
        if "train" not in parts.values() and len(splits) > 1:
            raise DataError(f"{source}: none of its splits {', '.join(splits)} is named train. {remedy}")
        pieces = []
        for split, rows in splits.items():
            # A split that is alone is all there is, whatever it is called.
            if parts[split] or len(splits) == 1:
                place = f"{source}, split {split}" if split else source
                part = parts[split] if parts[split] == "train" or len(splits) > 1 else None
                pieces.append(Piece(part, split or Path(name).name, place, _content(place, rows)))
    except DataError:
        raise
    except Exception as error:  # the library's own, Arrow's, those of the network and of the file system
        why = next(iter(str(error).splitlines()), "")
        raise DataError(f"{source}: cannot be read: {type(error).__name__}: {why[:200]}. {remedy}") from error
    pieces.sort(key=lambda piece: PARTS.index(piece.part) if piece.part else 0)
    left = [split for split, part in parts.items() if part is None and len(splits) > 1]
    if not left:
        return pieces, []
    says = f"{name}: the splits {', '.join(left[:8])} are none of train, validation and test and were not read."
    return pieces, [Finding("files not read", "warning", says, "Save them as files to use them.", len(left))]


def _content(place: str, rows: Any) -> Content:
    """The rows of one split. A class that is a number with a name, as the library has it, is its name, in lists too."""
    classes = {name: pa.array(kind.names) for name, kind in rows.features.items() if hasattr(kind, "int2str")}
    inner: dict[str, Any] = {name: getattr(kind, "feature", None) for name, kind in rows.features.items()}
    listed = {name: pa.array(kind.names) for name, kind in inner.items() if hasattr(kind, "int2str")}
    if not len(rows):
        raise DataError(f"{place}: there are no rows in it.")
    nested = {}
    schema = pa.schema([(name, pa.string()) for name in rows.column_names])
    tables, wrong = [], 0
    for batch in rows.with_format("arrow").iter(ROWS):
        columns = []
        for name in schema.names:
            column = batch.column(name).combine_chunks()
            if pa.types.is_nested(column.type):
                nested[name] = (f"{place}, row 1", str(column.type))
            if name in classes:
                column = pc.if_else(pc.less(column, 0), None, column)  # -1 is the library's word for no label
                column = classes[name].take(column)
            if name in listed:
                column = _named(column, listed[name])
            text, bad = texts(column)
            columns.append(text)
            wrong += bad
        tables.append(pa.table(columns, schema=schema))
    found = [western_cells(place, wrong)] if wrong else []
    return Content(pa.concat_tables(tables), found, nested)


def _named(column: pa.Array, names: pa.Array) -> pa.Array:
    """Lists of the numbers of classes as lists of their names."""
    numbers = column.flatten()
    numbers = pc.if_else(pc.less(numbers, 0), None, numbers)
    starts = np.concatenate(
        [[0], np.cumsum(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False))]
    )
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), names.take(numbers), mask=column.is_null())


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' own words are left out: of every attempt to reach a hub that is not there, for one."""
    import datasets
    from datasets.utils import logging
    from huggingface_hub.utils import logging as hub

    bars, level, hub_level = datasets.are_progress_bars_disabled(), logging.get_verbosity(), hub.get_verbosity()
    datasets.disable_progress_bars()
    logging.set_verbosity(ERROR)
    hub.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub.set_verbosity(hub_level)
        if not bars:
            datasets.enable_progress_bars()
