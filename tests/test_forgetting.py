"""The meter of forgetting: nothing forgotten is nothing told, and a spoiled network shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import finetooth as ft
from finetooth import forgetting

WORDS = [f"{a}{b}" for a in "bcdfghjklm" for b in ("atu", "eno", "iro", "osa")]


def knowing(texts: Sequence[str]) -> np.ndarray:
    """A reader that counts words: halves of a text share some."""
    return np.array([[text.split().count(word) for word in WORDS] for text in texts], dtype=float)


def spoiled(texts: Sequence[str]) -> np.ndarray:
    """A reader that knows the length of a text and nothing else."""
    return np.array([[len(text), 1.0] for text in texts])


def texts(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    themes = [rng.choice(WORDS, 5, replace=False) for _ in range(count)]
    return [" ".join([*rng.permutation(theme), *rng.permutation(theme)]) for theme in themes]


def test_halves_are_found_by_who_reads_and_not_by_who_does_not() -> None:
    asked = texts(250)
    before, after = (forgetting.halves_found(read, asked) for read in (knowing, spoiled))
    told = forgetting.told("halves", before, after, np.arange(250))
    assert told["before"]["value"] > 0.8 and told["after"]["value"] < 0.1
    assert told["difference"]["high"] < -0.5
    same = forgetting.told("halves", before, before, np.arange(250))
    assert same["difference"]["value"] == same["difference"]["low"] == same["difference"]["high"] == 0.0


def test_few_texts_give_no_interval() -> None:
    right = np.array([True, False] * 20)
    told = forgetting.told("halves", right, right, np.arange(40))
    assert told["before"]["low"] is None and "too few rows" in told["difference"]["how"]


def test_texts_are_halved_at_a_space_and_characters_where_there_is_none() -> None:
    assert forgetting.halved("one two three four") == ("one two", " three four")
    assert forgetting.halved("酒店的房间很大也很干净") == ("酒店的房间", "很大也很干净")
    assert forgetting.chosen(["short", "long enough to be cut in two", "long enough to be cut in two"]) == [
        "long enough to be cut in two"
    ]


def test_rows_to_keep_are_read_off_by_a_probe(tmp_path: Path) -> None:
    path = tmp_path / "keep.csv"
    rows = [f"{WORDS[i % 2]} {WORDS[5 + i % 7]} {i},{'ab'[i % 2]}" for i in range(240)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    table = ft.read(path)
    assert forgetting.kept(knowing, table).mean() > 0.95
    assert forgetting.kept(spoiled, table).mean() == pytest.approx(0.5, abs=0.15)
