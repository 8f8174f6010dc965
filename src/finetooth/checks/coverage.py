"""Coverage of the place where the model will work: what is met there and missing here, and which rows to label next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize

from finetooth import tfidf
from finetooth.checks.base import FOLDS, Sample, clipped, rows_of
from finetooth.errors import DataError
from finetooth.findings import Finding
from finetooth.seeds import row_keys

LARGEST = 20_000  # rows of either side that are compared
NEXT = 50  # rows to label next
WORDS = 15
CHUNK = 200  # rows compared with all others at a time
UNLIKE = 0.65  # area under the curve of telling the two apart


def coverage(sample: Sample) -> Iterator[Finding]:
    """How the target's unlabelled rows differ from these: words that are missing, rows that nothing here is like."""
    if sample.against is None:
        return
    for table in (sample.table, sample.against):
        if table.folder is not None:
            raise DataError(f"{table.source}: --against compares texts; image folders are not in this version.")
    ours = tfidf.some(sample.keys, np.flatnonzero(sample.near == np.arange(len(sample.near))), LARGEST)
    target_keys = row_keys(sample.against.contents)
    theirs = tfidf.some(target_keys, np.arange(len(target_keys)), LARGEST)
    texts = [sample.texts[i] for i in ours] + ["\n".join(sample.against.inputs[i]) for i in theirs]
    matrix = tfidf.features(texts)
    side = np.repeat([0, 1], [len(ours), len(theirs)])
    keys = np.concatenate([sample.keys[ours], target_keys[theirs]])
    folds = tfidf.folds_of(side, np.unique(keys, return_inverse=True)[1], keys, FOLDS)
    area = float(roc_auc_score(side, tfidf.out_of_fold(matrix, side, folds, 2, keys)[:, 1]))
    nearest = _nearest(matrix[: len(ours)], matrix[len(ours) :])
    usual = float(np.quantile(_nearest(matrix[: len(ours)], matrix[: len(ours)], itself=True), 0.05))
    far = np.flatnonzero(nearest < usual)
    missing = _missing(texts, side)
    chosen = _spread(matrix[len(ours) :], nearest)
    told = [f"{sample.against.place(int(theirs[i]))}: {clipped(texts[len(ours) + i])}" for i in chosen]
    cut = max(len(sample.near), len(target_keys)) > LARGEST
    yield sample.finding(
        "coverage",
        "warning" if area > UNLIKE or len(far) > 0.15 * len(theirs) else "info",
        f"The target's rows can be told from these with an area under the curve of {area:.2f} (0.50 is guessing), and "
        f"{len(far) / len(theirs):.0%} of them are farther from every row here than 95 % of the rows here are from "
        f"each other."
        + (f" Words met there and rare or missing here: {', '.join(word for word, _ in missing)}." if missing else "")
        + (f" Compared were {len(ours):,} rows with {len(theirs):,} of the target, drawn at random." if cut else ""),
        f"Label these {rows_of(len(chosen), 'row')} of the target next: "
        + "; ".join(told[:3])
        + (" ..." if len(told) > 3 else ""),
        count=len(far),
        evidence=told,
        chart={
            "kind": "bars",
            "title": "per cent of target rows with a word that is rare here",
            "bars": [[w, 100 * s] for w, s in missing],
        }
        if missing
        else None,
    )


def _nearest(known: sparse.csr_matrix, asked: sparse.csr_matrix, itself: bool = False) -> NDArray[np.float64]:
    """The cosine of each asked row with the known row most like it; shape (asked,)."""
    best = np.zeros(asked.shape[0])
    known, asked = normalize(known), normalize(asked)
    turned = known.T.tocsr()
    for start in range(0, asked.shape[0], CHUNK):
        cosines = (asked[start : start + CHUNK] @ turned).toarray()
        if itself:
            cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = 0.0
        best[start : start + CHUNK] = cosines.max(axis=1)
    return best


def _missing(texts: list[str], side: NDArray[np.int64]) -> list[tuple[str, float]]:
    """Words in at least one target row in a hundred and ten times rarer here, with their share of the target's rows."""
    vectorizer = CountVectorizer(binary=True, min_df=2)
    try:
        counted = vectorizer.fit_transform(texts)
    except ValueError:  # not a word that comes twice
        return []
    here = np.asarray(counted[side == 0].mean(axis=0)).ravel()
    there = np.asarray(counted[side == 1].mean(axis=0)).ravel()
    new = np.flatnonzero((there >= 0.01) & (there > 10 * here))
    names = vectorizer.get_feature_names_out()
    return [(str(names[i]), float(there[i])) for i in new[np.argsort(-there[new], kind="stable")][:WORDS]]


def _spread(matrix: sparse.csr_matrix, nearest: NDArray[np.float64]) -> list[int]:
    """Rows to label next: always the one farthest from what is here and from those chosen already."""
    matrix, close = normalize(matrix), nearest.copy()
    chosen: list[int] = []
    for _ in range(min(NEXT, matrix.shape[0])):
        i = int(close.argmin())
        chosen.append(i)
        close = np.maximum(close, (matrix @ matrix[i].T).toarray().ravel())
        close[i] = np.inf
    return chosen
