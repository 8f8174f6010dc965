"""Parts that differ: a model is judged on other rows than it learns from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import chi2_contingency
from sklearn.metrics import roc_auc_score

from finetooth import tfidf
from finetooth.checks.base import FOLDS, MOST, Sample
from finetooth.findings import Finding

FEWEST = 50  # rows of a part
APART = 0.65  # area under the curve of telling the parts apart; 0.5 is guessing
UNLIKELY = 0.001


def shifts(sample: Sample) -> Iterator[Finding]:
    """Whether the source's own train part can be told from its test part, by the labels or by the texts."""
    if not any(sample.table.parts) or sample.table.folder is not None:
        return
    part = np.array([p or "" for p in sample.part])
    for other in ("validation", "test"):
        here, there = np.flatnonzero(part == "train"), np.flatnonzero(part == other)
        if min(len(here), len(there)) < FEWEST:
            continue
        known = [
            (np.bincount(t[t >= 0], minlength=len(sample.names))) for t in (sample.targets[here], sample.targets[there])
        ]
        counted = np.array(known)[:, np.sum(known, axis=0) > 0]
        if counted.shape[1] > 1 and counted.sum(axis=1).all():
            shares = counted / counted.sum(axis=1, keepdims=True)
            moved = float(np.abs(shares[0] - shares[1]).sum() / 2)
            if chi2_contingency(counted).pvalue < UNLIKELY and moved > 0.05:
                names = [name for name, total in zip(sample.names, np.sum(known, axis=0), strict=True) if total]
                top = np.argsort(-np.abs(shares[0] - shares[1]), kind="stable")[:12]
                yield sample.finding(
                    "part shift",
                    "warning",
                    f"The labels are mixed otherwise in the {other} part than in the train part: {moved:.0%} of the "
                    f"rows would have to change class.",
                    "Scores on it hold for its own mix; let the parts be cut anew if they should be alike.",
                    count=len(there),
                    chart={
                        "kind": "pairs",
                        "title": f"share of each class: train and {other}",
                        "names": [names[i] for i in top],
                        "values": [shares[0][top].tolist(), shares[1][top].tolist()],
                        "series": ["train", other],
                    },
                )
        # Those of the other part stay whole as long as there is room.
        there = tfidf.some(sample.keys, there, MOST // 2)
        here = tfidf.some(sample.keys, here, MOST - len(there))
        both = np.concatenate([here, there])
        side = (part[both] == other).astype(np.int64)
        keys = sample.keys[both]
        # Alike rows stand in one fold: copies in both parts are not to be told apart.
        folds = tfidf.folds_of(side, sample.near[both], keys, FOLDS)
        p = tfidf.out_of_fold(sample.features(both), side, folds, 2, keys)[:, 1]
        area = float(roc_auc_score(side, p))
        if area > APART:
            yield sample.finding(
                "part shift",
                "warning",
                f"The texts of the {other} part can be told from those of the train part (area under the curve "
                f"{area:.2f}, where 0.50 is guessing).",
                "Scores on it are scores on other texts than were learnt from; find out where they differ.",
                there[np.argsort(-p[len(here) :], kind="stable")],
                count=len(there),
            )
