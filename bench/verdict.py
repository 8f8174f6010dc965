"""What the verdict says where tuning helps and where it cannot, and what the temperature does to probabilities.

Run: python bench/verdict.py

MiniLM with every setting at auto, parts of 70-15-15 on split seed 0, so that each set has 500 validation rows. Four
sets where tuning should help; and three where it cannot: tweets whose labels were dealt anew, tweets in letters that
the tokenizer does not know, 30 tweets. What is there already is not run again.
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


def one(path: Path, group: str | None) -> dict[str, Any]:
    """Train, open the seal, and what the report says."""
    with tempfile.TemporaryDirectory() as folder:
        table = ft.read(path, label="label", group=group)
        plan = ft.Plan(split={"preset": "70-15-15"}, data={"group": group})
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
    for name in sys.argv[1:] or [*HELPED, *HOPELESS]:
        if name not in runs:
            known = name in HELPED
            grouped = "group" if name in ("amazon", "nyt") else None
            runs[name] = one(data.path(name) if known else spoiled(name), grouped)
            print(name, json.dumps(runs[name]["verdict"]), json.dumps(runs[name]["calibration"]), flush=True)
            common.write("verdict", {"runs": runs})
    calibrated = [runs[name]["calibration"] for name in HELPED if name in runs]
    changes = [each["after"]["loss"] - each["before"]["loss"] for each in calibrated]
    summary = {"change in test loss": {"median": statistics.median(changes), "largest": max(changes)}}
    common.write("verdict", {"runs": runs, "summary": summary})


if __name__ == "__main__":
    main()
