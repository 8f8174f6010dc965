"""Table -> Checked: what somebody should know of the rows before a model is tuned on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetooth import duplicates, labels, splits
from finetooth.checks import CHECKS, Sample
from finetooth.checks.base import Numbers
from finetooth.errors import DataError
from finetooth.findings import Finding
from finetooth.likeness import see
from finetooth.table import Kind, Table

GRAVITY = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Checked:
    """What was looked at, and what was found, the gravest first."""

    sample: Sample
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)


def check(
    table: Table,
    *,
    against: Table | None = None,
    lengths: Numbers | None = None,
    limit: int | None = None,
    states: NDArray[np.float64] | None = None,
    progress: Callable[[str], None] | None = None,
    kind: Kind | None = None,
    **split: Any,
) -> Checked:
    """Run every check on the table, parted as `train` would part it (`split` as for `holdout`: seed, train, ...).

    `against` are rows of the place where the model will work, `lengths` the tokens of each row for a model that takes
    `limit` of them, `states` what that model makes of each row, (rows, width); `predict.asked` gives the three. Rows
    that cannot be parted are checked all the same. Test labels are read, never altered. `kind` says what stands in the
    label column, where it is not to be told from the labels.
    """
    seen = see(table) if table.folder is not None else None
    equal, near = duplicates.of(table, seen)
    found: list[Finding] = []
    if told := _unreadable_time(table):
        found.append(Finding("time", "error", told, "The rest was checked without the times.", 1))
        table = replace(table, columns=replace(table.columns, time=None))
    parted, kind = None, kind or labels.kind_of(table)
    try:
        parted = splits.holdout(table, near=near, strata=labels.strata(table, kind), **split)
    except DataError as error:
        found.append(Finding("split", "error", str(error), "What concerns the parts was left out.", len(table)))
    sample = Sample(table, parted, equal, near, lengths, limit, states, against, seen, kind=kind)
    return Checked(sample, examine(sample, tuple(found), progress))


def _unreadable_time(table: Table) -> str | None:
    """What is wrong with the first cell of the time column that is no time."""
    try:
        _ = table.times
    except DataError as error:
        return str(error)
    return None


def examine(
    sample: Sample, found: tuple[Finding, ...] = (), progress: Callable[[str], None] | None = None
) -> tuple[Finding, ...]:
    """Every check's findings on this sample, what reading and parting found before them, the gravest first."""
    notes = () if sample.split is None else sample.split.notes
    remedy = "Collect more rows if it matters."
    split = [Finding("split", "warning", f"{note[0].upper()}{note[1:]}.", remedy, 1) for note in notes]
    every = [*sample.table.found, *found, *split]
    for name, check in CHECKS.items():
        if progress is not None:
            progress(f"looking at {name}")
        every += check(sample)
    return tuple(sorted(every, key=lambda finding: GRAVITY[finding.severity]))
