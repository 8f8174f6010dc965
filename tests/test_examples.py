"""Every example runs."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import tiny

EXAMPLES = Path(__file__).parent.parent / "examples"
# What an example reads as the label of the reviews, where it is not the class.
LABELS: dict[str, Callable[[str], str]] = {
    "own_task.py": lambda text: str(1 + len(text) % 3),
    "prediction_interval.py": lambda text: f"{len(text)}.5",
    "several_labels.py": lambda text: "|".join(word for word in ("film", "plot", "music") if word in text),
}


def texts_of(reviews: Path) -> list[str]:
    """The texts of a file of reviews."""
    return [line.rpartition(",")[0] for line in reviews.read_text(encoding="utf-8").splitlines()[1:]]


def test_a_task_of_ones_own_is_a_short_file() -> None:
    lines = (EXAMPLES / "own_task.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 80 and sum("TASKS[" in line for line in lines) == 1


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_the_example_runs(
    name: str, reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = reviews, tiny_bert
    if name in LABELS:
        lines = [f"{text},{LABELS[name](text)}" for text in texts_of(reviews)]
        reviews.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    if name == "entities.py":
        tagged = [[f"{w} {'B-PRAISE' if w in tiny.GOOD else 'O'}" for w in t.split()] for t in texts_of(reviews)]
        data = tmp_path / "rows.conll"
        data.write_text("\n\n".join("\n".join(lines) for lines in tagged) + "\n", encoding="utf-8")
    if name == "images.py":
        data = tiny.write_images(tmp_path / "shapes", 60)
        model = tiny.save_image_model(tmp_path / "vit", "vit")
    if name == "seq2seq.py":
        lines = [line.replace(",", ",the text is ") for line in reviews.read_text(encoding="utf-8").splitlines()[1:61]]
        data = tmp_path / "pairs.csv"
        data.write_text("\n".join(["source,target", *lines]) + "\n", encoding="utf-8")
        model = tiny.save_seq2seq(tmp_path / "t5")
    if name == "preference.py":
        rows = [{"prompt": text, "chosen": "bright", "rejected": "dull"} for text in texts_of(reviews)[:60]]
        data, model = tmp_path / "pairs.jsonl", tiny.save_causal(tmp_path / "llama")
        data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    if name == "instruction.py":
        data, model = tiny.write_talks(tmp_path / "talks.jsonl", 80), tiny.save_causal(tmp_path / "llama")
    monkeypatch.setattr(sys, "argv", [name, str(data), str(model), str(tmp_path / "run")])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert (tmp_path / "run" / "report.html").exists()
