"""What comes before the first step: decided, said, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from finetooth.errors import DataError, PlanError
from finetooth.plan import Plan
from finetooth.prepare import class_weights, prepare
from finetooth.readers import read


def test_a_rate_that_leaves_nothing_to_learn_is_refused(reviews: Path, tiny_bert: Path) -> None:
    with pytest.raises(PlanError, match="at epoch 1 every layer is frozen"):
        prepare(read(reviews), Plan(epochs=2, rate=lambda depth, epoch: float(epoch < 1)), str(tiny_bert))


def test_a_rate_of_ones_own_is_what_the_loop_gets(reviews: Path, tiny_bert: Path) -> None:
    def breathe(depth: int, epoch: float) -> float:
        return float(depth == 0 or int(epoch) % 2 == 0)

    job = prepare(read(reviews), Plan(epochs=2, rate=breathe), str(tiny_bert))
    assert job.recipe.rate is breathe and job.plan.head_learning_rate is None


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"freeze": 9}, "the model has 2 blocks"),
        ({"max_length": 4000}, "takes at most 48 tokens"),
        ({"class_weights": {"postive": 2}}, "did you mean 'positive'"),
        ({"class_weights": {"positive": 0, "negative": 0}}, "weighs nothing"),
        ({"metric_for_best_model": "f1"}, "there is no metric 'f1'"),
        ({"schedule": {"use": "mine:shape"}}, "add --allow-code mine"),
    ],
)
def test_what_the_plan_asks_in_vain_is_refused(reviews: Path, tiny_bert: Path, plan: dict, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        prepare(read(reviews), Plan.of(plan), str(tiny_bert))


def test_automatic_class_weights_are_scikit_learns_balanced_ones() -> None:
    targets = np.repeat([0, 1, 2], [50, 30, 5])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    assert class_weights(Plan(class_weights="auto"), ["a", "b", "c"], targets) == pytest.approx(expected)


@pytest.mark.parametrize(("label", "words"), [("id{i}", "too many to be classes"), ("same", "every row has the label")])
def test_labels_that_are_no_classes_are_refused(tmp_path: Path, tiny_bert: Path, label: str, words: str) -> None:
    rows = "".join(f"film {i},{label.format(i=i)}\n" for i in range(60))
    (tmp_path / "a.csv").write_text("text,label\n" + rows)
    with pytest.raises(DataError, match=words):
        prepare(read(tmp_path / "a.csv"), Plan(), str(tiny_bert))
