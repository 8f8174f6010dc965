"""Tags: schemes told apart, IOB1 read as BIO, answers written and read again."""

from __future__ import annotations

import numpy as np
import pytest

from finetooth.table import answers_of
from finetooth.tags import Scheme, Tags, begun, flat, one_sign_for_begin, ragged


@pytest.mark.parametrize(
    ("names", "name", "kinds"),
    [
        (["O", "B-PER", "I-PER"], "BIO", ("PER",)),
        (["B-NP", "I-NP"], "BIO", ("NP",)),
        (["O", "I-PER", "I-LOC"], "BIO", ("LOC", "PER")),
        (["O", "B", "I"], "BIO", ("entity",)),
        (["O", "S-PER", "B-PER", "E-PER", "I-PER"], "BIOES", ("PER",)),
        (["O", "U-PER", "B-PER", "L-PER", "I-PER"], "BILOU", ("PER",)),
        (["NN", "VB", "O"], "plain", ("NN", "VB", "O")),
        (["B", "I"], "plain", ("B", "I")),
        (["O", "B-PER", "LOC"], "plain", ("O", "B-PER", "LOC")),
        (["0", "1"], "plain", ("0", "1")),
    ],
)
def test_the_tags_tell_the_scheme(names: list[str], name: str, kinds: tuple[str, ...]) -> None:
    scheme = Scheme.of(names)
    assert (scheme.name, scheme.kinds, scheme.marks) == (name, kinds, name != "plain")


def test_iob1_is_told_and_read_as_bio() -> None:
    rows = [["I-A", "I-A", "B-A", "O", "I-B"], ["O", "I-A"]]
    assert one_sign_for_begin(rows) and not one_sign_for_begin([*rows, ["B-A"]])
    assert [begun(row) for row in rows] == [["B-A", "I-A", "B-A", "O", "B-B"], ["O", "B-A"]]
    assert not one_sign_for_begin([["NN", "O"]]) and not one_sign_for_begin([None])


def test_tags_out_of_place_are_counted() -> None:
    names = ["O", "B-A", "I-A", "E-A", "S-A"]
    rows = [[2, 2, 0], [1, 3, 4], [1, 0, 0], [1, 2]]
    tags, first = np.array([t for row in rows for t in row]), np.zeros(11, dtype=bool)
    first[[0, 3, 6, 9]] = True
    wrong = Scheme.of(names).misplaced(tags, first)
    assert np.flatnonzero(wrong).tolist() == [0, 1, 6, 9, 10]
    assert np.flatnonzero(Scheme.of(names[:3]).misplaced(tags[:3], first[:3])).tolist() == [0, 1]


def answers() -> Tags:
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet(np.ones(3), 6).astype(np.float32)
    labels, counts = np.array([0, 1, 2, 0, -1, 1]), np.array([3, 0, 3])
    return Tags(["a", "b", "c"], ragged(labels, counts), ragged(probabilities, counts), ["O", "B-A", "I-A"])


def test_what_was_said_is_written_and_read_again() -> None:
    p = answers()
    again = answers_of(p.arrow())
    assert isinstance(again, Tags) and (again.ids, again.names) == (p.ids, p.names)
    np.testing.assert_array_equal(flat(again.labels), flat(p.labels))
    np.testing.assert_array_equal(flat(again.said), flat(p.said))
    assert [len(row) for row in again.said] == [3, 0, 3] and flat(again.said).dtype == np.float32


def test_rows_are_taken_in_any_order_and_averaged() -> None:
    from finetooth.report.validated import averaged

    p = answers()
    other = p.take(np.array([2, 0, 1]))
    assert other.ids == ["c", "a", "b"] and other.given(0) == p.given(2) and other.given(2) == []
    same = averaged([p, other])
    assert isinstance(same, Tags)
    np.testing.assert_allclose(flat(same.said), flat(p.said), atol=1e-7)


def test_entities_say_where_they_begin_and_end_and_how_sure_they_are() -> None:
    sure = np.array([[0.2, 0.8, 0.0], [0.1, 0.3, 0.6], [1.0, 0.0, 0.0], [0.0, 0.1, 0.9]], dtype=np.float32)
    p = Tags(["a"], ragged(np.full(4, -1), np.array([4])), ragged(sure, np.array([4])), ["O", "B-A", "I-A"])
    first, second = p.entities[0]
    assert (first["type"], first["start"], first["end"], first["score"]) == ("A", 0, 2, pytest.approx(0.7))
    assert (second["start"], second["end"]) == (3, 4) and p.summary() == {"A": 2}
