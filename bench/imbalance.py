"""Class weights, oversampling and focal loss against the plain recipe on two very uneven sets.

Run: python bench/imbalance.py

MedMCQA (20 specialities, 115 to 1) and the training part of reuters-r52 (52 topics, 2840 to 1; the first 64 tokens of
each piece of news, so that a run takes minutes), MiniLM, every other setting at auto, three training seeds on one
split; macro-F1 and accuracy on the validation and the sealed test rows, whichever way they fall. Results are kept after
each run, and what is there is not run again.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import common
import data
import finetooth as ft

SETTINGS: dict[str, dict[str, Any]] = {"medmcqa": {}, "reuters": {"max_length": 64}}
SEEDS = (0, 1, 2)
PLANS: dict[str, dict[str, Any]] = {
    "plain": {},
    "class weights": {"class_weights": "auto"},
    "oversampling": {"oversample": True},
    "oversampling, half the way": {"oversample": 0.5},
    "focal loss": {"loss": "focal"},
}
# The news take five times as long, so the last two plans are tried on the questions alone.
SETS = {"medmcqa": list(PLANS), "reuters": list(PLANS)[:3]}


def one(name: str, plan: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train, open the seal, give the scores."""
    with tempfile.TemporaryDirectory() as folder:
        table = ft.read(data.path(name))
        run = ft.train(table, ft.Plan(**SETTINGS[name], **plan, seed=seed), model="minilm", out=Path(folder) / "run")
        report = ft.evaluate(run, table)
    return {
        part: {key: read(report[part][key]) for key in ("macro_f1", "accuracy")}
        for part, read in (("validation", float), ("test", lambda score: float(score["value"])))
    } | {"seconds": report["seconds"]["train"], "plan": report["plan"]}


def main() -> None:
    path = common.RESULTS / "imbalance.json"
    runs: dict[str, Any] = json.loads(path.read_text())["runs"] if path.exists() else {}
    for seed in SEEDS:
        for name, plans in SETS.items():
            for plan in plans:
                key = f"{name} | {plan} | {seed}"
                if key not in runs:
                    runs[key] = one(name, PLANS[plan], seed)
                    print(key, runs[key]["validation"], runs[key]["test"], flush=True)
                    common.write("imbalance", {"runs": runs})
    table = {
        f"{name} | {plan}": {
            f"{part} {score}": common.spread([runs[f"{name} | {plan} | {seed}"][part][score] for seed in SEEDS])
            for part in ("validation", "test")
            for score in ("macro_f1", "accuracy")
        }
        for name, plans in SETS.items()
        for plan in plans
    }
    for key, scores in table.items():
        print(key, {score: f"{s['mean']:.4f} ± {s['sd']:.4f}" for score, s in scores.items()})
    common.write("imbalance", {"table": table, "runs": runs})


if __name__ == "__main__":
    main()
