"""A search of 20 trials beside transformers' Trainer with its Optuna backend. Run: python bench/search.py

Movie reviews, MiniLM, 2,000 rows (1,000 of training and as many of validation). Both over learning rate, weight decay,
dropout and frozen depth, both pruned by the median of earlier trials. Ours: recipes/few.yaml, two epochs (chosen on
split seeds 1 and 2), two processes, three seeds, everything counted from the file to the report, no store there
beforehand. The Trainer's hyperparameter_search: train.py's recipe, three epochs a trial, learning rates of its kind,
once in full in fp32, which is how it comes; two trials, which are never pruned, tell its time in bf16 and what 20 whole
trials would take. Ours scores a trial by its best look, the Trainer by its last; its best look of all is told too. At
full size ours in full, recipes/quick.yaml with its one epoch, and the peer extrapolated: its training by the training
rows, its looks by the validation rows. What is there already is not run again.
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

import common
import data
import finetooth as ft
import train as beside
from finetooth.prefix import stores

TRIALS, JOBS, SEEDS = 20, 2, (0, 1, 2)
ROWS, WHOLE, WHOLE_LOOK = 1000, 8454, 1057  # of training and of validation; of training, of validation
SPACE = {
    "learning_rate": "1e-4..1e-3:log",
    "weight_decay": "0..0.1",
    "dropout": "0..0.2",
    "freeze": [2, 3, 4],
}


def ours(rows: int | None, seed: int) -> dict[str, Any]:
    """`finetooth search`."""
    import transformers as tf

    _ = tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    shutil.rmtree(stores(), ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        table = ft.read(data.path("movies"))
        twice = {"epochs": 2.0} if rows else {}
        plan = ft.Plan.read(beside.FEW if rows else beside.QUICK).model_copy(
            update={"eval_every": 0.5, "seed": seed, **twice}
        )
        how: dict[str, Any] = {"model": "minilm", "trials": TRIALS, "prune": "median", "rows": rows, "jobs": JOBS}
        report = ft.search(table, plan, SPACE, out=Path(folder) / "out", **how)
        seconds = perf_counter() - began
    return {"seconds": seconds, "best": report["best"], "counts": report["counts"]}


def peer(rows: int | None, trials: int, bf16: bool) -> dict[str, Any]:
    """The Trainer's search."""
    import transformers as tf

    _ = tf.Trainer, tf.TrainingArguments, tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        made, _, _ = beside.teacher("minilm", 0, 0, Path(folder), bf16, limit=rows)
        model = made.model.name_or_path

        def fresh(trial: Any) -> Any:
            share = trial.suggest_float("dropout", 0.0, 0.2) if trial is not None else 0.1
            how = {"hidden_dropout_prob": share, "attention_probs_dropout_prob": share}
            net = tf.AutoModelForSequenceClassification.from_pretrained(model, num_labels=2, **how)
            depth = trial.suggest_categorical("freeze", SPACE["freeze"]) if trial is not None else None
            beside.freeze(net, depth)
            return net

        made.model_init = fresh
        looked: list[dict[str, float]] = []

        def objective(scores: dict[str, float]) -> float:
            looked.append(scores)
            return scores["eval_accuracy"]

        best = made.hyperparameter_search(
            backend="optuna",
            direction="maximize",
            n_trials=trials,
            hp_space=lambda trial: {
                "learning_rate": trial.suggest_float("learning_rate", 1e-5, 2e-4, log=True),
                "weight_decay": trial.suggest_float("weight_decay", 0.0, 0.1),
            },
            compute_objective=objective,
        )
        seconds = perf_counter() - began
    return {
        "seconds": seconds,
        "of looks": sum(scores["eval_runtime"] for scores in looked),
        "trials": trials,
        "best": best.objective,
        "best look": max(scores["eval_accuracy"] for scores in looked),
        "values": best.hyperparameters,
    }


def asked(*words: str) -> dict[str, Any]:
    """One side in a process of its own."""
    said = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    print(words, said.stdout.splitlines()[-1][:300], flush=True)
    return found


def main() -> None:
    if len(sys.argv) > 1:
        side, rows, number, precision = sys.argv[1], int(sys.argv[2]) or None, int(sys.argv[3]), sys.argv[4]
        print(json.dumps(ours(rows, number) if side == "ours" else peer(rows, number, precision == "bf16")))
        return
    path = common.RESULTS / "search.json"
    runs: dict[str, Any] = json.loads(path.read_text())["runs"] if path.exists() else {}
    small, whole = str(ROWS), "0"
    wanted = [("ours", small, str(seed), "bf16") for seed in SEEDS]
    wanted += [("peer", small, "2", precision) for precision in ("fp32", "bf16")]
    wanted += [("peer", small, str(TRIALS), "fp32"), ("ours", whole, "0", "bf16")]
    for words in wanted:
        if " ".join(words) not in runs:
            runs[" ".join(words)] = {**asked(*words), "commit": common.commit()}
            common.write("search", {"space": SPACE, "runs": runs})
    own = [runs[f"ours {small} {seed} bf16"] for seed in SEEDS]
    full, two = runs[f"peer {small} {TRIALS} fp32"], runs[f"peer {small} 2 fp32"]
    ratios = [full["seconds"] / run["seconds"] for run in own]
    training, looking = full["seconds"] - full["of looks"], full["of looks"]
    large = training * WHOLE / ROWS + looking * WHOLE_LOOK / ROWS
    summary = {
        "times as fast": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
        "best, ours": common.spread([run["best"]["score"] for run in own]),
        "best, peer": full["best"],
        "best look, peer": full["best look"],
        "peer, 20 whole trials, extrapolated": two["seconds"] * TRIALS / 2,
        "peer in bf16, share of its time": runs[f"peer {small} 2 bf16"]["seconds"] / two["seconds"],
        "times as fast at full size, extrapolated": large / runs[f"ours {whole} 0 bf16"]["seconds"],
    }
    print(summary, common.write("search", {"space": SPACE, "summary": summary, "runs": runs}))


if __name__ == "__main__":
    main()
