"""Finding: something about the rows that somebody should know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """A sentence and its remedy; `count` says how many rows it concerns.

    `rows` are the ids of these rows, the gravest first, and `evidence` says of each, where there is something to say,
    why it is among them; where a finding names no rows, its evidence is a list of its own. `chart` is what a page draws
    of it: a kind and its numbers.
    """

    check: str
    severity: Severity
    says: str
    remedy: str
    count: int
    rows: Sequence[str] = ()
    evidence: Sequence[str] = ()
    chart: Mapping[str, Any] | None = None

    def told(self) -> str:
        """In a line."""
        return f"{self.severity}: {self.says} {self.remedy}"

    def values(self) -> dict[str, Any]:
        """As findings.json keeps it."""
        return {**asdict(self), "rows": list(self.rows), "evidence": list(self.evidence)}
