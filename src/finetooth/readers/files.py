"""Which reader is for which file. What a file is, its bytes tell; its ending is only the first guess."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from finetooth.errors import DataError, nearest, shown
from finetooth.findings import Finding
from finetooth.readers.conll import read_conll
from finetooth.readers.content import Content
from finetooth.readers.delimited import MARKS, read_csv, read_tsv
from finetooth.readers.encoding import HEAD, ODD, UNICODE, codec_of
from finetooth.readers.file import File
from finetooth.readers.objects import read_json
from finetooth.readers.packed import opened, packing
from finetooth.readers.parquet import MAGIC, read_parquet

Reader = Callable[[File], Content]

READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_json,
    ".json": read_json,
    ".parquet": read_parquet,
    ".conll": read_conll,
    ".iob": read_conll,
    ".bio": read_conll,
}
TAGGED = (".conll", ".iob", ".bio")
PACKED = {".gz": "gzip", ".zst": "zstd"}
KINDS = {
    ".csv": "text in delimited columns",
    ".tsv": "text in delimited columns",
    ".jsonl": "JSON objects one after the other",
    ".json": "a JSON array",
    ".parquet": "Parquet",
    **dict.fromkeys(TAGGED, "a word and its tag in each line"),
}
# How files begin that people take for one of these.
FOREIGN = {
    b"PK\x03\x04": "a spreadsheet (.xlsx) or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (.xls)",
    b"%PDF": "a PDF",
    b"SQLite format 3": "an SQLite database",
    b"ARROW1": "an Arrow file",
    b"\x1f\x8b": "packed a second time, by gzip",
    b"\x28\xb5\x2f\xfd": "packed a second time, by zstd",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"version https://git-lfs": "a pointer of Git LFS (`git lfs pull` fetches the file itself)",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
}
TAR = (257, b"ustar")  # where a tar archive says what it is


def read_file(path: Path, name: str) -> Content:
    """The rows of one file, which findings call by this name. Raises DataError where there is nothing to be read."""
    if not path.is_file():
        raise DataError(f"{path}: is not a regular file (a pipe, a device); save its content as a file first.")
    before = path.stat()
    if not before.st_size:
        raise DataError(f"{path}: the file is empty (0 bytes).")
    file = _looked_at(path, name)
    ending, pack = _ending(path)
    kind = _kind(file, ending)
    content = READERS[kind](file)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(f"{path}: the file was changed while it was read; wait for whatever writes it and try again.")
    if content.data.num_rows == 0:
        raise DataError(f"{path}: there are no rows in it{' below the header' if content.header else ''}.")
    packed = packing(path)
    if kind == ending and packed == pack:
        return content
    says = (
        f"{name}: it holds {KINDS[kind]}{f', packed by {packed}' if packed else ''}, whatever its name says; read so."
    )
    renamed = f"{path.name.partition('.')[0]}{kind}{next((e for e, p in PACKED.items() if p == packed), '')}"
    told = Finding("wrong extension", "info", says, f"Call it {renamed}.", 1)
    return replace(content, found=[told, *content.found])


def _ending(path: Path) -> tuple[str, str | None]:
    """What the name says: the ending, and how the file is packed."""
    suffixes = ["", *(suffix.lower() for suffix in path.suffixes)]
    pack = PACKED.get(suffixes[-1])
    return (suffixes[-2] or suffixes[-1] if pack else suffixes[-1]), pack


def _looked_at(path: Path, name: str) -> File:
    with opened(path) as raw:
        start = raw.read(512)
    if not start:
        raise DataError(f"{path}: the file inside is empty (0 bytes).")
    if start.startswith(MAGIC):
        return File(path, name)
    archive = {start[:1]: "a tar archive"} if start[TAR[0] :].startswith(TAR[1]) else {}
    for magic, what in {**archive, **FOREIGN}.items():
        if start.startswith(magic) or start.lstrip().lower().startswith(magic):
            raise DataError(
                f"{path}: this is {what}, expected {nearest('', READERS)}. Save or unpack it as one of these."
            )
    with opened(path) as raw:
        file = File(path, name, codec_of(raw))
    with file.text() as text:
        head = text.read(HEAD)
    if file.codec not in UNICODE and 10 * len(ODD.findall(head)) > len(head):
        raise DataError(
            f"{path}: neither text nor Parquet: it begins with {start[:8]!r}; {nearest('', READERS)} (each also as .gz "
            f"or .zst)"
        )
    return replace(file, head=head)


def _kind(file: File, ending: str) -> str:
    """The reader's name in READERS: by content, and by the ending where the content leaves it open."""
    if file.codec is None:
        return ".parquet"
    start = file.head.lstrip("\ufeff \t\r\n")
    line = start.partition("\n")[0]
    if re.match(r'\{\s*("|\}|\Z)', start):
        return ".jsonl"
    if re.match(r"\[\s*(\{|\]|\Z)", start):
        return ".json"
    split = any(mark in line for mark in MARKS)
    if ending in (".json", ".jsonl") and (not split or start[:1] in ("{", "[") or _json(line)):
        return ending  # what is wrong with it, its reader tells
    if ending in (".csv", ".tsv", *TAGGED):
        return ending
    if ending not in READERS and not split:
        raise DataError(
            f"{file.path}: the ending '{shown(ending)}' is not known, and its first line does not split into columns; "
            f"{nearest(ending, READERS)} (each also as .gz or .zst)"
        )
    return ".tsv" if "\t" in line else ".csv"


def _json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
