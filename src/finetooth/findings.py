"""Finding: something about the rows that somebody should know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """A sentence and its remedy; `rows` are the ids of the first rows concerned, `count` how many there are."""

    check: str
    severity: Literal["info", "warning", "error"]
    says: str
    remedy: str
    count: int
    rows: Sequence[str] = ()

    def values(self) -> dict[str, Any]:
        """As findings.json keeps it."""
        return {**asdict(self), "rows": list(self.rows)}
