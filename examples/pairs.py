"""Classes of pairs of texts: here every text beside the one before it.

python examples/pairs.py reviews.csv minilm runs/pairs
"""

import csv
import sys
from pathlib import Path

import finetooth as ft


def main(data: str, model: str, out: str) -> None:
    table = ft.read(data)
    texts = [row[0] for row in table.inputs]
    pairs = Path(data).with_name("pairs.csv")
    with open(pairs, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "text_pair", "label"])
        writer.writerows(zip(texts, [texts[-1], *texts], table.labels, strict=False))
    run = ft.train(ft.read(pairs), ft.Plan(epochs=1), model=model, out=out)
    print(run.plan.task, run.json("report.json")["validation"])


if __name__ == "__main__":
    main(*sys.argv[1:])
