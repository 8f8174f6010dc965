"""Slices: the rows are cut as their names say, the weak one is found, and luck alone is not called a gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finetooth import Predictions
from finetooth.errors import DataError
from finetooth.metrics import CLASSIFICATION, interval
from finetooth.slices import slices
from finetooth.table import Columns, Table

ACCURACY = CLASSIFICATION["accuracy"]


def table(
    columns: Mapping[str, Sequence[str | None]],
    files: Sequence[str] | None = None,
    group: str | None = None,
    **rest: Any,
) -> Table:
    rows = len(next(iter(columns.values())))
    texts = {"text": [f"words of row {i}" for i in range(rows)], "id": [f"row {i:05}" for i in range(rows)]}
    return Table(
        data=pa.table({**texts, **columns}),
        columns=Columns(input=("text",), id="id", group=group),
        source="reviews.csv",
        places=[(file, i + 1) for i, file in enumerate(files or ["reviews.csv"] * rows)],
        parts=[None] * rows,
        **rest,
    )


def answers(of: Table, right: np.ndarray) -> Predictions:
    labels = np.arange(len(right)) % 2
    said = np.where(right, labels, 1 - labels)
    return Predictions(of.ids, labels, np.eye(2)[said] * 0.8 + 0.1, ["no", "yes"])


def rows(found: dict[str, Any]) -> dict[str, dict[str, int]]:
    columns: dict[str, dict[str, int]] = {}
    for line in found["table"]:
        columns.setdefault(line["column"], {})[line["slice"]] = line["rows"]
    return columns


def cut(cells: Sequence[str | None]) -> dict[str, int]:
    t = table({"x": cells})
    return rows(slices(answers(t, np.ones(len(cells), bool)), t, {}, ACCURACY, columns=["x"]))["x"]


def test_each_slice_has_the_score_of_its_rows_and_the_weak_one_is_found() -> None:
    rng = np.random.default_rng(0)
    where = rng.choice(["north", "south", "west"], 1200)
    right = rng.random(1200) < np.where(where == "south", 0.6, 0.9)
    t = table({"region": where.tolist()})
    p = answers(t, right)
    for metric in (ACCURACY, CLASSIFICATION["loss"]):
        found = slices(p, t, {}, metric, columns=["region"])
        assert found["metric"] == metric.name and rows(found).keys() == {"region"}
        for line in found["table"]:
            inside = np.flatnonzero(where == line["slice"])
            expected = interval(metric, p.take(inside))
            assert line["rows"] == len(inside) and line["estimate"]["value"] == expected.value
            assert line["estimate"]["low"] == pytest.approx(expected.low) and line["estimate"]["how"] == expected.how
        south = next(line for line in found["table"] if line["slice"] == "south")
        assert found["weakest"] == south
        (gap,) = found["gaps"]
        assert gap["column"] == "region" and gap["worst"] == "south" and gap["best"] != "south"
        best = next(line for line in found["table"] if line["slice"] == gap["best"])
        distance = abs(best["estimate"]["value"] - south["estimate"]["value"])
        assert gap["difference"]["value"] == pytest.approx(distance)
        assert 0 < gap["difference"]["low"] < distance < gap["difference"]["high"]
        assert gap["difference"]["how"] == "Tukey, over 3 slices"


def test_the_order_of_the_rows_plays_no_part() -> None:
    rng = np.random.default_rng(1)
    t = table({"x": rng.choice(["a", "b"], 600).tolist(), "doc": [str(i // 4) for i in range(600)]}, group="doc")
    p = answers(t, rng.random(600) < 0.8)
    lengths = dict(zip(t.ids, rng.integers(3, 60, 600).tolist(), strict=True))
    found = slices(p, t, lengths, CLASSIFICATION["macro_f1"], columns=["x"])
    assert found["table"][-1]["estimate"]["how"] == "BCa over groups"
    assert slices(p.take(rng.permutation(600)), t, lengths, CLASSIFICATION["macro_f1"], columns=["x"]) == found


def test_lengths_are_cut_in_thirds_that_are_named_in_words() -> None:
    t = table({"x": [""] * 9})
    p = answers(t, np.ones(9, bool))

    def named(lengths: list[int]) -> dict[str, int] | None:
        return rows(slices(p, t, dict(zip(t.ids, lengths, strict=True)), ACCURACY)).get("length")

    assert named([12, 3, 25, 13, 4, 14, 30, 40, 26]) == {
        "up to 12 tokens": 3,
        "13 to 25 tokens": 3,
        "26 or more tokens": 3,
    }
    assert named([1, 1, 1, 1, 1, 1, 1, 2, 3]) == {"1 token": 7, "2 or more tokens": 2}
    assert named([7] * 9) is None and named([5, 5, 5, 6, 6, 6, 7, 7, 7]) == {
        "5 tokens": 3,
        "6 tokens": 3,
        "7 tokens": 3,
    }


def test_numbers_are_cut_in_thirds_and_texts_by_value() -> None:
    assert cut(["1.5", "2", "-3", "10", "1e3", "7"]) == {"up to 1.5": 2, "2 to 7": 2, "10 or more": 2}
    assert cut(["0"] * 2 + ["1"] * 18) == {"0": 2, "1": 18}
    assert cut(["1", "2", "3", None, " "]) == {"1": 1, "2": 1, "3": 1, "empty": 2}
    assert cut(["1", "2", "n/a"]) == {"1": 1, "2": 1, "n/a": 1}
    assert cut(["1", "nan"]) == {"1": 1, "nan": 1}
    assert cut([None, ""]) == {"empty": 2}


def test_the_commonest_values_are_slices_and_the_rest_is_one() -> None:
    cells = [f"v{i:02}" for i in range(15) for _ in range(20 - i)]
    found = cut(cells)
    assert list(found) == [f"v{i:02}" for i in range(12)] + ["other"] and found["other"] == 8 + 7 + 6
    assert sum(found.values()) == len(cells)


def test_sources_scripts_kinds_and_groups_are_cut_where_several_have_rows_enough() -> None:
    n = 460
    first = np.arange(n) < 220
    files = np.where(first, "a.csv", "b.csv").tolist()
    texts = np.where(first, "Ein Satz", "一个句子").tolist()
    groups = [("x" if i < 220 else "y" if i < 440 else None) for i in range(n)]
    t = table({"text": texts, "doc": groups}, files, group="doc", synthetic=(~first).tolist())
    found = slices(answers(t, np.arange(n) % 5 > 0), t, {}, ACCURACY)
    assert rows(found) == {
        "source": {"b.csv": 240, "a.csv": 220},
        "synthetic": {"synthetic": 240, "real": 220},
        "doc": {"x": 220, "y": 220, "empty": 20},
        "script": {"Chinese": 240, "Latin": 220},
    }
    # A slice that is one group tells of that group: its rows stand alone.
    assert next(line for line in found["table"] if line["slice"] == "x")["estimate"]["how"] == "Wilson"
    few = table({"text": texts[:220] + texts[-19:], "doc": [str(i // 50) for i in range(239)]}, group="doc")
    assert slices(answers(few, np.ones(239, bool)), few, {}, ACCURACY) == {
        "metric": "accuracy",
        "table": [],
        "gaps": [],
        "weakest": None,
    }


def test_one_file_per_row_is_no_source() -> None:
    t = table({"x": ["a"] * 500}, [f"{i}.txt" for i in range(500)])
    assert rows(slices(answers(t, np.ones(500, bool)), t, {}, ACCURACY)) == {}


def test_a_named_column_takes_the_place_of_the_one_it_is_called_like() -> None:
    t = table(
        {"source": ["web", "book"] * 100, "doc": [str(i // 60) for i in range(200)]}, ["a", "b"] * 100, group="doc"
    )
    found = rows(slices(answers(t, np.ones(200, bool)), t, {}, ACCURACY, columns=["source", "doc"]))
    assert found == {"source": {"book": 100, "web": 100}, "doc": {"0": 60, "1": 60, "2": 60, "3": 20}}


def test_slices_without_rows_enough_say_so_and_are_in_no_ranking() -> None:
    t = table({"x": ["a"] * 150 + ["b"] * 250})
    found = slices(answers(t, np.arange(400) >= 150), t, {}, ACCURACY, columns=["x"])
    a = next(line for line in found["table"] if line["slice"] == "a")["estimate"]
    assert a == {"value": 0.0, "low": None, "high": None, "how": "too few rows (150; at least 200 are needed)"}
    assert found["gaps"] == [] and found["weakest"]["slice"] == "b"


def test_groups_widen_what_is_said() -> None:
    rng = np.random.default_rng(2)
    doc, kind = np.arange(1000) // 10, np.where(np.arange(1000) % 2, "a", "b")
    right = rng.random(100)[doc] < 0.8  # of one document all are right, or none is
    gaps = {}
    for group in ("doc", None):
        t = table({"x": np.where(doc < 50, "a", "b").tolist(), "doc": doc.astype(str).tolist()}, group=group)
        (gap,) = slices(answers(t, right), t, {}, ACCURACY, columns=["x"])["gaps"]
        gaps[group] = gap["difference"]["high"] - gap["difference"]["low"]
    assert gaps["doc"] > 2 * gaps[None]
    # Kinds that stand side by side in each document differ less surely than documents do.
    t = table({"x": kind.tolist(), "doc": doc.astype(str).tolist()}, group="doc")
    (gap,) = slices(answers(t, right), t, {}, ACCURACY, columns=["x"])["gaps"]
    assert gap["difference"]["high"] - gap["difference"]["low"] < gaps["doc"] / 2


def test_luck_alone_is_seldom_called_a_gap() -> None:
    """Of six slices that are alike, the best and the worst lie apart; the interval knows they were picked."""
    rng, called = np.random.default_rng(3), 0
    t = table({"x": [f"v{i % 6}" for i in range(1500)]})
    for _ in range(60):
        (gap,) = slices(answers(t, rng.random(1500) < 0.8), t, {}, ACCURACY, columns=["x"])["gaps"]
        assert gap["difference"]["value"] > 0
        called += gap["difference"]["low"] > 0
    assert called <= 7  # 5 in 100 are 3; without the correction they would be about 22


def test_what_is_not_defined_is_no_number() -> None:
    t = table({"x": ["a"] * 300})
    p = Predictions(t.ids, np.zeros(300, np.int64), np.full((300, 2), 0.5), ["no", "yes"])
    found = slices(p, t, {}, CLASSIFICATION["auroc"], columns=["x"])
    assert found["table"][0]["estimate"] == {
        "value": None,
        "low": None,
        "high": None,
        "how": "not defined in most draws",
    }
    assert found["weakest"] is None


def test_an_unknown_column_is_named_with_the_nearest() -> None:
    t = table({"region": ["a"] * 3})
    with pytest.raises(DataError, match=r"reviews.csv: no column 'regoin'; did you mean 'region'\?"):
        slices(answers(t, np.ones(3, bool)), t, {}, ACCURACY, columns=["regoin"])


def test_a_thousand_rows_take_little_time() -> None:
    rng = np.random.default_rng(4)
    t = table(
        {"x": rng.choice(["a", "b", "c"], 1000).tolist(), "n": rng.random(1000).astype(str).tolist()}, ["a", "b"] * 500
    )
    lengths, start = dict(zip(t.ids, rng.integers(3, 90, 1000).tolist(), strict=True)), perf_counter()
    slices(answers(t, rng.random(1000) < 0.9), t, lengths, CLASSIFICATION["macro_f1"], columns=["x", "n"])
    assert perf_counter() - start < 10
