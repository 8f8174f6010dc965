"""finetooth: fine-tune a pre-trained model on labelled rows, quickly, and hear the truth about the result.

import finetooth as ft

table = ft.read("reviews.csv")
run = ft.train(table, ft.Plan(epochs=2), model="minilm", out="runs/reviews")
report = ft.evaluate(run)
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finetooth.check import check
    from finetooth.compare import compare
    from finetooth.evaluate import answers, evaluate, evaluate_rows, replies
    from finetooth.metrics import Metric
    from finetooth.plan import Plan
    from finetooth.readers import Ingredient, combine, read
    from finetooth.rehearse import rehearse
    from finetooth.run import Run
    from finetooth.search import Space, search
    from finetooth.table import Predictions, Split, Table
    from finetooth.tasks import TASKS
    from finetooth.train import train
    from finetooth.validate import validate

# Where each public name lives. They are imported when first used, so that `finetooth --help` need not wait for torch.
_HOMES = {
    "Ingredient": "readers",
    "Metric": "metrics",
    "Plan": "plan",
    "Predictions": "table",
    "Run": "run",
    "Space": "search",
    "Split": "table",
    "TASKS": "tasks",
    "Table": "table",
    "answers": "evaluate",
    "check": "check",
    "combine": "readers",
    "compare": "compare",
    "evaluate": "evaluate",
    "evaluate_rows": "evaluate",
    "read": "readers",
    "rehearse": "rehearse",
    "replies": "evaluate",
    "search": "search",
    "train": "train",
    "validate": "validate",
}

__all__ = [
    "TASKS",
    "Ingredient",
    "Metric",
    "Plan",
    "Predictions",
    "Run",
    "Space",
    "Split",
    "Table",
    "answers",
    "check",
    "combine",
    "compare",
    "evaluate",
    "evaluate_rows",
    "read",
    "rehearse",
    "replies",
    "search",
    "train",
    "validate",
]


class _Package(ModuleType):
    """`ft.train` is the function, also after the module `finetooth.train` was imported and would take its name."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, getattr(value, name) if name in _HOMES and isinstance(value, ModuleType) else value)

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'finetooth' has no attribute '{name}'")
        return getattr(import_module(f"finetooth.{_HOMES[name]}"), name)


sys.modules[__name__].__class__ = _Package
