"""How numbers, names and the verdict are written: alike on the page, in the terminal and on the card."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")

METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "weighted_precision": "weighted precision",
    "weighted_recall": "weighted recall",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "loss": "loss",
}


def metric(name: str) -> str:
    """The name of a metric as people write it."""
    return METRICS.get(name) or line(name)


def score(value: float | None) -> str:
    """A score with three decimals."""
    return "n/a" if value is None else f"{value:.3f}"


def interval(estimate: Mapping[str, float | None]) -> str:
    """0.861 [0.840, 0.881], or the value alone where no interval could be computed."""
    low, high = estimate["low"], estimate["high"]
    value = score(estimate["value"])
    return value if low is None or high is None else f"{value} [{low:.3f}, {high:.3f}]"


def number(value: float | None) -> str:
    """A number with four significant digits."""
    return "n/a" if value is None else f"{value:.4g}"


def count(value: int, noun: str = "") -> str:
    """1,057 rows; the noun is given in the singular."""
    if not noun:
        return f"{value:,}"
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{value:,} {noun if value == 1 else plural}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(bytes_: int | None) -> str:
    """Bytes as gigabytes."""
    return "n/a" if bytes_ is None else f"{bytes_ / 1e9:.2f} GB"


def line(text: str) -> str:
    """The text on one line, without the characters that would steer a terminal or that XML cannot hold."""
    return UNPRINTABLE.sub(" ", text).strip()


def clip(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    whole = line(text)
    return whole if len(whole) <= limit else whole[: limit - 1].rstrip() + "…"


def settings(plan: Mapping[str, Any], reasons: Mapping[str, str], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(dotted key, value as in YAML, reason) of every setting; a group with its own reason stays whole."""
    for name, value in plan.items():
        key = prefix + name
        if isinstance(value, Mapping) and value and key not in reasons:
            yield from settings(value, reasons, f"{key}.")
        else:
            written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield key, written, reasons.get(key, "")


def title(report: Mapping[str, Any]) -> str:
    """What was tuned, for what."""
    labels = [clip(label, 24) for label in report["labels"]]
    aim = f"{labels[0]} from {labels[1]}" if len(labels) == 2 else f"{count(len(labels), 'class')} apart"
    return f"{line(report['model'])}, tuned to tell {aim}"


def verdict_metric(report: Mapping[str, Any]) -> str:
    """The metric that chose the epoch, or accuracy where guessing has no value of that metric."""
    name: str = report["best"]["metric"]
    return name if report["baselines"]["majority"].get(name) is not None else "accuracy"


def what(report: Mapping[str, Any]) -> str:
    """What was tuned on how many rows of what."""
    rows = count(report["rows"]["train"], "row")
    return f"{line(report['model'])} was fine-tuned on {rows} of {line(PurePath(report['data']['source']).name)}."


def evaluate(report: Mapping[str, Any]) -> str:
    """The command that opens the seal."""
    return f"finetooth evaluate {shlex.quote(line(report['path']))}"


def verdict(report: Mapping[str, Any]) -> str:
    """How good the model is, against answering the commonest class to everything."""
    name = verdict_metric(report)
    majority = report["baselines"]["majority"]
    guess = majority[name]
    guessing = f"Always answering “{clip(majority['label'], 40)}” would score {score(guess)}"
    rows = count(report["rows"]["test"], "test row")
    if report["test"] is None:
        return (
            f"On the validation rows its {metric(name)} is {score(report['validation'][name])}. {guessing}. "
            "The validation rows also chose the epoch, which flatters the model a little; "
            f"the {rows} that would tell are still sealed."
        )
    estimate = report["test"][name]
    low, high = estimate["low"], estimate["high"]
    if low is None or high is None:
        weighed = ""
    elif low > guess:
        weighed = ", which lies below the whole interval"
    elif high < guess:
        weighed = ", which lies above the whole interval: the model is worse than guessing"
    else:
        weighed = ", which lies inside the interval: the model is not shown to be better than guessing"
    clean = report["without_leaks"]
    if clean is None:
        return f"On {rows} it never saw, its {metric(name)} is {interval(estimate)}. {guessing}{weighed}."
    return (
        f"On {rows} its {metric(name)} is {interval(estimate)}; {count(clean['left_out'])} of them stand in other "
        f"parts too, and on the {count(clean['rows'])} it never saw it is {interval(clean['scores'][name])}. "
        f"{guessing}{weighed}."
    )


def opened(report: Mapping[str, Any]) -> str:
    """The note beside the test scores."""
    openings, rows = report["seal"]["openings"], count(report["seal"]["rows"], "row")
    note = f"opening {openings} of these {rows}"
    if openings > 1:
        note += "; a score picked after earlier looks is optimistic"
    return note


def shown(report: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The rows that tables and figures by class speak of: test once opened, else validation."""
    part = "validation" if report["test"] is None else "test"
    return part, report["detail"][part]
