"""JSON: objects in lines or in one array, the keys being the columns. Both are read as they stand, piece by piece."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from finetooth.errors import DataError, shown
from finetooth.findings import Finding
from finetooth.readers.content import Content, Tally
from finetooth.readers.encoding import halves
from finetooth.readers.file import File

BLOCK = 1 << 20  # characters read at a time
CELLS, CHARACTERS = 200_000, 1 << 23  # what is held as Python objects at a time
LONGEST = 1 << 26  # characters of one object
WIDEST = 10_000  # columns
HALF = re.compile("[\ud800-\udfff]")
BLANKS = re.compile(r"[ \t\r\n]*")
UNCLOSED = re.compile(r"[^\"}\]]{0,12}")  # what may stand at the end of an object that goes on after it


def read_json(file: File) -> Content:
    """Numbers become the text that stands in the file, nested cells their JSON; null is missing."""
    names: dict[str, None] = {}
    nested: dict[str, tuple[str, str]] = {}
    lengths, commas, nuls, surrogates = Counter[int](), Tally(), Tally(), 0
    chunk: list[dict[str, str | None]] = []
    chunks: list[pa.Table] = []
    characters = 0

    def flush() -> None:
        nonlocal surrogates, characters
        columns = {}
        for name in names:
            cells = [row.get(name) for row in chunk]
            try:
                columns[name] = pa.array(cells, pa.string())
            except UnicodeEncodeError:
                mended = [(cell, 0) if cell is None else HALF.subn("\ufffd", cell) for cell in cells]
                surrogates += sum(count for _, count in mended)
                columns[name] = pa.array([cell for cell, _ in mended], pa.string())
        chunks.append(pa.table(columns))
        chunk.clear()
        characters = 0

    with file.text() as text:
        for line, source, value in _Window(file.path, text).objects(commas):
            row = _cells(file.path, line, source, value, nested)
            if "\\u0000" in source and any(cell and "\0" in cell for cell in row.values()):
                nuls.add(line)
                row = {name: cell and cell.replace("\0", "") for name, cell in row.items()}
            if not row.keys() <= names.keys():
                names.update(dict.fromkeys(row))
                _check(file.path, line, names)
            chunk.append(row)
            lengths[len(row)] += 1
            characters += len(source)
            if names and (len(chunk) * len(names) >= CELLS or characters >= CHARACTERS):
                flush()
        if chunk and names:
            flush()
        found = text.found(file.name)
    if commas.count:
        says = f"{file.name}: commas for which JSON has no place: {commas}; they were passed over."
        found.append(Finding("trailing commas", "info", says, "Nothing has to be done.", commas.count))
    if nuls.count:
        says = f"{file.name}: cells with NUL characters, which no text holds: {nuls}; these were removed."
        found.append(Finding("nul bytes", "warning", says, "Ask what made the file.", nuls.count))
    if surrogates:
        found.append(halves(file.name, surrogates))
    lacking = sum(count for length, count in lengths.items() if length < len(names))
    if lacking:
        says = f"{file.name}: rows that lack a key which others have: {lacking:,}; their cells are missing."
        found.append(Finding("ragged rows", "info", says, "Nothing has to be done if that is meant.", lacking))
    data = pa.concat_tables(chunks, promote_options="default") if chunks else pa.table({})
    return Content(data, found, nested)


def _cells(path: Path, line: int, source: str, value: Any, nested: dict[str, tuple[str, str]]) -> dict[str, str | None]:
    """One row. Its numbers come as the text they were."""
    place = f"{path}, line {line}"
    if not isinstance(value, dict):
        raise DataError(f'{place}: found {shown(source)}, expected an object like {{"text": "...", "label": "..."}}.')
    lists = [name for name, cell in value.items() if isinstance(cell, dict | list)]
    try:
        # Read once more, since inside of a list a number has to stay a number.
        whole = json.loads(source) if lists else {}
        for name in lists:
            value[name] = json.dumps(whole[name], ensure_ascii=False)
            nested.setdefault(name, (place, shown(value[name])))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: a list or object in it cannot be read: {error}.") from error
    return {name: cell if cell is None or isinstance(cell, str) else json.dumps(cell) for name, cell in value.items()}


def _check(path: Path, line: int, names: dict[str, None]) -> None:
    """The names of the columns, after a row that brought a new one."""
    if len(names) > WIDEST:
        raise DataError(
            f"{path}, line {line}: the rows up to here have more than {WIDEST:,} different keys, expected the names of "
            f"a few columns. Write what varies from row to row as a value, not as a key."
        )
    if damaged := next((name for name in names if HALF.search(name)), None):
        raise DataError(f"{path}, line {line}: the key {shown(damaged)!a} holds half a character; rename it.")


class _Twice(Exception):
    """A key that stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, unless a key stands twice in it."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Twice(next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1))
    return made


def _constant(name: str) -> str | None:
    return None if name == "NaN" else name


class _Window:
    """The part of a text that was read and not yet used."""

    def __init__(self, path: Path, text: TextIO) -> None:
        self.path, self.text = path, text
        self.buffer, self.at, self.line, self.ended = "", 0, 1, False
        # Numbers are kept as they are written: 1e5 stays "1e5". NaN is what pandas writes for a missing cell.
        decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_constant, object_pairs_hook=_once)
        self.decode = decoder.raw_decode

    def objects(self, commas: Tally) -> Iterator[tuple[int, str, Any]]:
        """Each value of the file with the line in which it begins and the text that it was."""
        listed, comma = self.peek() == "[", 0
        start = self.line
        if listed:
            self.advance(self.at + 1)
        while mark := self.peek():
            if mark == "]" and listed:
                if comma:
                    commas.add(comma)
                self.advance(self.at + 1)
                if self.peek():
                    raise DataError(
                        f"{self.path}, line {self.line}: found {shown(self.buffer[self.at :])!r} after the end of the "
                        f"array, expected nothing more. Write all rows into one array, or each into a line of its own."
                    )
                return
            line = self.line
            value, source = self.value()
            yield line, source, value
            comma = 0
            if self.peek() == ",":
                comma = self.line
                self.advance(self.at + 1)
                if not listed:
                    commas.add(comma)
            elif listed and self.peek() not in ("]", ""):
                raise DataError(
                    f"{self.path}, line {self.line}: found {shown(self.buffer[self.at :])!r} after an object, expected "
                    f"a comma or the end of the array. Put a comma between the two."
                )
        if listed:
            raise DataError(
                f"{self.path}, line {self.line}: the file seems to be cut off: the array that begins in line {start} "
                f"is never closed, expected a ]. Copy or download the file again."
            )

    def more(self) -> bool:
        """Read on; False at the end of the file."""
        if self.ended:
            return False
        if len(self.buffer) - self.at > LONGEST:
            raise DataError(
                f"{self.path}, line {self.line}: the object that begins here has more than {LONGEST:,} characters; "
                f"expected one object for each row."
            )
        piece = self.text.read(max(BLOCK, len(self.buffer) - self.at))
        self.ended = not piece
        self.buffer, self.at = self.buffer[self.at :] + piece, 0
        return not self.ended

    def advance(self, to: int) -> None:
        """What stands before is used."""
        self.line += self.buffer.count("\n", self.at, to)
        self.at = to

    def peek(self) -> str:
        """The next character that is not blank; nothing at the end of the file."""
        while True:
            blanks = BLANKS.match(self.buffer, self.at)
            assert blanks is not None, "no blanks are blanks too"
            self.advance(blanks.end())
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self.more():
                return ""

    def value(self) -> tuple[Any, str]:
        """The value that begins here, and the text that it was."""
        while True:
            try:
                value, end = self.decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                # What stops where the text stops may only be not yet read whole.
                open_end = error.msg.startswith("Unterminated") or UNCLOSED.fullmatch(self.buffer, error.pos)
                if open_end and self.more():
                    continue
                raise self._mistake(error, bool(open_end) and error.pos > self.at) from error
            except RecursionError as error:
                raise DataError(f"{self.path}, line {self.line}: nested too deep to be read.") from error
            except _Twice as error:
                raise DataError(
                    f"{self.path}, line {self.line}: the key '{shown(str(error))}' stands twice in the object that "
                    f"begins here; expected each once. Take out or rename one."
                ) from error
            source = self.buffer[self.at : end]
            self.advance(end)
            return value, source

    def _mistake(self, error: json.JSONDecodeError, cut: bool) -> DataError:
        place = f"{self.path}, line {self.line}"
        if cut:
            return DataError(
                f"{place}: the file seems to be cut off: the object that begins here is not valid JSON, since it never "
                f"ends. Take it out, or copy or download the file again."
            )
        comma = error.msg.startswith("Illegal trailing comma") or self.buffer[: error.pos].rstrip().endswith(",")
        return DataError(
            f"{place}: not valid JSON: {error.msg} at character {error.pos - self.at + 1} of what begins here; "
            + ("take out the comma before it." if comma else "write each row as a JSON object.")
        )
