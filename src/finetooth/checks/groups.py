"""Rows that belong together, one patient or one document, and stand on two sides all the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from finetooth.checks.base import Sample, rows_of
from finetooth.findings import Finding
from finetooth.table import PARTS

_NUMBERED = re.compile(r"^(.*[^\s_\-./:#])[\s_\-./:#]+\d{1,6}$", re.DOTALL)
FEWEST = 10  # documents; fewer are kinds rather than documents
GROUPS = re.compile(
    r"(^|_)(group|doc|document|user|author|patient|person|speaker|session|thread|article|conversation|subject|"
    r"customer|company|case)(_?id)?$",
    re.IGNORECASE,
)


def torn_groups(sample: Sample) -> Iterator[Finding]:
    """Groups, of the group column, with rows in more than one part of the source's own."""
    groups, part = sample.table.groups, sample.part
    for one, other in combinations(PARTS, 2):
        known = {group for i, group in enumerate(groups) if group is not None and part[i] == one}
        both = [i for i, group in enumerate(groups) if group in known and part[i] == other]
        if both:
            torn = len({groups[i] for i in both})
            yield sample.finding(
                "leak",
                "error" if other == "test" else "warning",
                f"{rows_of(len(both), f'{other} row')} {'has' if len(both) == 1 else 'have'} the same group as a {one} "
                f"row ({rows_of(torn, 'group')}); scores on them flatter.",
                f"Take them out of the {one} or the {other} part.",
                both,
                evidence=[f"group {groups[i]}" for i in both],
            )


def documents(sample: Sample) -> Iterator[Finding]:
    """Columns that look like groups nobody named: ids as document_sentence, or a patient that comes again and again."""
    if sample.table.columns.group is not None:
        return
    roles = sample.table.columns
    spoken_for = {*roles.input, roles.label, roles.time, roles.weights}
    for name in sample.table.data.column_names:
        if name in spoken_for:
            continue
        cells = sample.table.column(name)
        numbered = [_NUMBERED.match(cell or "") for cell in cells]
        if all(numbered) and len(set(cells)) > 0.9 * len(cells):
            groups, what = [m.group(1) for m in numbered if m], f"the part of '{name}' before its last number"
        elif GROUPS.search(name) and all(cells):
            groups, what = [str(cell) for cell in cells], f"the column '{name}'"
        else:
            continue
        counts = Counter(groups)
        if FEWEST <= len(counts) <= len(groups) / 1.5 and max(counts.values()) <= len(groups) / 3:
            torn = _torn(groups, sample.part)
            yield sample.finding(
                "documents",
                "warning",
                f"The rows look like pieces of {rows_of(len(counts), 'document')} ({what}): {torn:,} of them stand in "
                f"more than one part, so that a model is tested on documents it has seen.",
                f"Give --group {name}."
                if "before" not in what
                else "--fix writes a column 'document'; give --group document.",
                [i for i, group in enumerate(groups) if counts[group] > 1],
            )


def document_of(cells: Sequence[str | None]) -> list[str | None]:
    """The part of each cell before its last number: the document of document_sentence; None where there is none."""
    found = [_NUMBERED.match(cell or "") for cell in cells]
    return [match.group(1) if match else None for match in found]


def _torn(groups: Sequence[str], part: Sequence[str | None]) -> int:
    sides: dict[str, set[str]] = defaultdict(set)
    for group, side in zip(groups, part, strict=True):
        if side is not None:
            sides[group].add(side)
    return sum(len(of) > 1 for of in sides.values())
