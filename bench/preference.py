"""A language model comes to prefer what goes against a prejudice. Run: python bench/preference.py [SEED ...]

StereoSet (Nadeem et al. 2021, 2,123 sentences with two that could follow, grouped by whom they are about), SmolLM2-135M
with recipes/preference.yaml, split seed 0; for each training seed what the report says of the sealed rows. A seed that
stands in the results already is kept.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
import data
import finetooth as ft

RECIPE = Path(__file__).parent.parent / "recipes" / "preference.yaml"


def run(seed: int) -> dict[str, Any]:
    """Train, open the seal, and what the report says."""
    table = ft.read(data.path("stereoset"), group="group")
    with tempfile.TemporaryDirectory() as folder:
        done = ft.train(table, ft.Plan.read(RECIPE, [f"seed={seed}"]), model="smollm2", out=Path(folder) / "run")
        report = ft.evaluate(done)
    kept = ("rows", "validation", "test", "verdict", "forgetting", "seconds", "peak_memory_bytes", "epochs")
    return {
        **{key: report[key] for key in kept},
        "untuned": report["baselines"]["untuned"]["test"],
        "written": {key: report["written"][key] for key in ("rows", "exact_match", "token_f1")},
        "commit": common.commit(),
    }


def main() -> None:
    path = common.RESULTS / "preference.json"
    runs: dict[str, Any] = json.loads(path.read_text())["runs"] if path.exists() else {}
    for seed in sys.argv[1:] or ["0"]:
        if seed not in runs:
            runs[seed] = run(int(seed))
            print(seed, runs[seed]["test"], runs[seed]["verdict"]["says"], flush=True)
            common.write("preference", {"runs": runs})


if __name__ == "__main__":
    main()
