"""Rows have ids and digests that say what they are, not where they stand."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from finetooth import Predictions, Split, Table, read
from finetooth.errors import DataError
from finetooth.table import content_digest

HEADER = ["text", "label"]
ROWS = [["warm", "a"], ["cold", "b"], ["warm", "a"], ["warm", "b"], ["", "a"], ["007", ""], ["é\n", "a"], ["e", "NA"]]


def table(path: Path, rows: list[list[str]] = ROWS, header: list[str] = HEADER, **columns: str) -> Table:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return read(path, **columns)


def by_id(t: Table) -> dict[str, tuple[tuple[str, ...], str | None]]:
    return dict(zip(t.ids, zip(t.inputs, t.labels, strict=True), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_ids_and_fingerprint_do_not_depend_on_the_row_order(tmp_path: Path, seed: int) -> None:
    shuffled = random.Random(seed).sample(ROWS, len(ROWS))
    here, there = table(tmp_path / "a.csv"), table(tmp_path / "b.csv", shuffled)
    assert by_id(here) == by_id(there)
    assert here.fingerprint == there.fingerprint
    assert here.digest(here.ids[:3]) == there.digest(reversed(here.ids[:3]))


def test_an_id_stays_when_the_label_changes_and_the_fingerprint_does_not(tmp_path: Path) -> None:
    here = table(tmp_path / "a.csv", [["x", "a"], ["y", "b"]])
    there = table(tmp_path / "b.csv", [["x", "a"], ["y", "c"]])
    assert here.ids == there.ids
    assert here.fingerprint != there.fingerprint


def test_ids_are_unique_also_for_equal_rows(tmp_path: Path) -> None:
    t = table(tmp_path / "a.csv", ROWS * 5)
    assert len(set(t.ids)) == len(t) == 5 * len(ROWS)
    assert all(t.position[row_id] == i for i, row_id in enumerate(t.ids))


def test_ids_do_not_depend_on_columns_that_play_no_role(tmp_path: Path) -> None:
    more = table(tmp_path / "b.csv", [[*row, str(i)] for i, row in enumerate(ROWS)], [*HEADER, "remark"])
    assert more.ids == table(tmp_path / "a.csv").ids


@pytest.mark.parametrize(
    ("row", "changed"), [(0, ["Warm", "a"]), (1, ["cold", "B"]), (6, ["é", "a"]), (5, ["07", ""]), (4, [" ", "a"])]
)
def test_one_byte_changes_the_fingerprint(tmp_path: Path, row: int, changed: list[str]) -> None:
    other = [changed if i == row else kept for i, kept in enumerate(ROWS)]
    assert table(tmp_path / "a.csv").fingerprint != table(tmp_path / "b.csv", other).fingerprint


def test_the_fingerprint_knows_how_often_a_row_occurs(tmp_path: Path) -> None:
    assert table(tmp_path / "a.csv").fingerprint != table(tmp_path / "b.csv", [*ROWS, ROWS[0]]).fingerprint


def test_a_digest_is_of_the_named_rows_alone(tmp_path: Path) -> None:
    here, there = table(tmp_path / "a.csv"), table(tmp_path / "b.csv", [*ROWS, ["new", "a"]])
    assert here.digest(here.ids) == there.digest(here.ids) != there.fingerprint


def test_the_id_column_gives_the_ids(tmp_path: Path) -> None:
    rows = [["same", "a", "07"], ["same", "b", "7"], ["other", "a", " 7"]]
    t = table(tmp_path / "a.csv", rows, ["text", "label", "key"], id="key")
    assert t.ids == ["07", "7", " 7"]
    assert t.contents[0] == t.contents[1] != t.contents[2]


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (["1", "2", "1"], r"a\.csv, row 3: the id '1' .*a\.csv, row 1; .*unique.* --id"),
        (["1", "", "2"], r"a\.csv, row 2: the id column 'key' is empty"),
    ],
)
def test_an_id_column_that_is_no_id_is_refused_with_the_rows(tmp_path: Path, ids: list[str], found: str) -> None:
    t = table(tmp_path / "a.csv", [["x", "a", i] for i in ids], ["text", "label", "key"], id="key")
    with pytest.raises(DataError, match=found):
        _ = t.ids


@pytest.mark.parametrize(
    ("one", "two"),
    [(["ab", "c"], ["a", "bc"]), (["a", ""], ["", "a"]), (["a"], ["a", ""]), (["x\x1fy", "z"], ["x", "y\x1fz"])],
)
def test_different_cells_have_different_contents(one: list[str], two: list[str]) -> None:
    assert content_digest(one) != content_digest(two)
    assert content_digest(one) == content_digest(tuple(one))


def test_blank_labels_are_missing_and_missing_inputs_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": null, "label": "a"}\n{"label": " "}\n{"text": "x", "label": ""}\n{"text": "y", "label": null}\n'
    )
    t = read(path)
    assert t.inputs == [("",), ("",), ("x",), ("y",)]
    assert t.labels == ["a", None, None, None]
    assert t.place(1) == "a.jsonl, row 2"


def test_several_inputs_come_in_the_order_they_were_named(tmp_path: Path) -> None:
    t = table(tmp_path / "a.csv", [["x", "l", "y"]], ["first", "label", "second"], input="second, first")
    assert t.inputs == [("y", "x")]


def test_a_table_without_labels_has_ids_all_the_same(tmp_path: Path) -> None:
    labelled = table(tmp_path / "a.csv", [["x", "a"], ["y", "b"]])
    bare = table(tmp_path / "b.csv", [["x"], ["y"]], ["text"], labelled=False)  # type: ignore[arg-type]
    assert bare.labels == [None, None]
    assert bare.ids == labelled.ids


def test_a_split_counts_its_rows() -> None:
    assert Split(("a", "b"), ("c",), (), how="", digest="", contents={}).counts() == {
        "train": 2,
        "validation": 1,
        "test": 0,
    }


def test_the_likeliest_class_is_decided_for() -> None:
    p = Predictions(["x", "y"], np.array([0, 2]), np.array([[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]]), ["a", "b", "c"])
    assert p.decided.tolist() == [1, 2]


def test_the_order_of_equal_rows_at_other_times_plays_no_part(tmp_path: Path) -> None:
    rows = ["ok,p,1", "ok,p,9", "no,q,4"]
    fingerprints = []
    for order in (rows, rows[::-1]):
        (tmp_path / "a.csv").write_text("\n".join(["text,label,when", *order]))
        fingerprints.append(read(tmp_path / "a.csv", time="when").fingerprint)
    assert fingerprints[0] == fingerprints[1]
