"""The plan is checked as a whole before a row is read, and every choice comes with its reason."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetooth import Plan
from finetooth.errors import PlanError
from finetooth.plan import LATER, Facts, resolve
from finetooth.run import Run

DEFAULT = Plan().values()
FACTS = Facts(
    task=("text-classification", "a text column and a label column"),
    new_head=True,
    loss=("cross-entropy", "one of several classes"),
    metric=("macro_f1", "the largest class has 500 rows, the smallest 100"),
    rows=600,
    parameters=22_000_000,
    limit=256,
    fast_bf16=False,
    machine="cpu",
)


def changed(plan: Plan) -> dict[str, Any]:
    return {key: value for key, value in plan.values().items() if value != DEFAULT[key]}


def from_file(folder: Path, text: str, *settings: str) -> Plan:
    (folder / "plan.yaml").write_text(text, encoding="utf-8")
    return Plan.read(folder / "plan.yaml", settings)


# Unknown keys


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("epoch", "epochs"),
        ("Batch_Size", "batch_size"),
        ("learning_rte", "learning_rate"),
        ("calibrat", "calibrate"),
        ("split.sed", "seed"),
        ("split.presets", "preset"),
        ("data.lable", "label"),
    ],
)
def test_an_unknown_key_suggests_the_nearest_also_by_set(tmp_path: Path, key: str, meant: str) -> None:
    parent, _, child = key.rpartition(".")
    for read in (
        lambda: Plan.of({parent: {child: 1}} if parent else {child: 1}),
        lambda: from_file(tmp_path, f"{parent}: {{{child}: 1}}" if parent else f"{child}: 1"),
        lambda: Plan.read(None, [f"{key}=1"]),
    ):
        with pytest.raises(PlanError, match=rf"'{key}'.*did you mean '{meant}'"):
            read()


def test_a_key_like_nothing_lists_what_there_is() -> None:
    with pytest.raises(PlanError, match=r"'split\.zzz'.*seed, stratify, synthetic, test, train, validation"):
        Plan.of({"split": {"zzz": 1}})


# Types and ranges

WRONG: list[tuple[str, Any]] = [
    ("epochs", "three"),
    ("epochs", 0),
    ("epochs", [3]),
    ("epochs", True),
    ("epochs", math.inf),
    ("epochs", math.nan),
    ("batch_size", 1.5),
    ("batch_size", 0),
    ("batch_size", True),
    ("seed", "x"),
    ("seed", False),
    ("learning_rate", -0.1),
    ("learning_rate", math.inf),
    ("warmup_steps", -1),
    ("layer_decay", 1.5),
    ("freeze", "heads"),
    ("freeze", -1),
    ("dropout", 1.0),
    ("precision", "fp64"),
    ("task", 3),
    ("max_length", 2),
    ("weight_decay", -1),
    ("eval_every", 0),
    ("early_stopping_patience", 0),
    ("metric_for_best_model", 3),
    ("data.label", 3),
    ("split.train", "x"),
    ("split.stratify", "sometimes"),
]


@pytest.mark.parametrize(("key", "value"), WRONG, ids=[f"{key}={value}" for key, value in WRONG])
def test_a_wrong_value_is_refused_with_its_key_and_what_was_found(key: str, value: Any) -> None:
    parent, _, child = key.rpartition(".")
    with pytest.raises(PlanError) as caught:
        Plan.of({parent: {child: value}} if parent else {child: value})
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    assert f"{key}: found {shown}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="3"):
        from_file(tmp_path, "3: 4")


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(PlanError, match=r"seed.*epoch"):
        Plan.of({"seed": "x", "epoch": 3})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"freeze": "all", "layer_decay": 0.9}, "freeze: all .*layer_decay"),
        ({"freeze": "all", "learning_rate": 1e-4}, "freeze: all and learning_rate .*head_learning_rate"),
        ({"split": {"train": 0.5}}, "split.*add up to 0.7, expected 1"),
        ({"split": {"preset": "70-15-15", "test": 0.2}}, "split.*preset.*leave test away"),
        ({"split": 3}, "split.*the preset 3 is not known"),
        ({"split": {"preset": "70-15-16"}}, "split.*'70-15-16'.*did you mean '70-15-15'"),
        ({"schedule": "lineer"}, "schedule: 'lineer'.*did you mean 'linear'"),
        ({"epochs": 3, "num_train_epochs": 3}, "'epochs' and 'num_train_epochs' say the same"),
        ({"bf16": True, "precision": "bf16"}, "'bf16' and 'precision' say the same"),
        ({"bf16": True, "fp32": True}, "'bf16' and 'fp32' say the same"),
        ({"eval_every": 1, "eval_strategy": "epoch"}, "'eval_every' and 'eval_strategy' say the same"),
    ],
)
def test_a_contradiction_is_refused_in_words(values: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        Plan.of(values)


# Names


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({"num_train_epochs": 3}, {"epochs": 3.0}),
        ({"per_device_train_batch_size": 8}, {"batch_size": 8}),
        ({"lr_scheduler_type": "constant"}, {"schedule": "constant"}),
        ({"bf16": True}, {"precision": "bf16"}),
        ({"fp32": True}, {"precision": "fp32"}),
        ({"bf16": False, "fp16": False}, {"precision": "fp32"}),
        ({"eval_strategy": "epoch", "save_strategy": "epoch"}, {}),
        ({"label_smoothing_factor": 0.1}, {"label_smoothing": 0.1}),
        ({"split": "70-15-15"}, {"split": {**DEFAULT["split"], "train": 0.7, "validation": 0.15, "test": 0.15}}),
    ],
)
def test_hugging_faces_names_and_short_forms_are_accepted(given: dict[str, Any], ours: dict[str, Any]) -> None:
    assert changed(Plan.of(given)) == ours


@pytest.mark.parametrize(
    ("given", "name", "ours"),
    [
        ({"evaluation_strategy": "epoch"}, "eval_every", {}),
        ({"warmup_ratio": 0.2}, "warmup_steps", {"warmup_steps": 0.2}),
    ],
)
def test_retired_names_are_accepted_with_a_warning(given: dict[str, Any], name: str, ours: dict[str, Any]) -> None:
    with pytest.warns(FutureWarning, match=f"{next(iter(given))}.*{name}"):
        assert changed(Plan.of(given)) == ours


@pytest.mark.parametrize("strategy", ["steps", "no", 0.5])
def test_a_strategy_that_is_not_epochs_is_refused_with_the_key_to_use(strategy: Any) -> None:
    with pytest.raises(PlanError, match=r"eval_strategy.*eval_every in epochs"):
        Plan.of({"eval_strategy": strategy})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, {"some": "thing"}) for key in LATER),
        ("fp16", True),
    ],
)
def test_keys_still_to_be_built_are_refused_unless_they_ask_for_nothing(key: str, value: Any) -> None:
    parent, _, child = key.rpartition(".")
    for nothing in [LATER[key]] if key in LATER else [None] if parent else []:
        assert Plan.of({parent: {child: nothing}} if parent else {child: nothing}) == Plan()
    with pytest.raises(PlanError, match=f"{child}.*not in this version"):
        Plan.of({parent: {child: value}} if parent else {child: value})


# YAML and --set


@pytest.mark.parametrize("number", ["1e-4", "1E-4", "1.0e-4", "0.0001"])
def test_a_number_without_a_dot_is_a_number(tmp_path: Path, number: str) -> None:
    assert from_file(tmp_path, f"learning_rate: {number}").learning_rate == 1e-4
    assert Plan.read(None, [f"learning_rate={number}"]).learning_rate == 1e-4


@pytest.mark.parametrize("name", ["1e5", "2E3"])
def test_a_column_may_be_named_like_a_number(name: str) -> None:
    assert Plan.of({"data": {"label": name}}).data.label == name


@pytest.mark.parametrize(
    ("settings", "ours"),
    [
        (["epochs=2"], {"epochs": 2.0, "seed": 7}),
        (["seed=8", "seed=9"], {"seed": 9}),
        (["split.seed=3"], {"seed": 7, "split": {**DEFAULT["split"], "seed": 3}}),
        (["freeze=all", "early_stopping_patience=null"], {"freeze": "all", "seed": 7}),
        (["data.input=a=b"], {"data": {**DEFAULT["data"], "input": "a=b"}, "seed": 7}),
        (["split=70-15-15", "bf16=true"], {**changed(Plan.of({"split": "70-15-15", "bf16": True})), "seed": 7}),
    ],
)
def test_settings_change_the_file(tmp_path: Path, settings: list[str], ours: dict[str, Any]) -> None:
    assert changed(from_file(tmp_path, "seed: 7\n", *settings)) == ours


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("epochs", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("epochs=[1", "not readable"),
        ("epochs=", "epochs: found None"),
        ("seed.x=3", "'seed' has no keys"),
    ],
)
def test_a_setting_that_is_none_is_refused(tmp_path: Path, setting: str, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        from_file(tmp_path, "seed: 7\n", setting)


@pytest.mark.parametrize(
    ("text", "says"),
    [("- epochs", "found a list"), ("epochs", "found a str"), ("epochs: [1", "not readable"), ("\x00", "not readable")],
)
def test_a_file_that_is_no_plan_is_refused_with_its_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PlanError, match=rf"plan\.yaml: .*{says}"):
        from_file(tmp_path, text)


def test_a_missing_or_unreadable_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("metric_for_best_model: ä".encode("latin-1"))
    for name, says in (("none.yaml", "no such"), (".", "not readable"), ("latin.yaml", "not readable")):
        with pytest.raises(PlanError, match=says):
            Plan.read(tmp_path / name)


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    assert from_file(tmp_path, "# nothing yet\n") == Plan() == Plan.read(None)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/name:os.system", "!own"])
def test_yaml_cannot_run_code(tmp_path: Path, tag: str) -> None:
    made = tmp_path / "made"
    for read in (
        lambda: from_file(tmp_path, f"seed: {tag} ['{made}']"),
        lambda: Plan.read(None, [f"seed={tag} ['{made}']"]),
    ):
        with pytest.raises(PlanError, match="not readable"):
            read()
    assert not os.path.exists(made)


def test_yaml_that_contains_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError):
        from_file(tmp_path, "data: &a {label: *a}")


# Round trips

PLANS: list[dict[str, Any]] = [
    {},
    {"epochs": 0.5, "learning_rate": 1e-5, "weight_decay": 1e-7, "freeze": 2, "dropout": 0.1},
    {"freeze": "embeddings", "split": {"preset": "60-20-20", "seed": 5, "stratify": False}},
    {"data": {"input": "a # b", "label": 'x: "y", {z}', "group": "ü", "id": "null"}, "early_stopping_patience": 3},
    {"data": {"input": "long " * 500, "label": "007"}},
]


@pytest.mark.parametrize("values", PLANS)
def test_a_plan_survives_values_and_json(values: dict[str, Any]) -> None:
    plan = Plan.of(values)
    assert Plan.of(plan.values()) == plan == Plan.of(json.loads(json.dumps(plan.values())))


@pytest.mark.parametrize("values", PLANS)
def test_a_resolved_plan_survives_the_run_with_its_reasons(tmp_path: Path, values: dict[str, Any]) -> None:
    plan, reasons = resolve(Plan.of(values), FACTS)
    run = Run.create(tmp_path / "run")
    run.write_plan(plan, reasons)
    assert run.plan == plan
    lines = (tmp_path / "run" / "plan.yaml").read_text().splitlines()
    for key, reason in reasons.items():
        assert any(line.startswith(f"{key}: ") and line.endswith(f"  # {reason}") for line in lines)
    assert Plan.read(tmp_path / "run" / "plan.yaml", ["seed=3"]) == plan.model_copy(update={"seed": 3})


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Plan().epochs = 3  # type: ignore[misc]


# What auto becomes

AUTO = {key for key, value in DEFAULT.items() if value == "auto"}


def test_every_auto_is_resolved_with_a_reason() -> None:
    plan, reasons = resolve(Plan(), FACTS)
    assert set(reasons) == AUTO
    assert all(reasons.values())
    assert "auto" not in [getattr(plan, key) for key in DEFAULT]
    assert Plan.of(plan.values()) == plan
    assert {key for key in DEFAULT if plan.values()[key] != DEFAULT[key]} == AUTO


SET: dict[str, Any] = {
    "task": "text-classification",
    "learning_rate": 0.5,
    "head_learning_rate": 0.25,
    "epochs": 7.5,
    "batch_size": 3,
    "max_length": 17,
    "freeze": "embeddings",
    "precision": "bf16",
    "metric_for_best_model": "loss",
    "loss": "focal",
    "cache": "off",
}


@pytest.mark.parametrize("key", sorted(SET))
def test_what_the_user_set_is_kept_and_needs_no_reason(key: str) -> None:
    assert set(SET) == AUTO
    plan, reasons = resolve(Plan.of({key: SET[key]}), FACTS)
    assert getattr(plan, key) == SET[key]
    assert set(reasons) == AUTO - {key}
    assert resolve(plan, FACTS) == (plan, {})


def test_choices_follow_the_facts() -> None:
    even = replace(FACTS, metric=("accuracy", "so"), parameters=110_000_000, limit=512, fast_bf16=True)
    here, there = resolve(Plan(), FACTS)[0], resolve(Plan(), even)[0]
    assert (here.precision, there.precision) == ("fp32", "bf16")
    assert (here.metric_for_best_model, there.metric_for_best_model) == ("macro_f1", "accuracy")
    assert (here.max_length, there.max_length) == (256, 512)
    assert float(here.learning_rate) > float(there.learning_rate)


def test_more_rows_take_no_more_epochs() -> None:
    epochs = [
        float(resolve(Plan(), replace(FACTS, rows=rows))[0].epochs)
        for rows in (10, 499, 500, 1999, 2000, 4999, 5000, 10**6)
    ]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[-1] >= 1


@pytest.mark.parametrize(
    ("values", "freeze"),
    [({}, "embeddings"), ({"unfreeze_every": 1}, 0), ({"rate": {"use": "own:rate"}}, 0), ({"freeze": 2}, 2)],
)
def test_the_embeddings_stay_as_they_are_unless_something_thaws_them(values: dict[str, Any], freeze: object) -> None:
    assert resolve(Plan.of(values), FACTS)[0].freeze == freeze


def test_a_blank_that_yaml_wants_is_named() -> None:
    with pytest.raises(PlanError, match="a blank after a colon, 'type: prompt'"):
        Plan.of({"adapter": {"type:prompt": None}})


def test_tokens_is_short_for_virtual_tokens() -> None:
    assert Plan.of({"adapter": {"type": "prompt", "tokens": 7}}).adapter.model_dump()["num_virtual_tokens"] == 7
    with pytest.raises(PlanError, match="tokens"):
        Plan.of({"adapter": {"type": "prompt", "tokens": 7, "num_virtual_tokens": 8}})
