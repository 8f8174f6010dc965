"""A search of 20 trials beside transformers' Trainer with its Optuna backend. Run: python bench/search.py [PEER TRIALS]

Movie reviews, MiniLM, 2,000 rows (1,000 of training and as many of validation at most). Learning rate, weight decay,
dropout and frozen depth on our side, from recipes/quick.yaml, pruned by the median; the Trainer's
hyperparameter_search over learning rate, weight decay and dropout with its own pruning, in bf16, three epochs a trial.
Ours counts everything from the file to the report, no store there beforehand.
"""

from __future__ import annotations

import json
import shutil
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

TRIALS, ROWS = 20, 1000
SPACE = {
    "learning_rate": "2e-5..1e-3:log",
    "weight_decay": "0..0.1",
    "dropout": "0..0.2",
    "freeze": [2, 3, 4],
}


def ours(rows: int | None) -> dict[str, Any]:
    """`finetooth search`."""
    import transformers as tf

    _ = tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    shutil.rmtree(stores(), ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        table = ft.read(data.path("movies"))
        plan = ft.Plan.read(beside.QUICK).model_copy(update={"eval_every": 0.5, "epochs": 2.0 if rows else 1.0})
        how: dict[str, Any] = {"model": "minilm", "trials": TRIALS, "prune": "median", "rows": rows}
        report = ft.search(table, plan, SPACE, out=Path(folder) / "out", **how)
        seconds = perf_counter() - began
    return {"seconds": seconds, "best": report["best"], "counts": report["counts"]}


def peer(trials: int) -> dict[str, Any]:
    """The Trainer's search."""
    import transformers as tf

    _ = tf.Trainer, tf.TrainingArguments, tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        made, _, _ = beside.teacher("minilm", 0, 0, Path(folder), True, limit=ROWS)
        model = made.model.name_or_path

        def fresh(trial: Any) -> Any:
            share = trial.suggest_float("dropout", 0.0, 0.2) if trial is not None else 0.1
            how = {"hidden_dropout_prob": share, "attention_probs_dropout_prob": share}
            return tf.AutoModelForSequenceClassification.from_pretrained(model, num_labels=2, **how)

        made.model_init = fresh
        best = made.hyperparameter_search(
            backend="optuna",
            direction="maximize",
            n_trials=trials,
            hp_space=lambda trial: {
                "learning_rate": trial.suggest_float("learning_rate", 1e-5, 2e-4, log=True),
                "weight_decay": trial.suggest_float("weight_decay", 0.0, 0.1),
            },
            compute_objective=lambda scores: scores["eval_accuracy"],
        )
        seconds = perf_counter() - began
    return {"seconds": seconds, "trials": trials, "best": best.objective, "values": best.hyperparameters}


def asked(*words: str) -> dict[str, Any]:
    """One side in a process of its own."""
    said = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    print(words, said.stdout.splitlines()[-1][:300], flush=True)
    return found


def main() -> None:
    if sys.argv[1:2] == ["ours"]:
        print(json.dumps(ours(int(sys.argv[2]) or None)))
        return
    if sys.argv[1:2] == ["peer"]:
        print(json.dumps(peer(int(sys.argv[2]))))
        return
    found: dict[str, Any] = {"space": SPACE, "2,000 rows": {"ours": asked("ours", str(ROWS))}}
    common.write("search", found)
    found["2,000 rows"]["peer, two trials"] = asked("peer", "2")
    found["2,000 rows"]["peer"] = asked("peer", str(TRIALS))
    here = found["2,000 rows"]
    here["times as fast"] = here["peer"]["seconds"] / here["ours"]["seconds"]
    common.write("search", found)
    found["full size"] = {"ours": asked("ours", "0")}
    print(here["times as fast"], common.write("search", found))


if __name__ == "__main__":
    main()
