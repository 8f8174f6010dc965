"""The ledger of openings of sealed test rows: one JSON line each, chained by SHA-256.

Each line holds the digest of the line before it, so that a line that was changed or taken out in the middle shows;
the head (the last line's digest) stands in the report, which holds the end as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from finetooth.errors import RunError

START = "0" * 64


def read(path: Path) -> list[dict[str, Any]]:
    """All entries, checked. Raises RunError, naming the line, when the chain does not hold."""
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = []
    before = START
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            entry = json.loads(line.decode("utf-8"))
            whole = entry["digest"] == _digest(entry) and entry["before"] == before
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise RunError(f"{path}, line {number}: the ledger of test openings was changed; it is not to be trusted.")
        entries.append(entry)
        before = entry["digest"]
    return entries


def append(path: Path, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Add an entry; returns all of them, the new one last with its `before` and `digest`."""
    entries = read(path)
    chained = {**entry, "before": entries[-1]["digest"] if entries else START}
    chained["digest"] = _digest(chained)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = not entries or path.read_bytes().endswith(b"\n")  # an editor may have taken the last line end away
    with open(path, "a", encoding="utf-8") as file:
        file.write(("" if whole else "\n") + json.dumps(chained) + "\n")
    return [*entries, chained]


def _digest(entry: Mapping[str, Any]) -> str:
    content = {key: value for key, value in entry.items() if key != "digest"}
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
