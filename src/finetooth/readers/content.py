"""Content: what a reader gives. Tally: how often it met something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from finetooth.findings import Finding


@dataclass(frozen=True)
class Content:
    """The rows of one file, all cells text or missing, and what had to be cleaned to have them.

    `nested` tells for each column that holds lists or objects (as their JSON) where the first one stands and how it
    begins; `header` that the names of the columns are the file's first line, and so might be data.
    """

    data: pa.Table
    found: Sequence[Finding] = ()
    nested: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    header: bool = False


@dataclass
class Tally:
    """How many rows something befell, and in which line of the file the first of them begins."""

    count: int = 0
    first: int = 0

    def add(self, line: int) -> None:
        """One more."""
        self.first = self.first or line
        self.count += 1

    def __str__(self) -> str:
        return f"{self.count:,}, the first in line {self.first}"
