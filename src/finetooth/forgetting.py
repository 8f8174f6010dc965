"""What the model could do before it was tuned, and can no longer: asked of both on texts that it did not learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from finetooth import linear, tfidf
from finetooth.metrics import bca
from finetooth.metrics.base import Values
from finetooth.metrics.intervals import FEWEST_ROWS, Interval, Statistic
from finetooth.seeds import row_keys
from finetooth.table import Table

Right = NDArray[np.bool_]
Read = Callable[[Sequence[str]], NDArray[np.float64]]  # texts -> states, (texts, width)

MOST = 500  # texts that are asked about
AT_ONCE = 16
SHORTEST = 20  # characters of a text whose halves still say something
FOLDS = 5
STRENGTH = 1e-2


def masked_found(net: nn.Module, tokenizer: Any, texts: Sequence[str], max_length: int, device: str) -> Right:
    """For each text whether a token of it that was masked is the first guess of `net`; which one, the text decides.

    The task that BERT was pre-trained with: Devlin et al. 2019, section 3.1.
    """
    net = net.to(device).eval()
    found = []
    for start in range(0, len(texts), AT_ONCE):
        part = list(texts[start : start + AT_ONCE])
        inputs = tokenizer(
            part,
            padding=True,
            truncation=True,
            max_length=max_length,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        asked = inputs.pop("special_tokens_mask") == 0
        ranks = torch.from_numpy(row_keys(part).astype(np.int64) % (1 << 30))
        counts = asked.sum(dim=1).clamp(min=1)
        # Of the tokens of each row the one at this place among those that are words.
        place = ((asked.cumsum(dim=1) == (ranks % counts + 1)[:, None]) & asked).int().argmax(dim=1)
        rows = torch.arange(len(part))
        hidden = inputs["input_ids"][rows, place].clone()
        inputs["input_ids"][rows, place] = tokenizer.mask_token_id
        with torch.inference_mode():
            guessed = net(**inputs.to(device)).logits[rows, place].argmax(dim=-1).cpu()
        found += (guessed == hidden).tolist()
    return np.array(found, dtype=bool)


def halves_found(read: Read, texts: Sequence[str]) -> Right:
    """For each text whether its first half is more like its own second half than like any other's.

    Whoever reads texts well knows what goes together; no label is needed. States are compared by their cosine, once
    what all have in common is taken off.
    """
    first, second = zip(*(halved(text) for text in texts), strict=True)
    states = [read(half) for half in (first, second)]
    unit = [
        (s - s.mean(axis=0)) / np.maximum(np.linalg.norm(s - s.mean(axis=0), axis=1, keepdims=True), 1e-12)
        for s in states
    ]
    found: Right = (unit[0] @ unit[1].T).argmax(axis=1) == np.arange(len(texts))
    return found


def halved(text: str) -> tuple[str, str]:
    """The two halves of a text, cut at the space nearest the middle, where there is one within a quarter of it."""
    middle = len(text) // 2
    spaces = [i for i, character in enumerate(text) if character.isspace() and abs(i - middle) <= len(text) / 4]
    cut = min(spaces, key=lambda i: abs(i - middle), default=middle)
    return text[:cut], text[cut:]


def kept(read: Read, table: Table) -> Right:
    """For each row of a labelled table whether a probe that did not see it reads its label off the states."""
    texts, labels = ["\n".join(row) for row in table.inputs], [str(label) for label in table.labels]
    names = sorted(set(labels))
    targets = np.array([names.index(label) for label in labels])
    keys = row_keys(table.ids)
    folds = tfidf.folds_of(targets, np.arange(len(texts)), keys, FOLDS)
    p = linear.out_of_fold(read(texts), targets, folds, len(names), keys, linear.probe(STRENGTH))
    found: Right = p.argmax(axis=1) == targets
    return found


def chosen(texts: Sequence[str]) -> list[str]:
    """At most MOST of the texts that are long enough to be halved, drawn by their content; each once."""
    long = sorted({text for text in texts if len(text) >= SHORTEST})
    keys = row_keys(long)
    return [long[i] for i in tfidf.some(keys, np.arange(len(long)), MOST).tolist()]


def told(probe: str, before: NDArray[Any], after: NDArray[Any], units: NDArray[np.int64]) -> dict[str, Any]:
    """Before, after and the difference as means with their intervals, of the same rows; whole units are drawn."""

    def counted(values: NDArray[Any]) -> Values:
        return np.stack([values.astype(float), np.ones(len(values))], axis=1)

    return changed(probe, counted(before), counted(after), units, lambda sums: sums[..., 0] / sums[..., 1])


def changed(
    probe: str, before: Values, after: Values, units: NDArray[np.int64], score: Callable[[Values], Values]
) -> dict[str, Any]:
    """The same of a score that is made of sums over rows: `before` and `after` are what each row adds, (rows, n).

    `score` takes such sums, (draws, n), and gives (draws,).
    """
    rows = len(before)
    statistics: list[Statistic] = [
        lambda weights: score(weights @ before),
        lambda weights: score(weights @ after),
        lambda weights: score(weights @ after) - score(weights @ before),
    ]
    if rows < FEWEST_ROWS:
        why = f"too few rows ({rows:,}; at least {FEWEST_ROWS} are needed)"
        estimates = [Interval(float(of(np.ones((1, rows)))[0]), None, None, why) for of in statistics]
    else:
        estimates = [_estimated(of, units) for of in statistics]
    fields = zip(("before", "after", "difference"), map(Interval.told, estimates), strict=True)
    return {"probe": probe, "rows": rows, **dict(fields)}


def _estimated(of: Statistic, units: NDArray[np.int64]) -> Interval:
    """A statistic with its bootstrap interval; where no draw moves it, it is sure."""
    value = float(of(np.ones((1, len(units))))[0])
    low, high = bca(of, units)
    return Interval(value, low, high, "the same for every row" if low == high else "BCa")
