"""Readers: each takes a file and gives its rows as text, and tells what it had to clean."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from finetooth.errors import DataError, listed, nearest, shown
from finetooth.findings import Finding
from finetooth.readers.columns import choose, unnamed
from finetooth.readers.files import READERS, read_file
from finetooth.readers.folder import Piece, read_parts
from finetooth.readers.hub import HUB, is_saved, read_hub, read_saved
from finetooth.readers.images import is_image_folder, read_images
from finetooth.readers.mix import MIXES, Ingredient, combine, read_mix
from finetooth.readers.places import Shared, Spans
from finetooth.readers.translation import unfolded
from finetooth.table import Table

__all__ = ["HUB", "READERS", "Ingredient", "combine", "read"]


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
    """Read a file, a folder of the files train, validation and test or of images, or a Hub data set (`hub:owner/name`).

    Formats are csv, tsv, jsonl, json, parquet and conll, each plain or packed by gzip or zstd; a folder may also be one
    that the library `datasets` has saved, and a list in YAML mixes several sources (`readers/mix.py`). `input` may name
    several columns, separated by commas. With labelled=False a missing label column is allowed. What was cleaned on the
    way stands in the Table's `found`. Rows are counted without blank lines. Raises DataError, in one sentence, for what
    cannot be read.
    """
    flags = {"input": input, "label": label, "group": group, "id": id, "time": time, "weights": weights}
    try:
        return _table(source, flags, labelled)
    except OSError as error:  # a name that is too long, a folder that is closed to us
        raise DataError(f"{shown(str(source))}: cannot be opened: {error.strerror or error}.") from error


def _table(source: str | Path, flags: dict[str, str | None], labelled: bool) -> Table:
    path = Path(source)
    if path.suffix.lower() in MIXES and path.is_file():
        return read_mix(path, lambda file: read(file, **flags, labelled=labelled))
    if is_image_folder(path):
        return read_images(path, **flags, labelled=labelled)
    pieces, found = _pieces(str(source))
    first = pieces[0]
    names = first.content.data.column_names
    for piece in pieces[1:]:
        if set(piece.content.data.column_names) != set(names):
            raise DataError(
                f"{piece.path}: its columns are {listed(piece.content.data.column_names)}, but {first.name} has "
                f"{listed(names)}; the parts of one data set need the same columns. Rows without labels are for "
                f"`predict`: keep them elsewhere."
            )
    data, languages = unfolded(pa.concat_tables([piece.content.data.select(names) for piece in pieces]))
    if languages is not None:
        names = data.column_names
        if not flags["input"] and not flags["label"]:
            flags = {**flags, "input": languages[0], "label": languages[1]}
    try:
        columns = choose(str(source), names, **flags, labelled=labelled)
    except DataError as error:
        better = unnamed(str(source), data, flags.values()) if first.content.header else None
        raise better or error from None
    for piece in pieces:
        if columns.label is not None and columns.label in piece.content.nested:
            place, cell = piece.content.nested[columns.label]
            cells = piece.content.data[columns.label].to_pylist()
            if any(label is not None and not label.startswith("[") for label in cells):
                raise DataError(
                    f"{place}: the label in column '{shown(columns.label)}' is a list or an object, found {cell}, "
                    f"expected one text or number for each row, or for each a list of labels. Write one label a row, "
                    f"or name another column with --label."
                )
    return Table(
        data=data,
        columns=columns,
        source=str(source),
        places=Spans([(piece.name, piece.content.data.num_rows) for piece in pieces]),
        parts=Shared([(piece.part, piece.content.data.num_rows) for piece in pieces]),
        found=(*found, *(finding for piece in pieces for finding in piece.content.found)),
    )


def _pieces(source: str) -> tuple[list[Piece], list[Finding]]:
    """The files behind a source, read, and what is to be said of all together."""
    if source.startswith(HUB):
        return read_hub(source)
    path = Path(source)
    if not path.exists():
        around = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, around[:1000]) if around else f"there is no folder {path.parent} either"
        raise DataError(
            f"{path}: no such file or folder; {hint if 'did you' in hint or not around else 'check the name'}"
        )
    if not path.is_dir():
        return [Piece(None, path.name, str(path), read_file(path, path.name))], []
    return read_saved(path) if is_saved(path) else read_parts(path)
