"""Findings -> cleaned rows and a log that can undo it. Only what is plain is mended; no label is guessed."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from finetooth.check import Checked
from finetooth.checks import Sample
from finetooth.checks.base import folded
from finetooth.checks.groups import column_for, unnamed_groups
from finetooth.durable import write_text
from finetooth.errors import DataError
from finetooth.table import PARTS
from finetooth.writers import write_rows


@dataclass(frozen=True)
class Change:
    """One row that is dropped, one cell that is changed, or a column that is added.

    `number` is the row's place among all rows, from 0, and -1 where it is about all of them.
    """

    number: int
    place: str
    id: str
    action: str  # drop | change | add
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
    if any(finding.check == "documents" for finding in checked.findings) and (found := _documents(sample)):
        name, groups = found
        why = f"what stands before the last number in '{name}' names {len(set(groups)):,} documents"
        changes.append(Change(-1, sample.table.source, "", "add", why, column_for(sample), {}))
    return changes


def _documents(sample: Sample) -> tuple[str, list[str]] | None:
    """The first column whose cells begin with the name of a document, and these beginnings."""
    return next(
        ((name, groups) for name, groups in unnamed_groups(sample) if groups != sample.table.column(name)), None
    )


def _drops(sample: Sample) -> Iterator[tuple[int, str]]:
    table = sample.table
    for i, label in enumerate(table.labels):
        if label is None and table.columns.label is not None and sample.kind != "any-of":
            yield i, "no label"
    for i, text in enumerate(sample.texts):
        if not text.strip():
            yield i, "empty text"
    for i, why in (sample.seen.broken if sample.seen else {}).items():
        yield i, why
    if any(table.parts):
        # A row of an earlier part goes where a later part has it: what is judged by stays whole.
        last: dict[int, int] = {}
        order = [PARTS.index(part) if part else 0 for part in sample.part]
        # Of images alone what is the same byte for byte: a defect can be smaller than what a likeness shows.
        alike = (sample.near if table.folder is None else sample.equal).tolist()
        for i, cluster in enumerate(alike):
            last[cluster] = max(last.get(cluster, 0), order[i])
        for i, cluster in enumerate(alike):
            if order[i] < last[cluster]:
                edited = " or lightly edited" if table.folder is None else ""
                yield i, f"the {PARTS[last[cluster]]} part has it too, as it is{edited}"
    seen: dict[tuple[int | str | None, ...], int] = {}
    for i, cluster in enumerate(sample.equal.tolist()):
        rejected = None if table.rejected is None else table.rejected[i]
        key = (cluster, table.labels[i], rejected, sample.part[i] if any(table.parts) else None)
        if seen.setdefault(key, i) != i:
            yield i, f"a copy of {table.place(seen[key])}"


def _spellings(sample: Sample) -> dict[str, str]:
    """For each label the commonest spelling of its class; answers in words are no classes."""
    if sample.kind == "texts":
        return {}
    counts = Counter(label for label in sample.table.labels if label is not None)
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        alike[folded(label)].append(label)
    return {
        label: max(of, key=lambda name: counts[name]).strip() for of in alike.values() if len(of) > 1 for label in of
    }


def repaired(checked: Checked, changes: Sequence[Change]) -> pa.Table:
    """The rows with the changes made, the order kept."""
    table = checked.sample.table
    columns = {name: table.column(name) for name in table.data.column_names}
    gone = {change.number for change in changes if change.action == "drop"}
    for change in changes:
        if change.action == "change" and change.column is not None:
            columns[change.column][change.number] = change.after
        elif change.action == "add" and change.column is not None and (found := _documents(checked.sample)):
            columns[change.column] = [*found[1]]
    kept = [i for i in range(len(table)) if i not in gone]
    return pa.table({name: pa.array([cells[i] for i in kept], pa.string()) for name, cells in columns.items()})


def undone(cleaned: pa.Table, log: Sequence[Change]) -> pa.Table:
    """The rows as they were before `log`: what `fix` can do, this can take back."""
    added = {change.column for change in log if change.action == "add"}
    names = [name for name in cleaned.column_names if name not in added]
    dropped = {change.number: change.before for change in log if change.action == "drop"}
    rows = iter(cleaned.select(names).to_pylist())
    whole = [dropped[i] if i in dropped else next(rows) for i in range(cleaned.num_rows + len(dropped))]
    for change in log:
        if change.action == "change" and change.column is not None:
            whole[change.number][change.column] = change.before[change.column]
    return pa.table({name: pa.array([row[name] for row in whole], pa.string()) for name in names})


def fix(checked: Checked, out: Path) -> tuple[list[Change], Path]:
    """Write the cleaned rows to `out`, by its ending, and beside it the log; returns the changes and the log's path.

    Where the source has parts, `out` is a folder and gets a file for each; of images it is a folder with copies of
    them and a metadata.csv. Raises DataError where it cannot be written.
    """
    table = checked.sample.table
    if table.synthetic is not None:
        raise DataError(f"{table.source}: is a mix of several sources; give --fix each of them by itself.")
    if out.exists():
        raise DataError(f"{out}: exists already; name one that does not, so that nothing is overwritten.")
    changes = repairs(checked)
    cleaned = repaired(checked, changes)
    log = out.with_name(f"{out.name}.log.jsonl")
    if table.folder is not None:
        _copied(table.folder, cleaned, out)
    elif any(table.parts):
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


def _copied(folder: Path, cleaned: pa.Table, out: Path) -> None:
    """The images that were kept, each where it lay, and their rows beside them."""
    if out.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{out}: lies within {folder}, whose images would then be read twice; name a folder elsewhere.")
    try:
        for name in cleaned.column("image").to_pylist():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, out / name)
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}.") from error
    names = ["file_name" if name == "image" else name for name in cleaned.column_names]
    write_rows(out / "metadata.csv", cleaned.rename_columns(names))


def read_log(path: Path) -> list[Change]:
    """The changes that `fix` wrote."""
    # Not by splitlines, which cuts at the odd line ends that a text may hold as well.
    return [Change(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
