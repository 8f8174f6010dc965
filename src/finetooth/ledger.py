"""The ledger of openings of sealed test rows: one JSON line each, chained by SHA-256.

Each line holds the digest of the line before it, so that a line that was changed or taken out in the middle shows;
the head (the last line's digest) stands in the report, which holds the end as well.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from finetooth.errors import RunError

START = "0" * 64


def read(path: Path, test: str | None = None) -> list[dict[str, Any]]:
    """All entries, checked. Raises RunError, naming the line, when the chain does not hold.

    With `test`, the digest of the test rows, also when a line is an opening of other rows.
    """
    if not path.exists():
        return []
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # not in the middle of another's entry
        return _checked(path, file.read(), test)


def append(path: Path, entry: Mapping[str, Any], users: Path | None = None) -> dict[str, Any]:
    """Add an entry, durably and alone; returns it with its `opening`, `before` and `digest`.

    `opening` counts the entries, unless the entry brings a higher number of its own. `users` is a ledger in which the
    same opening is entered first: the number is one more than the greatest that either of them knows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        # Two evaluations at once would both chain to the same line, or enter one opening under two numbers.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        content = file.read()
        entries = _checked(path, content, entry.get("test"))
        opening = max(len(entries) + 1, entry.get("opening", 0), *(e["opening"] + 1 for e in entries[-1:]))
        if users is not None:
            opening = append(users, {**entry, "opening": opening})["opening"]
        chained = {**entry, "opening": opening, "before": entries[-1]["digest"] if entries else START}
        chained["digest"] = _digest(chained)
        # An editor may have taken the last line end away.
        begin = b"\n" if content and not content.endswith(b"\n") else b""
        file.write(begin + json.dumps(chained).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return chained


def _checked(path: Path, content: bytes, test: str | None) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    before, opening = START, 0
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            entry = json.loads(line.decode("utf-8"))
            whole = entry["digest"] == _digest(entry) and entry["before"] == before and entry["opening"] > opening
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise RunError(
                f"{path}, line {number}: the ledger of test openings was changed; found a line that does not follow "
                f"from those before it, so it is not to be trusted. Put the file back as it was."
            )
        if test is not None and entry.get("test", test) != test:
            raise RunError(
                f"{path}, line {number}: found an opening of the test rows {str(entry['test'])[:16]}, expected "
                f"{test[:16]}; the ledger is another run's. Put the file back as it was."
            )
        entries.append(entry)
        before, opening = entry["digest"], entry["opening"]
    return entries


def _digest(entry: Mapping[str, Any]) -> str:
    content = {key: value for key, value in entry.items() if key != "digest"}
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
