"""Written texts against right ones: SQuAD's and ROUGE's scores by hand, BLEU and chrF as sacrebleu has them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from finetooth.metrics import LONG, SHORT
from finetooth.metrics.agreement import exact_match, rouge_l, rouge_n, token_f1, words

WORDS = [
    "the",
    "a",
    "cat,",
    "sat.",
    "on",
    "mat's",
    "(quickly)",
    "3.5",
    "$100",
    "—",
    "über",
    "猫",
    "don't",
    "U.S.",
    "end",
]
MEASURES = {each.name: each for each in (*SHORT, *LONG)}


def corpus(draw: random.Random) -> tuple[list[str], list[str]]:
    """One to three rows: what is right, and what is written, some of it the same."""
    right = [" ".join(draw.choices(WORDS, k=draw.randint(0, 12))) for _ in range(draw.randint(1, 3))]
    said = [
        " ".join(w for w in r.split() if draw.random() < 0.8) + draw.choice(["", " ", " cat", " on 猫"]) for r in right
    ]
    return said, right


def score(name: str, said: list[str], right: list[str]) -> float:
    return float(MEASURES[name].score(MEASURES[name].rows(said, right).sum(axis=0)))


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    draw, bleu, chrf = random.Random(0), BLEU(), CHRF()
    for _ in range(1000):
        said, right = corpus(draw)
        assert score("bleu", said, right) == pytest.approx(bleu.corpus_score(said, [right]).score, abs=1e-9)
        assert score("chrf", said, right) == pytest.approx(chrf.corpus_score(said, [right]).score, abs=1e-9)


def test_weights_of_rows_are_rows_that_come_several_times() -> None:
    said, right = ["the cat sat on it", "a mat", "end"], ["the cat sat on the mat", "mat end", "end"]
    weights = np.array([[2.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    for name, measure in MEASURES.items():
        first, second = measure.score(weights @ measure.rows(said, right))
        assert first == pytest.approx(score(name, [said[0], said[0], said[2]], [right[0], right[0], right[2]]))
        assert second == pytest.approx(score(name, said, right))


def test_rouge_by_hand() -> None:
    """Lin 2004, section 3.1: the second sentence has the same runs of two words, the first more in the same order."""
    right, first, second = "police killed the gunman", "police kill the gunman", "the gunman kill police"
    assert rouge_l(first, right) == pytest.approx(3 / 4) and rouge_l(second, right) == pytest.approx(2 / 4)
    assert rouge_n(2, first, right) == rouge_n(2, second, right) == pytest.approx(1 / 3)
    assert rouge_n(1, "", right) == rouge_l("", right) == rouge_n(2, "police", right) == 0.0
    assert words("Don't stop_now, Ünder 3.5!") == ["don", "t", "stop", "now", "ünder", "3", "5"]


def test_squads_scores_by_hand() -> None:
    assert exact_match("The  cat.", "a Cat") == 1.0 and exact_match("cat", "cats") == 0.0
    assert token_f1("the black cat", "a cat") == pytest.approx(2 / 3)
    assert token_f1("", "the") == 1.0 and token_f1("", "cat") == 0.0
