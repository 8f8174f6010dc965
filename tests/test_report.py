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

from finetooth.report import card, diagnose, html, show

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
        return {"value": value, "low": None, "high": None, "how": "too few rows (120, 200 are the least)"}
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
        "model": "minilm",
        "data": {"source": "reviews.csv", "input": ["text"], "label": "stars", "fingerprint": "ab12cd"},
        "labels": labels,
        "rows": {"train": 8454, "validation": 1056, "test": 1057},
        "truncated": {"rows": 3, "max_length": 129},
        "plan": {"epochs": 2, "learning_rate": 1e-4, "split": {"seed": 5, "stratify": True}, "dropout": None},
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
    assert "still sealed" in text and "finetooth evaluate run" in text
    assert "Its" not in text.split("Scores")[0] and "[" not in text.split("Plan")[0]
    assert "Classes on the validation rows" in text and "none yet" in text


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.6, 0.9, "below the whole interval"),
        (0.4, 0.6, "not shown to be better than guessing"),
        (0.1, 0.4, "worse than guessing"),
        (None, None, "would score 0.512."),
    ],
)
def test_verdict_weighs_the_interval_against_guessing(low: float | None, high: float | None, says: str) -> None:
    report = example()
    report["test"]["accuracy"] |= {"low": low, "high": high}
    assert says in Page(html(report)).words()
    assert says in card(report)
    assert says in terminal(report)


def test_later_openings_are_told() -> None:
    report = example()
    report["seal"]["openings"] = 3
    for told in (Page(html(report)).words(), card(report), terminal(report)):
        assert "opening 3 of these 1,057 rows; a score picked after earlier looks is optimistic" in told


def test_null_values_are_shown_as_such() -> None:
    report = example()
    report["validation"]["auroc"] = None
    report["test"]["auroc"] = {"value": None, "low": None, "high": None}
    report["detail"]["test"]["classes"][0] |= {"precision": None, "f1": None}
    report["epochs"][0] |= {"grad_norm": None, "eval_loss": None}
    report |= {"cost": None, "peak_memory_bytes": None}
    assert Page(html(report)).words().count("n/a") == 7
    assert "| AUROC | n/a |" in card(report)
    assert "n/a" in terminal(report)


def test_metric_of_the_user_s_own() -> None:
    report = example()
    report["best"]["metric"] = "mine:cost<b>"
    report["validation"]["mine:cost<b>"] = 12.5
    page = Page(html(report))
    assert "mine:cost<b> (chose the epoch)" in page.words() and "12.500" in page.words()
    assert "mine:cost&lt;b&gt;" in card(report | {"test": None})


def test_no_curves_no_section() -> None:
    report = example()
    report["detail"]["test"] |= {"roc": {}, "precision_recall": {}, "sensitivity": []}
    page = Page(html(report))
    assert "At every threshold" not in page.text and "#thresholds" not in page.values("href")
    assert page.tags.count("svg") == 6


HOSTILE = '</svg><script>alert("$x^2$")</script>\x0b{{ 7*7 }}'


def test_hostile_text_stays_text() -> None:
    report = example([HOSTILE, "日本 & co"])
    worst = report["detail"]["validation"]["worst"][0]
    worst["inputs"] = {HOSTILE: HOSTILE, "number": 3}
    worst["id"] = HOSTILE
    report["findings"][0]["says"] = HOSTILE
    report["plan"]["class_weights"] = {HOSTILE: 2.0}
    report["data"]["source"] = report["repeat"] = report["name"] = report["model"] = HOSTILE
    source = html(report)
    page = Page(source)
    assert "script" not in page.tags and "<script" not in source and "49" not in page.text
    assert page.text.count("<script>alert") > 8
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
