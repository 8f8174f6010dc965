"""Duplicates: what is the same but for a light edit is found, what differs in meaning is not, in any order of rows."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from finetooth import read
from finetooth.duplicates import MEETINGS, _candidates, clusters, light, misspelt, normalised, of, sketches, words

BASE = "the plot of this film was far too long for an evening at home"


def together(one: str, other: str) -> tuple[bool, bool]:
    """Whether two texts are equal, and whether they are alike."""
    equal, near = clusters([one, other])
    return bool(equal[0] == equal[1]), bool(near[0] == near[1])


@pytest.mark.parametrize(
    "other",
    [
        BASE.upper(),
        BASE.replace("film", "film,") + "!",
        f"  {BASE.replace(' ', '  ')} ",
        BASE.replace("film", "ﬁlm"),  # a ligature, as pdf files have them
    ],
)
def test_case_punctuation_and_spaces_make_no_difference(other: str) -> None:
    assert together(BASE, other) == (True, True)


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("plot", "polt"),
        BASE.replace("plot", "plt"),
        BASE.replace("plot", "plott"),
        BASE.replace("plot", "plat"),
        BASE.replace("evening", "afternoon"),
        BASE.replace("evening", "afternoon").replace("plot", "polt"),
        BASE.replace(" far", ""),
    ],
)
def test_a_typo_or_one_word_in_ten_is_a_light_edit(other: str) -> None:
    assert together(BASE, other) == (False, True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("this is a very good film", "this is a very bad film"),
        ("your order 4711 was sent", "your order 4712 was sent"),
        ("I am at work today :)", "I am at work today :("),
        ("text 12", "text 13"),
        (BASE, "the plot of that book was much too short for a morning at work"),
        (BASE, BASE + " " + BASE.replace("film", "book")),
        ("", "a"),
        (":)", ":("),
        ("!", "?"),
    ],
)
def test_what_means_something_else_is_not_alike(one: str, other: str) -> None:
    assert together(one, other) == (False, False)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("plot", "polt", True),
        ("plot", "plt", True),
        ("plot", "pllot", True),
        ("plot", "plat", True),
        ("plot", "plot", True),
        ("plot", "tolp", False),
        ("plot", "plots2", False),
        ("1999", "1998", False),
        ("abcdef", "bacdfe", False),
    ],
)
def test_one_letter_makes_a_misspelling_numbers_none(one: str, other: str, alike: bool) -> None:
    assert misspelt(one, other) is alike and misspelt(other, one) is alike


def test_words_of_scripts_without_spaces_are_their_signs() -> None:
    assert words("価値がある") == ["価", "値", "が", "あ", "る"]
    sentence = "この映画はとても面白くて最後まで楽しめましたがすこし長かった"
    assert together(sentence, sentence.replace("長", "短")) == (False, True)


def test_the_order_of_the_rows_plays_no_part() -> None:
    rng = random.Random(0)
    vocabulary = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnr"]
    texts = [" ".join(rng.choices(vocabulary, k=14)) for _ in range(300)]
    texts += [text.replace(" ", ", ", 1) for text in texts[:50]]
    texts += [" ".join([*text.split(" ")[:6], "other", *text.split(" ")[7:]]) for text in texts[50:100]]

    def partition(order: list[int]) -> set[frozenset[int]]:
        near = clusters([texts[i] for i in order])[1]
        return {frozenset(order[k] for k in np.flatnonzero(near == c)) for c in set(near.tolist())}

    here = partition(list(range(len(texts))))
    assert sum(len(cluster) == 2 for cluster in here) == 100
    for _ in range(3):
        assert partition(rng.sample(range(len(texts)), len(texts))) == here


def test_a_cluster_is_named_for_its_first_text() -> None:
    equal, near = clusters([BASE, "something else altogether here", BASE.upper(), BASE.replace("plot", "polt")])
    assert equal.tolist() == [0, 1, 0, 3] and near.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["a"], ["\ud800 lone half"], ["x" * 100_000, "y"], [" "] * 5])
def test_odd_texts_are_no_obstacle(texts: list[str]) -> None:
    equal, near = clusters(texts)
    assert len(equal) == len(near) == len(texts)


def test_a_light_edit_is_one_either_way() -> None:
    one, other = BASE.split(), BASE.replace(" far", "").split()
    assert light(one, other) and light(other, one)


def test_in_a_text_of_few_letters_every_sign_counts() -> None:
    assert normalised("OK!") == "ok!" and normalised("Ok  !") == "ok !"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("मैं रोज़ बाज़ार जाता हूँ और फल खरीदता हूँ", "मैं रोज़ बाज़ार जाती हूँ और फल खरीदती हूँ"),
        ("เขาไปซื้อเสื้อใหม่ที่ตลาดเมื่อวานนี้", "เขาไปซื้อเสือใหม่ที่ตลาดเมื่อวานนี้"),
    ],
)
def test_vowel_signs_and_tones_tell_words_apart(one: str, other: str) -> None:
    equal, _ = clusters([one, other])
    assert equal.tolist() == [0, 1]


def test_a_long_text_is_compared_within_a_moment() -> None:
    rng = random.Random(0)
    words = [f"{rng.choice('abcdefgh')}{rng.randrange(10**6)}" for _ in range(60_000)]
    other = [w if rng.random() < 0.95 else w + "x" for w in words]
    began = perf_counter()
    assert light(words, other) and perf_counter() - began < 5


def test_many_texts_with_one_long_footer_are_compared_with_a_few_each() -> None:
    footer = " ".join(f"please note the terms of paragraph {i} of this agreement" for i in range(12))
    texts = [normalised(f"{i} {footer}") for i in range(2000)]
    assert sum(1 for _ in _candidates(*sketches(texts))) <= 2000 * MEETINGS / 2


def test_one_passage_under_two_questions_makes_two_rows(tmp_path: Path) -> None:
    passage = " ".join([BASE] * 8)
    content = [(passage, "when was it made"), (passage + "!", "who was in it, and why"), (passage, "When was it made?")]
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("passage", "question", "label"), *[(*row, "a") for row in content]])
    equal, near = of(read(tmp_path / "a.csv", input="passage,question"))
    assert equal.tolist() == near.tolist() == [0, 1, 0]
