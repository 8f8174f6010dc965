"""Rows that belong together, one patient or one document, and stand on two sides all the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, combinations, count

from finetooth.checks.base import Sample, rows_of
from finetooth.findings import Finding
from finetooth.table import PARTS

_NUMBERED = re.compile(r"^(.*[^\s_\-./:#])[\s_\-./:#]+\d{1,6}$", re.DOTALL)
# 37.52, 2026-01-15, 12:30, 192.168.0.7: what stands before the last number there is no document.
_NUMBER_OR_DATE = re.compile(r"^[+-]?\d+([.,:/]\d+)+$|^\d{1,4}-\d\d-\d{1,4}([T ].*)?$")
FEWEST = 10  # documents; fewer are kinds rather than documents
GROUPS = re.compile(
    r"(^|_)(group|doc|document|user|author|patient|person|speaker|session|thread|article|conversation|subject|"
    r"customer|company|case)(_?id)?$",
    re.IGNORECASE,
)


def torn_groups(sample: Sample) -> Iterator[Finding]:
    """Groups, of the group column, with rows in more than one part of the source's own."""
    groups, part = sample.table.groups, sample.own_part
    for one, other in combinations(PARTS, 2):
        known = {group for i, group in enumerate(groups) if group is not None and part[i] == one}
        both = [i for i, group in enumerate(groups) if group in known and part[i] == other]
        if both:
            torn = len({groups[i] for i in both})
            yield sample.leak(
                one,
                other,
                f"group as a {one} row ({rows_of(torn, 'group')})",
                f"Take them out of the {one} or the {other} part.",
                both,
                [f"group {groups[i]}" for i in both],
            )


def documents(sample: Sample) -> Iterator[Finding]:
    """Columns that look like groups nobody named: ids as document_sentence, or a patient that comes again and again."""
    for name, groups in unnamed_groups(sample):
        torn = _torn(groups, sample.part)
        if not torn:
            continue
        pieces = groups != sample.table.column(name)
        what = f"the part of '{name}' before its last number" if pieces else f"the column '{name}'"
        counts = Counter(groups)
        yield sample.finding(
            "documents",
            "warning",
            f"The rows look like pieces of {rows_of(len(counts), 'document')} ({what}): {torn:,} of them stand in "
            f"more than one part, so that a model is tested on documents it has seen.",
            f"--fix writes it as a column '{column_for(sample)}'; give --group {column_for(sample)}."
            if pieces
            else f"Give --group {name}.",
            [i for i, group in enumerate(groups) if counts[group] > 1],
        )


def unnamed_groups(sample: Sample) -> Iterator[tuple[str, list[str]]]:
    """Columns, and the group of each row that they seem to name."""
    roles = sample.table.columns
    if roles.group is not None:
        return
    spoken_for = {*roles.input, roles.label, roles.time, roles.weights}
    for name in sample.table.data.column_names:
        cells = [cell for cell in sample.table.column(name) if cell]
        if name in spoken_for or len(cells) < len(sample.table) or all(map(_NUMBER_OR_DATE.match, cells)):
            continue
        numbered = [match for cell in cells if (match := _NUMBERED.match(cell))]
        if len(numbered) == len(cells) and len(set(cells)) > 0.9 * len(cells):
            groups = [match.group(1) for match in numbered]
        elif GROUPS.search(name):
            groups = cells
        else:
            continue
        counts = Counter(groups)
        if FEWEST <= len(counts) <= len(groups) / 1.5 and max(counts.values()) <= len(groups) / 3:
            yield name, groups


def column_for(sample: Sample) -> str:
    """What a new column of documents is called."""
    names = sample.table.data.column_names
    further = (f"document_{n}" for n in count(2))
    return next(name for name in chain(["document"], further) if name not in names)


def _torn(groups: Sequence[str], part: Sequence[str | None]) -> int:
    sides: dict[str, set[str]] = defaultdict(set)
    for group, side in zip(groups, part, strict=True):
        if side is not None:
            sides[group].add(side)
    return sum(len(of) > 1 for of in sides.values())
