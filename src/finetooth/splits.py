"""Splits: which rows train, which validate, which are sealed for the test.

A function of (rows, seed) alone: the order of the rows in the file plays no part. Where the parts are made here, rows
with equal or nearly equal inputs, and rows of one group, stand on the same side; made-up rows train only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetooth import duplicates
from finetooth.clusters import joined
from finetooth.errors import DataError
from finetooth.seeds import numbers, row_keys
from finetooth.table import PARTS, Split, Table

MINIMUM = 10  # rows: with fewer, one row in each of validation and test means nothing

Clusters = NDArray[np.int64]
Strata = Sequence[str | None]  # in the order of the table's rows


@dataclass(frozen=True)
class Unit:
    """Rows that stay together: their ids, their labels, the latest of their times, whether any of them is made up."""

    name: str
    ids: tuple[str, ...]
    labels: frozenset[str]
    time: float
    synthetic: bool

    @property
    def stratum(self) -> str:
        """The class among whose units it is dealt."""
        return min(self.labels)


def holdout(
    table: Table,
    *,
    seed: int = 0,
    train: float = 0.8,
    validation: float = 0.1,
    test: float = 0.1,
    stratify: bool = True,
    synthetic: bool = False,
    near: Clusters | None = None,
    strata: Strata | None = None,
) -> Split:
    """Split into three parts of these shares; parts that the source itself assigns are honoured.

    A source with train and test but no validation has its validation cut from train, and likewise for the test. The
    shares hold per class when `stratify` is set; a table with a time column is cut by time instead, the latest rows
    into the test part. Made-up rows go to train unless `synthetic` is set. `near` are the clusters of nearly equal
    rows, found when they are not given; `strata` the classes of the rows, where they are not the labels themselves.
    Raises DataError when there are too few rows.
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
    cut: dict[str, list[str]] = own
    notes: list[str] = []
    if missing:
        found = units(table, own["train"], near, strata)
        fixed = [] if synthetic else [unit for unit in found if unit.synthetic]
        free = [unit for unit in found if synthetic or not unit.synthetic]
        order = _latest_first(free) if table.columns.time else _dealt(free, seed, stratify)
        cut, notes = _cut(table, order, fixed, {part: share / whole for part, share in missing.items()})
    given = [part for part in PARTS if own[part] and part not in missing] if any(table.parts) else []
    how = [f"{', '.join(given)} as the source has them"] if given else []
    if missing:
        kind = f"{'stratified by label' if stratify else 'at random'}, seed {seed}"
        kind = kind if table.columns.time is None else f"by time ({table.columns.time}), the latest rows last"
        how.append(f"{' and '.join(missing)} cut from the {'train part' if given else 'rows'} {kind}")
    return _split(table, {**own, **cut}, "; ".join(how), notes)


def kfold(
    table: Table,
    split: Split,
    folds: int,
    *,
    seed: int = 0,
    repeat: int = 0,
    stratify: bool = True,
    near: Clusters | None = None,
    strata: Strata | None = None,
) -> Iterator[Split]:
    """`folds` splits of the rows that `split` does not seal, each with another part of them to validate on.

    Another `repeat` deals the rows anew. A table with a time column gives one split less: each fold is validated on
    by a model that saw the earlier folds alone. Made-up rows train only. Raises DataError when there are too few rows.
    """
    rows = [*split.train, *split.validation]
    found = units(table, rows, near, strata)
    free, by_time = [unit for unit in found if not unit.synthetic], table.columns.time is not None
    order = _latest_first(free)[::-1] if by_time else _dealt(free, seed, stratify, f"fold {repeat}")
    if folds < 2 or folds > len(order):
        raise DataError(
            f"{table.source}: {folds} folds were asked for, expected 2 to {len(order):,}, the rows that can stand "
            f"apart (equal texts and groups count once)."
        )
    always = [row_id for unit in found if unit.synthetic for row_id in unit.ids]
    before = np.cumsum([0, *(len(unit.ids) for unit in order)])
    # A unit belongs to the fold in which its middle row falls.
    fold_of = np.minimum((before[:-1] + before[1:]) * folds // (2 * before[-1]), folds - 1)
    held = set(fold_of.tolist())
    empty = [fold + 1 for fold in range(folds) if fold not in held]
    if empty:
        raise DataError(
            f"{table.source}: fold {empty[0]} of {folds} would have no row, since rows that stay together (equal texts "
            f"and groups) fill the others; ask for fewer folds."
        )
    in_fold = Counter((label, int(fold)) for unit, fold in zip(order, fold_of, strict=True) for label in unit.labels)
    labels = sorted({label for label, _ in in_fold})
    rare = [label for label in labels if sum((label, fold) in in_fold for fold in range(folds)) < folds]
    notes = [f"the class '{label}' is so rare that some of the {folds} folds have no row of it" for label in rare]
    for fold in range(1 if by_time else 0, folds):
        here = [i for unit, f in zip(order, fold_of, strict=True) if f == fold for i in unit.ids]
        seen = [
            i for unit, f in zip(order, fold_of, strict=True) if (f < fold if by_time else f != fold) for i in unit.ids
        ]
        how = f"fold {fold + 1} of {folds}{f', dealt again ({repeat})' if repeat else ''}; test: {split.how}"
        yield _split(table, {"train": [*seen, *always], "validation": here, "test": [*split.test]}, how, notes)


def units(table: Table, ids: Sequence[str], near: Clusters | None = None, strata: Strata | None = None) -> list[Unit]:
    """The rows that have to stay together: equal or nearly equal inputs, equal groups, and chains of them."""
    near = duplicates.of(table)[1] if near is None else near
    rows = [table.position[row_id] for row_id in sorted(ids)]
    pairs: list[tuple[int, int]] = []
    for shared in (table.contents, near, table.groups):
        first: dict[object, int] = {}
        met = ((place, first.setdefault(shared[i], place)) for place, i in enumerate(rows) if shared[i] is not None)
        pairs += [pair for pair in met if pair[0] != pair[1]]
    members: dict[int, list[int]] = defaultdict(list)
    for i, leader in zip(rows, joined(len(rows), pairs).tolist(), strict=True):
        members[leader].append(i)
    times, made, labels = table.times, table.synthetic, table.labels if strata is None else strata
    found = [
        Unit(
            f"content {min(table.contents[i] for i in own)}",
            tuple(table.ids[i] for i in own),
            frozenset(labels[i] or "" for i in own),
            max(times[i] for i in own) if times is not None else 0.0,
            any(made[i] for i in own) if made is not None else False,
        )
        for own in members.values()
    ]
    return sorted(found, key=lambda unit: unit.name)


def _latest_first(found: list[Unit]) -> list[Unit]:
    return sorted(found, key=lambda unit: (-unit.time, unit.name))


def _dealt(found: list[Unit], seed: int, stratify: bool, purpose: str = "split") -> list[Unit]:
    """The units in a random order whose every stretch has each class's share.

    Each unit gets a place between 0 and 1 within its class. The offset, one per class, keeps small classes from all
    rounding to the same side.
    """
    ranks = dict(zip(found, numbers(seed, purpose, 0, row_keys(u.name for u in found)).tolist(), strict=True))
    strata: dict[str, list[Unit]] = defaultdict(list)
    for unit in found:
        strata[unit.stratum if stratify else ""].append(unit)
    place: dict[Unit, float] = {}
    for label, members in strata.items():
        members.sort(key=ranks.__getitem__)
        offset = float(numbers(seed, "offset", 0, row_keys([label]))[0]) / 2**64
        place |= {unit: (rank + offset) / len(members) for rank, unit in enumerate(members)}
    return sorted(found, key=lambda unit: (place[unit], ranks[unit]))


def _cut(
    table: Table, order: list[Unit], fixed: list[Unit], shares: dict[str, float]
) -> tuple[dict[str, list[str]], list[str]]:
    """The first units of the order to the test, the next to validation, the rest, and `fixed`, to train."""
    rows = sum(len(unit.ids) for unit in order)
    parts: dict[str, list[str]] = {part: [] for part in ("train", *shares)}
    wanted = {part: round(shares[part] * rows) for part in reversed(list(shares))}
    side: dict[str, str] = {unit.name: "train" for unit in fixed}
    for unit in order:
        # A unit that would overshoot a part by more than the part lacks goes to train, the largest.
        room = (part for part, count in wanted.items() if len(unit.ids) < 2 * (count - len(parts[part])) + 1)
        side[unit.name] = next(room, "train")
        parts[side[unit.name]] += unit.ids

    # A class that train would lack is of no use in validation or test.
    notes, found = [], sorted([*order, *fixed], key=lambda unit: unit.name)
    trained = {label for unit in found if side[unit.name] == "train" for label in unit.labels}
    for unit in (unit for unit in found if side[unit.name] != "train"):
        if rare := unit.labels - trained - {""}:
            side[unit.name] = "train"
            trained |= unit.labels
            notes.append(f"the class '{min(rare)}' is so rare that its rows are needed for training")
    parts = {part: [i for unit in found if side[unit.name] == part for i in unit.ids] for part in parts}
    for part, count in wanted.items():
        if abs(len(parts[part]) - count) > max(0.2 * count, 2):
            notes.append(
                f"the {part} part has {len(parts[part]):,} rows instead of {count:,}: groups and nearly equal rows "
                f"stay together"
            )
    empty = [part for part, ids in parts.items() if not ids]
    if empty:
        classes = len({label for unit in found for label in unit.labels})
        raise DataError(
            f"{table.source}: nothing is left for the {empty[0]} part: {rows:,} rows of {classes:,} classes, "
            f"{len(order):,} when equal texts and groups count once, are too few to be split."
        )
    return parts, notes


def _split(table: Table, parts: dict[str, list[str]], how: str, notes: Sequence[str]) -> Split:
    # Sorted, so that nothing downstream can depend on the order of the rows in the file.
    ids = {part: tuple(sorted(parts[part])) for part in PARTS}
    contents = {part: tuple(sorted({table.contents[table.position[i]] for i in ids[part]})) for part in PARTS}
    return Split(**ids, how=how, digest=table.digest(ids["test"]), contents=contents, notes=tuple(notes))
