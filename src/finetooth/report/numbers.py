"""A run directory -> the report's numbers: one dictionary, which report.json holds and the page shows."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_curve,
)

from finetooth import ledger, stops
from finetooth.decide import Rule, cooled
from finetooth.metrics import Metric, abstention, calibration, finite, interval, sensitivity_at
from finetooth.report import several, tagged, values, words
from finetooth.report.diagnosis import diagnose, diagnose_labels, diagnose_numbers, diagnose_tags
from finetooth.run import Run
from finetooth.table import Answers, AnyOf, Kind, Numbers, Predictions, Table, Written
from finetooth.tags import Tags
from finetooth.verdict import answer, difference, judged, says, strongest

WORST = 20  # wrong answers listed, the surest first
POINTS = 200  # of a drawn curve; more cannot be told apart on a page
SPECIFICITIES = (0.8, 0.9, 0.95)


def trained(
    run: Run,
    table: Table,
    metrics: Mapping[str, Metric],
    goal: Metric,
    reasons: Mapping[str, str],
    calibration: Mapping[str, Any] | None,
    rule: Rule | None,
) -> dict[str, Any]:
    """What a run says when training has ended and the test rows are still sealed."""
    p, history = run.predictions("validation"), run.epochs
    best = history[stops.best(goal, history)]
    shown, judged_by = detail(p, table), run.json("baselines.json")
    others = {name: run.predictions(f"validation-{name}") for name in judged_by["fitted"]}
    groups = table.groups_of(p.ids)
    return {
        **about(run, reasons),
        "rows": run.split.counts(),
        "epochs": [epoch.line() for epoch in history],
        "best": {
            "step": best.step,
            "epoch": best.epoch,
            "metric": goal.name,
            "better": goal.better,
            "value": finite(best.scores[goal.name]),
        },
        "validation": {name: finite(metric.of(p)) for name, metric in metrics.items()},
        "test": None,
        "without_leaks": None,
        "detail": {"validation": shown},
        "baselines": {
            name: {
                "says": says(name, p.kind),
                **judged_by["fitted"][name],
                "validation": {key: finite(metric.of(other)) for key, metric in metrics.items()},
                "test": None,
            }
            for name, other in others.items()
        },
        "left_out": [f"{_named(name, p.kind)}: {why}." for name, why in judged_by["left_out"].items()],
        "goal": {"metric": goal.name, "better": goal.better},
        "strongest": strongest(goal, others),
        "verdict": None,
        "calibration": None if calibration is None else _calibrated(calibration, _classes(p), groups),
        "decisions": None if rule is None else decided_by(rule, p),
        "slices": None,
        "robustness": None,
        "written": None,
        "forgetting": judged_by["forgetting"],
        "mismatch": _mismatch(goal, p, others, judged_by["transfer"], groups),
        "seeds": _seeds(run, goal, "validation"),
        "diagnosis": _diagnosis([epoch.line() for epoch in history], shown, p),
        "repeat": _repeat(run),
        **spent(run),
    }


def about(run: Run, reasons: Mapping[str, str]) -> dict[str, Any]:
    """What was tuned, with which plan, on what and where; the test rows are sealed."""
    data, plan, machine, findings = (
        run.json("data.json"),
        run.plan,
        run.json("machine.json"),
        run.json("findings.json")["findings"],
    )
    told = ("device", "machine", "precision", "threads", "python", "torch", "transformers", "finetooth")
    return {
        "finetooth": machine["finetooth"],
        "name": run.path.resolve().name,
        "path": str(run.path),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": plan.task,
        "kind": data["kind"],
        "pipeline": data["pipeline"],
        "model": data["model"],
        "data": {
            "source": data["source"],
            "input": data["columns"]["input"],
            "label": data["columns"]["label"],
            "fingerprint": data["fingerprint"],
        },
        "labels": data["names"],
        "truncated": {
            "rows": sum(f["count"] for f in findings if f["check"] == "truncation"),
            "max_length": plan.max_length,
        },
        "plan": plan.values(),
        "reasons": dict(reasons),
        "findings": findings,
        "seal": {"openings": 0, "head": None, "rows": len(run.split.test), "digest": run.split.digest},
        "machine": {key: machine[key] for key in told},
    }


def opened(
    report: Mapping[str, Any],
    run: Run,
    table: Table,
    metrics: Mapping[str, Metric],
    others: Mapping[str, Answers],
    missing: Mapping[str, str],
) -> dict[str, Any]:
    """The same report with its test rows scored, beside what the baselines say of them; why some are `missing`."""
    p = run.predictions("test")
    # A metric of the user's own that is not at hand today leaves the verdict to the task's first, such as accuracy.
    first = next(iter(metrics.values()))
    groups, goal = table.groups_of(p.ids), metrics.get(run.plan.metric_for_best_model, first)
    # Chosen by validation rows, among those that could be asked again.
    against = strongest(goal, {name: run.predictions(f"validation-{name}") for name in others})
    found = {
        **report,
        "goal": {"metric": goal.name, "better": goal.better},
        "strongest": against,
        "left_out": [
            *report["left_out"],
            *(f"{_named(name, p.kind)} could not be asked again: {why}." for name, why in missing.items()),
        ],
        "test": with_intervals(p, metrics, groups),
        "without_leaks": without_leaks(p, report["findings"], metrics, groups),
        "detail": {**report["detail"], "test": detail(p, table)},
        "baselines": {
            name: {**own, "test": _scores(others[name], metrics) if name in others else dict.fromkeys(metrics)}
            for name, own in report["baselines"].items()
        },
        "verdict": judged(goal, p, others, against, groups),
        "calibration": report["calibration"] and _tested(report["calibration"], _classes(p), groups),
        "decisions": report["decisions"] and {**report["decisions"], "test": _decided(report["decisions"], p, metrics)},
        "seeds": report["seeds"] and {**report["seeds"], "test": _seeds_tested(report["seeds"], run, goal)},
    }
    return {**found, "verdict": {**found["verdict"], "says": words.judgement(found)}}


def _classes(p: Answers) -> Predictions:
    assert isinstance(p, Predictions), "only classes have probabilities"
    return p


def _diagnosis(epochs: Sequence[Mapping[str, Any]], shown: Mapping[str, Any], p: Answers) -> list[dict[str, str]]:
    if isinstance(p, Written):
        return []
    if isinstance(p, Numbers):
        return diagnose_numbers(epochs)
    if isinstance(p, Tags):
        return diagnose_tags(epochs, shown, shown["commonest"])
    if isinstance(p, AnyOf):
        return diagnose_labels(epochs, shown, float((p.labels == 1).mean()))
    return diagnose(epochs, shown, _classes(p).names, _guessing(_classes(p)))


def _seeds(run: Run, goal: Metric, part: str) -> dict[str, Any] | None:
    """How far the score moves with the training seed, and which runs came to nothing; None where there is one run."""
    if not run.other_seeds:
        return None
    degenerate = {}
    for seed, each in {run.plan.seed: run, **run.other_seeds}.items():
        if each is not run and not each.finished:
            degenerate[str(seed)] = "the loss was no finite number any more"
        elif len(answers := _answers(each.predictions(part))) == 1:
            degenerate[str(seed)] = f"answers '{min(answers)}' to every row"
    return {"metric": goal.name, part: _spread(run, goal, part), "test": None, "degenerate": degenerate}


def _answers(p: Answers) -> set[Any]:
    """All that is answered to any row, or to any word."""
    if isinstance(p, Tags):
        return {p.names[tag] for tag in np.unique(p.decided[p.read]).tolist()}
    return set(p.cells().get("prediction", p.ids))


def _seeds_tested(seeds: Mapping[str, Any], run: Run, goal: Metric) -> dict[str, Any] | None:
    """The spread on the test rows, by the metric of the validation rows; None where that is not at hand today."""
    return _spread(run, goal, "test") if goal.name == seeds["metric"] else None


def _spread(run: Run, goal: Metric, part: str) -> dict[str, Any]:
    """The score of each training seed, their mean, standard deviation and worst."""
    runs = {run.plan.seed: run} | {seed: each for seed, each in run.other_seeds.items() if each.finished}
    values = {str(seed): finite(goal.of(each.predictions(part))) for seed, each in runs.items()}
    found = [value for value in values.values() if value is not None]
    if not found:
        return {"values": values, "mean": None, "spread": None, "worst": None}
    worst = min(found) if goal.better == "higher" else max(found)
    spread = float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
    return {"values": values, "mean": float(np.mean(found)), "spread": spread, "worst": worst}


def _guessing(p: Predictions) -> float:
    """The accuracy of the class that is commonest among these rows."""
    return float(np.bincount(p.labels).max() / len(p.labels))


def _named(name: str, kind: Kind) -> str:
    told = says(name, kind)
    return f"{told[0].upper()}{told[1:]}"


def _scores(p: Answers, metrics: Mapping[str, Metric]) -> dict[str, float | None]:
    return {name: finite(metric.of(p)) for name, metric in metrics.items()}


def _calibrated(told: Mapping[str, Any], p: Predictions, groups: Sequence[str | None] | None) -> dict[str, Any]:
    """How far the probabilities can be believed, before and after the temperature."""
    validation = calibrations(p, told["temperature"], groups)
    return {
        **told,
        **_ece(validation),
        "validation": validation,
        "test": None,
        "abstention": {"validation": abstention(p), "test": None},
    }


def _tested(told: Mapping[str, Any], p: Predictions, groups: Sequence[str | None] | None) -> dict[str, Any]:
    """The same with the test rows beside."""
    tested = calibrations(p, told["temperature"], groups)
    return {**told, **_ece(tested), "test": tested, "abstention": {**told["abstention"], "test": abstention(p)}}


def calibrations(p: Predictions, temperature: float, groups: Sequence[str | None] | None) -> dict[str, Any]:
    """Before and after it, of probabilities whose logits have been divided by a temperature already."""
    found = {"before": calibration(cooled(p, 1 / temperature), groups), "after": calibration(p, groups)}
    return {
        when: {
            "loss": each.loss,
            "brier": each.brier,
            "ece": each.debiased.told(),
            "floor": each.noise_floor,
            "bins": [asdict(part) for part in each.bins],
        }
        for when, each in found.items()
    }


def _ece(calibrations: Mapping[str, Any]) -> dict[str, float]:
    """The calibration error before and after the temperature, on the rows that tell most so far."""
    return {f"ece_{when}": calibrations[when]["ece"]["value"] for when in ("before", "after")}


def decided_by(rule: Rule, p: Answers) -> dict[str, Any]:
    """The decision rule in numbers, and what it gains on the rows that it was fitted on."""
    if isinstance(p, AnyOf):
        told = {"thresholds": dict(zip(p.names, rule.matrix.tolist(), strict=True)), "weights": None, "costs": None}
    else:
        names, matrix = _classes(p).names, rule.matrix
        weights = dict(zip(names, np.diag(matrix).tolist(), strict=True)) if rule.goal != "cost" else None
        told = {"weights": weights, "costs": None if weights else (-matrix).tolist()}
    return {
        "goal": rule.goal,
        **told,
        "held": list(rule.held),
        "validation": {"before": finite(rule.before), "after": finite(rule.after)},
        "test": None,
    }


def _decided(decisions: Mapping[str, Any], p: Answers, metrics: Mapping[str, Metric]) -> dict[str, float | None] | None:
    """The goal of the decision rule without it and with it."""
    plain = p.ruled(None)
    if decisions["goal"] == "cost":
        costs = np.array(decisions["costs"])
        before, after = (float(costs[each.labels, each.decided].mean()) for each in map(_classes, (plain, p)))
    elif decisions["goal"] in metrics:
        before, after = (metrics[decisions["goal"]].of(each) for each in (plain, p))
    else:
        return None
    return {"before": finite(before), "after": finite(after)}


def _mismatch(
    goal: Metric,
    p: Answers,
    others: Mapping[str, Answers],
    transferred: Mapping[str, Any],
    groups: Sequence[str | None] | None,
) -> dict[str, Any]:
    """Whether what the network knew beforehand helps, as validation rows tell."""
    gain = helps = None
    says = "Whether the pre-trained knowledge helps was not looked at: the probe or the words are missing."
    alone = next((name for name in ("tfidf", "lookup") if name in others), None)
    if "frozen_probe" in others and alone is not None:
        gain = difference(goal, others["frozen_probe"], others[alone], groups)
        shown = answer(gain)
        if shown == "better":
            helps, says = True, "A probe of the untouched network beats the words alone: what it learnt before helps."
        elif shown == "too few":
            says = "There are too few validation rows to tell whether the pre-trained knowledge helps."
        else:
            says = (
                "A probe of the untouched network is not shown to be better than words alone; --scratch would tell "
                "whether tuning gains anything from what the network learnt before."
            )
        if "scratch" in others and shown not in ("better", "too few"):
            beside = answer(difference(goal, p, others["scratch"], groups))
            helps = beside == "better"
            says = (
                "A probe of the untouched network is not shown to be better than words alone, and yet the tuned one "
                "beats the same network trained from scratch: tuning gains from what it learnt before."
                if helps
                else "The pre-trained knowledge is not shown to help: the probe is no better than words alone, and "
                "tuning no better than training the same network from scratch. Another model may fit this task."
            )
    return {
        "probe_gain": None if gain is None else words.difference(gain),
        "centroid": transferred["centroid"],
        "score": transferred["h_score"],
        "says": says,
        "helps": helps,
    }


def up_to_date(report: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """The same report with the openings, the time and the memory as they are now."""
    last = ledger.read(run.ledger)[-1]
    return {
        **report,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seal": {**report["seal"], "openings": last["opening"], "head": last["digest"]},
        **spent(run),
    }


def _repeat(run: Run) -> str:
    """The command that makes this run again."""
    data = run.json("data.json")
    words = ["finetooth", "train", data["source"], "--model", data["model"], "--plan", str(run.path / "plan.yaml")]
    words += ["--rows", str(data["limit"])] if data["limit"] is not None else []
    words += ["--seeds", str(len(run.other_seeds) + 1)] if run.other_seeds else []
    words += ["--scratch"] if run.scratch.is_dir() else []
    return shlex.join([*words, "--out", f"{run.path}-again"])


def spent(run: Run) -> dict[str, Any]:
    """Time, memory and money so far."""
    machine, per_hour = run.json("machine.json"), run.plan.cost_per_hour
    hours = sum(machine["seconds"].values()) / machine.get("jobs", 1) / 3600
    return {
        "seconds": machine["seconds"],
        "peak_memory_bytes": machine["peak_memory_bytes"],
        "cost": None if per_hour is None else hours * per_hour,
    }


def by_class(p: Predictions) -> dict[str, Any]:
    """Scores per class, and confusion: rows are true classes, columns decided."""
    classes = range(len(p.names))
    precision, recall, f1, support = precision_recall_fscore_support(
        p.labels, p.decided, labels=list(classes), zero_division=0
    )
    decided = Counter(p.decided.tolist())
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
    }


def detail(p: Answers, table: Table) -> dict[str, Any]:
    """What is told of these rows beyond their scores."""
    if isinstance(p, Written):
        return {"worst": []}
    if isinstance(p, Numbers):
        return values.detail(p, table)
    if isinstance(p, Tags):
        return tagged.detail(p, table)
    return several.detail(p, table) if isinstance(p, AnyOf) else _detail(_classes(p), table)


def _detail(p: Predictions, table: Table) -> dict[str, Any]:
    """Per class, confusion, curves and the surest wrong answers."""
    classes, support = range(len(p.names)), np.bincount(p.labels, minlength=len(p.names))
    drawn = [c for c in ([1] if len(p.names) == 2 else classes) if 0 < int(support[c]) < len(p.labels)]
    return {
        **by_class(p),
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
    wrong = [i for i in np.argsort(-p.sure, kind="stable").tolist() if p.decided[i] != p.labels[i]]
    return [
        {
            "id": p.ids[i],
            "inputs": dict(zip(table.columns.input, table.inputs[table.position[p.ids[i]]], strict=True)),
            "label": p.names[p.labels[i]],
            "predicted": p.names[p.decided[i]],
            "probability": float(p.sure[i]),
        }
        for i in wrong[:WORST]
    ]


def with_intervals(
    p: Answers, metrics: Mapping[str, Metric], groups: Sequence[str | None] | None = None
) -> dict[str, dict[str, Any]]:
    """Each metric with its interval, whole groups drawn where there are any, and how it was made."""
    return {name: interval(metric, p, groups).told() for name, metric in metrics.items()}


def without_leaks(
    p: Answers,
    findings: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Metric],
    groups: Sequence[str | None] | None,
) -> Any:
    """The scores of the test rows that stand in no other part; None where none does."""
    leaked = {row_id for finding in findings if finding["check"] == "leak" for row_id in finding["rows"]}
    kept = [i for i, row_id in enumerate(p.ids) if row_id not in leaked]
    if len(kept) == len(p.ids):
        return None
    if not kept:
        return {"rows": 0, "left_out": len(p.ids), "scores": None}
    clean, own = p.take(np.array(kept)), None if groups is None else [groups[i] for i in kept]
    return {"rows": len(kept), "left_out": len(p.ids) - len(kept), "scores": with_intervals(clean, metrics, own)}


def _thinned(xs: Any, ys: Any) -> list[list[float]]:
    chosen = np.unique(np.linspace(0, len(xs) - 1, POINTS).round().astype(int))
    return [[float(xs[i]), float(ys[i])] for i in chosen]
