"""What processes that share work can be handed; how they work together stands with the verbs that do so."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import finetooth as ft
from finetooth.errors import FinetoothError, Interrupted, ModelError, NonFiniteLoss, PlanError
from finetooth.processes import side_by_side
from finetooth.progress import Heeding, Silent


@pytest.mark.parametrize("name", ft.TASKS)
def test_every_task_can_be_handed_to_another_process(name: str) -> None:
    task = ft.TASKS[name]
    metrics = task.metrics(["O", "B-place", "I-place"])
    again, there = pickle.loads(pickle.dumps((task, metrics)))
    assert type(again) is type(task) and list(there) == list(metrics)


@pytest.mark.parametrize("error", [PlanError("a: b"), ModelError("c: d"), NonFiniteLoss(7, ["a", "b"])])
def test_an_error_is_the_same_in_another_process(error: FinetoothError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


def nothing(*_: Any) -> None:
    """No work."""


def test_what_cannot_be_handed_on_is_refused() -> None:
    heard = Heeding(Silent(), [], lambda number: Interrupted(number, "", ""))
    with pytest.raises(
        PlanError, match=r"--jobs 2: not all can be handed to another process: .*lambda.* leave it away"
    ):
        side_by_side(2, nothing, (lambda: 1,), heard)
