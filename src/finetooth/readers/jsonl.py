"""JSON Lines, plain or gzipped: one object per line, its keys the columns."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from finetooth.errors import DataError


def read_jsonl(path: Path) -> pa.Table:
    """Numbers become the text that stands in the file, nested cells their JSON; null is missing."""
    rows: list[dict[str, str | None]] = []
    names: dict[str, None] = {}
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    row = _row(path, number, line)
                    names.update(dict.fromkeys(row))
                    rows.append(row)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: the text is not UTF-8; save the file as UTF-8 ({error}).") from error
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _row(path: Path, number: int, line: str) -> dict[str, str | None]:
    try:
        # parse_float and parse_int keep a number as it is written: 1e5 stays "1e5".
        parsed = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {number}: not valid JSON: {error.msg} at character {error.colno}.") from error
    if not isinstance(parsed, dict):
        raise DataError(f'{path}, line {number}: found {line.strip()[:40]}, expected an object like {{"text": "..."}}.')
    return {name: _cell(value) for name, value in parsed.items()}


def _cell(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
