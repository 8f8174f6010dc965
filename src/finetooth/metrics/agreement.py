"""Does a written answer say what the right one says? Each function takes two texts; order and case count as told."""

from __future__ import annotations

import re
import string
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SIGNS = str.maketrans("", "", string.punctuation)


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
    common = sum((Counter(one) & Counter(other)).values())
    return 2 * common / (len(one) + len(other))
