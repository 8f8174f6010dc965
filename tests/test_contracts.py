"""Every task keeps to the contract that is published for tasks of one's own; a new one needs its rows here."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import finetooth as ft
from finetooth.prefix import stores
from finetooth.testing import check_task
from tests import tiny

ROWS = 160


Row = dict[str, object]


def _rows(path: Path, row: Callable[[str, bool], Row]) -> ft.Table:
    """Texts of which half praise, each made a row of."""
    draw, lines = random.Random(0), []
    for i in range(ROWS):
        good = i % 2 == 0
        words = draw.sample(tiny.PLAIN, draw.randint(2, 6)) + draw.sample(tiny.GOOD if good else tiny.BAD, 2)
        lines.append(json.dumps(row(" ".join(words), good)))
    path.write_text("\n".join(lines), encoding="utf-8")
    return ft.read(path)


def _encoder(folder: Path) -> Path:
    """One whose rows say noticeably other things where a token is looked at that should not be."""
    config = tiny.config("bert")
    config.initializer_range = 0.5
    return tiny.save_model(folder, config)


# What a row of each task is made of a text and of whether it praises.
TEXTS: dict[str, Callable[[str, bool], Row]] = {
    "text-classification": lambda text, good: {"text": text, "label": "good" if good else "bad"},
    "text-pair": lambda text, good: {"text": text, "text_pair": text[::2], "label": "yes" if good else "no"},
    "text-regression": lambda text, good: {"text": text, "label": len(text) / 7 + 3 * good},
    "multi-label": lambda text, good: {"text": text, "label": ["good"] * good + ["film"] * ("film" in text)},
    "token-classification": lambda text, good: {
        "tokens": text.split(),
        "tags": ["B-PRAISE" if word in tiny.GOOD else "O" for word in text.split()],
    },
    "instruction": lambda text, good: {"prompt": text, "completion": "bright" if good else "dull cold"},
    "preference": lambda text, good: {
        "prompt": text,
        "chosen": "bright" if good else "dull cold",
        "rejected": "dull cold" if good else "bright",
    },
    "seq2seq": lambda text, good: {"source": text, "target": "bright" if good else "dull cold"},
}
# Who reads something else than an encoder does.
MODELS: dict[str, Callable[[Path], Path]] = {
    "instruction": tiny.save_causal,
    "preference": tiny.save_causal,
    "seq2seq": lambda folder: tiny.save_seq2seq(folder, "bart"),
    "image-classification": lambda folder: tiny.save_image_model(folder, "vit"),
}


@pytest.mark.parametrize("name", ft.TASKS)
def test_every_task_keeps_to_the_contract(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETOOTH_CACHE", str(tmp_path / "cache"))
    images = name == "image-classification"
    table = ft.read(tiny.write_images(tmp_path / "d", ROWS)) if images else _rows(tmp_path / "d.jsonl", TEXTS[name])
    model = MODELS.get(name, _encoder)(tmp_path / "model")
    run = check_task(name, table, str(model), tmp_path / "runs")
    assert run.plan.task == name and any(stores().iterdir())
