"""Entities and plain tags: seqeval's and scikit-learn's numbers, and the same under row weights."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from seqeval import metrics as seqeval
from seqeval.scheme import BILOU, IOB2, IOBES
from sklearn.metrics import accuracy_score, f1_score

from finetooth.metrics import ENTITIES, PLAIN_TAGS, interval
from finetooth.metrics.intervals import statistic
from finetooth.tags import Tags, ragged

SIGNS = {"BIO": "BI", "BIOES": "BIES", "BILOU": "BILU"}
SCHEMES = {"BIO": IOB2, "BIOES": IOBES, "BILOU": BILOU}
Rows = list[list[str]]


def said(truth: Rows, given: Rows, names: Sequence[str]) -> Tags:
    """As answers that are sure of what is given; rows may be given fewer tags than they have words."""
    number = {name: i for i, name in enumerate(names)}
    labels = ragged(np.array([number[t] for row in truth for t in row]), np.array([len(row) for row in truth]))
    flat = np.eye(len(names), dtype=np.float32)[[number[t] for row in given for t in row]]
    return Tags([str(i) for i in range(len(truth))], labels, ragged(flat, np.array([len(r) for r in given])), [*names])


def cases(scheme: str, count: int, seed: int) -> list[tuple[Rows, Rows, list[str]]]:
    """Tags drawn at random, legal sequences and illegal ones, and others that agree with them in part."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        kinds = [f"K{k}" for k in range(draw.randint(1, 3))] if draw.random() < 0.8 else ["with-dash", "K"]
        names = ["O", *(f"{sign}-{kind}" for kind in kinds for sign in SIGNS[scheme])]
        rows = [[draw.choice(names) for _ in range(draw.randint(1, 9))] for _ in range(draw.randint(1, 6))]
        given = [[tag if draw.random() < 0.7 else draw.choice(names) for tag in row] for row in rows]
        found.append((rows, given, names))
    return found


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_entities_are_those_of_seqeval_on_a_thousand_cases(scheme: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what cannot be divided
        for truth, given, names in cases(scheme, 500, seed=len(scheme)):
            p = said(truth, given, names)
            assert ENTITIES["entity_f1"].of(p) == pytest.approx(seqeval.f1_score(truth, given), abs=1e-12)
            assert ENTITIES["entity_precision"].of(p) == pytest.approx(seqeval.precision_score(truth, given), abs=1e-12)
            assert ENTITIES["entity_recall"].of(p) == pytest.approx(seqeval.recall_score(truth, given), abs=1e-12)
            macro, ours = seqeval.f1_score(truth, given, average="macro"), ENTITIES["macro_entity_f1"].of(p)
            assert ours == pytest.approx(macro, abs=1e-12, nan_ok=True)
            assert ENTITIES["word_accuracy"].of(p) == pytest.approx(seqeval.accuracy_score(truth, given), abs=1e-12)


@pytest.mark.parametrize("scheme", ["BIO", "BIOES", "BILOU"])
def test_the_strict_reading_is_that_of_seqeval(scheme: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for truth, given, names in cases(scheme, 200, seed=7):
            theirs = seqeval.f1_score(truth, given, mode="strict", scheme=SCHEMES[scheme])
            assert ENTITIES["strict_entity_f1"].of(said(truth, given, names)) == pytest.approx(theirs, abs=1e-12)


def test_plain_tags_are_scored_as_classes_of_words() -> None:
    draw = random.Random(0)
    truth = [[draw.choice("NVDX") for _ in range(draw.randint(1, 8))] for _ in range(40)]
    given = [[tag if draw.random() < 0.6 else draw.choice("NVDX") for tag in row] for row in truth]
    p, flat = said(truth, given, [*"DNVX"]), [[tag for row in rows for tag in row] for rows in (truth, given)]
    assert PLAIN_TAGS["word_accuracy"].of(p) == pytest.approx(accuracy_score(*flat))
    assert PLAIN_TAGS["macro_f1"].of(p) == pytest.approx(f1_score(*flat, average="macro"))


@pytest.mark.parametrize("name", [*ENTITIES])
def test_under_weights_a_row_counts_as_often_as_it_stands_there(name: str) -> None:
    truth, given, names = cases("BIO", 1, seed=3)[0]
    p, metric, draw = said(truth * 5, given * 5, names), ENTITIES[name], np.random.default_rng(0)
    weights = draw.integers(0, 4, (6, len(p.ids))).astype(float)
    weights[:, 0] = 1
    repeated = [metric.of(p.take(np.repeat(np.arange(len(p.ids)), row.astype(int)))) for row in weights]
    np.testing.assert_allclose(statistic(metric, p)(weights), repeated)


def test_words_that_were_not_read_are_found_by_nobody() -> None:
    truth, given = [["B-A", "I-A", "O", "B-A"]], [["B-A", "I-A"]]
    p = said(truth, given, ["O", "B-A", "I-A"])
    assert p.given(0) == ["B-A", "I-A", None, None] and p.decided.tolist() == [1, 2, -1, -1]
    assert ENTITIES["entity_recall"].of(p) == 0.5 and ENTITIES["entity_precision"].of(p) == 1.0
    assert ENTITIES["word_accuracy"].of(p) == 0.5 and ENTITIES["loss"].of(p) == pytest.approx(0.0, abs=1e-6)


def test_rows_are_drawn_whole_for_the_interval() -> None:
    """A hundred words of one sentence are no hundred cases."""
    draw = random.Random(1)
    rows = [[draw.choice(["B-A", "O"])] * 20 for _ in range(400)]
    given = [row if draw.random() < 0.7 else ["O"] * 20 for row in rows]
    found = interval(ENTITIES["word_accuracy"], said(rows, given, ["O", "B-A"]))
    assert found.low is not None and found.high is not None and found.high - found.low > 0.05


def test_nothing_to_find_and_nothing_found_is_no_error() -> None:
    p = said([["O", "O"]], [["O", "O"]], ["O", "B-A", "I-A"])
    assert ENTITIES["entity_f1"].of(p) == 0.0 and np.isnan(ENTITIES["macro_entity_f1"].of(p))
