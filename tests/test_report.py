"""The report says what report.json says, on a page that is sound, safe and alone."""

import copy
import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from rich.console import Console

from finetooth.report import card, diagnose, html, show, show_comparison

VOID = {"meta", "link", "br", "img", "input", "hr"}
METRICS = ["accuracy", "macro_f1", "weighted_f1", "auroc", "average_precision", "loss"]


def detail(labels: list[str]) -> dict[str, Any]:
    """Class n has 20 + n rows, of which 3 are taken for the next class."""
    classes = len(labels)
    confusion = [[0] * classes for _ in labels]
    for n in range(classes):
        confusion[n][n] = 17 + n
        confusion[n][(n + 1) % classes] += 3
    curve = [[n / 400, (n / 400) ** 0.2] for n in range(401)]
    return {
        "classes": [
            {
                "label": label,
                "precision": 0.5 + n / 1000,
                "recall": 0.6 + n / 1000,
                "f1": 0.7 + n / 1000,
                "rows": 20 + n,
                "predicted": 1020 + n,
            }
            for n, label in enumerate(labels)
        ],
        "confusion": confusion,
        "roc": dict.fromkeys(labels[1:] if classes == 2 else labels, curve),
        "precision_recall": dict.fromkeys(labels[1:] if classes == 2 else labels, curve),
        "sensitivity": [{"specificity": 0.9, "sensitivity": 0.813, "threshold": 0.437}] if classes == 2 else [],
        "worst": [
            {
                "id": "r77",
                "inputs": {"text": "never a dull moment " * 40},
                "label": labels[0],
                "predicted": labels[1],
                "probability": 0.987,
            }
        ],
    }


def estimate(value: float, half: float | None = None) -> dict[str, Any]:
    """A value with an interval of this half width, or why it has none."""
    if half is None:
        return {"value": value, "low": None, "high": None, "how": "too few rows (120; at least 200 are needed)"}
    return {"value": value, "low": value - half, "high": value + half, "how": "BCa"}


def baselines(labels: list[str], opened: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    told = {
        "majority": (f"always answering “{labels[1]}”", 0.512),
        "tfidf": ("TF-IDF of words and letters with a linear classifier", 0.645),
        "frozen_probe": ("a linear probe of the untouched model", 0.633),
        "untuned": ("the model before tuning", 0.498),
    }
    for name, (says, accuracy) in told.items():
        scores = {"accuracy": accuracy + 0.01, "macro_f1": accuracy - 0.178, "auroc": None}
        test = {"accuracy": accuracy, "macro_f1": accuracy - 0.178, "auroc": None} if opened else None
        found[name] = {"says": says, "rows": 8454, "seconds": 2.25, "validation": scores, "test": test}
    found["majority"]["label"] = labels[1]
    return found


def gap(value: float, half: float | None = None) -> dict[str, Any]:
    """A difference as the verdict has it."""
    told = estimate(value, half)
    return {"difference": told.pop("value"), **told}


def judged(answer: str = "better", value: float = 0.056, half: float | None = 0.031) -> dict[str, Any]:
    """The verdict against words and letters, which score 0.645 on the test rows."""
    other = {"p_value": 0.0113, "smallest": 0.0377}
    return {
        "answer": answer,
        "metric": "accuracy",
        "against": "tfidf",
        **gap(value, half),
        "p_value": 0.0004,
        "mcnemar": 0.00061,
        "smallest": 0.0443,
        "others": {
            "majority": {**gap(0.189, 0.04), "adjusted": 0.0004, **other},
            "frozen_probe": {**gap(0.068, 0.03), "adjusted": 0.0226, **other},
            "untuned": {**gap(0.203, 0.04), "adjusted": 0.0004, **other},
        },
    }


def calibration(opened: bool) -> dict[str, Any]:
    def state(ece: float) -> dict[str, Any]:
        bins = [{"confidence": 0.5 + n / 30, "right": 0.5 + n / 30 - ece, "rows": 70} for n in range(15)]
        return {"loss": 0.4567, "brier": 0.2468, "ece": estimate(ece, 0.011), "floor": 0.0141, "bins": bins}

    states, curve = {"before": state(0.0832), "after": state(0.0213)}, [[n / 100, 1 - n / 600] for n in range(1, 101)]
    return {
        "temperature": 1.737,
        "applied": "in the last layer",
        "rows": 1056,
        "validation": states,
        "test": states if opened else None,
        "abstention": {"validation": curve, "test": curve if opened else None},
    }


def extras(labels: list[str]) -> dict[str, Any]:
    """What a report may hold besides, once the test rows are open."""
    ages = [("up to 12 tokens", 0.66, 301), ("13 to 24 tokens", 0.71, 420), ("over 24 tokens", 0.73, 336)]
    table = [{"column": "length", "slice": name, "rows": n, "estimate": estimate(v, 0.05)} for name, v, n in ages]
    table.append({"column": "source", "slice": "forum", "rows": 120, "estimate": estimate(0.617)})
    seeds = {"values": {"1": 0.711, "2": 0.703, "3": 0.522}, "mean": 0.6453, "spread": 0.1069, "worst": 0.522}
    return {
        "decisions": {
            "goal": "macro_f1",
            "weights": dict.fromkeys(labels, 1.284),
            "held": [labels[0]],
            "validation": {"before": 0.8012, "after": 0.8123},
            "test": {"before": 0.7001, "after": 0.7119},
        },
        "slices": {
            "metric": "accuracy",
            "table": table,
            "gaps": [
                {
                    "column": "length",
                    "best": "over 24 tokens",
                    "worst": "up to 12 tokens",
                    "difference": estimate(0.07, 0.06),
                }
            ],
            "weakest": table[0],
        },
        "robustness": {
            "metric": "accuracy",
            "clean": 0.7011,
            "table": [
                {"perturbation": "typos", "changed": 1031, "value": 0.6633, "difference": estimate(-0.0378, 0.012)}
            ],
        },
        "forgetting": {
            "probe": "The model fills in words left out of general text.",
            "rows": 512,
            "before": estimate(0.5512, 0.03),
            "after": estimate(0.4416, 0.03),
            "difference": estimate(-0.1096, 0.02),
        },
        "seeds": {"metric": "accuracy", "validation": seeds, "test": seeds, "degenerate": {"3": "one class only"}},
    }


def example(labels: list[str] | None = None, opened: bool = True) -> dict[str, Any]:
    labels = labels or ["negative", "positive"]
    validation = {name: 0.901 + n / 100 for n, name in enumerate(METRICS)}
    test = {name: estimate(v - 0.2, 0.1) for name, v in validation.items()}
    report = {
        "finetooth": "0.1.0",
        "path": "runs/run",
        "name": "run",
        "made": "2026-11-21T05:00:00+00:00",
        "task": "text-classification",
        "kind": "one-of",
        "pipeline": ["text-classification", '"a text"'],
        "model": "minilm",
        "data": {"source": "reviews.csv", "input": ["text"], "label": "stars", "fingerprint": "ab12cd"},
        "labels": labels,
        "rows": {"train": 8454, "validation": 1056, "test": 1057},
        "truncated": {"rows": 3, "max_length": 129},
        "plan": {"epochs": 2, "learning_rate": 1e-4, "split": {"seed": 5, "stratify": True}, "adapter": None},
        "reasons": {"learning_rate": "a small model takes larger steps", "split.seed": "never moved by seed"},
        "epochs": [
            {
                "step": 1265 * n,
                "epoch": float(n),
                "loss": 0.555 - n / 10,
                "eval_loss": 0.444 - n / 10,
                "eval_accuracy": 0.823 + n / 100,
                "eval_macro_f1": 0.813 + n / 100,
                "learning_rate": 1e-4 / n,
                "grad_norm": 3.14 * n,
                "rates": [1.0, 0.55, 0.0, 0.0],
                "seconds": 40.1,
                "rows_per_second": 210.7,
            }
            for n in (1, 2)
        ],
        "best": {"step": 2530, "epoch": 2.0, "metric": "accuracy", "better": "higher", "value": 0.901},
        "validation": validation,
        "test": test if opened else None,
        "without_leaks": None,
        "detail": {"validation": detail(labels), **({"test": detail(labels)} if opened else {})},
        "baselines": baselines(labels, opened),
        "left_out": ["The same network was not trained from scratch: that would take over an hour."],
        "goal": {"metric": "accuracy", "better": "higher"},
        "strongest": "tfidf",
        "verdict": judged() if opened else None,
        "calibration": calibration(opened),
        "mismatch": {
            "probe_gain": estimate(0.0421, 0.0207),
            "centroid": 0.7373,
            "score": 1.2345,
            "says": "The untouched model knows more of this task than its words do.",
            "helps": True,
        },
        **dict.fromkeys(("decisions", "slices", "robustness", "forgetting", "seeds")),
        "diagnosis": [{"name": "overfitting", "severity": "warning", "says": "It rose.", "advice": "Stop earlier."}],
        "findings": [
            {
                "check": "duplicates",
                "severity": "error",
                "says": "Twice there.",
                "remedy": "Keep one.",
                "count": 1414,
            }
        ],
        "seal": {
            "openings": int(opened),
            "head": "9f" * 32 if opened else None,
            "rows": 1057,
            "digest": "c0ffee",
        },
        "seconds": {"prepare": 3.1, "train": 85.0, "evaluate": 1.9},
        "peak_memory_bytes": 1_510_000_000,
        "cost": 0.0123,
        "machine": {"device": "cpu", "precision": "bf16", "threads": 2, "torch": "2.13.0"},
        "repeat": "finetooth train reviews.csv --model minilm --out run",
    }
    return report | (extras(labels) if opened else {})


class Page(HTMLParser):
    """Collects a page's text and attributes, and insists that every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data + " "

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]

    def words(self) -> str:
        return " ".join(self.text.split())


MANY = [f"class {n}" for n in range(30)]
VARIANTS = {
    "opened": example(),
    "sealed": example(opened=False),
    "19 classes": example(MANY[:19]),
    "30 classes": example(MANY),
    "150 classes": example([f"class {n}" for n in range(150)]),
    "single evaluation": example() | {"epochs": example()["epochs"][1:]},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_page_is_sound_and_alone(variant: str) -> None:
    source = html(VARIANTS[variant])
    page = Page(source)
    assert len(source) < 500_000
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert page.tags.count("h1") == 1 and page.tags.count("main") == 1
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("caption") == page.tags.count("table")
    links = page.values("href") + page.values("aria-labelledby") + re.findall(r"url\(([^)]*)\)", source)
    for link in links:
        assert link.lstrip("#") in ids
    assert page.values("src") == [] and "@import" not in source and "script" not in page.tags
    assert "http" not in source
    images = [labels for tag, name, labels in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(images) == page.tags.count("svg") == 8 and all(images)


def test_colours_and_type_come_from_the_page() -> None:
    source = html(example(MANY[:4]))
    for svg in re.findall(r"<svg.*?</svg>", source, re.DOTALL):
        assert not re.search(r"#[0-9a-f]{6}\b", svg)
        assert "font-family" not in svg
    used = set(re.findall(r"var\((--[a-z0-9-]+)", source))
    light, dark = source.split("@media screen and (prefers-color-scheme: dark)")
    for name in used - {"--width", "--rate"}:
        assert f"{name}:" in light and f"{name}:" in dark


def test_page_shows_the_numbers_of_the_dict() -> None:
    text = Page(html(example())).words()
    report = example()
    for name in METRICS:
        assert f"{report['validation'][name]:.3f}" in text
        cell = report["test"][name]
        assert f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]" in text
    for row in report["detail"]["test"]["classes"]:
        for key in ("precision", "recall", "f1"):
            assert f"{row[key]:.3f}" in text
        assert f"{row['rows']}" in text and f"{row['predicted']:,}" in text
    for epoch in report["epochs"]:
        for key in ("loss", "eval_loss", "eval_accuracy", "eval_macro_f1"):
            assert f"{epoch[key]:.3f}" in text
        assert f"{epoch['step']:,}" in text and f"{epoch['grad_norm']:.4g}" in text
    for told in (
        *(
            "8,454",
            "1,056",
            "1,057",
            "0.512",
            "0.334",
            "0.813",
            "0.437",
            "0.987",
            "r77",
            "1,414",
            "129 tokens",
        ),
        *("ab12cd", "c0ffee", "9f" * 32, "3.1 s", "1 min 25 s", "1.51 GB", "0.0123", "2.13.0", "210.7"),
        *("split.seed", "never moved by seed", "a small model takes larger steps", "0.0001", "null", "true"),
        *(
            "1 layer at 1, 1 layer at 0.55, 2 layers frozen",
            "opening 1 of these 1,057 rows",
            "Keep one.",
            "Stop earlier.",
            report["repeat"],
        ),
    ):
        assert told in text, told
    assert "never a dull moment " * 40 not in text and "never a dull moment never" in text


def test_confusion_is_annotated_up_to_twenty_classes() -> None:
    assert "85%" in Page(html(example(MANY[:20]))).text  # 17 of the 20 rows of the first class
    heat = Page(html(example(MANY[:21]))).text
    assert "85%" not in heat and "50% of the row" in heat


def test_at_most_six_classes_share_a_chart() -> None:
    report = example(MANY[:9])
    (roc,) = re.findall(r'aria-label="ROC curve for ([^"]*);', html(report))
    assert roc == "class 8, class 7, class 6, class 5, class 4, class 3"


def test_sealed_page_keeps_the_test_rows_out_of_it() -> None:
    report = example(opened=False)
    text = Page(html(report)).words()
    assert "No verdict yet: the test rows are sealed" in text and "finetooth evaluate runs/run" in text
    assert "its accuracy is 0.901; the strongest of 4 baselines (TF-IDF" in text and "scores 0.655 there" in text
    assert "Classes on the validation rows" in text and "none yet" in text
    assert "chosen beforehand" not in text


def test_run_without_test_rows_is_told_so() -> None:
    report = example(opened=False)
    report["rows"]["test"] = report["seal"]["rows"] = 0
    page, summary = Page(html(report)).words(), terminal(report)
    assert "No verdict: no test rows" in page and "sealed" not in page.split("Repeat it")[0]
    for told in (page, card(report), summary):
        assert "no rows were set aside" in told and "finetooth evaluate" not in told


@pytest.mark.parametrize(
    ("answer", "value", "half", "says"),
    [
        ("better", 0.056, 0.031, "is better than the strongest of 4 baselines (TF-IDF of words and letters"),
        ("better", 0.056, 0.031, "against 0.645, better by 0.056 [0.025, 0.087]. Were the two equally good, chance"),
        ("better", 0.056, 0.031, "in fewer than 1 of 1,000 such tests (p < 0.001); this comparison was chosen on the"),
        ("worse", -0.056, 0.031, "is worse than the strongest of 4 baselines"),
        ("worse", -0.056, 0.031, "worse by 0.056 [0.025, 0.087]"),
        ("not shown", 0.006, 0.01, "is not shown to be better than the strongest of 4 baselines"),
        ("not shown", 0.006, 0.01, "a difference of +0.006 [-0.004, +0.016]"),
        ("not shown", 0.006, 0.01, "a true difference of 0.044 would be shown 80 times out of 100"),
        ("too few", 0.056, None, "too few test rows to tell whether the tuned model is better than the strongest"),
        ("too few", 0.056, None, "The reason: too few rows (120; at least 200 are needed); this comparison was chosen"),
    ],
)
def test_verdict(answer: str, value: float, half: float | None, says: str) -> None:
    report = example() | {"verdict": judged(answer, value, half)}
    marked = card(report).replace("\\", "").replace("&lt;", "<")
    for told in (Page(html(report)).words(), marked, terminal(report)):
        assert says in told
        assert "its accuracy is 0.701 [0.601, 0.801] against 0.645" in told
        assert "significant" not in told


def test_verdict_tells_of_chance_in_numbers() -> None:
    report = example()
    report["verdict"]["p_value"] = 0.012
    assert "in about 12 of 1,000 such tests (p = 0.012)" in terminal(report)
    report["verdict"]["p_value"] = None
    assert "chance alone would show such a difference could not be computed" in terminal(report)


def test_verdict_hides_neither_leaks_nor_seeds_nor_a_baseline_that_overtook() -> None:
    report = example()
    report["without_leaks"] = {"rows": 1040, "left_out": 17, "scores": {"accuracy": estimate(0.688, 0.01)}}
    report["baselines"]["frozen_probe"]["test"]["accuracy"] = 0.669
    for told in (Page(html(report)).words(), card(report).replace("\\", ""), terminal(report)):
        assert "it never saw, its" not in told
        assert (
            "17 of the test rows stand in other parts too, and on the 1,040 it never saw its accuracy is 0.688 ["
            in told
        )
        assert "Trained with 3 seeds, its accuracy on the test rows is 0.645 on average, with a spread of 0.107" in told
        assert "another baseline (linear probe) does better than that one: 0.669" in told


def test_a_metric_that_is_better_when_lower() -> None:
    report = example() | {"goal": {"metric": "loss", "better": "lower"}}
    report["verdict"]["metric"] = "loss"
    for name, loss in (("majority", 0.69), ("tfidf", 0.61), ("frozen_probe", 0.64), ("untuned", 0.72)):
        for part in ("validation", "test"):
            report["baselines"][name][part]["loss"] = loss
    page = Page(html(report))
    assert page.tags.count("svg") == 7, "the ruler is for scales from 0 to 1"
    assert "another baseline" not in page.words() and "its loss is 0.751 [0.651, 0.851] against 0.610" in page.words()
    rows = ["strongest", "a linear probe", "always answering", "the model before"]
    places = [page.words().split("The tuned model and each baseline, by loss")[1].index(row) for row in rows]
    assert places == sorted(places)


def test_what_is_null_has_no_heading() -> None:
    headings = {
        "decisions": "Decisions",
        "slices": "Where it is weak",
        "robustness": "When the input is rough",
        "forgetting": "What it forgot",
        "seeds": "Other seeds",
    }
    full, bare = example(), example() | dict.fromkeys(headings)
    for report, there in ((full, True), (bare, False)):
        page = Page(html(report))
        for key, heading in headings.items():
            assert (heading in page.text) is there and (f"#{key}" in page.values("href")) is there
    empty = example() | {"left_out": []}
    empty["slices"] |= {"table": [], "weakest": None, "gaps": []}
    empty["robustness"]["table"] = []
    page = Page(html(empty))
    for gone in ("Where it is weak", "When the input is rough", "could not be had"):
        assert gone not in page.text
    assert not {"#slices", "#robustness"} & set(page.values("href"))


def test_page_shows_what_a_reviewer_asks_for() -> None:
    text = Page(html(example())).words()
    for told in (
        *(
            "+0.056 [+0.025, +0.087]",
            "+0.068 [+0.038, +0.098]",
            "0.044",
            "0.038",
            "0.011",
            "0.023",
            "chosen beforehand",
        ),
        *("McNemar", "TF-IDF of words and letters with a linear classifier (strongest)", "not trained from scratch"),
        *(
            "Temperature 1.737, fitted on 1,056 validation rows and applied in the last layer",
            "0.457",
            "0.247",
            "0.014",
        ),
        *("0.083 [0.072, 0.094]", "0.021 [0.010, 0.032]", "80 %: accuracy 0.867"),
        *("1.284", "0.801", "0.812", "0.700", "0.712", "Too rare to be given a weight: negative."),
        "The weakest slice of the test rows is length “up to 12 tokens”: accuracy 0.660 [0.610, 0.710] on 301 rows.",
        *("0.617 too few rows (120; at least 200 are needed)", "+0.070 [+0.010, +0.130]"),
        *("typos", "1,031", "0.663", "-0.038 [-0.050, -0.026]"),
        *("fills in words left out", "512 rows", "0.551 [", "0.442 [", "-0.110 [-0.130, -0.090]"),
        *("knows more of this task than its words do", "+0.042 [+0.021, +0.063] BCa", "accuracy 0.737", "1.234"),
        *("0.711", "0.703", "0.522", "0.645", "0.107", "Seed 3 went wrong: one class only"),
    ):
        assert told in text, told
    report = example()
    report["calibration"]["applied"] = "not applied: it would have made validation loss worse"
    assert "validation rows, not applied: it would have" in Page(html(report)).words()


def test_marks_lie_on_their_scale() -> None:
    """Also where the numbers are none, one, or far from each other."""
    report = example()
    report["verdict"]["others"]["frozen_probe"] |= gap(12.5)
    report["robustness"]["table"] = [
        {"perturbation": "typos", "changed": 0, "value": 0.7011, "difference": estimate(0.0, 0.0)}
    ]
    for style in Page(html(report)).values("style"):
        for place in re.findall(r"(?:left:|- )(-?[\d.]+)%", style):
            assert 0 <= float(place) <= 100


def test_later_openings_are_told() -> None:
    report = example()
    report["seal"]["openings"] = 3
    for told in (Page(html(report)).words(), card(report), terminal(report)):
        assert "opening 3 of these 1,057 rows; a score picked after earlier looks is optimistic" in told


def test_null_values_are_shown_as_such() -> None:
    report = example()
    report["validation"]["auroc"] = None
    report["test"]["auroc"] = {"value": None, "low": None, "high": None, "how": "one class only"}
    report["verdict"] |= {"p_value": None, "mcnemar": None, "smallest": None}
    report["mismatch"] |= {"probe_gain": None, "centroid": None, "score": None}
    report["detail"]["test"]["classes"][0] |= {"precision": None, "f1": None}
    report["epochs"][0] |= {"grad_norm": None, "eval_loss": None}
    report |= {"cost": None, "peak_memory_bytes": None}
    words = Page(html(report)).words()
    for told in ("AUROC n/a one class only n/a", "positive 0.501", "negative n/a 0.600 n/a", "could not be computed"):
        assert told in words
    assert "McNemar" not in words and "H-score" not in words and "centre" not in words
    assert "| AUROC | n/a |" in card(report)
    assert "n/a" in terminal(report) and "No interval for AUROC: one class only." in terminal(report)
    for row in report["baselines"].values():
        row["validation"] = row["test"] = {"accuracy": None}
    assert "against n/a" in Page(html(report)).words()


def test_metric_of_the_user_s_own() -> None:
    report = example(opened=False)
    report["best"]["metric"] = report["goal"]["metric"] = "mine:cost<b>"
    report["validation"]["mine:cost<b>"] = 12.5
    page = Page(html(report))
    assert "mine:cost<b> (chose the epoch)" in page.words() and "its mine:cost<b> is 12.500" in page.words()
    assert "mine:cost&lt;b&gt;" in card(report) and "mine:cost<b>" in terminal(report)


def test_no_curves_no_section() -> None:
    report = example()
    report["detail"]["test"] |= {"roc": {}, "precision_recall": {}, "sensitivity": []}
    page = Page(html(report))
    assert "At every threshold" not in page.text and "#thresholds" not in page.values("href")
    assert page.tags.count("svg") == 6


HOSTILE = '</svg><script>alert("$x^2$")</script>\x0b{{ 7*191 }}'


def test_hostile_text_stays_text() -> None:
    report = example([HOSTILE, "日本 & co"])
    worst = report["detail"]["validation"]["worst"][0]
    worst["inputs"] = {HOSTILE: HOSTILE, "number": 3}
    worst["id"] = HOSTILE
    report["findings"][0]["says"] = HOSTILE
    report["plan"]["class_weights"] = {HOSTILE: 2.0}
    report["data"]["source"] = report["repeat"] = report["name"] = report["model"] = HOSTILE
    report["left_out"] = [HOSTILE]
    report["mismatch"]["says"] = report["forgetting"]["probe"] = report["calibration"]["applied"] = HOSTILE
    report["baselines"]["tfidf"]["says"] = report["test"]["accuracy"]["how"] = HOSTILE
    report["slices"]["table"][0] |= {"column": HOSTILE, "slice": HOSTILE}
    report["slices"]["gaps"][0] |= {"column": HOSTILE, "best": HOSTILE, "worst": HOSTILE}
    report["robustness"]["table"][0]["perturbation"] = report["seeds"]["degenerate"]["3"] = HOSTILE
    source = html(report)
    page = Page(source)
    assert "script" not in page.tags and "<script" not in source and "1337" not in page.text
    assert page.text.count("<script>alert") > 20
    assert "<script" not in card(report).split("---\n", 2)[2]
    assert "<script>" in terminal(report)


def test_terminal_is_not_steered_by_a_label() -> None:
    report = example(["\x1b[2Jgone", "\x9b31mred"])
    report["diagnosis"][0]["says"] = "The model answers “\x1b[2Jgone”."
    told = terminal(report)
    assert "\x1b" not in told and "\x9b" not in told and "[2Jgone" in told


def test_two_renderings_are_equal() -> None:
    for report in (example(), example(MANY)):
        before = copy.deepcopy(report)
        assert html(report) == html(copy.deepcopy(report))
        assert card(report) == card(copy.deepcopy(report))
        assert report == before


def test_importing_the_report_leaves_matplotlib_out() -> None:
    code = "import sys, finetooth.report; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# The card


@pytest.mark.parametrize("model", ["minilm", "owner/some-model", "../owner/model", "/models/x"])
def test_card_header(model: str) -> None:
    labels = ["yes", "no", "null", "a: b", "- c", "'quoted' \"twice\"", "# d", "日本", "1.0", " | x"]
    text = card(example(labels) | {"model": model})
    _, header, body = text.split("---\n", 2)
    told = yaml.safe_load(header)
    assert told["labels"] == labels
    assert told["library_name"] == "transformers" and told["pipeline_tag"] == "text-classification"
    assert told["tags"] == ["finetooth"]
    assert told.get("base_model") == (model if model == "owner/some-model" else None)
    for line in body.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3
    assert 'pipeline("text-classification", model="path/to/this/directory")' in body
    assert "Scores hold for rows like those of the data set" in body


def test_card_gives_intervals_once_opened_and_validation_before() -> None:
    assert "| accuracy | 0.701 \\[0.601, 0.801\\] |" in card(example())
    sealed = card(example(opened=False))
    assert "| accuracy | 0.901 |" in sealed and "still sealed" in sealed
    assert "| split.seed | 5 |" in sealed


# The terminal


def terminal(report: dict[str, Any]) -> str:
    out = io.StringIO()
    show(report, Console(file=out, width=100, color_system=None))
    return " ".join(out.getvalue().split())


def test_terminal_summary() -> None:
    opened = terminal(example())
    for told in (
        *("0.901", "0.701 [0.601, 0.801]", "8,454", "1 min 25 s", "1.51 GB", "cost 0.0123"),
        *("overfitting: It rose. Stop earlier.", "seal: opening 1 of these 1,057 rows", "positive"),
    ):
        assert told in opened, told
    assert "finetooth evaluate" not in opened
    sealed = terminal(example(opened=False))
    assert "finetooth evaluate run" in sealed and "[" not in sealed
    assert "cost" not in terminal(example() | {"cost": None})


def compared(**primary: Any) -> str:
    interval = {"first": estimate(0.861, 0.02), "second": estimate(0.843, 0.02), **gap(0.018, 0.015)}
    lower = interval | {**gap(0.031), "p_value": None, "adjusted": None}
    content = {
        "runs": ["[bold]big", "\x1b[2Jsmall"],
        "metric": "accuracy",
        "rows": 1057,
        "scores": {"accuracy": interval | {"p_value": 0.0191, "adjusted": 0.0382}, "loss": lower},
        "primary": {
            "answer": "first",
            **gap(0.018, 0.015),
            "p_value": 0.0191,
            "mcnemar": 0.0004,
            "smallest": 0.0217,
            **primary,
        },
        "says": "big is better than small.",
    }
    out = io.StringIO()
    show_comparison(content, Console(file=out, width=120, color_system=None))
    return " ".join(out.getvalue().split())


def test_comparison() -> None:
    told = compared()
    for wanted in (
        *("[bold]big and [2Jsmall on the same 1,057 rows", "big is better than small."),
        *("0.861 [0.841, 0.881]", "0.843 [0.823, 0.863]", "+0.018 [+0.003, +0.033]", "0.019", "0.038"),
        "No interval for loss: too few rows (120; at least 200 are needed).",
        "The comparison by accuracy was chosen beforehand: +0.018 [+0.003, +0.033], p = 0.019.",
        *("McNemar's exact test: p < 0.001.", "A true difference of 0.022 would be shown 80 times out of 100."),
    ):
        assert wanted in told, wanted
    assert "\x1b" not in told
    few = compared(answer="too few", **gap(0.018), p_value=None, mcnemar=None, smallest=None)
    assert "McNemar" not in few and "80 times" not in few and "p = n/a" in few


def test_terminal_shows_the_largest_classes_and_no_markup() -> None:
    labels = [f"[bold]class {n}" for n in range(30)]
    told = terminal(example(labels))
    assert "[bold]class 29 " in told and "[bold]class 10 " in told
    assert "[bold]class 9 " not in told and "10 more are in report.html" in told


# The diagnosis


def curves(*points: tuple[float, float, float]) -> list[dict[str, float]]:
    return [
        {"epoch": float(n), "loss": loss, "eval_loss": eval_loss, "eval_accuracy": accuracy}
        for n, (loss, eval_loss, accuracy) in enumerate(points, 1)
    ]


def answers(*predicted: int, rows: int = 10) -> dict[str, Any]:
    return {"classes": [{"rows": rows, "predicted": n} for n in predicted]}


HEALTHY = curves((0.6, 0.4, 0.8), (0.4, 0.3, 0.85), (0.3, 0.299, 0.86))


def names(epochs: list[dict[str, Any]], detail: dict[str, Any] | None = None) -> list[str]:
    detail = detail or answers(11, 9)
    labels = ["a", "b", "c", "d"][: len(detail["classes"])]
    return [item["name"] for item in diagnose(epochs, detail, labels, 0.5)]


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (HEALTHY, ["no sign of over- or underfitting"]),
        (curves((0.6, 0.4, 0.8), (0.4, 0.3, 0.85), (0.2, 0.316, 0.85)), ["overfitting"]),
        (curves((0.6, 0.4, 0.8), (0.4, 0.3, 0.85), (0.2, 0.314, 0.85)), ["no sign of over- or underfitting"]),
        (curves((0.6, 0.4, 0.8), (0.4, 0.3, 0.85), (0.5, 0.4, 0.85)), ["no sign of over- or underfitting"]),
        (curves((0.70, 0.69, 0.5), (0.69, 0.69, 0.51)), ["underfitting"]),
        (curves((0.70, 0.69, 0.5), (0.60, 0.69, 0.51)), ["no sign of over- or underfitting"]),
        (curves((0.70, 0.69, 0.5), (0.69, 0.69, 0.53)), ["no sign of over- or underfitting"]),
        (curves((0.6, 0.4, 0.8), (0.4, 0.39, 0.85)), ["still improving"]),
        (curves((0.6, 0.4, 0.8), (0.4, 0.393, 0.85)), ["no sign of over- or underfitting"]),
        (curves((0.6, 0.4, 0.8)), ["one evaluation"]),
        (curves((0.69, 0.69, 0.5)), ["one evaluation"]),
        (curves((0.6, 0.4, 0.8), (float("nan"), 0.4, 0.5)), ["diverged"]),
    ],
)
def test_curves_are_named(epochs: list[dict[str, Any]], expected: list[str]) -> None:
    assert names(epochs) == expected


def test_overfitting_says_since_when_and_what_to_set() -> None:
    (item,) = diagnose(curves((0.6, 0.4, 0.8), (0.4, 0.3, 0.85), (0.2, 0.4, 0.85)), answers(9, 11), ["a", "b"], 0.5)
    assert item["severity"] == "warning"
    assert "Since epoch 2" in item["says"] and "0.300 to 0.400" in item["says"]
    assert "Set epochs to 2" in item["advice"] and "weight_decay" in item["advice"]


def test_classes_left_out_are_named() -> None:
    assert names(HEALTHY, answers(0, 20)) == ["one class only"]
    assert names(HEALTHY, answers(20, 10, 0)) == ["class never predicted"]
    (item,) = diagnose(HEALTHY, answers(0, 20), ["a", "b"], 0.5)
    assert "“b”" in item["says"] and item["severity"] == "warning"
    absent = answers(10, 10, 0)
    absent["classes"][2]["rows"] = 0  # a class without rows cannot be missed
    assert names(HEALTHY, absent) == ["no sign of over- or underfitting"]
