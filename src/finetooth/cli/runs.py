"""finetooth runs."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetooth.cli import shared
from finetooth.errors import FinetoothError

if TYPE_CHECKING:
    from finetooth.run import Run


def runs(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder that holds run directories.")],
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """A table of the runs in a folder, the best first within each data set."""
    from rich.table import Table as Grid

    from finetooth.errors import RunError
    from finetooth.run import Run

    place = Path(folder)
    if not place.is_dir():
        raise RunError(f"{place}: no such folder.")
    found = [Run(plan.parent) for plan in sorted([*place.glob("plan.yaml"), *place.glob("*/plan.yaml")])]
    if not found:
        raise RunError(f"{place}: there is no run directory in it (none with a plan.yaml).")
    lines = sorted((_line(run) for run in found), key=lambda line: (line["data"], line.pop("order"), line["run"]))
    with shared.Talk(json=json, quiet=quiet) as talk:
        grid = Grid("run", "data", "model", "state", "metric", "validation", "test", "openings", "seconds")
        for line in lines:
            grid.add_row(*(_cell(cell) for cell in line.values()))
        talk.table(grid)
        talk.result({"runs": lines})


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(run: Run) -> dict[str, Any]:
    """One run as it stands; `order` puts the better ones first and those without a score last."""
    line: dict[str, Any] = dict.fromkeys(
        ("run", "data", "model", "state", "metric", "value", "test", "openings", "seconds")
    )
    line |= {"run": run.path.name, "data": "", "state": "not readable", "order": inf}
    try:
        data = run.json("data.json")
        line |= {"data": Path(data["source"]).name, "model": data["model"], "state": "not ended"}
        if run.finished:
            report = run.json("report.json")
            goal, validated = report["goal"], run.folds.is_dir()
            opened = None if validated else (report["test"] or {}).get(report["best"]["metric"])
            # A cross-validation has no model of its own: its value is the mean over the folds.
            best = {**goal, **report["scores"][goal["metric"]]} if validated else report["best"]
            line |= {
                "state": "validated" if validated else "ended",
                "metric": best["metric"],
                "value": best["value"],
                "test": opened and opened["value"],
                "openings": report["seal"]["openings"],
                "seconds": round(sum(report["seconds"].values()), 1),
                "order": (best["value"] or 0.0) * (-1 if best["better"] == "higher" else 1),
            }
    except (FinetoothError, KeyError, TypeError) as error:
        line["state"] = f"not readable: {error}"
    return line
