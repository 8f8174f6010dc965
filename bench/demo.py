"""The demo's recipe over three training seeds on one split: scores and times. Run: python bench/demo.py

Each run is a process of its own, as a user would start it; the split's seed (0) was chosen before anything was run.
Opens the seal of the demo's test rows once per seed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import common

SEEDS = (0, 1, 2)


def main() -> None:
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            began = perf_counter()
            command = ["-c", "from finetooth.cli import main; main()", "demo", "--out", str(Path(folder) / str(seed))]
            command += ["--set", f"seed={seed}", "--json"]
            said = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True, check=True)
            report = json.loads(said.stdout)
            run = {
                "seed": seed,
                "validation_accuracy": report["validation"]["accuracy"],
                "test_accuracy": report["test"]["accuracy"],
                "test_macro_f1": report["test"]["macro_f1"],
                "best_epoch": report["best"]["epoch"],
                "seconds": report["seconds"],
                "wall_seconds": perf_counter() - began,
                "peak_memory_bytes": report["peak_memory_bytes"],
            }
            runs.append(run)
            print(f"seed {seed}: test accuracy {run['test_accuracy']['value']:.4f}, {run['wall_seconds']:.0f} s")
    summary = {
        "plan": report["plan"],
        "test_accuracy": common.spread([run["test_accuracy"]["value"] for run in runs]),
        "runs": runs,
    }
    print(f"mean test accuracy {summary['test_accuracy']['mean']:.4f}; wrote {common.write('demo', summary)}")


if __name__ == "__main__":
    main()
