"""The quick recipe at the size of MPNet-base beside transformers' Trainer. Run: python bench/mpnet.py

Movie reviews, split seed 1, training seed 0. Ours runs in full, from the file to the saved best model, without a store
beforehand. The Trainer, set up as in train.py, runs 60 steps, of which the last 50 are timed; all is extrapolated from
them: three epochs of steps, without the time of evaluating and saving, which is in its favour.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, time
from typing import Any

import common
import data
import finetooth as ft
import train as beside
from finetooth.prefix import stores

PLAN = {"epochs": 1, "freeze": 8, "learning_rate": 1e-4, "dropout": 0.0, "split": {"seed": 1}}
SKIPPED, TIMED = 10, 50


def ours(out: Path) -> dict[str, Any]:
    """`finetooth train`, in full."""
    shutil.rmtree(stores(), ignore_errors=True)
    began, now = perf_counter(), time()
    table = ft.read(data.path("movies"))
    run = ft.train(table, ft.Plan.of(PLAN), model="mpnet", out=out)
    saved = (out / "model" / "model.safetensors").stat().st_mtime - now  # as in train.py
    report = run.json("report.json")
    return {
        "seconds": saved,
        "whole": perf_counter() - began,
        "spent": run.json("machine.json")["seconds"],
        "validation accuracy": report["validation"]["accuracy"],
        "peak_memory_bytes": report["peak_memory_bytes"],
    }


def peer(precision: str) -> dict[str, Any]:
    """Seconds a step of the Trainer, and what three epochs of them take."""
    with tempfile.TemporaryDirectory() as folder:
        teacher, rows, _ = beside.teacher(
            "mpnet",
            1,
            0,
            Path(folder),
            precision == "bf16",
            max_steps=SKIPPED + TIMED,
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
        )
        at = beside.clocked(teacher)
        teacher.train()
    steps = [b - a for a, b in zip(at[SKIPPED - 1 :], at[SKIPPED:], strict=False)]
    whole = 3 * -(-rows // 16)
    return {
        "seconds a step": {"mean": statistics.mean(steps), "median": statistics.median(steps)},
        "steps": whole,
        "seconds, extrapolated": whole * statistics.mean(steps),
    }


def main() -> None:
    if sys.argv[1:2] == ["--ours"]:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(ours(Path(folder) / "run")))
        return
    if sys.argv[1:2] == ["--peer"]:
        print(json.dumps(peer(sys.argv[2])))
        return
    found: dict[str, Any] = {"plan": PLAN}
    for words in (["--peer", "bf16"], ["--ours"], ["--peer", "fp32"]):
        said = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
        found[" ".join(words).replace("--", "")] = json.loads(said.stdout.splitlines()[-1])
        print(words, said.stdout.splitlines()[-1], flush=True)
    for precision in ("fp32", "bf16"):
        theirs = found[f"peer {precision}"]["seconds, extrapolated"]
        found[f"times as fast as {precision}"] = theirs / found["ours"]["seconds"]
    print(common.write("mpnet", found))


if __name__ == "__main__":
    main()
