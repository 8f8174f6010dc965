"""finetooth runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetooth.cli import shared

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
    lines = [_line(run) for run in found]
    lines.sort(key=lambda line: (line["data"], -(line["value"] or 0.0)))
    with shared.Talk(json=json, quiet=quiet) as talk:
        grid = Grid("run", "data", "model", "state", "metric", "validation", "test", "openings", "seconds")
        for line in lines:
            grid.add_row(
                *(
                    "" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell)
                    for cell in line.values()
                )
            )
        talk.console.print(grid)
        talk.result({"runs": lines})


def _line(run: Run) -> dict[str, Any]:
    data = run.json("data.json")
    line: dict[str, Any] = {
        "run": run.path.name,
        "data": Path(data["source"]).name,
        "model": data["model"],
        "state": "ended" if run.finished else "not ended",
        "metric": None,
        "value": None,
        "test": None,
        "openings": None,
        "seconds": None,
    }
    if run.finished:
        report = run.json("report.json")
        metric = report["best"]["metric"]
        opened = (report["test"] or {}).get(metric)
        line |= {
            "metric": metric,
            "value": report["best"]["value"],
            "test": opened and opened["value"],
            "openings": report["seal"]["openings"],
            "seconds": sum(report["seconds"].values()),
        }
    return line
