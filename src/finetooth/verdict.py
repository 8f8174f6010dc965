"""Is the tuned model better, than what, and how sure is that? Predictions in, plain numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from finetooth.metrics import Metric, finite, holm, mcnemar, paired, too_few, units_of
from finetooth.table import Answers, Kind, Predictions

SAYS = {
    "mean": "the mean of the training rows to everything",
    "majority": "the commonest class to everything",
    "tfidf": "TF-IDF of words and letters under a linear classifier, fitted on the same rows",
    "lookup": "to each word the tag that it has most often in the training rows",
    "frozen_probe": "logistic regression on what the model makes of the rows before tuning",
    "untuned": "the model before tuning",
    "scratch": "the same network trained from scratch on the same rows",
}
NUMBERS = {
    "tfidf": "TF-IDF of words and letters under ridge regression, fitted on the same rows",
    "frozen_probe": "ridge regression on what the model makes of the rows before tuning",
}
LABELS = {
    "majority": "to every row the labels that most rows have",
    "tfidf": "TF-IDF of words and letters under a linear classifier for each label, fitted on the same rows",
    "frozen_probe": "logistic regression for each label on what the model makes of the rows before tuning",
}


TAGS = {
    "majority": "the commonest tag to every word",
    "frozen_probe": "logistic regression on what the model makes of each word before tuning",
}


def says(name: str, kind: Kind) -> str:
    """What a baseline is, where the answers are of this kind."""
    return {"numbers": NUMBERS, "any-of": LABELS, "tags": TAGS}.get(kind, {}).get(name, SAYS[name])


def strongest(metric: Metric, others: Mapping[str, Answers]) -> str:
    """The baseline that does best on these rows, the first of equals; to be asked of validation rows."""
    sign = 1.0 if metric.better == "higher" else -1.0

    def worth(name: str) -> float:
        value = metric.of(others[name])
        return sign * value if isfinite(value) else float("-inf")

    return max(others, key=worth)


def judged(
    metric: Metric,
    tuned: Answers,
    others: Mapping[str, Answers],
    against: str,
    groups: Sequence[str | None] | None,
) -> dict[str, Any]:
    """The verdict on one metric: against one model, chosen beforehand, and beside it the others.

    `answer` is better, worse, not shown, or too few; differences are above 0.0 where the tuned model is better. The
    p-values of the others are adjusted for their number.
    """
    primary = difference(metric, tuned, others[against], groups)
    rest = {name: difference(metric, tuned, p, groups) for name, p in others.items() if name != against}
    asked = {name: found["p_value"] for name, found in rest.items() if found["p_value"] is not None}
    adjusted = holm(asked)
    return {
        "answer": answer(primary),
        "metric": metric.name,
        "against": against,
        "better_than": against if answer(primary) == "better" else None,
        **primary,
        "others": {name: {**found, "adjusted": adjusted.get(name)} for name, found in rest.items()},
    }


def answer(found: Mapping[str, Any]) -> str:
    """What a difference with its interval says, in a word or two."""
    if found["low"] is None:
        return "too few"
    return "better" if found["low"] > 0 else "worse" if found["high"] < 0 else "not shown"


def difference(metric: Metric, one: Answers, other: Answers, groups: Sequence[str | None] | None) -> dict[str, Any]:
    """By how much one model is better than another on the same rows, how sure that is, and what could have been seen.

    `mcnemar` is given for independent rows and accuracy.
    """
    units = units_of(groups, len(one.labels))
    sign = 1.0 if metric.better == "higher" else -1.0
    value = sign * (metric.of(one) - metric.of(other))
    found: dict[str, Any] = dict.fromkeys(("low", "high", "p_value", "mcnemar", "smallest"))
    if why := too_few(one, units, by_class=metric.by_class):
        return {"difference": finite(value), **found, "how": why}
    compared = asdict(paired(metric, one, other, units))
    alone = len(set(units.tolist())) == len(units)
    if metric.name == "accuracy" and alone and isinstance(one, Predictions) and isinstance(other, Predictions):
        found["mcnemar"] = mcnemar(one, other)
    found |= {key: finite(compared[key]) for key in ("difference", "low", "high", "p_value", "smallest")}
    how = "paired bootstrap" + ("" if alone else " over groups")
    return {**found, "how": how if found["low"] is not None else "not defined in most draws"}
