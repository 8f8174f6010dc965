"""What cross-validation came to, in numbers: one dictionary, which report.json holds and the page shows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import Any

import numpy as np

from finetooth import decide
from finetooth.checks.suspects import doubtful, ranked
from finetooth.metrics import Metric, chance_over_folds, finite, over_folds
from finetooth.report.folds import judgement
from finetooth.report.numbers import about, by_class, calibrations, decided_by, detail, spent, with_intervals
from finetooth.run import Run
from finetooth.seeds import row_keys
from finetooth.table import Answers, Kind, Predictions, Table
from finetooth.verdict import answer, says

SUSPECTS = 50  # labels to look at
COMPARED = ("difference", "low", "high", "how", "p_value")

Fold = Mapping[str, Any]  # what was kept of a fold


def validated(
    run: Run,
    table: Table,
    metrics: Mapping[str, Metric],
    goal: Metric,
    reasons: Mapping[str, str],
    folds: Sequence[Fold],
    deals: Sequence[Answers],
    rule: decide.Rule | None,
) -> dict[str, Any]:
    """What all folds say together; `deals` are the out-of-fold predictions of each deal of the rows.

    What is said of a row is averaged over the deals. The temperature and the `rule` are for one model, and an average
    of several is more modest than any of them, so both come from the first deal alone.
    """
    p, data, split, first = averaged(deals), run.json("data.json"), run.split, deals[0]
    others = _baselines(folds, metrics, goal, p.kind)
    # The one that the tuned model gains least over.
    against = min(others, key=lambda name: inf if (gain := others[name]["difference"]) is None else gain)
    compared = {key: others[against][key] for key in COMPARED}
    found = {
        **about(run, reasons),
        "rows": {"dealt": len(split.train) + len(split.validation), "validated": len(p.ids), "test": len(split.test)},
        "folds": data["folds"],
        "repeats": data["repeats"],
        "notes": sorted({note for fold in folds for note in fold["notes"]}),
        "goal": {"metric": goal.name, "better": goal.better},
        "scores": {name: _scores(folds, metric) for name, metric in metrics.items()},
        "pooled": with_intervals(p, metrics, table.groups_of(p.ids)),
        "baselines": others,
        "left_out": sorted(
            {f"{says(name, p.kind)}: {why}" for fold in folds for name, why in fold["left_out"].items()}
        ),
        "verdict": {"answer": answer(compared), "metric": goal.name, "against": against, **compared},
        "each": list(folds),
        **_by_kind(p, first, table, rule),
        "repeat": _repeat(run, data),
        **spent(run),
    }
    return {**found, "verdict": {**found["verdict"], "says": judgement(found)}}


def _by_kind(p: Answers, first: Answers, table: Table, rule: decide.Rule | None) -> dict[str, Any]:
    """What is told of one kind of answers and no other; `first` are those of the first deal."""
    if isinstance(p, Predictions) and isinstance(first, Predictions):
        return {
            "classes": by_class(p),
            "calibration": _calibrated(first, table.groups_of(first.ids)),
            "decisions": None if rule is None else decided_by(rule, first),
            "suspects": suspected(p, table),
        }
    fitted = {"decisions": None if rule is None else decided_by(rule, first)}
    return {**dict.fromkeys(("classes", "calibration", "suspects")), **fitted, "detail": detail(p, table)}


def averaged(deals: Sequence[Answers]) -> Answers:
    """What is said of each row, averaged over the deals, in the order of the ids; each deal has each row once."""
    ordered = [p.take(np.argsort(p.ids, kind="stable")) for p in deals]
    assert all(p.ids == ordered[0].ids for p in ordered), "every deal validates on the same rows"
    return ordered[0].about(ordered[0].ids, ordered[0].labels, np.mean([p.said for p in ordered], axis=0))


def suspected(p: Predictions, table: Table) -> dict[str, Any]:
    """The labels that models which did not learn from the row contradict, the most suspicious first.

    Counted and ranked as `check` does it with a model of words.
    """
    places = [table.position[row_id] for row_id in p.ids]
    order = ranked(p.probabilities, p.labels, row_keys(table.contents[place] for place in places))
    likeliest, count = p.probabilities.argmax(axis=1), doubtful(p.probabilities, p.labels)
    contradicted = order[likeliest[order] != p.labels[order]][: min(count, SUSPECTS)]
    return {
        "count": count,
        "rows": [
            {
                "id": p.ids[i],
                "place": table.place(places[i]),
                "inputs": dict(zip(table.columns.input, table.inputs[places[i]], strict=True)),
                "label": p.names[p.labels[i]],
                "probability": float(p.probabilities[i, p.labels[i]]),
                "looks_like": p.names[likeliest[i]],
                "likelier": float(p.probabilities[i, likeliest[i]]),
            }
            for i in contradicted.tolist()
        ],
    }


def _scores(folds: Sequence[Fold], metric: Metric) -> dict[str, Any]:
    """A metric's mean over the folds with its interval, their spread, the worst; and the mean at the last epoch."""
    values = _numbers(fold["scores"][metric.name] for fold in folds)
    return {
        **over_folds(values.tolist(), _tested(folds)).told(),
        "spread": finite(float(values.std(ddof=1))) if len(values) > 1 else None,
        "worst": finite(float(values.min() if metric.better == "higher" else values.max())),
        "last": finite(float(_numbers(fold["last"][metric.name] for fold in folds).mean())),
    }


def _baselines(
    folds: Sequence[Fold], metrics: Mapping[str, Metric], goal: Metric, kind: Kind
) -> dict[str, dict[str, Any]]:
    """The mean scores of each baseline that every fold has, and by how much the tuned model is better, fold by fold."""
    sign, tested = 1.0 if goal.better == "higher" else -1.0, _tested(folds)
    tuned, found = _numbers(fold["scores"][goal.name] for fold in folds), {}
    for name in [name for name in folds[0]["baselines"] if all(name in fold["baselines"] for fold in folds)]:
        scores = {key: _numbers(fold["baselines"][name][key] for fold in folds) for key in metrics}
        gains = (sign * (tuned - scores[goal.name])).tolist()
        compared = over_folds(gains, tested).told()
        found[name] = {
            "says": says(name, kind),
            "scores": {key: finite(float(values.mean())) for key, values in scores.items()},
            "difference": compared["value"],
            **{key: compared[key] for key in ("low", "high", "how")},
            "p_value": finite(chance_over_folds(gains, tested)),
        }
    return found


def _tested(folds: Sequence[Fold]) -> float:
    """Rows validated on per row trained on."""
    return float(np.mean([fold["rows"]["validation"] / fold["rows"]["train"] for fold in folds]))


def _numbers(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """As an array, NaN for null."""
    return np.array([nan if value is None else value for value in values], dtype=np.float64)


def _calibrated(p: Predictions, groups: Sequence[str | None] | None) -> dict[str, Any]:
    """The temperature that these rows, of which no model learnt, would give one model, and what it changes."""
    found = decide.temperature(p) if len(p.ids) >= decide.FEWEST else 1.0
    return {"temperature": found, "rows": len(p.ids), **calibrations(decide.cooled(p, found), found, groups)}


def _repeat(run: Run, data: Mapping[str, Any]) -> str:
    """The command that makes this cross-validation again."""
    command = ["finetooth", "validate", data["source"], "--model", data["model"], "--plan", str(run.path / "plan.yaml")]
    command += ["--folds", str(data["folds"])]
    command += ["--repeats", str(data["repeats"])] if data["repeats"] > 1 else []
    command += ["--rows", str(data["limit"])] if data["limit"] is not None else []
    return shlex.join([*command, "--out", f"{run.path}-again"])
