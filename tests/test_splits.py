"""A split is a function of rows and seed: exact, even within classes, and no leak from one side to another."""

import csv
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from finetooth import Plan, Split, Table, read
from finetooth.errors import DataError
from finetooth.splits import holdout, kfold
from finetooth.table import PARTS

SHARES = [(0.8, 0.1, 0.1), (0.7, 0.15, 0.15), (0.6, 0.2, 0.2), (0.9, 0.1, 0.0)]


def write(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("text", "label", "group")) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header[: len(rows[0])], *rows])
    return path


def table(path: Path, rows: Sequence[Sequence[str]], **options: Any) -> Table:
    return read(write(path, rows), **options)


def texts(count: int, classes: str = "aab", first: int = 0) -> list[tuple[str, str]]:
    return [(f"text {i}", classes[i % len(classes)]) for i in range(first, first + count)]


def sides(t: Table, split: Split) -> Iterator[tuple[str, int]]:
    """Each row of each part: the part, and the row's number in the table."""
    for part in PARTS:
        yield from ((part, t.position[row_id]) for row_id in getattr(split, part))


def is_whole(t: Table, split: Split) -> bool:
    """Every row stands in one part, once."""
    return sorted(i for _, i in sides(t, split)) == list(range(len(t)))


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("rows", [30, 31, 97, 500, 1001])
def test_shares_are_exact_to_one_row_and_hold_within_each_class(
    tmp_path: Path, rows: int, shares: tuple[float, float, float]
) -> None:
    t = table(tmp_path / "a.csv", texts(rows, "aaaaabbbcc"))
    totals = Counter(t.labels)
    for seed in range(5):
        split = holdout(t, seed=seed, **dict(zip(PARTS, shares, strict=True)))
        assert is_whole(t, split)
        found = Counter((part, t.labels[i]) for part, i in sides(t, split))
        for part, share in zip(PARTS, shares, strict=True):
            assert abs(split.counts()[part] - share * rows) <= 1
            assert all(abs(found[part, label] - share * total) <= 2 for label, total in totals.items())


def test_without_stratify_the_shares_are_exact_and_the_classes_are_left_to_chance(tmp_path: Path) -> None:
    t = table(tmp_path / "a.csv", texts(500, "ab"))
    splits = [holdout(t, seed=seed, stratify=False) for seed in range(10)]
    assert all(split.counts() == {"train": 400, "validation": 50, "test": 50} for split in splits)
    assert len({sum(t.labels[t.position[i]] == "a" for i in split.test) for split in splits}) > 3


@pytest.mark.parametrize("options", [{}, {"group": "group"}], ids=["inputs", "groups"])
def test_one_seed_gives_one_split_whatever_the_row_order(tmp_path: Path, options: dict[str, str]) -> None:
    rows = [(f"text {i % 90}", "ab"[i % 2], f"group {i % 45}") for i in range(120)]
    here = holdout(table(tmp_path / "a.csv", rows, **options), seed=3)
    for seed in range(4):
        assert holdout(table(tmp_path / "b.csv", random.Random(seed).sample(rows, 120), **options), seed=3) == here


def test_another_seed_gives_another_split(tmp_path: Path) -> None:
    t = table(tmp_path / "a.csv", texts(100))
    assert len({holdout(t, seed=seed).test for seed in range(10)}) == 10
    assert len({holdout(t, seed=seed).digest for seed in range(10)}) == 10


def test_the_seal_is_the_digest_of_the_test_rows(tmp_path: Path) -> None:
    t = table(tmp_path / "a.csv", texts(100))
    split = holdout(t)
    assert split.digest == t.digest(split.test)


GROUPED = {
    "equal inputs": ([(f"text {i * i % 61}", "abc"[i % 3]) for i in range(200)], {}),
    "groups": ([(f"text {i}", "abc"[i % 3], f"group {i * i % 61}") for i in range(200)], {"group": "group"}),
    "groups, some empty": (
        [(f"text {i}", "ab"[i % 2], f"group {i // 5}" if i % 3 else "") for i in range(200)],
        {"group": "group"},
    ),
    "equal inputs without a group": ([(f"text {i % 40}", "ab"[i % 2], "") for i in range(200)], {"group": "group"}),
    "equal inputs in several groups": (
        [(f"text {i % 150}", "ab"[i % 2], f"group {i // 5}") for i in range(200)],
        {"group": "group"},
    ),
}


@pytest.mark.parametrize(("rows", "options"), GROUPED.values(), ids=GROUPED)
def test_equal_inputs_and_groups_never_stand_on_two_sides(
    tmp_path: Path, rows: list[tuple[str, ...]], options: dict[str, str]
) -> None:
    t = table(tmp_path / "a.csv", rows, **options)
    for seed in range(10):
        split = holdout(t, seed=seed)
        assert is_whole(t, split)
        stood: dict[tuple[str, str], set[str]] = {}
        for part, i in sides(t, split):
            for column, cell in zip(("text", "label", "group"), rows[i], strict=False):
                if cell and column != "label":
                    stood.setdefault((column, cell), set()).add(part)
        assert all(len(parts) == 1 for parts in stood.values())


def test_shares_are_exact_to_one_group(tmp_path: Path) -> None:
    rows = [(f"text {i}", "ab"[i % 2], f"group {i // 7}") for i in range(700)]
    t = table(tmp_path / "a.csv", rows, group="group")
    for seed in range(10):
        counts = holdout(t, seed=seed).counts()
        assert all(abs(counts[part] - wanted) <= 7 for part, wanted in {"validation": 70, "test": 70}.items())


def test_every_class_is_trained_on_and_a_note_says_what_that_took(tmp_path: Path) -> None:
    t = table(tmp_path / "a.csv", [*texts(90, "a"), *texts(9, "b", 90), ("one", "rare"), ("two", "scarce")])
    noted = set()
    for seed in range(30):
        split = holdout(t, seed=seed)
        assert is_whole(t, split)
        assert {t.labels[t.position[i]] for i in split.train} == {"a", "b", "rare", "scarce"}
        assert all("'rare'" in note or "'scarce'" in note for note in split.notes)
        noted.update(split.notes)
    assert len(noted) == 2


def test_a_unit_that_alone_holds_two_classes_is_dealt_once(tmp_path: Path) -> None:
    t = table(tmp_path / "a.csv", [*texts(100, "a"), ("both", "rare"), ("both", "scarce")])
    for seed in range(30):
        split = holdout(t, seed=seed)
        assert is_whole(t, split)
        assert {t.labels[t.position[i]] for i in split.train} == {"a", "rare", "scarce"}


HOPELESS = {
    "one input": [("same", "ab"[i % 2]) for i in range(40)],
    "two groups": [(f"text {i}", "ab"[i % 2], f"group {i % 2}") for i in range(100)],
    "each class once": [(f"text {i}", f"class {i}") for i in range(12)],
}


@pytest.mark.parametrize("rows", HOPELESS.values(), ids=HOPELESS)
def test_rows_that_cannot_fill_three_parts_are_refused(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    t = table(tmp_path / "a.csv", rows, group="group" if len(rows[0]) == 3 else None)
    with pytest.raises(DataError, match=r"a\.csv"):
        holdout(t)


@pytest.mark.parametrize("rows", [1, 9])
def test_too_few_rows_are_refused_with_their_number(tmp_path: Path, rows: int) -> None:
    with pytest.raises(DataError, match=rf"a\.csv: {rows} rows .*10"):
        holdout(table(tmp_path / "a.csv", texts(rows)))
    assert holdout(table(tmp_path / "b.csv", texts(10))).counts() == {"train": 8, "validation": 1, "test": 1}


@pytest.mark.parametrize(("preset", "counts"), [("70-15-15", (140, 30, 30)), ("60-20-20", (120, 40, 40))])
def test_a_preset_of_the_plan_sets_the_shares(tmp_path: Path, preset: str, counts: tuple[int, ...]) -> None:
    plan = Plan.of({"split": {"preset": preset, "seed": 4}})
    split = holdout(table(tmp_path / "a.csv", texts(200)), **plan.split.model_dump())
    assert tuple(split.counts().values()) == counts
    assert "seed 4" in split.how


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        # What is missing is cut from train, in the proportion that its share has to train's.
        (("train", "test"), {"train": 160, "validation": 20, "test": 30}),
        (("train", "validation"), {"train": 160, "validation": 30, "test": 20}),
        (("train",), {"train": 144, "validation": 18, "test": 18}),
        (("train", "validation", "test"), {"train": 180, "validation": 30, "test": 30}),
    ],
)
def test_parts_of_the_source_are_honoured_and_missing_ones_cut_from_train(
    tmp_path: Path, given: tuple[str, ...], counts: dict[str, int]
) -> None:
    first = 0
    for part in given:
        write(tmp_path / "d" / f"{part}.csv", texts(180 if part == "train" else 30, first=first))
        first += 1000
    t = read(tmp_path / "d")
    split = holdout(t)
    assert split.counts() == counts
    assert is_whole(t, split)
    for part, i in sides(t, split):
        assert t.parts[i] == (part if part in given[1:] else "train")
    assert all(part in split.how for part in given)


def test_a_test_share_of_nothing_leaves_the_test_rows_of_the_source_alone(tmp_path: Path) -> None:
    write(tmp_path / "d" / "train.csv", texts(100))
    assert holdout(read(tmp_path / "d"), train=0.9, validation=0.1, test=0.0).test == ()
    write(tmp_path / "d" / "test.csv", texts(30, first=100))
    assert len(holdout(read(tmp_path / "d"), train=0.9, validation=0.1, test=0.0).test) == 30


def sentences(count: int, seed: int = 0) -> list[str]:
    """Texts of which none is like another."""
    rng = random.Random(seed)
    syllables = ["ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te"]
    return [" ".join("".join(rng.choices(syllables, k=3)) for _ in range(12)) for _ in range(count)]


def test_lightly_edited_rows_never_stand_on_two_sides(tmp_path: Path) -> None:
    plain = sentences(100)
    rows = [(text, "ab"[i % 2]) for i, text in enumerate(plain)]
    rows += [(text.replace("a", "ä", 1).title() + "!", "ab"[i % 2]) for i, text in enumerate(plain)]
    t = table(tmp_path / "a.csv", rows)
    for seed in range(5):
        split = holdout(t, seed=seed)
        part = {i: part for part, i in sides(t, split)}
        assert all(part[i] == part[i + 100] for i in range(100)) and is_whole(t, split)


def test_by_time_the_latest_rows_are_the_test_and_ties_stay_together(tmp_path: Path) -> None:
    rows = [(text, "ab"[i % 2], f"2026-{1 + i // 25:02}-01") for i, text in enumerate(sentences(250))]
    t = table(tmp_path / "a.csv", random.Random(0).sample(rows, 250), time="group")
    split = holdout(t)
    latest = {part: max(t.times[t.position[i]] for i in getattr(split, part)) for part in PARTS}
    first = {part: min(t.times[t.position[i]] for i in getattr(split, part)) for part in PARTS}
    assert latest["train"] <= first["validation"] and latest["validation"] <= first["test"]
    assert "by time (group)" in split.how and split.counts()["test"] == 25
    assert holdout(t, seed=5).test == split.test


@pytest.mark.parametrize("cell", ["yesterday", "", "21/11/2026", "nan"])
def test_what_is_no_time_is_refused_with_its_row(tmp_path: Path, cell: str) -> None:
    rows = [(text, "ab"[i % 2], str(i)) for i, text in enumerate(sentences(30))]
    rows[7] = (*rows[7][:2], cell)
    with pytest.raises(DataError, match=r"a.csv, row 8, column 'group': found .* expected a"):
        holdout(table(tmp_path / "a.csv", rows, time="group"))


@pytest.mark.parametrize("options", [{}, {"group": "group"}], ids=["inputs", "groups"])
def test_folds_part_the_rows_that_are_not_sealed(tmp_path: Path, options: dict[str, str]) -> None:
    rows = [(text, "aab"[i % 3], f"g{i // 4}") for i, text in enumerate(sentences(300))]
    t = table(tmp_path / "a.csv", rows, **options)
    split = holdout(t)
    for repeat in (0, 1):
        folds = list(kfold(t, split, 5, repeat=repeat))
        assert sorted(i for fold in folds for i in fold.validation) == sorted([*split.train, *split.validation])
        for fold in folds:
            assert fold.test == split.test and is_whole(t, fold)
            share = sum(t.labels[t.position[i]] == "b" for i in fold.validation) / len(fold.validation)
            assert abs(len(fold.validation) - 54) <= 4 and abs(share - 1 / 3) < 0.12
            if options:
                groups = {part: {t.groups[t.position[i]] for i in getattr(fold, part)} for part in PARTS}
                assert not groups["train"] & groups["validation"]
    dealt = [tuple(f.validation for f in kfold(t, split, 5, repeat=repeat)) for repeat in (0, 1, 0)]
    assert dealt[0] == dealt[2] != dealt[1]


def test_folds_by_time_never_train_on_the_future(tmp_path: Path) -> None:
    rows = [(text, "ab"[i % 2], str(i)) for i, text in enumerate(sentences(200))]
    t = table(tmp_path / "a.csv", rows, time="group")
    folds = list(kfold(t, holdout(t), 5))
    assert len(folds) == 4
    for fold in folds:
        times = {part: [t.times[t.position[i]] for i in getattr(fold, part)] for part in ("train", "validation")}
        assert max(times["train"]) < min(times["validation"])


def test_folds_that_cannot_be_are_refused_and_rare_classes_told(tmp_path: Path) -> None:
    rows = [(text, "a" if i % 50 else "b") for i, text in enumerate(sentences(150))]
    t = table(tmp_path / "a.csv", rows)
    split = holdout(t)
    assert any("'b' is so rare" in note for fold in kfold(t, split, 5) for note in fold.notes)
    for folds in (1, 1000):
        with pytest.raises(DataError, match=f"{folds} folds were asked for, expected 2 to"):
            list(kfold(t, split, folds))


def test_folds_that_would_be_empty_are_refused(tmp_path: Path) -> None:
    t = table(tmp_path / "a.csv", [*texts(30), *[("one and the same", "a")] * 170])
    with pytest.raises(DataError, match="would have no row"):
        list(kfold(t, holdout(t), 5))
