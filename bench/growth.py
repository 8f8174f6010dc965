"""How the time of training grows with rows, with length and with frozen depth. Run: python bench/growth.py

Movie reviews, MiniLM, bf16. Rows: recipes/quick.yaml in full, from the file to the last look, no store beforehand; the
Trainer (train.py's recipe) extrapolated from 25 of its steps. Length: training rows a second where reviews are joined
to so many tokens. Depth: rows a second with so many blocks frozen, ours with the store (what comes before the first
step is told apart), the Trainer with their parameters set not to learn, as fastai and its own documentation freeze.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import common
import data
import finetooth as ft
import train as beside
from finetooth.loop import fit
from finetooth.prefix import stores
from finetooth.prepare import Material
from finetooth.tune import looks

ROWS = (500, 1000, 2000, 4000, 8454)
LENGTHS = (32, 128, 512)
DEPTHS = (0, 2, 4, 6)
SKIPPED, TIMED = 5, 25


def joined(tokens: int, rows: int) -> ft.Table:
    """Rows of about so many tokens, made of movie reviews; what they are labelled does not matter for the time."""
    table = ft.read(data.path("movies"))
    words = tokens * 3 // 4  # a word is four thirds of a token here
    every = [word for cells in table.inputs for word in cells[0].split()]
    texts = (" ".join([str(k), *(every[(k * words + j) % len(every)] for j in range(words))]) for k in range(rows))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "joined.jsonl"
        lines = (json.dumps({"text": text, "label": "even" if k % 2 == 0 else "odd"}) for k, text in enumerate(texts))
        file.write_text("\n".join(lines), encoding="utf-8")
        return ft.read(file)


def ours_in_full(rows: int) -> dict[str, float]:
    """Seconds from the file to the last look."""
    import transformers as tf

    _ = tf.AutoModelForSequenceClassification, tf.AutoTokenizer
    shutil.rmtree(stores(), ignore_errors=True)
    began = perf_counter()
    plan = ft.Plan.read(beside.QUICK)
    material = Material.of(ft.read(data.path("movies")), plan, "minilm", rows=rows)
    job = material.job(plan)
    for _ in looks(job):
        pass
    return {"rows": len(job.training), "seconds": perf_counter() - began}


def ours_by_step(freeze: int, tokens: int | None) -> dict[str, float]:
    """Rows a second in the steps, and the seconds that the store took."""
    shutil.rmtree(stores(), ignore_errors=True)
    rows = 32 * (SKIPPED + TIMED) if tokens is None or tokens <= 128 else 320
    table = ft.read(data.path("movies")) if tokens is None else joined(tokens, 2 * rows)
    plan = ft.Plan.read(beside.QUICK).model_copy(update={"freeze": freeze or "embeddings", "epochs": 1.0})
    job = Material.of(table, plan, "minilm", rows=rows).job(plan)
    began, at, done = perf_counter(), [], []
    for step in fit(job.state(), job.batches, job.recipe, lambda net, ask: {}):
        at.append(perf_counter())
        done.append(step.rows)
    skipped = min(SKIPPED, len(at) // 4)
    pace = sum(done[skipped:]) / (at[-1] - at[skipped - 1])
    lengths = job.training.lengths
    return {
        "rows per second": pace,
        "tokens": float(lengths.mean()),
        "before the steps, seconds": at[0] - began,
        "steps": len(at),
    }


def peer_by_step(freeze: int, tokens: int | None) -> dict[str, float]:
    """The Trainer's rows a second in bf16."""
    timed = TIMED if tokens is None or tokens <= 128 else 8
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"max_steps": SKIPPED + timed, "eval_strategy": "no", "save_strategy": "no"}
        options["load_best_model_at_end"] = False
        table = None if tokens is None else joined(tokens, 400)
        made, _, _ = beside.teacher("minilm", 1, 0, Path(folder), True, table=table, **options)
        beside.freeze(made.model, None if freeze < 0 else freeze)
        at = beside.clocked(made)
        made.train()
    return {"rows per second": timed * 16 / (at[-1] - at[SKIPPED - 1])}


def asked(*words: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    said = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(said.stdout.splitlines()[-1])
    print(*words, found, flush=True)
    return found


def main() -> None:
    if len(sys.argv) > 1:
        what, number = sys.argv[1], int(sys.argv[2])
        if what == "rows":
            print(json.dumps(ours_in_full(number)))
        else:
            side = ours_by_step if what.startswith("ours") else peer_by_step
            print(json.dumps(side(number, None) if what.endswith("depth") else side(1, number)))
        return
    path = common.RESULTS / "growth.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def once(part: str, point: int, measure: Callable[[], dict[str, Any]]) -> None:
        if str(point) not in found.setdefault(part, {}):
            found[part][str(point)] = measure()
            common.write("growth", {key: found[key] for key in ("rows", "tokens", "frozen blocks") if key in found})

    def full(rows: int) -> dict[str, Any]:
        own, whole = asked("rows", str(rows)), asked("peer depth", "-1")  # nothing of it frozen
        return {"ours": own, "peer, extrapolated": 3 * own["rows"] / whole["rows per second"]}

    def both(what: str, point: int) -> dict[str, Any]:
        return {side: asked(f"{side} {what}", str(point)) for side in ("ours", "peer")}

    for rows in ROWS:
        once("rows", rows, partial(full, rows))
    for tokens in LENGTHS:
        once("tokens", tokens, partial(both, "length", tokens))
    for depth in DEPTHS:
        once("frozen blocks", depth, partial(both, "depth", depth))
    print(path)


if __name__ == "__main__":
    main()
