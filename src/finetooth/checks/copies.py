"""Rows that stand in the data more than once: copies, light edits of one another, one text under two labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from finetooth.checks.base import NAMED, Sample, clipped, quoted, rows_of
from finetooth.findings import Finding
from finetooth.table import PARTS


def copies(sample: Sample) -> Iterator[Finding]:
    """Rows that repeat another, exactly or but for case and punctuation, and lightly edited ones."""
    here = np.arange(len(sample.equal))
    image = sample.table.folder is not None
    blank = np.array([not text.strip() for text in sample.texts], dtype=bool)
    again = np.flatnonzero((sample.equal != here) & ~blank)
    apart = "They are never put on two sides of a split made here"
    apart = "Those in two parts are told as leaks" if any(sample.table.parts) else apart
    if len(again):
        share = len(again) / len(here)
        told = f" ({share:.1%})" if share >= 0.001 else ""
        how = "byte for byte" if image else "case and punctuation aside"
        yield sample.finding(
            "duplicates",
            "warning" if share >= 0.01 else "info",
            f"{rows_of(len(again))}{told} repeat an earlier one, {how}.",
            f"{apart}; --fix keeps the first of each with its label.",
            again,
            evidence=[f"as {sample.place(int(sample.equal[i]))}" for i in again],
        )
    edited = np.flatnonzero((sample.near != sample.equal) & (sample.equal == here))
    if len(edited):
        verb, how = ("is" if len(edited) == 1 else "are"), "encoded, resized, cropped or mirrored anew"
        yield sample.finding(
            "near duplicates",
            "warning" if len(edited) >= 0.01 * len(here) else "info",
            f"{rows_of(len(edited))} {verb} another {'image ' + how if image else 'row with a light edit'}.",
            f"{apart}. Look whether both are wanted.",
            edited,
            evidence=[
                f"like {sample.place(int(sample.near[i]))}"
                + ("" if image else f": {clipped(sample.texts[sample.near[i]])}")
                for i in edited
            ],
        )


def contradictions(sample: Sample) -> Iterator[Finding]:
    """The same input under different labels: of images also their copies, of texts not the edited, who may differ."""
    image = sample.table.folder is not None
    members: dict[int, list[int]] = defaultdict(list)
    for i, cluster in enumerate((sample.near if image else sample.equal).tolist()):
        if sample.targets[i] >= 0:
            members[cluster].append(i)
    torn = [own for own in members.values() if len({int(sample.targets[i]) for i in own}) > 1]
    if torn:
        rows = [i for own in torn for i in own]
        yield sample.finding(
            "contradictions",
            "warning",
            f"{rows_of(len(torn), 'image' if image else 'text')} in {rows_of(len(rows))} "
            f"{'stands' if len(torn) == 1 else 'stand'} under more than one label, "
            f"{'copies counted as one' if image else 'case and punctuation aside'}.",
            "No model can be right on all of them: decide which label holds, or take them out.",
            rows,
            evidence=[
                f"labelled {clipped(str(sample.labels[i]), NAMED)}; elsewhere "
                f"{quoted(sorted({str(sample.labels[j]) for j in own} - {str(sample.labels[i])}))}"
                for own in torn
                for i in own
            ],
        )


def leaks(sample: Sample) -> Iterator[Finding]:
    """Rows of one part that stand, as they are or lightly edited, in another as well."""
    for one, other in combinations(PARTS, 2):
        first: dict[int, int] = {}
        same = {int(sample.equal[i]) for i, part in enumerate(sample.own_part) if part == one}
        for i, part in enumerate(sample.own_part):
            if part == one:
                first.setdefault(int(sample.near[i]), i)
        both = [i for i, part in enumerate(sample.own_part) if part == other and int(sample.near[i]) in first]
        if not both:
            continue
        # The same input first: they are the surer ones.
        both.sort(key=lambda i: int(sample.equal[i]) not in same)
        equal = sum(int(sample.equal[i]) in same for i in both)
        edited = f", {len(both) - equal:,} of them but for a light edit" if equal < len(both) else ""
        yield sample.leak(
            one,
            other,
            f"input as a {one} row{edited}",
            f"Take them out of the {one} part: --fix does.",
            both,
            [f"in {one}: {sample.place(first[int(sample.near[i])])}" for i in both],
        )
