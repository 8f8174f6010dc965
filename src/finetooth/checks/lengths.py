"""Length against the model's limit: what truncation would lose."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from finetooth.checks.base import Sample, rows_of
from finetooth.findings import Finding


def lengths(sample: Sample) -> Iterator[Finding]:
    """Rows with more tokens than the model takes, and the share of all tokens that is cut."""
    if sample.lengths is None or sample.limit is None:
        return
    long = np.flatnonzero(sample.lengths > sample.limit)
    if len(long):
        long = long[np.argsort(-sample.lengths[long], kind="stable")]
        one = len(long) == 1
        lost = int((sample.lengths[long] - sample.limit).sum())
        share = lost / int(sample.lengths.sum())
        heights, edges = np.histogram(sample.lengths[sample.lengths > 0], bins=30)
        yield sample.finding(
            "truncation",
            "warning",
            f"{rows_of(len(long))} {'is' if one else 'are'} longer than {sample.limit:,} tokens (the longest has "
            f"{int(sample.lengths.max()):,}), and no more are read: {share:.1%} of all tokens are lost.",
            "A larger max_length keeps more, where the model takes it; `long: head_tail` reads the end too, `long: "
            "windows` all of a text.",
            long,
            evidence=[f"{int(sample.lengths[i]):,} tokens" for i in long],
            chart={
                "kind": "histogram",
                "title": "tokens per row",
                "edges": edges.tolist(),
                "heights": heights.tolist(),
                "line": sample.limit,
            },
        )
