"""Tasks: what is particular about one kind of job. One file each; `TASKS` gives them their names."""

from finetooth.tasks.base import Encoded, Task, tokenized
from finetooth.tasks.text_classification import TextClassification

__all__ = ["TASKS", "Encoded", "Task", "tokenized"]

TASKS: dict[str, Task] = {"text-classification": TextClassification()}
