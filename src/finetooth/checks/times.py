"""Time: a model that is tested on what came before its training rows has seen the future."""

from __future__ import annotations

import re
from collections.abc import Iterator

from finetooth.checks.base import Sample, rows_of
from finetooth.findings import Finding

_TIME = re.compile(r"(^|_)(date|time|timestamp|datetime|created|created_at|published|year)$", re.IGNORECASE)


def times(sample: Sample) -> Iterator[Finding]:
    """Rows of validation and test from before the last training row; a time column that nobody uses."""
    table = sample.table
    if table.times is None:
        unused = [
            n
            for n in table.data.column_names
            if _TIME.search(n) and n not in (*table.columns.input, table.columns.label)
        ]
        if unused and not any(table.parts):
            yield sample.finding(
                "time",
                "info",
                f"The column '{unused[0]}' looks like a time, but the parts are dealt at random.",
                f"Where it will work on rows of tomorrow, give --time {unused[0]} (a number or a date such as "
                f"2026-11-21 in each row): the latest rows become the test.",
                count=0,
            )
        return
    latest = max((t for t, part in zip(table.times, sample.part, strict=True) if part == "train"), default=None)
    judged = ("validation", "test")
    early = [
        i for i, part in enumerate(sample.part) if part in judged and latest is not None and table.times[i] < latest
    ]
    if early:
        own = any(table.parts)
        yield sample.finding(
            "time",
            "error" if own else "warning",
            f"{rows_of(len(early))} of validation and test {'is' if len(early) == 1 else 'are'} older than the latest "
            f"training row: the model has seen their future.",
            "Cut the parts by time: leave them away and give --time."
            if own
            else "Rows that are alike or of one group, or the only ones of a class, stay together, and these reach "
            "into the time of the test.",
            early,
        )
