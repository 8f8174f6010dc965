"""Repair: what is plain is mended, each change is in the log, and the log can undo all of it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import finetooth as ft
from finetooth.check import check
from finetooth.errors import DataError
from finetooth.repair import fix, read_log, repaired, repairs, undone
from tests.pictured import scene
from tests.test_checks import rows

BLEMISHES = [
    ("no label here at all", ""),
    ("", "good"),
    ("spelt in another way", "GOOD"),
    ("stand under two labels", "good"),
    ("stand under two labels", "bad"),
]


def table(
    path: Path, content: list[tuple[str, ...]], header: tuple[str, ...] = ("text", "label"), **options: str
) -> ft.Table:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *content])
    return ft.read(path, labelled=False, **options)


def test_what_is_plain_is_mended_and_what_is_not_is_left(tmp_path: Path) -> None:
    plain = rows(60)
    t = table(tmp_path / "a.csv", [*plain, *BLEMISHES, (plain[0][0].upper(), plain[0][1])])
    changes, log = fix(check(t), tmp_path / "b.csv")
    clean = ft.read(tmp_path / "b.csv")
    assert sorted(c.why.split(" ")[0] for c in changes) == ["a", "another", "empty", "no"]
    assert len(clean) == 60 + 3 and set(clean.labels) == {"good", "bad"}
    assert sum(text == ("stand under two labels",) for text in clean.inputs) == 2
    assert read_log(log) == changes and all(c.place.startswith("a.csv, row ") for c in changes)
    assert undone(clean.data, read_log(log)).equals(t.data)


def test_a_file_without_blemish_stays_as_it_is(tmp_path: Path) -> None:
    t = table(tmp_path / "a.csv", rows(60))
    changes, _ = fix(check(t), tmp_path / "b.csv")
    assert changes == [] and ft.read(tmp_path / "b.csv").data.equals(t.data)


def test_leaked_rows_leave_the_training_part_and_the_test_part_stays_whole(tmp_path: Path) -> None:
    plain = rows(120)
    parts = {"train": plain[:90], "test": [*plain[90:], plain[0], (plain[1][0].replace("was", "wsa"), plain[1][1])]}
    for name, content in parts.items():
        table(tmp_path / "d" / f"{name}.csv", content)
    checked = check(ft.read(tmp_path / "d"))
    changes, _ = fix(checked, tmp_path / "clean")
    again = ft.read(tmp_path / "clean")
    assert [c.place for c in changes] == ["train.csv, row 1", "train.csv, row 2"]
    assert again.parts.count("test") == 32 and again.parts.count("train") == 88
    assert not [f for f in check(again).findings if f.check == "leak"]


def test_documents_get_a_column_of_their_own(tmp_path: Path) -> None:
    content = [(text, label, f"{i // 8}_{i % 8}") for i, (text, label) in enumerate(rows(400))]
    t = table(tmp_path / "a.csv", content, ("text", "label", "id"))
    changes, log = fix(check(t), tmp_path / "b.csv")
    clean = ft.read(tmp_path / "b.csv", group="document")
    assert [(c.action, c.column) for c in changes] == [("add", "document")]
    assert len(set(clean.groups)) == 50 and undone(clean.data, read_log(log)).equals(t.data)


def test_a_column_document_of_ones_own_is_kept(tmp_path: Path) -> None:
    content = [(text, label, f"d{i}") for i, (text, label) in enumerate(rows(60))]
    t = table(tmp_path / "a.csv", content, ("text", "label", "document"))
    _, log = fix(check(t), tmp_path / "b.csv")
    assert undone(ft.read(tmp_path / "b.csv").data, read_log(log)).equals(t.data)


def test_images_are_copied_where_they_lay_but_for_the_broken_and_the_repeated(tmp_path: Path) -> None:
    for i in range(24):
        path = tmp_path / "scans" / ("Good" if i in (3, 5) else "good" if i % 2 else "bad") / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene(i).save(path)
    (tmp_path / "scans" / "bad" / "30.png").write_bytes((tmp_path / "scans" / "bad" / "00.png").read_bytes())
    (tmp_path / "scans" / "bad" / "31.png").write_bytes(b"no image")
    t = ft.read(tmp_path / "scans")
    changes, log = fix(check(t), tmp_path / "clean")
    clean = ft.read(tmp_path / "clean")
    assert sorted((c.action, c.place) for c in changes) == [
        ("change", "Good/03.png"),
        ("change", "Good/05.png"),
        ("drop", "bad/30.png"),
        ("drop", "bad/31.png"),
    ]
    assert set(clean.labels) == {"good", "bad"} and len(clean) == 24
    assert (tmp_path / "clean" / "Good" / "03.png").read_bytes() == (
        tmp_path / "scans" / "Good" / "03.png"
    ).read_bytes()
    assert undone(clean.data, read_log(log)).equals(t.data)
    with pytest.raises(DataError, match="lies within"):
        fix(check(t), tmp_path / "scans" / "clean")


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_odd_line_ends_in_a_text_do_not_cut_the_log(odd: str, tmp_path: Path) -> None:
    content = [*rows(40), (f"one{odd}line", ""), (f"two{odd}lines of it", " ")]
    t = table(tmp_path / "a.csv", content)
    changes, log = fix(check(t), tmp_path / "b.csv")
    assert read_log(log) == changes and undone(ft.read(tmp_path / "b.csv").data, changes).equals(t.data)


def test_a_mix_is_cleaned_source_by_source(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", rows(60))
    table(tmp_path / "made.csv", rows(20, seed=1))
    (tmp_path / "mix.yaml").write_text("[{file: a.csv}, {file: made.csv, synthetic: true}]")
    with pytest.raises(DataError, match="each of them by itself"):
        fix(check(ft.read(tmp_path / "mix.yaml")), tmp_path / "b.csv")


def test_a_label_is_never_taken_for_a_document(tmp_path: Path) -> None:
    content = [(f"topic-{i % 2}", text, f"{i // 8}_{i % 8}") for i, (text, _) in enumerate(rows(400))]
    t = table(tmp_path / "a.csv", content, ("label", "text", "id"))
    fix(check(t), tmp_path / "b.csv")
    assert len(set(ft.read(tmp_path / "b.csv", group="document").groups)) == 50


def test_nothing_is_overwritten_and_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    checked = check(table(tmp_path / "a.csv", rows(40)))
    with pytest.raises(DataError, match="exists already"):
        fix(checked, tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"\.xls' cannot be written"):
        fix(checked, tmp_path / "b.xls")
    assert not list(tmp_path.glob("b.xls*"))


CELLS = st.sampled_from(
    ["", " ", "good", "Good", "bad", "one text", "One text!", "another one", "a longer text of eight words or so"]
)


@settings(max_examples=60, deadline=None)
@given(content=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=25))
def test_undoing_gives_back_every_row(content: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    t = table(tmp_path_factory.mktemp("rows") / "a.csv", [("first text", "good"), *content])
    checked = check(t)
    changes = repairs(checked)
    assert undone(repaired(checked, changes), changes).equals(t.data)
