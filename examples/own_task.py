"""A task of one's own: classes that have an order, such as one to five stars, where nearly right is nearly good.

python examples/own_task.py reviews.csv minilm runs/stars
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

import finetooth as ft
from finetooth.errors import DataError
from finetooth.metrics import CLASSIFICATION
from finetooth.tasks.text_classification import TextClassification


def steps_off(p: ft.Predictions) -> float:
    """How many classes lie between what was said and what is right, the mean over rows."""
    return float(np.abs(p.decided - p.labels).mean())


class OrderedClasses(TextClassification):
    """Texts in one column, a number from a short scale in another."""

    def metrics(self, names: list[str]) -> Mapping[str, ft.Metric]:
        """Those of classes, and one of their order."""
        return {**CLASSIFICATION, "steps_off": ft.Metric("steps_off", "lower", steps_off)}

    def goal(self, targets: Any, names: list[str], loss: object) -> tuple[str, str]:
        """The epoch that is nearest to the truth is kept, not the one that is right most often."""
        return "steps_off", "the classes have an order"

    def names(self, table: ft.Table) -> list[str]:
        """The numbers in their order. Raises DataError for a label that is none."""
        names = super().names(table)
        for name in names:
            if not name.lstrip("-").isdigit():
                raise DataError(f"{table.source}: found the label '{name}', expected whole numbers that have an order.")
        return names


ft.TASKS["ordered-classes"] = OrderedClasses()


def main(data: str, model: str, out: str) -> None:
    run = ft.train(ft.read(data), ft.Plan(task="ordered-classes", epochs=2), model=model, out=out)
    report = ft.evaluate(run)
    print(f"{report['test']['steps_off']['value']:.2f} steps off; {report['verdict']['says']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
