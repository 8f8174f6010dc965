"""Findings -> a cleaned file and a log that can undo it. Only what is plain is mended; no label is guessed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from finetooth.check import Checked
from finetooth.checks import Sample
from finetooth.checks.groups import document_of
from finetooth.durable import write_text
from finetooth.errors import DataError
from finetooth.table import PARTS
from finetooth.writers import write_rows

DOCUMENT = "document"


@dataclass(frozen=True)
class Change:
    """One row that is dropped, or one cell that is changed. `number` is the row's place among all rows, from 0."""

    number: int
    place: str
    id: str
    action: str  # drop | change
    why: str
    column: str | None
    before: dict[str, str | None]
    after: str | None = None


def repairs(checked: Checked) -> list[Change]:
    """What `fix` does: rows without label or text, copies and leaked rows go; the spellings of a label become one."""
    sample = checked.sample
    dropped: dict[int, str] = {}
    for i, why in _drops(sample):
        dropped.setdefault(i, why)
    cells = {name: sample.table.column(name) for name in sample.table.data.column_names}

    def change(i: int, action: str, why: str, column: str | None, after: str | None = None) -> Change:
        whole = {name: cells[name][i] for name in ([column] if column else cells)}
        return Change(i, sample.place(i), sample.table.ids[i], action, why, column, whole, after)

    changes = [change(i, "drop", why, None) for i, why in sorted(dropped.items())]
    spelt = _spellings(sample)
    column = sample.table.columns.label
    changes += [
        change(i, "change", "another spelling of the same class", column, spelt[label])
        for i, label in enumerate(sample.table.labels)
        if i not in dropped and label is not None and spelt.get(label, label) != label
    ]
    return changes


def _drops(sample: Sample) -> Iterator[tuple[int, str]]:
    table = sample.table
    for i, label in enumerate(table.labels):
        if label is None and table.columns.label is not None:
            yield i, "no label"
    for i, text in enumerate(sample.texts):
        if not text.strip():
            yield i, "empty text"
    if any(table.parts):
        # A row of an earlier part goes where a later part has it: what is judged by stays whole.
        last: dict[int, int] = {}
        order = [PARTS.index(part) if part else 0 for part in sample.part]
        for i, cluster in enumerate(sample.near.tolist()):
            last[cluster] = max(last.get(cluster, 0), order[i])
        for i, cluster in enumerate(sample.near.tolist()):
            if order[i] < last[cluster]:
                yield i, f"the {PARTS[last[cluster]]} part has it too, as it is or lightly edited"
    seen: dict[tuple[int, str | None, str | None], int] = {}
    for i, cluster in enumerate(sample.equal.tolist()):
        key = (cluster, table.labels[i], sample.part[i] if any(table.parts) else None)
        if seen.setdefault(key, i) != i:
            yield i, f"a copy of {table.place(seen[key])}"


def _spellings(sample: Sample) -> dict[str, str]:
    """For each label the commonest spelling of its class."""
    counts = Counter(label for label in sample.table.labels if label is not None)
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        alike[" ".join(label.split()).casefold()].append(label)
    return {
        label: max(of, key=lambda name: counts[name]).strip() for of in alike.values() if len(of) > 1 for label in of
    }


def repaired(checked: Checked, changes: Sequence[Change]) -> pa.Table:
    """The rows with the changes made, the order kept; a column 'document' is added where ids show documents."""
    table = checked.sample.table
    columns = {name: table.column(name) for name in table.data.column_names}
    gone = {change.number for change in changes if change.action == "drop"}
    for change in changes:
        if change.action == "change" and change.column is not None:
            columns[change.column][change.number] = change.after
    if DOCUMENT not in columns and any(
        finding.check == "documents" and DOCUMENT in finding.remedy for finding in checked.findings
    ):
        for name in table.data.column_names:
            documents = document_of(columns[name])
            if all(documents):
                columns[DOCUMENT] = documents
                break
    kept = [i for i in range(len(table)) if i not in gone]
    return pa.table({name: pa.array([cells[i] for i in kept], pa.string()) for name, cells in columns.items()})


def undone(cleaned: pa.Table, log: Sequence[Change]) -> pa.Table:
    """The rows as they were before `log`: what `fix` can do, this can take back. An added column stays away."""
    names = [name for name in cleaned.column_names if name != DOCUMENT or any(DOCUMENT in c.before for c in log)]
    dropped = {change.number: change.before for change in log if change.action == "drop"}
    rows = iter(cleaned.select(names).to_pylist())
    whole = [dropped[i] if i in dropped else next(rows) for i in range(cleaned.num_rows + len(dropped))]
    for change in log:
        if change.action == "change" and change.column is not None:
            whole[change.number][change.column] = change.before[change.column]
    return pa.table({name: pa.array([row[name] for row in whole], pa.string()) for name in names})


def fix(checked: Checked, out: Path) -> tuple[list[Change], Path]:
    """Write the cleaned rows to `out`, by its ending, and beside it the log; returns the changes and the log's path.

    Where the source has parts, `out` is a folder and gets a file for each. Raises DataError where it cannot be written.
    """
    table = checked.sample.table
    if table.folder is not None:
        raise DataError(f"{table.source}: cleaned copies of image folders are not in this version; see the findings.")
    if out.exists():
        raise DataError(f"{out}: exists already; name a file that does not, so that nothing is overwritten.")
    changes = repairs(checked)
    cleaned = repaired(checked, changes)
    log = out.with_name(f"{out.name}.log.jsonl")
    if any(table.parts):
        gone = {change.number for change in changes if change.action == "drop"}
        parts = [part for i, part in enumerate(table.parts) if i not in gone]
        for part in PARTS:
            rows = [i for i, of in enumerate(parts) if of == part]
            if rows:
                write_rows(out / f"{part}.csv", cleaned.take(rows))
    else:
        write_rows(out, cleaned)
    write_text(log, "".join(json.dumps(asdict(change), ensure_ascii=False) + "\n" for change in changes))
    return changes, log


def read_log(path: Path) -> list[Change]:
    """The changes that `fix` wrote."""
    return [Change(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
