"""Files in columns after CoNLL's manner: a word and its tag in each line, a blank line between sentences."""

from __future__ import annotations

import json

import pyarrow as pa

from finetooth.errors import DataError, shown
from finetooth.findings import Finding
from finetooth.readers.content import Content
from finetooth.readers.file import File

DOCUMENT = "-DOCSTART-"  # in the place of a word: a document begins
LONGEST = 1 << 20  # characters of a line


def read_conll(file: File) -> Content:
    """A row for each sentence: `tokens` and `tags`, the first and the last cell of a line, or words alone; `document`
    where the file says where one begins.

    Cells stand apart by a tab, else by blanks; between the first and the last there may be any number.
    """
    words: list[str] = []
    tags: list[str] = []
    sentences: list[str] = []
    tagged: list[str] = []
    documents: list[str] = []
    begun, width = 0, 0

    def end() -> None:
        if words:
            sentences.append(json.dumps(words, ensure_ascii=False))
            tagged.append(json.dumps(tags, ensure_ascii=False))
            documents.append(str(begun))
            words.clear()
            tags.clear()

    with file.text() as text:
        number = 0
        while line := text.readline(LONGEST):
            number += 1
            cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
            if not any(map(str.strip, cells)):
                end()
                continue
            if cells[0] == DOCUMENT:
                end()
                begun += 1
                continue
            tagless = width == 1 if width else len(cells) == 1
            if tagless != (len(cells) == 1) or not cells[-1].strip():  # a word may be a blank, a tag may not
                expected = "one word a line, as in those before" if tagless else "a word first and its tag last, apart"
                raise DataError(
                    f"{file.path}, line {number}: found {shown(line.rstrip())!r}, expected {expected}"
                    f"{'' if tagless else ' by a tab or blanks'}; a blank line stands between sentences."
                )
            width = max(width, len(cells))
            words.append(cells[0])
            tags.append(cells[-1])
        end()
        found = text.found(file.name)
    columns = {
        "tokens": sentences,
        **({"tags": tagged} if width > 1 else {}),
        **({"document": documents} if begun else {}),
    }
    if width > 2:
        says = f"{file.name}: up to {width} columns; the first is read as the word, the last as its tag."
        found.append(Finding("columns left out", "info", says, "Nothing has to be done if that is meant.", width - 2))
    nested = {
        name: (f"{file.path}, line 1", cells[0]) for name, cells in columns.items() if name != "document" and cells
    }
    return Content(pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}), found, nested)
