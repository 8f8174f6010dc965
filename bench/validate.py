"""Five-fold cross-validation beside a StratifiedKFold loop around transformers' Trainer. Run: python bench/validate.py

Movie reviews, MiniLM. At 2,000 rows both sides in full with three training seeds, ours first and, being short, once
more at the end, the Trainer in bf16, the faster of its two, and for the first seed also in fp32, which is how it comes;
at full size ours in full, the peer extrapolated from one of its folds. Ours: recipes/few.yaml, which was chosen on
split seeds 1 and 2, at full size recipes/quick.yaml; no store there beforehand, from the file to the report. The
Trainer as in train.py, on the same rows; the mean over folds of its best epoch's accuracy, as ours. What is there
already is not run again.
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
        plan = ft.Plan.read(beside.QUICK if rows is None else beside.FEW).model_copy(update={"seed": seed})
        report = ft.validate(table, plan, model="minilm", out=Path(folder) / "out", folds=FOLDS, rows=rows)
        seconds = perf_counter() - began
    return {"seconds": seconds, "scores": [fold["scores"]["accuracy"] for fold in report["each"]]}


def peer(rows: int | None, seed: int, folds: int, bf16: bool) -> dict[str, Any]:
    """A loop of StratifiedKFold around the Trainer, on the same rows; so many of the folds."""
    import transformers as tf
    from sklearn.model_selection import StratifiedKFold

    _ = tf.Trainer, tf.TrainingArguments, tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    scores, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        table = ft.read(data.path("movies"))
        part = Material.of(table, ft.Plan(), "minilm", rows=rows).split
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
                bf16,
                parts={"train": ids[train], "validation": ids[held]},
            )
            made.train()
            scores.append(made.state.best_metric)
            seconds.append(perf_counter() - began)
    return {"seconds": sum(seconds), "fold seconds": seconds, "scores": scores}


def asked(side: str, rows: int | None, seed: int, precision: str = "bf16", folds: int = FOLDS) -> dict[str, Any]:
    """One side in a process of its own."""
    words = [sys.executable, __file__, side, str(rows or 0), str(seed), precision, str(folds)]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    print(*words[2:], f"{found['seconds']:.1f} s, mean {statistics.mean(found['scores']):.4f}", flush=True)
    return {**found, "commit": common.commit()}


def summary(runs: dict[str, Any]) -> dict[str, Any]:
    """Ratios and differences, seed by seed."""
    seeds = [seed for seed in SEEDS if f"peer bf16 {seed}" in runs]
    own, theirs = ([runs[f"{side} {seed}"] for seed in seeds] for side in ("ours", "peer bf16"))
    every = [run["seconds"] for name, run in runs.items() if name.startswith("ours ") and name != "ours full size"]
    spent, alone = statistics.median(every), runs["peer fp32 0"]["seconds"]
    others = [run["seconds"] for run in theirs]
    fold, whole = runs["peer bf16 one fold, full size"]["seconds"], runs["ours full size"]["seconds"]
    slower = alone / runs["peer bf16 0"]["seconds"]
    means = [[statistics.mean(run["scores"]) for run in side] for side in (own, theirs)]
    return {
        "seeds": seeds,
        "seconds": {
            "ours": spent,
            "peer bf16": statistics.median(others),
            "peer fp32": alone,
        },
        "times as fast as bf16": _ratio(others, every),
        "times as fast as fp32": _ratio([alone], every),
        "mean accuracy": {"ours": common.spread(means[0]), "peer bf16": common.spread(means[1])},
        "difference": common.spread([a - b for a, b in zip(*means, strict=True)]),
        "full size": {
            "ours, seconds": whole,
            "peer bf16, seconds, extrapolated": fold * FOLDS,
            "times as fast as bf16, extrapolated": fold * FOLDS / whole,
            "times as fast as fp32, extrapolated": slower * fold * FOLDS / whole,
            "mean accuracy, ours": statistics.mean(runs["ours full size"]["scores"]),
            "accuracy, peer, one fold": runs["peer bf16 one fold, full size"]["scores"][0],
            "accuracy, ours, folds": runs["ours full size"]["scores"],
        },
    }


def _ratio(theirs: list[float], own: list[float]) -> dict[str, float]:
    """Of the medians, and of the extremes."""
    middle = statistics.median(theirs) / statistics.median(own)
    return {"median": middle, "low": min(theirs) / max(own), "high": max(theirs) / min(own)}


def main() -> None:
    if len(sys.argv) > 1:
        side, rows, seed, precision, folds = sys.argv[1:]
        some, number = int(rows) or None, int(seed)
        found = ours(some, number) if side == "ours" else peer(some, number, int(folds), precision == "bf16")
        print(json.dumps(found))
        return
    path = common.RESULTS / "validate.json"
    runs: dict[str, Any] = json.loads(path.read_text())["runs"] if path.exists() else {}

    def once(name: str, *words: Any, **named: Any) -> None:
        if name not in runs:
            runs[name] = asked(*words, **named)
            common.write("validate", {"runs": runs})

    for seed in SEEDS:
        once(f"ours {seed}", "ours", ROWS, seed)
    once("peer bf16 0", "peer", ROWS, 0)
    once("ours full size", "ours", None, 0)
    once("peer bf16 one fold, full size", "peer", None, 0, folds=1)
    once("peer fp32 0", "peer", ROWS, 0, "fp32")
    common.write("validate", {"summary": summary(runs), "runs": runs})
    for seed in SEEDS[1:]:
        once(f"peer bf16 {seed}", "peer", ROWS, seed)
    for seed in SEEDS:
        once(f"ours {seed} again", "ours", ROWS, seed)
    found = summary(runs)
    print(json.dumps(found, indent=1), common.write("validate", {"summary": found, "runs": runs}))


if __name__ == "__main__":
    main()
