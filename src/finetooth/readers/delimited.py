"""Comma- and tab-separated files. Cells stay the text they are: "007" and "NA" too."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from finetooth.errors import DataError, shown
from finetooth.findings import Finding
from finetooth.readers.content import Content, Tally
from finetooth.readers.file import File

MARKS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ROWS, CHARACTERS = 50_000, 1 << 23  # what is held as Python objects at a time
LONGEST = 1 << 25  # characters of a line or a cell; Python's own limit of 131,072 is far below a long document
QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"')


def read_csv(file: File) -> Content:
    """A file of cells separated by commas, whose first line names the columns."""
    return _read(file, ",")


def read_tsv(file: File) -> Content:
    """A file of cells separated by tabs, whose first line names the columns."""
    return _read(file, "\t")


def _read(file: File, expected: str) -> Content:
    csv.field_size_limit(LONGEST)
    delimiter = _delimiter(file.head, expected)
    short, long, repeated, blank, blanks = Tally(), Tally(), Tally(), Tally(), 0
    swallowed = Tally()
    with file.text() as text:
        source = _Lines(file.path, text)
        rows = source.rows(delimiter)
        line, header = next(((line, row) for line, row in rows if row), (1, []))
        if not header:
            raise DataError(f"{file.path}: there are no rows in it, only blank lines.")
        names, renamed = _names(file, line, header)
        width, schema = len(names), pa.schema([(name, pa.string()) for name in names])
        chunk: list[list[str | None]] = []
        chunks: list[pa.Table] = []

        def flush() -> None:
            columns = [pa.array(column, pa.string()) for column in zip(*chunk, strict=True)]
            chunks.append(pa.table(columns, schema=schema))
            chunk.clear()
            source.characters = 0

        for line, row in rows:
            if not row:
                blanks += 1
                continue
            if blanks:  # those at the end of the file are not worth a word
                blank.count, blank.first, blanks = blank.count + blanks, blank.first or line - blanks, 0
            cells: list[str | None] = list(row)
            if len(row) == width:
                if any(_holds_rows(cell, delimiter, width) for cell in row):
                    swallowed.add(line)
                if _same(row, header):
                    repeated.add(line)
                    continue
            elif len(row) < width:
                short.add(line)
                cells += [None] * (width - len(row))
            elif not any(row[width:]):
                long.add(line)
                del cells[width:]
            else:
                raise DataError(
                    f"{file.path}, line {line}: found {len(row)} cells, expected {width} as in the header. Put cells "
                    f'that contain the delimiter or a line break in "double quotes".'
                )
            chunk.append(cells)
            if len(chunk) >= ROWS or source.characters >= CHARACTERS:
                flush()
        if chunk:
            flush()
        found = text.found(file.name) + renamed
    if delimiter != expected:
        says = f"{file.name}: its cells are separated by {MARKS[delimiter]}, not by {MARKS[expected]}; it was read so."
        found.append(Finding("delimiter", "info", says, "Nothing has to be done.", 1))
    for tally, check, says, remedy in (
        (
            short,
            "ragged rows",
            "rows with fewer cells than the header: {}; the cells they lack are missing",
            'Put cells that contain a line break in "double quotes".',
        ),
        (
            long,
            "ragged rows",
            "rows with empty cells beyond the header's: {}; those cells were left out",
            "Take out the delimiters at their ends.",
        ),
        (
            swallowed,
            "swallowed rows",
            "rows with a quoted cell in which whole rows seem to stand: {}",
            "Look whether a quote there was opened and never closed; if so, close it or take it out.",
        ),
        (
            repeated,
            "repeated header",
            "rows that are the header once more: {}; they were dropped",
            "Join files without their headers.",
        ),
    ):
        if tally.count:
            found.append(Finding(check, "warning", f"{file.name}: {says.format(tally)}.", remedy, tally.count))
    if blank.count:
        says = f"{file.name}: blank lines between rows: {blank}; they count as nothing."
        found.append(Finding("blank lines", "info", says, "Nothing has to be done.", blank.count))
    return Content(pa.concat_tables(chunks) if chunks else schema.empty_table(), found, header=True)


def _delimiter(head: str, expected: str) -> str:
    """The expected one, unless the header does not split by it and does by another."""

    def likeness(mark: str) -> tuple[int, int]:
        """Of the first rows, how many have as many cells as the header, if it has several; and how many those are."""
        rows = [row for row in islice(csv.reader(io.StringIO(head, newline=""), delimiter=mark), 50) if row]
        width = len(rows[0]) if rows else 0
        return (sum(len(row) == width for row in rows), width) if width > 1 else (0, 0)

    if likeness(expected) > (0, 0):
        return expected
    best = max(MARKS, key=likeness)
    return best if likeness(best) > (0, 0) else expected


def _names(file: File, line: int, header: list[str]) -> tuple[list[str], list[Finding]]:
    """The columns' names, and what had to be done to them."""
    names = [cell.strip() or f"column {i}" for i, cell in enumerate(header, start=1)]
    if len(set(names)) < len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{file.path}, line {line}: the column '{shown(doubled)}' stands twice in the header; rename one of them."
        )
    changed = [name for name, cell in zip(names, header, strict=True) if name != cell]
    if not changed:
        return names, []
    says = (
        f"{file.name}: {len(changed)} names in the header are empty or have blanks around them; those columns are "
        f"called {', '.join(repr(shown(name)) for name in changed[:5])}{', ...' if len(changed) > 5 else ''}."
    )
    return names, [Finding("header", "info", says, "Give each column a name.", len(changed))]


def _same(row: list[str], header: list[str]) -> bool:
    """Whether the row is the header once more, perhaps with the mark with which another file began."""
    return row == header or (row[0].startswith("\ufeff") and [row[0][1:], *row[1:]] == header)


def _holds_rows(cell: str, delimiter: str, width: int) -> bool:
    """Whether every line within a cell has as many delimiters as a row; commas are common in texts, tabs are not."""
    if "\n" not in cell:
        return False
    inner = cell.splitlines()[1:-1]
    return len(inner) >= (1 if delimiter == "\t" else 3) and all(line.count(delimiter) == width - 1 for line in inner)


class _Lines:
    """The lines of a file as rows of cells, each with the number of the line in which it begins."""

    def __init__(self, path: Path, text: TextIO) -> None:
        self.path, self.text = path, text
        self.row: list[str] = []  # the lines of the row that is being read
        self.characters = 0

    def rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        reader, line = csv.reader(self._lines(), delimiter=delimiter, strict=True), 1
        try:
            for row in reader:
                self.row.clear()
                yield line, row
                line = reader.line_num + 1
        except csv.Error as error:
            lines = "".join(self.row)
            opening = _opening(lines, delimiter)
            line += len(re.findall(r"\r\n|\r|\n", lines[:opening]))
            raise DataError(
                f"{self.path}, line {line}: the quote that opens here, at {shown(lines[opening:])!r}, is not closed as "
                f'it should be ({error}). Close it; a quote inside a quoted cell is written twice: "".'
            ) from error

    def _lines(self) -> Iterator[str]:
        while line := self.text.readline(LONGEST):
            if len(line) == LONGEST:
                raise DataError(
                    f"{self.path}: a line begins with {shown(line)!r} and has more than {LONGEST:,} characters; a file "
                    f"of text has one row in a line."
                )
            self.row.append(line)
            self.characters += len(line)
            yield line


def _opening(lines: str, delimiter: str) -> int:
    """Where in the lines of one row the quote opens that is not closed, or after whose close the cell goes on."""
    at = 0
    while at < len(lines):
        if lines[at] == '"':
            closed = QUOTED.match(lines, at)
            if not closed or (closed.end() < len(lines) and lines[closed.end()] not in f"{delimiter}\r\n"):
                return at
            at = closed.end() + 1
        else:
            end = lines.find(delimiter, at)
            at = end + 1 if end >= 0 else len(lines)
    return 0
