"""A run directory -> the report's numbers: one dictionary, which report.json holds and the page shows."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import numpy as np
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_curve,
)

from finetooth import ledger, stops
from finetooth.metrics import CLASSIFICATION, Metric, interval, sensitivity_at
from finetooth.report.diagnosis import diagnose
from finetooth.run import Run
from finetooth.table import Predictions, Table

WORST = 20  # wrong answers listed, the surest first
POINTS = 200  # of a drawn curve; more cannot be told apart on a page
SPECIFICITIES = (0.8, 0.9, 0.95)


def trained(
    run: Run, table: Table, metrics: Mapping[str, Metric], goal: Metric, reasons: Mapping[str, str]
) -> dict[str, Any]:
    """What a run says when training has ended and the test rows are still sealed."""
    data, plan, machine, findings = (
        run.json("data.json"),
        run.plan,
        run.json("machine.json"),
        run.json("findings.json")["findings"],
    )
    p, history = run.predictions("validation"), run.epochs
    best = history[stops.best(goal, history)]
    shown, majority = detail(p, table), _always(_commonest(run, table), p)
    return {
        "finetooth": machine["finetooth"],
        "name": run.path.resolve().name,
        "path": str(run.path),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": plan.task,
        "model": data["model"],
        "data": {
            "source": data["source"],
            "input": data["columns"]["input"],
            "label": data["columns"]["label"],
            "fingerprint": data["fingerprint"],
        },
        "labels": data["names"],
        "rows": run.split.counts(),
        "truncated": {
            "rows": sum(f["count"] for f in findings if f["check"] == "truncation"),
            "max_length": plan.max_length,
        },
        "plan": plan.values(),
        "reasons": dict(reasons),
        "epochs": [epoch.line() for epoch in history],
        "best": {
            "step": best.step,
            "epoch": best.epoch,
            "metric": goal.name,
            "better": goal.better,
            "value": _finite(best.scores[goal.name]),
        },
        "validation": {name: _finite(metric.of(p)) for name, metric in metrics.items()},
        "test": None,
        "without_leaks": None,
        "detail": {"validation": shown},
        "baselines": {"majority": majority},
        "diagnosis": diagnose([epoch.line() for epoch in history], shown, data["names"], majority["accuracy"]),
        "findings": findings,
        "seal": {"openings": 0, "head": None, "rows": len(run.split.test), "digest": run.split.digest},
        "machine": {
            key: machine[key]
            for key in (
                "device",
                "machine",
                "precision",
                "threads",
                "python",
                "torch",
                "transformers",
                "finetooth",
            )
        },
        "repeat": _repeat(run, data),
        **_spent(run),
    }


def opened(report: Mapping[str, Any], run: Run, table: Table, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """The same report with its test rows scored."""
    p = run.predictions("test")
    return {
        **report,
        "test": with_intervals(p, metrics),
        "without_leaks": without_leaks(p, report["findings"], metrics),
        "detail": {**report["detail"], "test": detail(p, table)},
        "baselines": {"majority": _always(report["baselines"]["majority"]["label"], p)},
    }


def up_to_date(report: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """The same report with the openings, the time and the memory as they are now."""
    last = ledger.read(run.ledger)[-1]
    return {
        **report,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seal": {**report["seal"], "openings": last["opening"], "head": last["digest"]},
        **_spent(run),
    }


def _repeat(run: Run, data: Mapping[str, Any]) -> str:
    """The command that makes this run again."""
    words = ["finetooth", "train", data["source"], "--model", data["model"], "--plan", str(run.path / "plan.yaml")]
    words += ["--rows", str(data["limit"])] if data["limit"] is not None else []
    return shlex.join([*words, "--out", f"{run.path}-again"])


def _spent(run: Run) -> dict[str, Any]:
    """Time, memory and money so far."""
    machine, per_hour = run.json("machine.json"), run.plan.cost_per_hour
    hours = sum(machine["seconds"].values()) / 3600
    return {
        "seconds": machine["seconds"],
        "peak_memory_bytes": machine["peak_memory_bytes"],
        "cost": None if per_hour is None else hours * per_hour,
    }


def detail(p: Predictions, table: Table) -> dict[str, Any]:
    """Per class, confusion, curves and the surest wrong answers. Confusion: rows are true classes, columns decided."""
    classes = range(len(p.names))
    precision, recall, f1, support = precision_recall_fscore_support(
        p.labels, p.decided, labels=list(classes), zero_division=0
    )
    decided = Counter(p.decided.tolist())
    drawn = [c for c in ([1] if len(p.names) == 2 else classes) if 0 < int(support[c]) < len(p.labels)]
    return {
        "classes": [
            {
                "label": p.names[c],
                "precision": float(precision[c]),
                "recall": float(recall[c]),
                "f1": float(f1[c]),
                "rows": int(support[c]),
                "predicted": decided[c],
            }
            for c in classes
        ],
        "confusion": confusion_matrix(p.labels, p.decided, labels=list(classes)).tolist(),
        "roc": {p.names[c]: _thinned(*roc_curve(p.labels == c, p.probabilities[:, c])[:2]) for c in drawn},
        "precision_recall": {
            p.names[c]: _thinned(*precision_recall_curve(p.labels == c, p.probabilities[:, c])[1::-1]) for c in drawn
        },
        "sensitivity": _sensitivities(p) if len(p.names) == 2 and drawn else [],
        "worst": _worst(p, table),
    }


def _sensitivities(p: Predictions) -> list[dict[str, float]]:
    found = {specificity: sensitivity_at(specificity, p) for specificity in SPECIFICITIES}
    return [{"specificity": s, "sensitivity": value, "threshold": at} for s, (value, at) in found.items()]


def _worst(p: Predictions, table: Table) -> list[dict[str, Any]]:
    sure = p.probabilities.max(axis=1)
    wrong = [i for i in np.argsort(-sure, kind="stable").tolist() if p.decided[i] != p.labels[i]]
    return [
        {
            "id": p.ids[i],
            "inputs": dict(zip(table.columns.input, table.inputs[table.position[p.ids[i]]], strict=True)),
            "label": p.names[p.labels[i]],
            "predicted": p.names[p.decided[i]],
            "probability": float(sure[i]),
        }
        for i in wrong[:WORST]
    ]


def _commonest(run: Run, table: Table) -> str:
    """The class that is most frequent in training."""
    counts = Counter(str(table.labels[table.position[i]]) for i in run.split.train)
    return max(sorted(counts), key=lambda name: counts[name])


def _always(label: str, judged: Predictions) -> dict[str, Any]:
    """The scores of always answering `label`."""
    always = np.zeros_like(judged.probabilities)
    always[:, judged.names.index(label)] = 1.0
    constant = Predictions(judged.ids, judged.labels, always, judged.names)
    return {"label": label, **{name: CLASSIFICATION[name].of(constant) for name in ("accuracy", "macro_f1")}}


def with_intervals(
    p: Predictions, metrics: Mapping[str, Metric], groups: Sequence[str | None] | None = None
) -> dict[str, dict[str, Any]]:
    """Each metric with its interval, whole groups drawn where there are any, and how it was made."""
    return {name: _finite_fields(asdict(interval(metric, p, groups))) for name, metric in metrics.items()}


def _finite_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in found.items()}


def without_leaks(p: Predictions, findings: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric]) -> Any:
    """The scores of the test rows that stand in no other part; None where every one is such a row, or none is."""
    leaked = {row_id for finding in findings if finding["check"] == "leak" for row_id in finding["rows"]}
    kept = [i for i, row_id in enumerate(p.ids) if row_id not in leaked]
    if not kept or len(kept) == len(p.ids):
        return None
    clean = p.take(np.array(kept))
    return {"rows": len(kept), "left_out": len(p.ids) - len(kept), "scores": with_intervals(clean, metrics)}


def _thinned(xs: Any, ys: Any) -> list[list[float]]:
    chosen = np.unique(np.linspace(0, len(xs) - 1, POINTS).round().astype(int))
    return [[float(xs[i]), float(ys[i])] for i in chosen]


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
