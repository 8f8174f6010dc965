"""What processes that share work can be handed; how they work together stands with the verbs that do so."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import finetooth as ft
from finetooth.errors import Interrupted, PlanError
from finetooth.processes import side_by_side
from finetooth.progress import Heeding, Silent


@pytest.mark.parametrize("name", ft.TASKS)
def test_every_task_can_be_handed_to_another_process(name: str) -> None:
    task = ft.TASKS[name]
    metrics = task.metrics(["O", "B-place", "I-place"])
    again, there = pickle.loads(pickle.dumps((task, metrics)))
    assert type(again) is type(task) and list(there) == list(metrics)


def nothing(*_: Any) -> None:
    """No work."""


def test_what_cannot_be_handed_on_is_refused() -> None:
    heard = Heeding(Silent(), [], lambda number: Interrupted(number, "", ""))
    with pytest.raises(
        PlanError, match=r"--jobs 2: not all can be handed to another process: .*lambda.* leave it away"
    ):
        side_by_side(2, nothing, (lambda: 1,), heard)
