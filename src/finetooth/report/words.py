"""How numbers, names and the verdict are written: alike on the page, in the terminal and on the card."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from finetooth.tags import Scheme

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
    "perplexity": "perplexity",
    "token_accuracy": "token accuracy",
    "reward_accuracy": "reward accuracy",
    "exact_match": "exact match",
    "token_f1": "token F1",
    "bleu": "BLEU",
    "chrf": "chrF",
    "rouge_1": "ROUGE-1",
    "rouge_2": "ROUGE-2",
    "rouge_l": "ROUGE-L",
    "mean_average_precision": "mAP",
    "micro_f1": "micro F1",
    "samples_f1": "F1 by rows",
    "subset_accuracy": "all labels right",
    "entity_f1": "entity F1",
    "entity_precision": "entity precision",
    "entity_recall": "entity recall",
    "macro_entity_f1": "macro entity F1",
    "strict_entity_f1": "strict entity F1",
    "word_accuracy": "word accuracy",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}

BASELINES = {
    "mean": "mean",
    "majority": "commonest label",
    "tfidf": "words and letters",
    "lookup": "word's own tag",
    "frozen_probe": "linear probe",
    "untuned": "before tuning",
    "scratch": "from scratch",
}


def metric(name: str) -> str:
    """The name of a metric as people write it."""
    return METRICS.get(name) or line(name)


def score(value: float | None) -> str:
    """A score with three decimals."""
    return "n/a" if value is None else f"{value:.3f}"


def interval(estimate: Mapping[str, Any]) -> str:
    """0.861 [0.840, 0.881], or the value alone where no interval could be computed."""
    low, high = estimate["low"], estimate["high"]
    value = score(estimate["value"])
    return value if low is None or high is None else f"{value} [{low:.3f}, {high:.3f}]"


def signed(estimate: Mapping[str, Any]) -> str:
    """A difference with its sign: +0.079 [+0.055, +0.103]."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "n/a"
    return f"{value:+.3f}" if low is None or high is None else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def missing(estimates: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Why some scores have no interval, a sentence for each reason."""
    reasons: dict[str, list[str]] = {}
    for name, estimate in estimates.items():
        if estimate["low"] is None or estimate["high"] is None:
            reasons.setdefault(estimate["how"], []).append(metric(name))
    for how, names in reasons.items():
        whose = "any score" if len(names) == len(estimates) else ", ".join(names)
        yield f"No interval for {whose}: {line(how)}."


def p_value(value: float | None) -> str:
    """A p-value with three decimals, or that it is smaller."""
    return "<0.001" if value is not None and value < 0.001 else score(value)


def p_equals(value: float | None) -> str:
    """p = 0.012, or p < 0.001."""
    return "p < 0.001" if value is not None and value < 0.001 else f"p = {score(value)}"


def baseline(name: str) -> str:
    """The short name of a baseline, for tables and charts."""
    return BASELINES.get(name) or line(name)


def fold(told: Mapping[str, Any], repeats: int) -> str:
    """How a fold is called; the deal is told where the rows were dealt several times."""
    return f"repeat {told['repeat']}, fold {told['fold']}" if repeats > 1 else f"fold {told['fold']}"


def number(value: float | None) -> str:
    """A number with four significant digits."""
    return "n/a" if value is None else f"{value:.4g}"


def value(given: Any) -> str:
    """A value of the plan, as people write it."""
    if isinstance(given, float):
        return f"{given:.4g}"
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


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
    if not labels:
        does = {"seq2seq": "write", "preference": "answer as is preferred"}.get(report["plan"]["task"], "answer")
        return f"{line(report['model'])}, tuned to {does}"
    if report["kind"] == "numbers":
        return f"{line(report['model'])}, tuned to foretell {labels[0]}"
    if report["kind"] == "any-of":
        return f"{line(report['model'])}, tuned to find {count(len(labels), 'label')}"
    if report["kind"] == "tags":
        scheme = Scheme.of(report["labels"])
        kinds = count(len(scheme.kinds), "type" if scheme.marks else "tag")
        return f"{line(report['model'])}, tuned to " + (
            f"find entities of {kinds}" if scheme.marks else f"tell {kinds} of words apart"
        )
    aim = f"{labels[0]} from {labels[1]}" if len(labels) == 2 else f"{count(len(labels), 'class')} apart"
    return f"{line(report['model'])}, tuned to tell {aim}"


def what(report: Mapping[str, Any]) -> str:
    """What was tuned on how many rows of what."""
    rows = count(report["rows"]["train"], "row")
    return f"{line(report['model'])} was fine-tuned on {rows} of {line(PurePath(report['data']['source']).name)}."


def evaluate(report: Mapping[str, Any]) -> str:
    """The command that opens the seal."""
    return f"finetooth evaluate {shlex.quote(line(report['path']))}"


ANSWERS = {
    "better": "Better than the strongest baseline",
    "worse": "Worse than the strongest baseline",
    "not shown": "Not shown to be better than the strongest baseline",
    "too few": "Too few test rows to tell",
}


def answer(report: Mapping[str, Any]) -> str:
    """The verdict in a few words."""
    if report["verdict"] is not None:
        return ANSWERS[report["verdict"]["answer"]]
    return "No verdict yet: the test rows are sealed" if report["rows"]["test"] else "No verdict: no test rows"


def verdict(report: Mapping[str, Any]) -> str:
    """Whether tuning was worth it, in two sentences, and what stands beside them."""
    return " ".join([judgement(report), *besides(report)])


def judgement(report: Mapping[str, Any]) -> str:
    """Two sentences: the tuned model against the strongest baseline, and how sure that is."""
    return " ".join(_sealed(report) if report["verdict"] is None else _judged(report, report["verdict"]))


def besides(report: Mapping[str, Any]) -> list[str]:
    """What a verdict must not hide: baselines that overtook, test rows that leaked, how other seeds came out."""
    return [*_overtaking(report), *_without_leaks(report), *_seeds(report)]


def _sealed(report: Mapping[str, Any]) -> list[str]:
    name, strongest = report["goal"]["metric"], report["strongest"]
    rows = report["rows"]
    against = score(report["baselines"][strongest]["validation"].get(name))
    told = (
        f"On the {count(rows['validation'], 'validation row')} its {metric(name)} is "
        f"{score(report['validation'][name])}; {_strongest(report, strongest)} scores {against} there."
    )
    flattered = "The validation rows also chose the epoch, which flatters the model a little"
    if not rows["test"]:
        return [told, f"{flattered}; no rows were set aside to tell whether tuning paid."]
    sealed = f"the {count(rows['test'], 'test row')}, which stay sealed until finetooth evaluate opens them"
    return [told, f"{flattered}; whether tuning paid is told by {sealed}."]


def _judged(report: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    name, against = found["metric"], found["against"]
    seen = "it never saw" if report["without_leaks"] is None else "set aside for the test"
    scores = (
        f"{_strongest(report, against)}: on {count(report['rows']['test'], 'row')} {seen}, its {metric(name)} is "
        f"{interval(report['test'][name])} against {score(report['baselines'][against]['test'].get(name))}"
    )
    chosen = "this comparison was chosen on the validation rows, before the test rows were opened"
    gap = difference(found)
    if found["answer"] == "too few":
        return [
            f"There are too few test rows to tell whether the tuned model is better than {scores}.",
            f"The reason: {line(gap['how'])}; {chosen}.",
        ]
    if found["answer"] == "not shown":
        told = f"The tuned model is not shown to be better than {scores}, a difference of {signed(gap)}."
        least = f"a true difference of {score(found['smallest'])} would be shown 80 times out of 100 on so many rows"
        return [told, f"{_chance(found['p_value'])}; {least}, and {chosen}."]
    if found["answer"] == "worse":
        gap = {"value": abs(gap["value"]), "low": abs(gap["high"]), "high": abs(gap["low"])}  # all are below 0
    told = f"The tuned model is {found['answer']} than {scores}, {found['answer']} by {interval(gap)}."
    return [told, f"{_chance(found['p_value'])}; {chosen}."]


def difference(found: Mapping[str, Any]) -> dict[str, Any]:
    """A difference with its interval, as one estimate."""
    return {"value": found["difference"], **{key: found[key] for key in ("low", "high", "how")}}


def _strongest(report: Mapping[str, Any], name: str) -> str:
    """The baseline with how many it was chosen from."""
    all_ = len(report["baselines"])
    chosen = f"the strongest of {all_} baselines" if all_ > 1 else "the only baseline"
    return f"{chosen} ({clip(report['baselines'][name]['says'], 90)})"


def _chance(p: float | None) -> str:
    if p is None:
        return "How often chance alone would show such a difference could not be computed"
    of_thousand = "fewer than 1" if p < 0.001 else f"about {round(1000 * p):,}"
    return (
        f"Were the two equally good, chance alone would show a difference this large in {of_thousand} of 1,000 "
        f"such tests ({p_equals(p)})"
    )


def _overtaking(report: Mapping[str, Any]) -> Iterator[str]:
    """Baselines that do better on the test rows than the one which the validation rows chose."""
    if report["verdict"] is None:
        return
    name, against = report["verdict"]["metric"], report["verdict"]["against"]
    sign = 1 if report["goal"]["better"] == "higher" else -1
    scores = {key: row["test"].get(name) for key, row in report["baselines"].items()}
    for key, value in scores.items():
        if value is not None and scores[against] is not None and sign * value > sign * scores[against]:
            yield f"On the test rows another baseline ({baseline(key)}) does better than that one: {score(value)}."


def _without_leaks(report: Mapping[str, Any]) -> Iterator[str]:
    clean = report["without_leaks"]
    if clean is not None and not clean["rows"]:
        yield "Every one of the test rows stands in another part too, so nothing tells how it does on unseen rows."
    elif clean is not None:
        name = report["goal"]["metric"]
        verb = "stands" if clean["left_out"] == 1 else "stand"
        yield (
            f"{count(clean['left_out'])} of the test rows {verb} in other parts too, and on the "
            f"{count(clean['rows'])} it never saw its {metric(name)} is {interval(clean['scores'][name])}."
        )


def _seeds(report: Mapping[str, Any]) -> Iterator[str]:
    seeds = report["seeds"]
    if seeds is not None:
        part = "validation" if seeds["test"] is None else "test"
        over = seeds[part]
        yield (
            f"Trained with {count(len(over['values']), 'seed')}, its {metric(seeds['metric'])} on the {part} rows is "
            f"{score(over['mean'])} on average, with a spread of {score(over['spread'])}, and {score(over['worst'])} "
            "at worst."
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
