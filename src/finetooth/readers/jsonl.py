"""JSON Lines, plain or gzipped: one object per line, its keys the columns."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from finetooth.errors import DataError
from finetooth.readers.opened import opened


def read_jsonl(path: Path) -> pa.Table:
    """Numbers become the text that stands in the file, nested cells their JSON; null is missing."""
    rows: list[dict[str, str | None]] = []
    names: dict[str, None] = {}
    with opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                row = _row(f"{path}, line {number}", line)
                names.update(dict.fromkeys(row))
                rows.append(row)
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


def _row(place: str, line: str) -> dict[str, str | None]:
    try:
        # parse_float and parse_int keep a number as it is written: 1e5 stays "1e5".
        parsed = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
        if not isinstance(parsed, dict):
            raise DataError(f'{place}: found {line.strip()[:40]}, expected an object like {{"text": "..."}}.')
        if any(isinstance(value, dict | list) for value in parsed.values()):
            parsed |= {name: value for name, value in json.loads(line).items() if isinstance(value, dict | list)}
        row = {
            name: value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in parsed.items()
        }
        "".join(cell or "" for cell in (*row, *row.values())).encode("utf-8")
        return row
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not valid JSON: {error.msg} at character {error.colno}.") from error
    except RecursionError as error:
        raise DataError(f"{place}: nested too deep to be read.") from error
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise DataError(f"{place}: {half!a} is half a character (a lone surrogate); take it out.") from error
