"""Texts that are longer than what is read of them: cut, head and tail, or windows. Run: python bench/long.py

Messages of twenty newsgroups (260 words on average), MiniLM with max_length 128, 500 training rows, five of six blocks
frozen, everything else at auto, one training seed. Scored, in bf16, are the first 400 rows of the published test part,
the same for each; differences to `cut` are paired.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import common
import data
import finetooth as ft
from finetooth.metrics import CLASSIFICATION, interval, paired, units_of
from finetooth.table import Answers

WAYS = ("cut", "head_tail", "windows")
TRAINING, SCORED, TOKENS = 500, 400, 128


def one(long: str) -> tuple[dict[str, Any], Answers]:
    """Train, and what the model says of the test rows."""
    plan = ft.Plan.of(
        {"long": long, "max_length": TOKENS, "freeze": 5, "split": {"train": 0.95, "validation": 0.05, "test": 0.0}}
    )
    table, test = (ft.read(data.path("newsgroups") / f"{part}.csv", label="label") for part in ("train", "test"))
    with tempfile.TemporaryDirectory() as folder:
        run = ft.train(table, plan, model="minilm", out=Path(folder) / "run", rows=TRAINING)
        p, report = ft.answers(run, test, test.ids[:SCORED], precision="bf16"), run.json("report.json")
    kept = {key: report[key] for key in ("rows", "validation", "truncated", "seconds", "peak_memory_bytes")}
    scores = {name: interval(CLASSIFICATION[name], p).told() for name in ("accuracy", "macro_f1")}
    return {**kept, "epochs": len(report["epochs"]), "test": scores}, p


def main() -> None:
    found: dict[str, Any] = {}
    said: dict[str, Answers] = {}
    for long in sys.argv[1:] or WAYS:
        found[long], said[long] = one(long)
        if long != "cut" and "cut" in said:
            compared = paired(CLASSIFICATION["accuracy"], said[long], said["cut"], units_of(None, SCORED))
            found[long]["above cut"] = asdict(compared)
        print(long, found[long]["test"], found[long].get("above cut"), found[long]["seconds"], flush=True)
        common.write("long", {"runs": found})


if __name__ == "__main__":
    main()
