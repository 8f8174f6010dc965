"""A run from the store beside the same run without it. Run: python bench/store.py

Exactness: MiniLM in fp32 on the movie reviews, dropout on, three blocks frozen, 270 steps, a little more than an epoch;
weights and probabilities of the two runs, attention keys' biases apart, whose true gradient is zero. Quality: in bf16,
one epoch on five sets (at most 2,000 rows of training), three training seeds; the difference in validation accuracy,
paired over rows. What is there already is not run again.
"""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np

import common
import data
import finetooth as ft
from finetooth.loop import State, fit
from finetooth.prefix import stores
from finetooth.prepare import Job, Material
from finetooth.progress import Silent
from finetooth.tune import looks

SETS, SEEDS, ROWS, STEPS = ("movies", "tweets", "amazon", "nyt", "medmcqa"), (0, 1, 2), 2000, 270


class Heard(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def say(self, text: str) -> None:
        self.told.append(text)


def trained(job: Job) -> State:
    """The state after all steps."""
    state = job.state()
    for _ in fit(state, job.batches, job.recipe, lambda net, ask: {}):
        pass
    return state


def exactness() -> dict[str, float]:
    """The largest differences after STEPS steps."""
    states, said, used = [], [], Heard()
    table = ft.read(data.path("movies"))
    for cache in ("off", "auto"):
        plan = ft.Plan(epochs=None, max_steps=STEPS, freeze=3, precision="fp32", cache=cache)
        job = Material.of(table, plan, "minilm").job(plan, progress=used)
        states.append(trained(job))
        said.append(job.look(states[-1].net).probabilities)
    assert any("computing once" in text for text in used.told), "the store was not used"
    gaps = {
        name: float((a - b).detach().abs().max())
        for (name, a), b in zip(states[0].net.named_parameters(), states[1].net.parameters(), strict=True)
    }
    return {
        "steps": STEPS,
        "weights": max(gap for name, gap in gaps.items() if "key.bias" not in name),
        "key biases": max(gap for name, gap in gaps.items() if "key.bias" in name),
        "probabilities": float(np.abs(said[0] - said[1]).max()),
    }


def quality(name: str) -> dict[str, Any]:
    """Stored less plain, in bf16: each seed's accuracies, and the paired difference with its interval."""
    table, gaps, scores = ft.read(data.path(name)), [], []
    material = Material.of(table, ft.Plan(), "minilm", rows=ROWS)
    for seed in SEEDS:
        right = []
        for cache in ("auto", "off"):
            job = material.job(ft.Plan(seed=seed, epochs=1, freeze=3, precision="bf16", cache=cache))
            (_, p) = list(looks(job))[-1]
            right.append((p.decided == p.labels).astype(float))
        gaps.append(right[0] - right[1])
        scores.append([float(each.mean()) for each in right])
    mean = np.mean(gaps, axis=0)
    return {
        "accuracy, stored and plain": scores,
        "difference": float(mean.mean()),
        "standard error": float(mean.std(ddof=1) / len(mean) ** 0.5),
    }


def main() -> None:
    shutil.rmtree(stores(), ignore_errors=True)
    path = common.RESULTS / "store.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    found: dict[str, Any] = {key: kept[key] for key in ("fp32", "bf16") if key in kept}
    if "fp32" not in found:
        found["fp32"] = exactness()
        print(found["fp32"], flush=True)
        common.write("store", found)
    found.setdefault("bf16", {})
    for name in SETS:
        if name in found["bf16"]:
            continue
        found["bf16"][name] = quality(name)
        print(name, found["bf16"][name], flush=True)
        common.write("store", found)
    each = [found["bf16"][name] for name in SETS]
    mean = float(np.mean([one["difference"] for one in each]))
    error = float(np.sqrt(sum(one["standard error"] ** 2 for one in each)) / len(each))
    found["bf16, all sets"] = {"difference": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error}
    print(found["bf16, all sets"], common.write("store", found))


if __name__ == "__main__":
    main()
