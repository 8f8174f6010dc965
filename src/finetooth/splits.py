"""Splits: which rows train, which validate, which are sealed for the test.

A function of (rows, seed) alone: the order of the rows in the file plays no part. Where the parts are made here, rows
with equal inputs, and rows of one group, stand on the same side.
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
    contents = {part: tuple(sorted({table.contents[table.position[i]] for i in ids[part]})) for part in PARTS}
    return Split(**ids, how="; ".join(how), digest=table.digest(ids["test"]), contents=contents, notes=tuple(notes))


def _cut(
    table: Table, ids: list[str], shares: dict[str, float], seed: int, stratify: bool
) -> tuple[dict[str, list[str]], list[str]]:
    """Deal `ids` to the parts of `shares` and the rest to train, whole units at a time."""
    units = _units(table, ids)
    names = sorted(units)
    ranks = dict(zip(names, numbers(seed, "split", 0, row_keys(names)).tolist(), strict=True))
    labels = {name: {table.labels[table.position[i]] or "" for i in units[name]} for name in names}
    strata: dict[str, list[str]] = defaultdict(list)
    for name in names:
        strata[min(labels[name]) if stratify else ""].append(name)

    # Each unit gets a place between 0 and 1 within its class; the lowest places go to the test, the next to
    # validation. The offset, one per class, keeps small classes from all rounding to the same side.
    place: dict[str, float] = {}
    for label, members in strata.items():
        members.sort(key=lambda name: ranks[name])
        offset = float(numbers(seed, "offset", 0, row_keys([label]))[0]) / 2**64
        place |= {name: (rank + offset) / len(members) for rank, name in enumerate(members)}

    parts: dict[str, list[str]] = {part: [] for part in ("train", *shares)}
    wanted = {part: round(shares[part] * len(ids)) for part in reversed(list(shares))}
    side: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (place[name], ranks[name])):
        # A unit that would overshoot a part by more than the part lacks goes to train, the largest.
        room = (part for part, count in wanted.items() if len(units[name]) < 2 * (count - len(parts[part])) + 1)
        side[name] = next(room, "train")
        parts[side[name]] += units[name]

    # A class that train would lack is of no use in validation or test.
    notes = []
    trained = {label for name in names if side[name] == "train" for label in labels[name]}
    for name in (name for name in names if side[name] != "train"):
        if rare := labels[name] - trained:
            side[name] = "train"
            trained |= labels[name]
            notes.append(f"the class '{min(rare)}' is so rare that its rows are needed for training")
    parts = {part: [i for name in names if side[name] == part for i in units[name]] for part in parts}
    for part, count in wanted.items():
        if abs(len(parts[part]) - count) > max(0.2 * count, 2):
            notes.append(f"the {part} part has {len(parts[part]):,} rows instead of {count:,}: groups stay together")
    empty = [part for part, rows in parts.items() if not rows]
    if empty:
        classes = len(set().union(*labels.values()))
        raise DataError(
            f"{table.source}: nothing is left for the {empty[0]} part: {len(ids):,} rows of {classes:,} classes, "
            f"{len(names):,} when equal texts and groups count once, are too few to be split."
        )
    return parts, notes


def _units(table: Table, ids: list[str]) -> dict[str, list[str]]:
    """The rows that have to stay together: equal inputs, equal groups, and chains of both."""
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader.setdefault(key, key) != key:
            leader[key] = leader[leader[key]]
            key = leader[key]
        return key

    rows = [(row_id, table.position[row_id]) for row_id in sorted(ids)]
    for _, i in rows:
        if table.groups[i] is not None:
            one, other = sorted((find(f"group {table.groups[i]}"), find(f"content {table.contents[i]}")))
            leader[other] = one
    units: dict[str, list[str]] = defaultdict(list)
    for row_id, i in rows:
        units[find(f"content {table.contents[i]}")].append(row_id)
    return units
