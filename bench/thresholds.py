"""What thresholds for macro-F1 gain on rows they were not fitted on, and whether the report's claim of it flatters.

Run: python bench/thresholds.py

Out-of-fold predictions of a word-count model with a probe of MiniLM on MedMCQA and reuters-r52, classes of at least 20
rows, so that each half of them has 10; 20 times one half of the rows is for fitting and the other for judging.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import common
import data
import finetooth as ft
from finetooth import duplicates
from finetooth.checks import Sample
from finetooth.checks.suspects import Witness
from finetooth.decide import thresholds
from finetooth.metrics import CLASSIFICATION
from finetooth.predict import asked
from finetooth.table import Predictions

SETS = ("medmcqa", "reuters")
SPLITS = 20
FEWEST = 20
MACRO = CLASSIFICATION["macro_f1"]


def out_of_fold(name: str) -> Predictions:
    """What models that did not see a row say of it."""
    table = ft.read(data.path(name))
    sample = Sample(table, None, *duplicates.of(table), **asked(table, "minilm"))
    matrix = sample.features(np.arange(len(table)))
    witness = Witness(matrix, sample.states, sample.folds, len(sample.names), sample.keys)
    p = Predictions(list(table.ids), sample.targets, witness.asked(sample.targets), sample.names)
    kept = np.flatnonzero(np.bincount(p.labels) >= FEWEST)
    rows = np.flatnonzero(np.isin(p.labels, kept))
    shares = p.probabilities[np.ix_(rows, kept)] + 1e-9
    labels = np.searchsorted(kept, p.labels[rows])
    names = [p.names[c] for c in kept.tolist()]
    return Predictions([p.ids[r] for r in rows.tolist()], labels, shares / shares.sum(axis=1, keepdims=True), names)


def halves(p: Predictions, seed: int) -> tuple[Predictions, Predictions]:
    """Two halves of the rows, even within classes."""
    ranks = np.lexsort((np.random.default_rng(seed).random(len(p.labels)), p.labels))
    return p.take(np.sort(ranks[::2])), p.take(np.sort(ranks[1::2]))


def main() -> None:
    found: dict[str, Any] = {}
    for name in SETS:
        p, claimed, gained = out_of_fold(name), [], []
        for seed in range(SPLITS):
            here, there = halves(p, seed)
            rule = thresholds(here, MACRO)
            claimed.append(rule.after - rule.before)
            gained.append(MACRO.of(replace(there, rule=rule.matrix)) - MACRO.of(there))
            print(name, seed, round(claimed[-1], 4), round(gained[-1], 4), flush=True)
        found[name] = {
            "rows": len(p.labels),
            "classes": len(p.names),
            "macro-F1 without": MACRO.of(p),
            "gain": common.spread(gained),
            "claimed": common.spread(claimed),
            "optimism": float(np.mean(claimed) - np.mean(gained)),
        }
        common.write("thresholds", {"sets": found})


if __name__ == "__main__":
    main()
