"""What may vary: ranges and choices as text, tried in the plan before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetooth.errors import PlanError
from finetooth.plan import Plan
from finetooth.search.space import FIXED, Space, parted

GOOD: dict[str, Any] = {
    "learning_rate": "1e-5..1e-3:log",
    "freeze": "0..4",
    "dropout": " 0 .. .3 ",
    "batch_size": ["16", 32, "auto"],
    "schedule": ["linear", {"name": "polynomial", "power": 3}],
    "epochs": "1..3",
    "oversample": [True, False, 0.5],
    "head_learning_rate": [1e-3, "1e-2"],
    "unfreeze_every": [None, 0.5],
    "early_stopping_patience": "2..8:log",
}


def test_what_was_written_is_what_varies() -> None:
    space = Space.of(GOOD, Plan())
    assert space.text() == {
        "learning_rate": "1e-05..0.001:log",
        "freeze": "0..4",
        "dropout": "0..0.3",
        "batch_size": [16, 32, "auto"],
        "schedule": ["linear", {"name": "polynomial", "power": 3}],
        "epochs": "1..3",
        "oversample": [True, False, 0.5],
        "head_learning_rate": [0.001, 0.01],
        "unfreeze_every": [None, 0.5],
        "early_stopping_patience": "2..8:log",
    }
    whole = {key for key, dimension in space.keys.items() if getattr(dimension, "whole", False)}
    assert whole == {"freeze", "early_stopping_patience"}, "epochs may be 1.5, so a range of them is not whole"
    assert Space.of(space.text(), Plan()) == space
    assert space.size is None
    assert Space.of({"freeze": "0..4", "batch_size": [8, 16]}, Plan()).size == 10


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "nothing varies"),
    "a key that is not there": ({"lerning_rate": "1e-5..1e-3"}, "did you mean 'learning_rate'"),
    "a key that is to come": ({"retain": [None, 1]}, "'retain' is not in this version"),
    "the split": ({"split.seed": "0..3"}, r"split\.seed: cannot vary in a search: the rows would be dealt anew"),
    "the columns": ({"data": ["a", "b"]}, "data: cannot vary in a search"),
    "the seed": ({"seed": "0..9"}, "the seed that came out best would be luck"),
    "the goal": ({"metric_for_best_model": ["loss", "accuracy"]}, "scores by different metrics do not compare"),
    "a key below a key": ({"learning_rate.high": "1..2"}, "'learning_rate' has no keys below it"),
    "one key by two names": ({"num_train_epochs": "1..3", "epochs": [1, 2]}, "epochs: stands twice"),
    "a plain value": ({"learning_rate": 1e-3}, "learning_rate: found 0.001, expected a range or a list"),
    "ends turned round": ({"learning_rate": "1e-3..1e-5"}, "expected two ends, the smaller one first"),
    "equal ends": ({"freeze": "2..2"}, "expected two ends, the smaller one first"),
    "no number": ({"learning_rate": "1e-5..x"}, "found '1e-5..x', expected a range like"),
    "one end": ({"learning_rate": "1e-5.."}, "expected a range like"),
    "an unknown scale": ({"learning_rate": "1..2:exp"}, "found ':exp' behind the range 1..2"),
    "a logarithm of nothing": ({"weight_decay": "0..1:log"}, "the smaller end has to lie above 0"),
    "half a block": ({"freeze": "0..2.5"}, "found 2.5 as an end of 0..2.5, expected a whole number"),
    "an end that the plan refuses": ({"freeze": "-1..3"}, "freeze: found -1"),
    "the other end": ({"dropout": "0..1"}, "dropout: found 1.0; input should be less than 1"),
    "a choice that the plan refuses": ({"schedule": ["linear", "cosin"]}, "did you mean 'cosine'"),
    "a range of names": ({"precision": "1..2"}, "its values are no numbers; give a list of choices"),
    "one choice": ({"batch_size": [16]}, r"batch_size: found \[16\], expected two choices or more"),
    "no choice": ({"batch_size": []}, "expected two choices or more"),
    "a choice twice": ({"batch_size": [16, 32, "16"]}, "16 stands twice among the choices"),
    "a function of one's own": ({"loss": ["focal", {"use": "mine:loss"}]}, "functions of one's own cannot vary"),
    "a number for a key": ({3: "0..1"}, "unknown key '3'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_vary_is_refused_by_name(case: str) -> None:
    given, says = REFUSED[case]
    with pytest.raises(PlanError, match=says) as refused:
        Space.of(given, Plan())
    assert "\n" not in str(refused.value)


def test_every_reason_is_about_a_key_of_the_plan() -> None:
    assert set(FIXED) <= set(Plan.model_fields)


def test_a_value_that_fits_some_of_the_others_alone_is_no_mistake() -> None:
    """`freeze: all` and layer_decay contradict each other, but not with every value of both."""
    plan = Plan(layer_decay=0.9)
    with pytest.raises(PlanError, match="contradict"):
        Space.of({"freeze": [0, "all"]}, plan)
    space = Space.of({"freeze": [0, "all"], "layer_decay": [0.9, 1.0]}, plan)
    with pytest.raises(PlanError, match="contradict"):
        space.applied(plan, {"freeze": "all", "layer_decay": 0.9})
    assert space.applied(plan, {"freeze": "all", "layer_decay": 1.0}).freeze == "all"


def test_files_are_read_and_settings_go_before_them(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("learning_rate: 1e-5..1e-3:log\nfreeze: 0..4\n")
    assert Space.read(file, {"freeze": [0, 1]}, Plan()).text()["freeze"] == [0, 1]
    file.write_text("- learning_rate\n")
    with pytest.raises(PlanError, match="found a list, expected a range or a list for each key"):
        Space.read(file, {}, Plan())
    file.write_text("a: [\n")
    with pytest.raises(PlanError, match="not readable as YAML"):
        Space.read(file, {}, Plan())
    with pytest.raises(PlanError, match="no such file"):
        Space.read(tmp_path / "spce.yaml", {}, Plan())


def test_settings_fall_into_what_varies_and_what_is_fixed() -> None:
    given = ["learning_rate=1e-5..1e-3:log", "epochs=2", "batch_size=[8, 16]", "keep=../old.csv", "slices=[a]", "x"]
    ranges, fixed = parted(given)
    assert ranges == {"learning_rate": "1e-5..1e-3:log", "batch_size": [8, 16]}
    assert fixed == ["epochs=2", "keep=../old.csv", "slices=[a]", "x"]


def test_values_come_back_from_storage_as_they_went() -> None:
    space = Space.of(GOOD, Plan())
    for choice in space.keys["oversample"].points() or ():
        values = {
            "learning_rate": 3e-5,
            "freeze": 2,
            "dropout": 0.1,
            "batch_size": 16,
            "schedule": {"name": "polynomial", "power": 3},
            "epochs": 2.0,
            "oversample": choice,
            "head_learning_rate": 0.01,
            "unfreeze_every": None,
            "early_stopping_patience": 3,
        }
        again = space.values(space.stored(values))
        assert again == values and [type(v) for v in again.values()] == [type(v) for v in values.values()]


def test_a_plan_knows_whether_it_lies_inside() -> None:
    space = Space.of({"learning_rate": "1e-5..1e-3", "oversample": [True, 0.5], "epochs": [2, 3]}, Plan())
    plan = Plan(learning_rate=1e-4, oversample=0.5, epochs=3)
    assert space.inside(plan) == {"learning_rate": 1e-4, "oversample": 0.5, "epochs": 3.0}
    assert space.outside(Plan(learning_rate=1e-2, oversample=False, epochs=3)) == ["learning_rate", "oversample"]
    assert space.inside(Plan(learning_rate="auto", oversample=0.5, epochs=3)) is None
