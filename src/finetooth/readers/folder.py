"""A folder of files whose rows belong to the parts train, validation and test."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from finetooth.errors import DataError
from finetooth.findings import Finding
from finetooth.readers.content import Content
from finetooth.readers.files import PACKED, READERS, read_file
from finetooth.table import PARTS

PART_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
PIECE = re.compile(r"-(\d+)-of-(\d+)$")  # train-00000-of-00002.parquet


@dataclass(frozen=True)
class Piece:
    """What was read from one file: the part that it is of, if any, how messages call it, where it lies."""

    part: str | None
    name: str
    path: str
    content: Content


def part_of(name: str) -> str | None:
    """The part that a file, folder or split of this name is; None where it is none."""
    stem = PIECE.sub("", name.lower().split(".")[0])
    return next((part for part, names in PART_NAMES.items() if stem in names), None)


def read_parts(folder: Path) -> tuple[list[Piece], list[Finding]]:
    """The parts in this folder: for each a file, a file cut into numbered pieces, or a folder of files."""
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith((".", "_"))]
    named = [entry for entry in entries if part_of(entry.name)]
    # A script train.py beside train.csv is no data.
    held = [entry for entry in named if entry.is_dir() or holds_rows(entry)] or named
    pieces = []
    for part in PARTS:
        mine = [entry for entry in held if part_of(entry.name) == part]
        if len(mine) > 1 and not all(PIECE.search(entry.name.split(".")[0]) for entry in mine):
            raise DataError(f"{folder}: {mine[0].name} and {mine[1].name} both claim to be the {part} part; keep one.")
        _refuse_gaps(folder, mine)
        for entry in mine:
            for file in _files(entry) if entry.is_dir() else [entry]:
                name = str(file.relative_to(folder))
                pieces.append(Piece(part, name, str(file), read_file(file, name)))
    if not any(piece.part == "train" for piece in pieces):
        names = ", ".join(entry.name for entry in entries[:8]) or "nothing"
        raise DataError(
            f"{folder}: a folder has to hold a file or folder named train (train.csv, train.jsonl, ...), with "
            f"validation and test beside it if you have them; found {names}."
        )
    left = [entry.name for entry in entries if entry not in held and (entry in named or holds_rows(entry))]
    if not left:
        return pieces, []
    says = f"{folder.name}: {', '.join(left[:8])} belong to no part and were not read."
    return pieces, [Finding("files not read", "warning", says, "Name them train, validation or test.", len(left))]


def _refuse_gaps(folder: Path, files: list[Path]) -> None:
    """Raise DataError where numbered pieces, train-00000-of-00003 and so on, are not all there."""
    numbered = [match for file in files if (match := PIECE.search(file.name.split(".")[0]))]
    if numbered and len(numbered) == len(files):
        wanted, there = int(numbered[0][2]), {int(match[1]) for match in numbered}
        missing = [number for number in range(wanted) if number not in there]
        if missing:
            raise DataError(
                f"{folder}: {files[0].name} is one of {wanted} pieces, and {len(missing)} of them are missing (number "
                f"{', '.join(map(str, missing[:8]))}). Download them, or rename the file if it is all there is."
            )


def _files(folder: Path) -> list[Path]:
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith((".", "_"))]
    if not files:
        raise DataError(f"{folder}: the folder is empty, expected one or more files of rows.")
    _refuse_gaps(folder, files)
    if inner := next((file for file in files if file.is_dir()), None):
        raise DataError(f"{inner}: found a folder, expected a file of rows; put the files directly into {folder.name}.")
    return files


def holds_rows(entry: Path) -> bool:
    """Whether the file's ending is one of those that are read."""
    suffixes = [suffix.lower() for suffix in entry.suffixes if suffix.lower() not in PACKED]
    return bool(suffixes) and suffixes[-1] in READERS
