"""What the verdict says where tuning helps and where it cannot, and what the temperature does to probabilities.

Run: python bench/verdict.py

MiniLM with every setting at auto, parts of 70-15-15 on split seed 0, so that each set has 500 validation rows, each
with three training seeds. Four sets where tuning should help; and three where it cannot: tweets whose labels were dealt
anew, tweets in letters that the tokenizer does not know, 30 tweets. What is there already is not run again.
"""

from __future__ import annotations

import csv
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import data
import finetooth as ft

HELPED = ("movies", "tweets", "amazon", "nyt")
SEEDS = range(3)
STRANGE = str.maketrans({letter: chr(0x13A0 + i) for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz")})  # Cherokee


def dealt_anew(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The texts with each other's labels."""
    labels = [row["label"] for row in rows]
    random.Random(0).shuffle(labels)
    return [{**row, "label": label} for row, label in zip(rows, labels, strict=True)]


def in_strange_letters(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The texts written in another alphabet."""
    return [{**row, "text": row["text"].lower().translate(STRANGE)} for row in rows]


def thirty(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Ten of each class."""
    labels = sorted({row["label"] for row in rows})
    return [row for label in labels for row in [row for row in rows if row["label"] == label][:10]]


HOPELESS: dict[str, Callable[[list[dict[str, str]]], list[dict[str, str]]]] = {
    "labels dealt anew": dealt_anew,
    "unknown letters": in_strange_letters,
    "30 rows": thirty,
}


def one(path: Path, group: str | None, seed: int) -> dict[str, Any]:
    """Train, open the seal, and what the report says."""
    with tempfile.TemporaryDirectory() as folder:
        table = ft.read(path, label="label", group=group)
        plan = ft.Plan(seed=seed, split={"preset": "70-15-15"}, data={"group": group})
        run = ft.train(table, plan, model="minilm", out=Path(folder) / "run")
        report = ft.evaluate(run, table)
    verdict = {key: value for key, value in report["verdict"].items() if key != "others"}
    told = {"rows": report["rows"], "test": report["test"][verdict["metric"]], "verdict": verdict}
    told["baselines"] = {name: own["test"][verdict["metric"]] for name, own in report["baselines"].items()}
    calibration = report["calibration"]
    told["calibration"] = {key: calibration[key] for key in ("temperature", "applied", "rows")} | {
        when: {key: calibration["test"][when][key] for key in ("loss", "brier", "ece", "floor")}
        for when in ("before", "after")
    }
    told["baseline seconds"] = {name: own["seconds"] for name, own in report["baselines"].items()}
    return {**told, "forgetting": report["forgetting"], "mismatch": report["mismatch"], "seconds": report["seconds"]}


def spoiled(name: str) -> Path:
    """A file of tweets made so that tuning cannot help."""
    with open(data.path("tweets"), newline="", encoding="utf-8") as file:
        rows = HOPELESS[name](list(csv.DictReader(file)))
    path = Path(tempfile.mkdtemp()) / "rows.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def main() -> None:
    path = common.RESULTS / "verdict.json"
    runs: dict[str, Any] = json.loads(path.read_text())["runs"] if path.exists() else {}
    for seed in SEEDS:
        for name in sys.argv[1:] or [*HELPED, *HOPELESS]:
            if str(seed) in runs.setdefault(name, {}):
                continue
            grouped = "group" if name in ("amazon", "nyt") else None
            found = one(data.path(name) if name in HELPED else spoiled(name), grouped, seed)
            runs[name][str(seed)] = found
            print(name, seed, json.dumps(found["verdict"]), json.dumps(found["calibration"]), flush=True)
            common.write("verdict", {"runs": runs, "summary": summary(runs)})


def summary(runs: dict[str, Any]) -> dict[str, Any]:
    """What was answered and by how much the tuned model is better, by set; how the temperature moves the test loss."""
    calibrated = [each["calibration"] for name in HELPED for each in runs.get(name, {}).values()]
    changes = [each["after"]["loss"] - each["before"]["loss"] for each in calibrated]
    return {
        "answers": {name: [each["verdict"]["answer"] for each in by_seed.values()] for name, by_seed in runs.items()},
        "difference": {
            name: common.spread([each["verdict"]["difference"] for each in by_seed.values()])
            for name, by_seed in runs.items()
            if by_seed
        },
        "change in test loss": {"median": statistics.median(changes), "largest": max(changes)} if changes else None,
    }


if __name__ == "__main__":
    main()
