"""Five-fold cross-validation beside a StratifiedKFold loop around transformers' Trainer. Run: python bench/validate.py

Movie reviews, MiniLM. At 2,000 rows both sides in full, with three training seeds, the sides taking turns; at full size
ours in full, the peer extrapolated from one of its folds. Ours: recipes/quick.yaml, no store there beforehand, from the
file to the report. The Trainer as in train.py, in bf16, the faster of its two; the mean over folds of its best
epoch's accuracy, as ours. Seeds that are there already are not run again.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import common
import data
import finetooth as ft
import train as beside
from finetooth.prefix import stores
from finetooth.prepare import Material

FOLDS, ROWS, SEEDS = 5, 1000, (0, 1, 2)  # at most so many rows of training and of validation: 2,000


def ours(rows: int | None, seed: int) -> dict[str, Any]:
    """`finetooth validate`."""
    import transformers as tf

    _ = tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    shutil.rmtree(stores(), ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        table = ft.read(data.path("movies"))
        plan = ft.Plan.read(beside.QUICK).model_copy(update={"seed": seed})
        report = ft.validate(table, plan, model="minilm", out=Path(folder) / "out", folds=FOLDS, rows=rows)
        seconds = perf_counter() - began
    return {"seconds": seconds, "scores": [each["best"]["value"] for each in report["each"]]}


def peer(rows: int | None, seed: int, folds: int) -> dict[str, Any]:
    """A loop of StratifiedKFold around the Trainer, on the same rows; so many of the folds."""
    import transformers as tf
    from sklearn.model_selection import StratifiedKFold

    _ = tf.Trainer, tf.TrainingArguments, tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    scores, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        part = Material.of(ft.read(data.path("movies")), ft.Plan(), "minilm", rows=rows).split
        table = ft.read(data.path("movies"))
        ids = np.array([*part.train, *part.validation])
        labels = np.array([table.labels[table.position[i]] for i in ids])
        dealt = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(ids, labels)
        for number, (train, held) in list(enumerate(dealt))[:folds]:
            began = perf_counter()
            made, _, _ = beside.teacher(
                "minilm",
                0,
                seed,
                Path(folder) / str(number),
                True,
                parts={"train": ids[train], "validation": ids[held]},
            )
            made.train()
            scores.append(made.evaluate()["eval_accuracy"])
            seconds.append(perf_counter() - began)
    return {"seconds": sum(seconds), "fold seconds": seconds, "scores": scores}


def asked(side: str, rows: int | None, seed: int, folds: int = FOLDS) -> dict[str, Any]:
    """One side in a process of its own."""
    words = [sys.executable, __file__, side, str(rows or 0), str(seed), str(folds)]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    print(side, rows, seed, f"{found['seconds']:.1f} s, mean {statistics.mean(found['scores']):.4f}", flush=True)
    return found


def main() -> None:
    if len(sys.argv) > 1:
        side, rows, seed, folds = sys.argv[1], int(sys.argv[2]) or None, int(sys.argv[3]), int(sys.argv[4])
        print(json.dumps(ours(rows, seed) if side == "ours" else peer(rows, seed, folds)))
        return
    path = common.RESULTS / "validate.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    found: dict[str, Any] = {"2,000 rows": kept.get("2,000 rows", {})}
    for seed in SEEDS:
        if str(seed) not in found["2,000 rows"]:
            found["2,000 rows"][str(seed)] = {side: asked(side, ROWS, seed) for side in ("ours", "peer")}
            common.write("validate", found)
    runs = found["2,000 rows"].values()
    ratios = [run["peer"]["seconds"] / run["ours"]["seconds"] for run in runs]
    gaps = [statistics.mean(run["ours"]["scores"]) - statistics.mean(run["peer"]["scores"]) for run in runs]
    found["summary"] = {
        "times as fast": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
        "difference in mean accuracy": common.spread(gaps),
    }
    common.write("validate", found)
    whole, fold = asked("ours", None, 0), asked("peer", None, 0, folds=1)
    share = 9511 / 2000
    small = statistics.median(run["peer"]["seconds"] for run in runs)
    found["full size"] = {
        "ours": whole,
        "peer, one fold": fold,
        "peer, extrapolated from that fold": fold["seconds"] * FOLDS,
        "peer, extrapolated from 2,000 rows": small * share,
        "times as fast, extrapolated": fold["seconds"] * FOLDS / whole["seconds"],
    }
    print(found["summary"], found["full size"], common.write("validate", found))


if __name__ == "__main__":
    main()
