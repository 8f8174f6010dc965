"""Tasks: what is particular about one kind of job. One file each; `TASKS` gives them their names."""

from finetooth.tasks.base import Encoded, Task, tokenized
from finetooth.tasks.text_classification import TextClassification
from finetooth.tasks.text_pair import TextPair

__all__ = ["TASKS", "Encoded", "Task", "fitting", "tokenized"]

TASKS: dict[str, Task] = {"text-classification": TextClassification(), "text-pair": TextPair()}


def fitting(columns: int) -> tuple[str, str]:
    """The task that so many columns of texts make, and the reason in words."""
    if columns == 2:
        return "text-pair", "two text columns and a label column"
    return "text-classification", "a text column and a label column"
