"""Does a written text say what the right one says?

Each Agreement counts something of every row, and makes the score of many rows of the sums of these counts: so a
bootstrap draw, which is a weighting of rows, costs no more than a sum.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from finetooth.metrics.base import Values

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SIGNS = str.maketrans("", "", string.punctuation)
_WORDS = re.compile(r"[^\W_]+")
LONGEST = {"bleu": 4, "chrf": 6}  # n-grams that are counted, in words and in characters
BETA = 2.0  # of chrF: recall counts so many times as much as precision


@dataclass(frozen=True)
class Agreement:
    """`counts` of what is written and what is right, in this order; `score` of their sums, (..., counts) -> (...)."""

    name: str
    counts: Callable[[str, str], Sequence[float]]
    score: Callable[[Values], Values]

    def rows(self, said: Sequence[str], right: Sequence[str]) -> Values:
        """The counts of each row, (rows, counts)."""
        return np.array([self.counts(one, other) for one, other in zip(said, right, strict=True)], dtype=np.float64)


def plain(text: str) -> str:
    """In small letters, without punctuation, English articles and further spaces.

    Rajpurkar et al. 2016 (SQuAD), section 6.1.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_SIGNS)).split())


def exact_match(said: str, right: str) -> float:
    """1.0 where the two are the same once made plain."""
    return float(plain(said) == plain(right))


def token_f1(said: str, right: str) -> float:
    """The harmonic mean of the shares of words that the two have in common, once made plain (SQuAD, section 6.1)."""
    one, other = plain(said).split(), plain(right).split()
    if not one or not other:
        return float(one == other)
    return _f1(_common(one, other), len(one), len(other))


def rouge_n(n: int, said: str, right: str) -> float:
    """The same of runs of `n` words; words are letters and digits, in small letters, not stemmed.

    Lin 2004 (ROUGE), section 2, as F1.
    """
    one, other = (_runs(words(text), n) for text in (said, right))
    return _f1(_common(one, other), len(one), len(other))


def rouge_l(said: str, right: str) -> float:
    """The same of the longest row of words that stands in both in this order. Lin 2004 (ROUGE), section 3, as F1."""
    one, other = words(said), words(right)
    longest = [0] * (len(other) + 1)  # with the words of the other that were seen so far
    for word in one:
        before = 0
        for place, its in enumerate(other, start=1):
            before, longest[place] = (
                longest[place],
                max(longest[place], before + 1 if its == word else longest[place - 1]),
            )
    return _f1(longest[-1], len(one), len(other))


def words(text: str) -> list[str]:
    """Runs of letters and digits, of any script, in small letters."""
    return _WORDS.findall(text.lower())


def _runs(parts: Sequence[Any], n: int) -> list[tuple[Any, ...]]:
    return [tuple(parts[i : i + n]) for i in range(len(parts) - n + 1)]


def _common(one: Iterable[Any], other: Iterable[Any]) -> int:
    return sum((Counter(one) & Counter(other)).values())


def _f1(common: int, one: int, other: int) -> float:
    return 2 * common / (one + other) if common else 0.0


def bleu_counts(said: str, right: str) -> list[float]:
    """Words said and right, then n-grams of 1 to 4 words that are in both, and that were said; as sacrebleu has it."""
    found = _sacrebleu().sentence_score(said, [right])
    return [found.sys_len, found.ref_len, *found.counts, *found.totals]


def bleu(sums: Values) -> Values:
    """From 0 to 100. Papineni et al. 2002 (BLEU), section 2.3; tokenised and smoothed as sacrebleu does (Post 2018)."""
    compute, n = _sacrebleu().compute_bleu, LONGEST["bleu"]
    found = [
        compute([*row[2 : 2 + n]], [*row[2 + n :]], row[0], row[1], smooth_method="exp").score
        for row in sums.reshape(-1, sums.shape[-1]).astype(int).tolist()
    ]
    return np.array(found).reshape(sums.shape[:-1])


@cache
def _sacrebleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU  # late: half a second

    return BLEU(effective_order=True)  # else it warns of single sentences, whose counts are the same


def chrf_counts(said: str, right: str) -> list[float]:
    """Of n-grams of 1 to 6 characters, spaces left out: how many were said, are right, and are in both."""
    one, other = ("".join(text.split()) for text in (said, right))
    found = []
    for n in range(1, LONGEST["chrf"] + 1):
        mine, theirs = (_runs(text, n) for text in (one, other))
        found += [len(mine) if theirs else 0, len(theirs), _common(mine, theirs)]
    return [float(count) for count in found]


def chrf(sums: Values) -> Values:
    """From 0 to 100. Popović 2015 (chrF), section 2, with beta 2; lengths that one side has none of are left out."""
    said, right, both = np.moveaxis(sums.reshape(*sums.shape[:-1], LONGEST["chrf"], 3), -1, 0)
    there = (said > 0) & (right > 0)
    orders = np.maximum(there.sum(axis=-1), 1)
    precision, recall = (
        np.where(there, both / np.where(there, of, 1.0), 0.0).sum(axis=-1) / orders for of in (said, right)
    )
    below = BETA**2 * precision + recall
    return np.asarray(100 * (1 + BETA**2) * precision * recall / np.where(below > 0, below, 1.0))


def _mean(name: str, of: Callable[[str, str], float]) -> Agreement:
    """The mean of a score that every row has by itself."""
    return Agreement(name, partial(_once, of), _share)


def _once(of: Callable[[str, str], float], said: str, right: str) -> tuple[float, float]:
    return of(said, right), 1.0


def _share(sums: Values) -> Values:
    return np.asarray(sums[..., 0] / sums[..., 1])


EXACT_MATCH = _mean("exact_match", exact_match)
SHORT = (EXACT_MATCH, _mean("token_f1", token_f1))  # of answers of a few words
LONG = (  # of translations and summaries
    EXACT_MATCH,
    Agreement("bleu", bleu_counts, bleu),
    Agreement("chrf", chrf_counts, chrf),
    _mean("rouge_1", partial(rouge_n, 1)),
    _mean("rouge_2", partial(rouge_n, 2)),
    _mean("rouge_l", rouge_l),
)
