"""Questions about a passage answered by SmolLM2-135M, before and after tuning. Run: python bench/instruction.py

DisflQA (1,000 questions with slips of the tongue, answers of a few words, grouped by passage), split seed 0;
recipes/instruction.yaml (LoRA), and the same with virtual tokens before each text (prompt tuning), or one of the two if
it is named: `lora`, `prompt`. What is told: loss per token of the right answers, exact match and token F1 of what is
written to the sealed rows, both with the model as it was, the verdict, and how many parameters learn.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

import common
import data
import finetooth as ft

RECIPE = Path(__file__).parent.parent / "recipes" / "instruction.yaml"
# Per number learnt virtual tokens take a higher rate and more passes; 50 of them are 0.02 % of the parameters.
PROMPT = ["adapter={type: prompt, num_virtual_tokens: 50}", "freeze=0", "learning_rate=0.03", "epochs=3"]
WAYS = {"lora": [], "prompt": PROMPT}


def run(settings: list[str]) -> dict[str, Any]:
    """Train, open the seal, and what the report says."""
    table = ft.read(data.path("disflqa"), group="group")
    with tempfile.TemporaryDirectory() as folder:
        done = ft.train(table, ft.Plan.read(RECIPE, settings), model="smollm2", out=Path(folder) / "run")
        report = ft.evaluate(done)
        learnt, every = (
            sum(tensor.numel() for tensor in load_file(file).values())
            for file in (done.adapter / "adapter_model.safetensors", done.model / "model.safetensors")
        )
    kept = {key: report[key] for key in ("rows", "validation", "test", "verdict", "forgetting", "seconds")}
    written = {key: report["written"][key] for key in ("rows", "exact_match", "token_f1")}
    return {
        **kept,
        "untuned": report["baselines"]["untuned"],
        "written": written,
        "parameters": {"learnt": learnt, "share": learnt / every},
        "peak_memory_bytes": report["peak_memory_bytes"],
        "epochs": report["epochs"],
        "settings": settings,
        "commit": common.commit(),
    }


def main() -> None:
    path = common.RESULTS / "instruction.json"
    runs: dict[str, Any] = json.loads(path.read_text())["runs"] if path.exists() else {}
    for way in sys.argv[1:] or WAYS:
        if way not in runs:
            runs[way] = run(WAYS[way])
            print(json.dumps(runs[way]["written"]), flush=True)
            common.write("instruction", {"runs": runs})


if __name__ == "__main__":
    main()
