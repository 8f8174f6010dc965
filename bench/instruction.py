"""Questions about a passage answered by SmolLM2-135M, before and after LoRA. Run: python bench/instruction.py

DisflQA (1,000 questions with slips of the tongue, answers of a few words, grouped by passage), split seed 0,
recipes/instruction.yaml; three training seeds, or so many as are named. What is told: loss per token of the right
answers, exact match and token F1 of what is written to the sealed rows, both with the model as it was, and the verdict.
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

RECIPE = Path(__file__).parent.parent / "recipes" / "instruction.yaml"


def run(seed: int) -> dict[str, Any]:
    """Train, open the seal, and what the report says."""
    table = ft.read(data.path("disflqa"), group="group")
    plan = ft.Plan.read(RECIPE).model_copy(update={"seed": seed})
    with tempfile.TemporaryDirectory() as folder:
        done = ft.train(table, plan, model="smollm2", out=Path(folder) / "run")
        report = ft.evaluate(done)
    kept = {key: report[key] for key in ("rows", "validation", "test", "verdict", "forgetting", "seconds")}
    written = {key: report["written"][key] for key in ("rows", "exact_match", "token_f1")}
    untuned = report["baselines"]["untuned"]
    return {
        **kept,
        "untuned": untuned,
        "written": written,
        "peak_memory_bytes": report["peak_memory_bytes"],
        "epochs": report["epochs"],
        "commit": common.commit(),
    }


def main() -> None:
    path = common.RESULTS / "instruction.json"
    runs: dict[str, Any] = json.loads(path.read_text())["runs"] if path.exists() else {}
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        if str(seed) not in runs:
            runs[str(seed)] = run(seed)
            print(json.dumps(runs[str(seed)]["written"]), flush=True)
            common.write("instruction", {"runs": runs})


if __name__ == "__main__":
    main()
