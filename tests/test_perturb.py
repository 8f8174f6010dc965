"""Perturbations: of any script, the same for a row wherever it stands, and what they cost the model is told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetooth import Predictions
from finetooth.metrics import CLASSIFICATION, units_of
from finetooth.perturb import PERTURBATIONS, SYNONYMS, perturbed, robustness

CHINESE = "我非常喜欢这部电影演员的表演很好" * 6
ENGLISH = "This large film was great :) but the ending, at 3.5 stars, was too quiet! " * 10
TEXTS = st.text() | st.text(st.sampled_from("ab I.,!:)( \n我ไा🙂\ud800"), max_size=80)


def of(name: str, text: str, seed: int = 0) -> str:
    return PERTURBATIONS[name](text, random.Random(seed))


def answers(right: Sequence[bool] | np.ndarray, ids: Sequence[str] | None = None) -> Predictions:
    labels = np.arange(len(right)) % 2
    said = np.where(right, labels, 1 - labels)
    return Predictions(list(ids or map(str, range(len(right)))), labels, np.eye(2)[said] * 0.8 + 0.1, ["no", "yes"])


@given(TEXTS, st.integers(0, 2**63))
def test_no_text_is_too_odd_for_a_perturbation(text: str, seed: int) -> None:
    for name in PERTURBATIONS:
        changed = of(name, text, seed)
        assert changed == of(name, text, seed)
        assert text.strip() or changed == text


@given(st.lists(st.tuples(TEXTS, st.uuids().map(str)), unique_by=lambda row: row[1]), st.randoms())
def test_the_place_of_a_row_plays_no_part(rows: list[tuple[str, str]], rng: random.Random) -> None:
    other = rng.sample(rows, len(rows))
    for name in PERTURBATIONS:
        here, there = (
            dict(zip(ids, perturbed(texts, ids, name, seed=3), strict=True))
            for texts, ids in (
                ([text for text, _ in order], [row_id for _, row_id in order]) for order in (rows, other)
            )
        )
        assert here == there


def test_seed_perturbation_and_id_each_make_a_difference() -> None:
    texts, ids = [ENGLISH] * 20, [str(i) for i in range(20)]
    first = perturbed(texts, ids, "typos")
    assert len(set(first)) == 20
    assert all(one != other for one, other in zip(first, perturbed(texts, ids, "typos", seed=1), strict=True))
    with pytest.raises(KeyError):
        perturbed(texts, ids, "typo")


def test_one_word_in_twelve_is_mistyped_by_a_letter_or_two_also_in_short_texts() -> None:
    long, short = "wonderful " * 600, "what a truly wonderful film"
    words = of("typos", long).split()
    wrong = [word for word in words if word != "wonderful"]
    assert len(words) == 600 and len(wrong) == 50
    assert all(abs(len(word) - 9) <= 1 and len(set(word) ^ set("wonderful")) <= 2 for word in wrong)
    assert {len(word) for word in wrong} == {8, 9, 10}
    changed = sum(of("typos", short, seed) != short for seed in range(1200))
    assert changed == pytest.approx(1200 * 5 / 12, rel=0.1)


def test_where_words_have_no_spaces_characters_are_swapped() -> None:
    mistyped = of("typos", CHINESE)
    places = [i for i, (one, other) in enumerate(zip(CHINESE, mistyped, strict=True)) if one != other]
    assert 2 * (len(CHINESE) // 24) <= len(places) <= 2 * (len(CHINESE) // 24 + 1)
    for i, j in zip(places[::2], places[1::2], strict=True):
        assert j == i + 1 and mistyped[i : j + 1] == CHINESE[i : j + 1][::-1]


def test_a_letter_keeps_its_case_and_signs_stay() -> None:
    for seed in range(100):
        assert of("typos", "HELLO" * 12 + " 12:30 🙂", seed).isupper()
        assert of("typos", "🙂 12 :)", seed) == "🙂 12 :)"


def test_case_is_lowered_and_raised_where_it_was_low() -> None:
    assert [of("case", text) for text in ("A Film", "a film", "我", "")] == ["a film", "A FILM", "我", ""]


def test_punctuation_goes_or_doubles_but_smileys_numbers_and_addresses_stay() -> None:
    text = "Well, “good” (3.5 of 5, at www.example.org) :) don't! 很好。"
    found = {of("punctuation", text, seed) for seed in range(20)}
    assert found == {
        "Well good 3.5 of 5 at www.example.org :) don't 很好",
        "Well,, “good” (3.5 of 5,, at www.example.org) :) don't!! 很好。。",
    }


def test_synonyms_take_the_case_of_the_word_and_leave_parts_of_words_alone() -> None:
    assert of("synonyms", "Film, MOVIES and films' colour; filmed @film #film") == (
        "Movie, FILMS and movies' color; filmed @film #film"
    )
    assert of("synonyms", "I liked it") == "I liked it"


def test_a_synonym_fits_the_article_before_it_and_is_one_word() -> None:
    assert len(SYNONYMS) > 150
    for word, other in SYNONYMS.items():
        assert word != other and word.isalpha() and other.isalpha() and (word + other).islower()
        assert (word[0] in "aeiou") == (other[0] in "aeiou") or {word, other} == {"utilize", "use"}, word


def test_the_last_third_is_cut_of_words_and_of_characters() -> None:
    assert of("truncation", "one two three, four  five six.") == "one two three, four"
    assert of("truncation", "非常喜欢这部") == "非常喜欢"
    assert of("truncation", "only two") == "only two"


def test_spaces_are_lost_or_doubled() -> None:
    text = "word " * 240 + "end"
    changed = of("spaces", text)
    assert changed.replace(" ", "") == text.replace(" ", "")
    assert changed.count("  ") + changed.count("dw") + changed.count("de") in (20, 21)


def test_what_each_perturbation_costs_is_told_below_zero_whatever_the_direction() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.9
    clean, worse = answers(right), answers(right & (rng.random(400) < 0.8))
    for metric in (CLASSIFICATION["accuracy"], CLASSIFICATION["loss"]):
        found = robustness(
            metric, clean, {"typos": worse, "case": clean}, {"typos": 300, "case": 0}, units_of(None, 400)
        )
        typos, case = found["table"]
        assert found["metric"] == metric.name and found["clean"] == metric.of(clean)
        assert typos["perturbation"] == "typos" and typos["changed"] == 300 and typos["value"] == metric.of(worse)
        assert typos["difference"]["value"] == pytest.approx(-abs(metric.of(worse) - metric.of(clean)))
        assert typos["difference"]["low"] < typos["difference"]["value"] < typos["difference"]["high"] < 0
        assert case["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0, "how": "paired bootstrap"}


def test_the_order_of_the_rows_plays_no_part_in_the_cost_either() -> None:
    rng = np.random.default_rng(1)
    clean, worse, units = answers(rng.random(300) < 0.9), answers(rng.random(300) < 0.8), np.arange(300) // 5
    order, again = rng.permutation(300), rng.permutation(300)
    metric = CLASSIFICATION["macro_f1"]
    found = robustness(metric, clean, {"case": worse}, {"case": 9}, units)
    assert found["table"][0]["difference"]["how"] == "paired bootstrap over groups"
    assert robustness(metric, clean.take(order), {"case": worse.take(again)}, {"case": 9}, units[order]) == found


def test_few_rows_and_undefined_metrics_are_told_without_numbers() -> None:
    few = answers([True, False] * 30)
    difference = robustness(CLASSIFICATION["loss"], few, {"case": few}, {"case": 3}, units_of(None, 60))["table"][0]
    assert difference["difference"]["low"] is None and "too few rows" in difference["difference"]["how"]
    one_class = Predictions(list(map(str, range(300))), np.zeros(300, np.int64), np.full((300, 2), 0.5), ["a", "b"])
    found = robustness(CLASSIFICATION["auroc"], one_class, {"case": one_class}, {"case": 3}, units_of(None, 300))
    assert found["clean"] is None and found["table"][0]["value"] is None
    undefined = {"value": None, "low": None, "high": None, "how": "not defined on these rows"}
    assert found["table"][0]["difference"] == undefined


def test_a_thousand_rows_take_little_time() -> None:
    ids, start = [str(i) for i in range(1000)], perf_counter()
    for name in PERTURBATIONS:
        perturbed([ENGLISH] * 1000, ids, name)
    p = answers(np.random.default_rng(0).random(1000) < 0.9)
    robustness(
        CLASSIFICATION["macro_f1"],
        p,
        dict.fromkeys(PERTURBATIONS, p),
        dict.fromkeys(PERTURBATIONS, 1),
        units_of(None, 1000),
    )
    assert perf_counter() - start < 10
