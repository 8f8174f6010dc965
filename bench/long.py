"""Texts that are longer than what is read of them: cut, head and tail, or windows. Run: python bench/long.py

Messages of twenty newsgroups (260 words on average), MiniLM with max_length 128, five of six blocks frozen, everything
else at auto, one training seed; 720 rows drawn from the published training part, a tenth of them to look at, and
400 from the test part to score in bf16, the same for each; differences to `cut` are paired.
"""

from __future__ import annotations

import csv
import random
import tempfile
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import common
import data
import finetooth as ft
from finetooth import machine
from finetooth.loop import fit
from finetooth.metrics import CLASSIFICATION, interval, paired, units_of
from finetooth.predict import predict
from finetooth.prepare import prepare
from finetooth.table import Answers

WAYS = ("cut", "head_tail", "windows")
TRAINING, SCORED, TOKENS = 720, 400, 128


def drawn(part: str, rows: int, folder: str) -> ft.Table:
    """So many rows of a published part, by a seed."""
    with open(data.path("newsgroups") / f"{part}.csv", newline="", encoding="utf-8") as file:
        head, *every = csv.reader(file)
    path = Path(folder) / f"{part}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *random.Random(0).sample(every, rows)])
    return ft.read(path, label="label")


def one(long: str, table: ft.Table, test: ft.Table) -> tuple[dict[str, Any], Answers]:
    """Train, and what the model of the last step says of the test rows."""
    plan = ft.Plan.of({"long": long, "max_length": TOKENS, "freeze": 5, "split": {"train": 0.9, "test": 0.0}})
    job, clock = prepare(table, plan, "minilm"), perf_counter()
    for _ in fit(job.state(), job.batches, job.recipe, job.scores):
        pass
    seconds = {"train": perf_counter() - clock}
    clock = perf_counter()
    tokenizer = job.backbone.tokenizer
    encoded = job.task.encode(test, test.ids, job.names, tokenizer, TOKENS)
    how: dict[str, Any] = {"pad": tokenizer.pad_token_id, "precision": "bf16", "device": machine.device()}
    p = predict(job.backbone.net, job.task, encoded, job.names, **how)
    scores = {name: interval(CLASSIFICATION[name], p).told() for name in ("accuracy", "macro_f1")}
    told = {"epochs": job.epochs, "longer": int((encoded.whole > TOKENS).sum()), "tokens": int(encoded.lengths.sum())}
    return {**told, "seconds": {**seconds, "score": perf_counter() - clock}, "test": scores}, p


def main() -> None:
    found: dict[str, Any] = {}
    said: dict[str, Answers] = {}
    with tempfile.TemporaryDirectory() as folder:
        table, test = drawn("train", TRAINING, folder), drawn("test", SCORED, folder)
        for long in WAYS:
            found[long], said[long] = one(long, table, test)
            compared = paired(CLASSIFICATION["accuracy"], said[long], said["cut"], units_of(None, SCORED))
            found[long]["above cut"] = asdict(compared)
            print(long, found[long], flush=True)
            common.write("long", {"rows": {"train": TRAINING, "test": SCORED}, "runs": found})


if __name__ == "__main__":
    main()
