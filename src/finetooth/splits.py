"""Splits: which rows train, which validate, which are sealed for the test.

A function of (rows, seed) alone: the order of the rows in the file plays no part. Rows with equal inputs, and rows of
one group, always stand on the same side.
"""

from __future__ import annotations

from collections import defaultdict

from finetooth.errors import DataError
from finetooth.seeds import numbers, row_keys
from finetooth.table import PARTS, Split, Table

MINIMUM = 10  # rows: with fewer, one row in each of validation and test means nothing


def holdout(
    table: Table,
    *,
    seed: int = 0,
    train: float = 0.8,
    validation: float = 0.1,
    test: float = 0.1,
    stratify: bool = True,
) -> Split:
    """Split into three parts of these shares; parts that the source itself assigns are honoured.

    A source with train and test but no validation has its validation cut from train, and likewise for the test. The
    shares hold per class when `stratify` is set. Raises DataError when there are too few rows.
    """
    own: dict[str, list[str]] = {part: [] for part in PARTS}
    for row_id, part in zip(table.ids, table.parts, strict=True):
        own[part or "train"].append(row_id)
    shares = {"validation": validation, "test": test}
    missing = {part: share for part, share in shares.items() if not own[part] and share > 0}
    whole = train + sum(missing.values())
    if missing and len(own["train"]) < MINIMUM:
        raise DataError(
            f"{table.source}: {len(own['train'])} rows are too few to be split; {MINIMUM} are the least, a few hundred "
            f"the least that can be judged."
        )
    cut, notes = _cut(table, own["train"], {p: s / whole for p, s in missing.items()}, seed, stratify)
    given = [part for part in PARTS if own[part] and part not in missing] if any(table.parts) else []
    how = [f"{', '.join(given)} as the source has them"] if given else []
    if missing:
        kind = "stratified by label" if stratify else "at random"
        how.append(f"{' and '.join(missing)} cut from the {'train part' if given else 'rows'} {kind}, seed {seed}")
    parts = {**own, **cut}
    # Sorted, so that nothing downstream can depend on the order of the rows in the file.
    ids = {part: tuple(sorted(parts[part])) for part in PARTS}
    return Split(**ids, how="; ".join(how), digest=table.digest(ids["test"]), notes=tuple(notes))


def _cut(
    table: Table, ids: list[str], shares: dict[str, float], seed: int, stratify: bool
) -> tuple[dict[str, list[str]], list[str]]:
    """Deal `ids` to the parts of `shares` and the rest to train, whole units at a time."""
    units: dict[str, list[str]] = defaultdict(list)
    groups = table.column(table.columns.group) if table.columns.group else table.contents
    for row_id in ids:
        units[groups[table.position[row_id]] or row_id].append(row_id)
    names = sorted(units)
    ranks = dict(zip(names, numbers(seed, "split", 0, row_keys(names)).tolist(), strict=True))
    strata: dict[str | None, list[str]] = defaultdict(list)
    for name in names:
        strata[min(table.labels[table.position[i]] or "" for i in units[name]) if stratify else None].append(name)

    # Each unit gets a place between 0 and 1 within its class; the lowest places go to the test, the next to
    # validation. The offset, one per class, keeps small classes from all rounding to the same side.
    place: dict[str, float] = {}
    for label, members in strata.items():
        members.sort(key=lambda name: ranks[name])
        offset = float(numbers(seed, "offset", 0, row_keys([label or ""]))[0]) / 2**64
        place |= {name: (rank + offset) / len(members) for rank, name in enumerate(members)}
    order = sorted(names, key=lambda name: (place[name], ranks[name]))

    parts: dict[str, list[str]] = {"train": []}
    wanted = {part: round(shares[part] * len(ids)) for part in reversed(list(shares))}
    for name in order:
        part = next((p for p, count in wanted.items() if len(parts.setdefault(p, [])) < count), "train")
        parts[part] += units[name]
    return _with_every_class(table, parts, units, groups)


def _with_every_class(
    table: Table,
    parts: dict[str, list[str]],
    units: dict[str, list[str]],
    groups: list[str | None] | list[str],
) -> tuple[dict[str, list[str]], list[str]]:
    """Move the units of a class that train would lack into train, and say so."""
    trained = {table.labels[table.position[i]] for i in parts["train"]}
    notes = []
    for part in [p for p in parts if p != "train"]:
        for row_id in list(parts[part]):
            label = table.labels[table.position[row_id]]
            if label not in trained:
                unit = units[groups[table.position[row_id]] or row_id]
                parts[part] = [i for i in parts[part] if i not in set(unit)]
                parts["train"] += unit
                trained.add(label)
                notes.append(f"the class '{label}' is so rare that all its rows are needed for training")
    return parts, notes
