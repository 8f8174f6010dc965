"""How long `finetooth check` takes and how much memory, from 1,000 texts to 1,000,000. Run: python bench/check_scale.py

The texts are sentences of reviews, tweets and editorials, filled up with others that are put together from runs of
three words of theirs. Each size is a process of its own; the exponent of growth is fitted over the sizes and drawn.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

import common
import data
import finetooth as ft

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
RUN = """
import json, sys, time
import finetooth.cli as cli
from finetooth import machine
began = time.perf_counter()
sys.argv = ["finetooth", "check", sys.argv[1], "--quiet"]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code, stop.code
print(json.dumps({"seconds": time.perf_counter() - began, "peak_memory_bytes": machine.peak_memory(),
    "torch": "torch" in sys.modules}))
"""


def texts(size: int) -> list[tuple[str, str]]:
    """So many different sentences of real words with one of three labels."""
    rng = random.Random(size)
    real = [(row[0], str(label)) for name in ("movies", "tweets", "amazon", "nyt") for row, label in _rows(name)]
    rng.shuffle(real)
    runs = [(text.split(), label) for text, label in real]
    made = list(real[:size])
    while len(made) < size:
        first, label = rng.choice(runs)
        words = list(first[:3])
        while len(words) < len(first):
            other, _ = rng.choice(runs)
            start = rng.randrange(len(other))
            words += other[start : start + 3]
        made.append((" ".join(words), label))
    return made


def _rows(name: str) -> zip[tuple[tuple[str, ...], str | None]]:
    table = ft.read(data.path(name))
    return zip(table.inputs, table.labels, strict=True)


def one(size: int) -> dict[str, Any]:
    """Seconds and memory of one check, of the command as a person gives it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *texts(size)])
        said = subprocess.run([sys.executable, "-c", RUN, str(path)], stdout=subprocess.PIPE, text=True, check=True)
        return {"file_bytes": path.stat().st_size, **json.loads(said.stdout.splitlines()[-1])}


def draw(found: dict[str, Any]) -> None:
    """bench/results/check_scale.png: seconds and memory by rows, both axes logarithmic, with n log n beside."""
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    rows = np.array([int(size) for size in found])
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, key, unit in zip(figure.subplots(1, 2), ("seconds", "peak_memory_bytes"), (1, 1e9), strict=True):
        values = np.array([run[key] / unit for run in found.values()])
        axes.loglog(rows, values, marker="o", label="measured")
        if key == "seconds":
            curve = rows * np.log(rows)
            axes.loglog(rows, values[-1] * curve / curve[-1], ls="--", label="n log n")
        axes.set_xlabel("rows")
        axes.set_ylabel("seconds" if unit == 1 else "GB at the peak")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(common.RESULTS / "check_scale.png", dpi=110)


def main() -> None:
    found: dict[str, Any] = {}
    for size in SIZES:
        found[str(size)] = one(size)
        print(size, found[str(size)], flush=True)
        large = [(int(n), run["seconds"]) for n, run in found.items() if int(n) >= 30_000]
        slope = float(np.polyfit(*np.log(np.array(large)).T, 1)[0]) if len(large) > 1 else None
        common.write("check_scale", {"exponent_of_growth_from_30000": slope, "sizes": found})
    draw(found)


if __name__ == "__main__":
    main()
