"""Answers from a tuned model: `finetooth predict`'s own path beside transformers' pipeline.

Run: python bench/predict.py

Movie reviews; MiniLM tuned with every setting at auto, MPNet-base on 1,000 rows for one epoch. 3,000 training rows (600
for MPNet) as text in, probabilities out, tokenising included, the model loaded beforehand. The pipeline in fp32 and in
bf16, each at the best of several batch sizes, chosen first; then all sides take turns. Parity is against the pipeline
in fp32.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import transformers

import common
import data
import finetooth as ft
from finetooth import machine
from finetooth.backbones import load_tuned
from finetooth.predict import predict
from finetooth.tasks import TASKS, tokenized

BATCHES = (1, 8, 16, 32, 64, 128)
# What is trained, on how many rows; how many are asked, how often.
MODELS: dict[str, tuple[dict[str, Any], int | None, int, int]] = {
    "minilm": ({}, None, 3000, 5),
    "mpnet": ({"epochs": 1}, 1000, 600, 3),
}


def sides(run: ft.Run, texts: list[str]) -> dict[str, Callable[[], np.ndarray]]:
    """What gives (rows, classes) for the texts, by name."""
    names, plan = run.json("data.json")["names"], run.plan
    task, (net, tokenizer) = TASKS[plan.task], load_tuned(run.model)
    targets = np.full(len(texts), -1, dtype=np.int64)

    def ours(precision: str) -> Callable[[], np.ndarray]:
        def ask() -> np.ndarray:
            encoded = tokenized(
                [(text,) for text in texts],
                tokenizer,
                int(plan.max_length),
                ids=list(map(str, range(len(texts)))),
                targets=targets,
            )
            how = {"pad": tokenizer.pad_token_id, "precision": precision, "device": machine.device()}
            return predict(net, task, encoded, names, **how).probabilities

        return ask

    def piped(dtype: torch.dtype) -> Callable[[], np.ndarray]:
        pipe = transformers.pipeline("text-classification", model=str(run.model), top_k=None, dtype=dtype)

        def ask(batch: int, some: list[str] = texts) -> np.ndarray:
            answers = [
                {a["label"]: a["score"] for a in answer} for answer in pipe(some, batch_size=batch, truncation=True)
            ]
            return np.array([[answer[name] for name in names] for answer in answers])

        spent = {}
        for batch in BATCHES:
            began = perf_counter()
            ask(batch, texts[: len(texts) // 6])
            spent[batch] = perf_counter() - began
        best = min(spent, key=lambda batch: spent[batch])
        print(f"pipeline {dtype}: best batch size {best}", flush=True)
        return lambda: ask(best)

    found = {f"finetooth {precision}": ours(precision) for precision in ("fp32", "bf16", "int8")}
    return found | {"pipeline fp32": piped(torch.float32), "pipeline bf16": piped(torch.bfloat16)}


def measured(run: ft.Run, texts: list[str], rounds: int) -> dict[str, Any]:
    """Rows per second of each side, ratios turn by turn, and how far the answers are apart."""
    ways = sides(run, texts)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    said: dict[str, np.ndarray] = {}
    for turn in range(rounds):
        for name, ask in ways.items():
            began = perf_counter()
            said[name] = ask()
            seconds[name].append(perf_counter() - began)
            print(turn, name, f"{len(texts) / seconds[name][-1]:.0f} rows/s", flush=True)
    truth = said["pipeline fp32"]
    gaps = {name: np.abs(p - truth).max(axis=1) for name, p in said.items()}
    return {
        "rows per second": {name: len(texts) / statistics.median(spent) for name, spent in seconds.items()},
        "times the pipeline fp32": {
            name: statistics.median(a / b for a, b in zip(seconds["pipeline fp32"], spent, strict=True))
            for name, spent in seconds.items()
        },
        "times the pipeline bf16": {
            name: statistics.median(a / b for a, b in zip(seconds["pipeline bf16"], spent, strict=True))
            for name, spent in seconds.items()
        },
        "parity": {
            name: {
                "largest": float(gap.max()),
                "99 % below": float(np.quantile(gap, 0.99)),
                "labels flipped": float((said[name].argmax(1) != truth.argmax(1)).mean()),
            }
            for name, gap in gaps.items()
        },
    }


def main() -> None:
    table = ft.read(data.path("movies"))
    found: dict[str, Any] = {}
    for model, (plan, rows, asked, rounds) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            run = ft.train(table, ft.Plan.of(plan), model=model, out=Path(folder) / "run", rows=rows)
            ids = run.split.train if rows is None else [i for i in table.ids if i not in set(run.split.test)]
            texts = [table.inputs[table.position[i]][0] for i in ids[:asked]]
            found[model] = measured(run, texts, rounds)
        common.write("predict", {"models": found})
        print(model, found[model])


if __name__ == "__main__":
    main()
