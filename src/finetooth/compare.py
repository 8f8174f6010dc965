"""Two runs on the same rows: is one better, and how sure is that?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finetooth.errors import RunError
from finetooth.evaluate import ended, evaluate, known_metrics, reread
from finetooth.metrics import Metric, holm
from finetooth.report import with_intervals
from finetooth.run import Run
from finetooth.verdict import answer, difference

WORDS = {"better": "first", "worse": "second"}


def compare(
    first: Run | str | Path, second: Run | str | Path, *, test: bool = False, metrics: Sequence[Metric] = ()
) -> dict[str, Any]:
    """Both runs' scores on the rows that both kept to choose the epoch by, their differences, and which is better.

    With `test` on the sealed rows: what was not opened yet is opened, in both. Differences are paired and above 0.0
    where the first is better; the first run's own metric decides, the p-values of the others are adjusted for their
    number. Raises RunError where the rows or the classes are not the same.
    """
    runs = [ended(run) for run in (first, second)]
    part = "test" if test else "validation"
    one, other = ({*getattr(run.split, part)} for run in runs)
    names = [run.json("data.json")["names"] for run in runs]
    if names[0] != names[1]:
        raise RunError(f"{runs[0].path} and {runs[1].path}: they tell different classes apart, so they do not compare.")
    if one != other or not one:
        raise RunError(
            f"{runs[0].path} and {runs[1].path}: {len(one & other):,} of {len(one | other):,} {part} rows are the "
            f"same, expected all: train both on the same data with the same split.seed."
        )
    known, goal = known_metrics(runs[0], metrics), runs[0].plan.metric_for_best_model
    if goal not in known:
        raise RunError(
            f"{runs[0].path}: it was chosen by {goal}, a metric of yours; say where it is with --allow-code."
        )
    for run in runs:
        if test and run.json("report.json")["test"] is None:
            evaluate(run, metrics=metrics)
    p = runs[0].predictions(part)
    theirs = runs[1].predictions(part)
    place = {row_id: i for i, row_id in enumerate(theirs.ids)}
    theirs = theirs.take(np.array([place[row_id] for row_id in p.ids]))
    if (p.labels != theirs.labels).any():
        raise RunError(f"{runs[0].path} and {runs[1].path}: the {part} rows are the same, their labels are not.")
    grouped = next((run for run in runs if run.columns.group is not None), None)
    groups = None if grouped is None else reread(grouped).groups_of(p.ids)
    found = {name: difference(metric, p, theirs, groups) for name, metric in known.items()}
    adjusted = holm({n: d["p_value"] for n, d in found.items() if d["p_value"] is not None and n != goal})
    values = [with_intervals(each, known, groups) for each in (p, theirs)]
    return {
        "runs": [run.path.resolve().name for run in runs],
        "part": part,
        "rows": len(p.ids),
        "metric": goal,
        "scores": {
            name: {"first": values[0][name], "second": values[1][name], **found[name], "adjusted": adjusted.get(name)}
            for name in known
        },
        "says": _says(runs, part, goal, found[goal]),
        "primary": {"answer": WORDS.get(answer(found[goal]), answer(found[goal])), **found[goal]},
    }


def _says(runs: Sequence[Run], part: str, goal: str, found: Mapping[str, Any]) -> str:
    first, second = (run.path.resolve().name for run in runs)
    said = answer(found)
    if said == "too few":
        return f"There are too few {part} rows to tell which is better by {goal}: {found['how']}."
    if said == "not shown":
        return f"Neither is shown to be better by {goal} on the {part} rows."
    better, worse = (first, second) if said == "better" else (second, first)
    # What was fitted on these rows favours the run that fitted more.
    fitted = " These rows also chose each run's epoch, temperature and rule; --test asks others." * (part != "test")
    return f"{better} is better than {worse} by {goal} on the {part} rows.{fitted}"
