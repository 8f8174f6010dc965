"""The tuned model in transformers alone against `finetooth predict --precision fp32`, on every test row of a run.

Run: python bench/parity.py RUN (a run of `finetooth demo`, say). Writes bench/results/parity.json.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from pyarrow import parquet

import common
import finetooth as ft
from finetooth.evaluate import reread


def main(path: str) -> None:
    run = ft.Run.open(path)
    table = reread(run)
    names, ids = run.json("data.json")["names"], list(run.split.test)
    texts = [table.inputs[table.position[i]][0] for i in ids]

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "all.parquet"
        words = ["predict", path, table.source, "--out", str(out), "--precision", "fp32", "--quiet"]
        subprocess.run([sys.executable, "-c", "from finetooth.cli import main; main()", *words], check=True)
        rows = {row["id"]: row for row in parquet.read_table(out).to_pylist()}
    ours = np.array([[rows[i][f"probability_{name}"] for name in names] for i in ids])

    net = transformers.AutoModelForSequenceClassification.from_pretrained(run.model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(run.model)
    with torch.inference_mode():
        alone = np.array([net(**tokenizer(t, return_tensors="pt")).logits.softmax(-1)[0].numpy() for t in texts])
    pipe = transformers.pipeline("text-classification", model=str(run.model), top_k=None)
    answers = [{a["label"]: a["score"] for a in answer} for answer in pipe(texts, batch_size=16)]
    piped = np.array([[answer[name] for name in names] for answer in answers])

    found = {
        "rows": len(ids),
        "auto_model_largest_difference": float(np.abs(ours - alone).max()),
        "pipeline_largest_difference": float(np.abs(ours - piped).max()),
        "labels_that_differ": int(
            (ours.argmax(1) != alone.argmax(1)).sum() + (ours.argmax(1) != piped.argmax(1)).sum()
        ),
    }
    print(found, common.write("parity", found))


if __name__ == "__main__":
    main(*sys.argv[1:])
