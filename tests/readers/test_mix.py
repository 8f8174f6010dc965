"""A mix of sources: where rows came from stays known, made-up ones train only, weights reach the loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import finetooth as ft
from finetooth.errors import DataError
from finetooth.prepare import prepare
from finetooth.splits import holdout, kfold
from tests import tiny
from tests.pictured import scene
from tests.test_repair import table
from tests.test_splits import sentences

MIX = "[{file: real.csv}, {file: more/made.jsonl, weight: 0.5, synthetic: true}]"


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """100 real rows, and 40 made-up ones in another folder and format with a column more."""
    texts = sentences(140)
    table(tmp_path / "real.csv", [(text, "ab"[i % 2]) for i, text in enumerate(texts[:100])])
    (tmp_path / "more").mkdir()
    made = "".join(f'{{"text": "{text}", "label": "{"ab"[i % 2]}", "by": "x"}}\n' for i, text in enumerate(texts[100:]))
    (tmp_path / "more" / "made.jsonl").write_text(made)
    (tmp_path / "mix.yaml").write_text(MIX)
    return tmp_path / "mix.yaml"


def test_every_row_knows_its_source_its_weight_and_its_nature(mixed: Path) -> None:
    t = ft.read(mixed)
    assert len(t) == 140 and t.weights == [1.0] * 100 + [0.5] * 40
    assert t.synthetic == [False] * 100 + [True] * 40
    assert t.place(0) == f"{mixed.parent / 'real.csv'}, row 1" and t.place(100).endswith("made.jsonl, row 1")
    assert t.column("by") == [None] * 100 + ["x"] * 40


def test_made_up_rows_train_only_unless_asked(mixed: Path) -> None:
    t = ft.read(mixed)
    for seed in range(5):
        split = holdout(t, seed=seed)
        made = {t.ids[i] for i in range(100, 140)}
        assert made <= set(split.train) and split.counts() == {"train": 120, "validation": 10, "test": 10}
        assert all(made <= set(fold.train) for fold in kfold(t, split, 4))
    assert any(made & set(holdout(t, seed=seed, synthetic=True).test) for seed in range(5))


def test_a_real_row_that_a_made_up_one_copies_trains_too(mixed: Path) -> None:
    real = (mixed.parent / "real.csv").read_text().splitlines()[1:]
    (mixed.parent / "more" / "made.jsonl").write_text(
        "".join(f'{{"text": "{line.split(",")[0].upper()}!", "label": "a"}}\n' for line in real[:20])
    )
    t = ft.read(mixed)
    split = holdout(t)
    assert {t.ids[i] for i in [*range(20), *range(100, 120)]} <= set(split.train)


def test_weights_of_the_mix_and_of_a_column_reach_the_batches(tmp_path: Path, tiny_bert: Path) -> None:
    path = tiny.write_reviews(tmp_path / "real.csv", 120)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",trust", *[f"{line},{i % 3}" for i, line in enumerate(lines[1:])]]) + "\n")
    (tmp_path / "mix.yaml").write_text("[{file: real.csv, weight: 0.5}]")
    t = ft.read(tmp_path / "mix.yaml", weights="trust")
    job = prepare(t, ft.Plan(), str(tiny_bert))
    expected = [0.5 * (t.position[i] % 3) for i in job.training.ids]
    assert np.allclose(job.batches.weights, expected)


def test_folders_with_parts_keep_their_places_apart(tmp_path: Path) -> None:
    texts = sentences(40)
    for n, folder in enumerate(("one", "two")):
        for part, rows in (("train", texts[20 * n : 20 * n + 15]), ("test", texts[20 * n + 15 : 20 * n + 20])):
            table(tmp_path / folder / f"{part}.csv", [(text, "ab"[i % 2]) for i, text in enumerate(rows)])
    (tmp_path / "mix.yaml").write_text("[{file: one}, {file: two}]")
    t = ft.read(tmp_path / "mix.yaml")
    assert len({t.place(i) for i in range(40)}) == 40 and t.place(15).endswith("one/test.csv, row 1")


def test_image_folders_are_not_mixed(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "cat").mkdir(parents=True)
        scene(len(folder)).save(tmp_path / folder / "cat" / "1.png")
    (tmp_path / "mix.yaml").write_text("[{file: one}, {file: two}]")
    with pytest.raises(DataError, match="folder of images"):
        ft.read(tmp_path / "mix.yaml")


def test_other_weights_are_other_data(mixed: Path) -> None:
    before = ft.read(mixed).fingerprint
    mixed.write_text(MIX.replace("0.5", "0.25"))
    assert ft.read(mixed).fingerprint != before


MISTAKES = {
    "no list": ("real.csv", "found no list of files"),
    "empty": ("[]", "found no list of files"),
    "no file": ("[{weight: 1}]", r"entry 1: found .* names no file"),
    "unknown key": ("[{file: real.csv, wieght: 2}]", "'wieght' is not known; did you mean 'weight'"),
    "weight": ("[{file: real.csv, weight: -1}]", "weight: found -1, expected a number, 0 or more"),
    "synthetic": ("[{file: real.csv, synthetic: perhaps}]", "synthetic: found 'perhaps', expected true or false"),
    "missing": ("[{file: raal.csv}]", "no such file or folder; did you mean 'real.csv'"),
    "yaml": ("[{file: real.csv", "cannot be read as YAML"),
    "a mix in a mix": ("[{file: inner.yaml}]", "entry 1: inner.yaml is a mix itself"),
    "a date": ("[{file: 2024-13-45}]", "cannot be read as YAML|no such file"),
    "nested without end": ("[" * 3000, "cannot be read as YAML"),
    "the hub": ("[{file: 'hub:no one/at home'}]", "expected hub:owner/name"),
    "code": ("[!!python/name:os.system {}]", "cannot be read as YAML"),
    "all weigh nothing": ("[{file: real.csv, weight: 0}]", None),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_mix_is_named(mixed: Path, tiny_bert: Path, mistake: str) -> None:
    content, message = MISTAKES[mistake]
    mixed.write_text(content)
    if message is None:
        with pytest.raises(DataError, match="every training row weighs nothing"):
            prepare(ft.read(mixed), ft.Plan(), str(tiny_bert))
    else:
        with pytest.raises(DataError, match=message):
            ft.read(mixed)


@pytest.mark.parametrize("cell", ["heavy", "-1", "inf", ""])
def test_what_is_no_weight_is_refused_with_its_row(tmp_path: Path, cell: str) -> None:
    content = [(text, "ab"[i % 2], "1") for i, text in enumerate(sentences(30))]
    content[4] = (*content[4][:2], cell)
    t = table(tmp_path / "a.csv", content, ("text", "label", "w"), weights="w")
    with pytest.raises(DataError, match=r"a.csv, row 5, column 'w': found .* expected a weight"):
        _ = t.weights
