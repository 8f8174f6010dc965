"""What `auto` should choose: plans side by side on four text sets, judged on validation rows.

Run: python bench/defaults.py. MiniLM, at most 3,000 training rows of each set, so that many plans can be tried; the
test rows are not touched. Each plan differs from the first in one or two keys. Results are kept after each run, and
what is there is not run again.
"""

from __future__ import annotations

import json
import statistics
from time import perf_counter
from typing import Any

import common
import data
import finetooth as ft
from finetooth.loop import fit
from finetooth.prepare import prepare

SETS = ("movies", "tweets", "amazon", "nyt")
SEEDS = (0, 1)
ROWS = 3000
BASE = {"learning_rate": 1e-4, "head_learning_rate": 1e-3, "epochs": 2, "batch_size": 32, "freeze": 0}
PLANS: dict[str, dict[str, Any]] = {
    "base": {},
    "half the rate": {"learning_rate": 5e-5},
    "twice the rate": {"learning_rate": 2e-4},
    "one epoch": {"epochs": 1},
    "four epochs": {"epochs": 4},
    "embeddings frozen": {"freeze": "embeddings"},
    "two blocks frozen": {"freeze": 2},
    "batches of 16": {"batch_size": 16},
    "slower head": {"head_learning_rate": 1e-4},
    "layer decay 0.9": {"layer_decay": 0.9},
}


def one(name: str, plan: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train once; the last look's validation scores."""
    group = None if name == "movies" else "group"
    table = ft.read(data.path(name), group=group)
    job = prepare(table, ft.Plan(**{**BASE, **plan, "seed": seed}), "minilm", rows=ROWS)
    state, began = job.state(), perf_counter()
    for _ in fit(state, job.batches, job.recipe, job.scores):
        pass
    scores = {key: state.history[-1].scores[key] for key in ("accuracy", "macro_f1", "loss")}
    return {**scores, "seconds": perf_counter() - began}


def main() -> None:
    path = common.RESULTS / "defaults.json"
    runs: dict[str, dict[str, Any]] = json.loads(path.read_text())["runs"] if path.exists() else {}
    for seed in SEEDS:
        for plan, changes in PLANS.items():
            for name in SETS:
                key = f"{plan} | {name} | {seed}"
                if key not in runs:
                    runs[key] = one(name, changes, seed)
                    print(key, runs[key], flush=True)
                    common.write("defaults", {"base": BASE, "rows": ROWS, "plans": PLANS, "runs": runs})
    table = {}
    for plan in PLANS:
        own = {name: [runs[f"{plan} | {name} | {seed}"] for seed in SEEDS] for name in SETS}
        table[plan] = {name: statistics.mean(r["macro_f1"] for r in own[name]) for name in SETS}
        table[plan]["mean"] = statistics.mean(table[plan].values())
        table[plan]["loss"] = statistics.mean(r["loss"] for name in SETS for r in own[name])
        table[plan]["seconds"] = statistics.mean(r["seconds"] for name in SETS for r in own[name])
        print(f"{plan:20}", {k: round(v, 4) for k, v in table[plan].items()})
    common.write("defaults", {"base": BASE, "rows": ROWS, "plans": PLANS, "table": table, "runs": runs})


if __name__ == "__main__":
    main()
