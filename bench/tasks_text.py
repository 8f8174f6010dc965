"""Each task of texts on real rows: what it comes to on the sealed test rows, beside its baselines.

Run: python bench/tasks_text.py [NAME ...]; what is there already of other names is kept.

MiniLM with every setting at auto but those told here, parts of 70-15-15 on split seed 0, three training
seeds. Ratings from -4 to 4 of sentences of reviews and of newspaper comments as numbers, whole documents
in one part; eight kinds of toxic speech, of which any may be there; medical questions of 20 fields; questions with a
passage that answers them with yes or no, as pairs. Parts of speech of every third of 20,000 American sentences; names
in 500 Japanese ones, of whose letters MiniLM knows few.
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

RUNS: dict[str, dict[str, Any]] = {
    "amazon ratings": {"group": "group", "plan": {}},
    "nyt ratings": {"group": "group", "plan": {}},
    "toxicity": {"label": ",".join(data.TOXIC), "plan": {"threshold": "auto"}},
    "medmcqa": {"plan": {}},
    "boolq": {"plan": {}},
    "oanc": {"plan": {}},
    "hironsan": {"plan": {}},
}


def one(name: str) -> dict[str, Any]:
    """Train, open the seal, and what the report says."""
    how = RUNS[name]
    with tempfile.TemporaryDirectory() as folder:
        table = ft.read(data.path(name), label=how.get("label"), group=how.get("group"))
        plan = ft.Plan.of({**how["plan"], "split": {"preset": "70-15-15"}})
        run = ft.train(table, plan, model="minilm", out=Path(folder) / "run", seeds=3)
        report = ft.evaluate(run, table)
    goal = report["goal"]["metric"]
    return {
        "task": report["task"],
        "settings": how["plan"],
        "rows": report["rows"],
        "test": report["test"],
        "baselines": {name: own["test"][goal] for name, own in report["baselines"].items()},
        "verdict": {key: value for key, value in report["verdict"].items() if key != "others"},
        "interval": report["detail"]["test"].get("interval"),
        "labels": report["detail"]["test"].get("labels"),
        "seeds": report.get("seeds"),
        "types": report["detail"]["test"].get("types"),
        "seconds": report["seconds"],
    }


def main(names: list[str]) -> None:
    there = common.RESULTS / "tasks_text.json"
    kept = json.loads(there.read_text(encoding="utf-8")) if names and there.exists() else {"runs": {}}
    found = {name: {"commit": kept["commit"], **run} for name, run in kept["runs"].items()}
    for name in names or RUNS:
        found[name] = {"commit": common.commit(), **one(name)}
        print(name, {key: found[name]["test"][key] for key in found[name]["test"]}, found[name]["verdict"]["says"])
        common.write("tasks_text", {"runs": found})


if __name__ == "__main__":
    main(sys.argv[1:])
